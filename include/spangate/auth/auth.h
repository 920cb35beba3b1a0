/*
 * auth.h - whether a request carries credentials that a listener was told to accept.
 *
 * Three kinds, named after the Collector's extensions: bearer tokens, user and password, and a key
 * in a header of its own. What is compared are SHA-256 digests, in constant time. Passwords that
 * are kept as slow hashes (bcrypt) are computed once and remembered; a listener computes only a few
 * of them a second, so that wrong passwords cannot hold it up.
 *
 * A file with secrets is looked at once a second at most and read again when it has changed. When
 * it cannot be read any more, what it held before stays valid, and the log says so.
 *
 * No secret is ever in an error or in the log. Any thread; one lock inside.
 */
#ifndef SPANGATE_AUTH_AUTH_H
#define SPANGATE_AUTH_AUTH_H

#include <spangate/base/error.h>
#include <spangate/base/slice.h>

enum auth_kind {
    AUTH_BEARER,  /* header: scheme, a space, token; the token alone when scheme is "" */
    AUTH_BASIC,   /* RFC 7617, checked against lines of htpasswd(1) */
    AUTH_API_KEY, /* header: key */
};

struct auth_settings {
    enum auth_kind kind;
    char *id;       /* of the extension: for messages */
    char *header;   /* where credentials stand; not for AUTH_BASIC, which has Authorization */
    char *scheme;   /* AUTH_BEARER */
    char **secrets; /* tokens or keys, or "sha256:" and the hex digest of one; lines of htpasswd */
    size_t secret_count;
    char *file; /* more of them, one a line; NULL: none */
};

struct auth;

/*
 * settings are borrowed. ERR_INVALID: there is nothing that could be accepted, or a line of
 * htpasswd has a form that cannot be checked; the message has the number of the line. Otherwise the
 * error of reading the file.
 */
bool auth_new(struct auth **out, const struct auth_settings *settings,
              struct error *err) MUST_CHECK;
void auth_free(struct auth *auth); /* NULL is allowed */

/* The value of a header, whatever its case; false: absent. Valid until auth_check() returns. */
typedef bool auth_header_fn(void *ctx, const char *name, struct slice *value);

/*
 * ERR_UNAUTHENTICATED: no credentials or wrong ones. ERR_LIMIT: too many passwords were tried in
 * the last second to check another one.
 */
bool auth_check(struct auth *auth, auth_header_fn *header, void *ctx, struct error *err) MUST_CHECK;

/* For WWW-Authenticate. Lives as long as auth. */
const char *auth_challenge(const struct auth *auth);

#endif
