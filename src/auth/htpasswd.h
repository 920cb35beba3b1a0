/*
 * htpasswd.h - users and their passwords, as htpasswd(1) writes them, one "user:password" a line.
 *
 *   {SHA}…                 base64 of SHA-1
 *   $2y$ $2a$ $2b$         bcrypt, up to cost 12
 *   $5$ $6$ $1$            crypt(3): SHA-256, SHA-512, MD5
 *   anything else          the password itself, unless it begins with $ or {
 *
 * Owner: struct auth, under its lock.
 */
#ifndef SPANGATE_SRC_AUTH_HTPASSWD_H
#define SPANGATE_SRC_AUTH_HTPASSWD_H

#include <spangate/base/error.h>
#include <spangate/base/slice.h>
#include <stdint.h>

enum { DIGEST_BYTES = 32 };

struct htpasswd_user {
    char *name;
    enum { PASSWORD_PLAIN, PASSWORD_SHA1, PASSWORD_CRYPT } form;
    uint8_t digest[DIGEST_BYTES]; /* of the password, or of its SHA-1 */
    char *hash;                   /* PASSWORD_CRYPT */
};

struct htpasswd {
    struct htpasswd_user *users;
    size_t count;
};

void digest_of(struct slice bytes, uint8_t out[DIGEST_BYTES]);

/* Add the users of a text; of several lines for one user the first counts. */
bool htpasswd_add(struct htpasswd *table, struct slice text, struct error *err) MUST_CHECK;
void htpasswd_deinit(struct htpasswd *table); /* and empty again */

/* NULL: no such user. */
const struct htpasswd_user *htpasswd_find(const struct htpasswd *table, struct slice name);

/* Whether the password is the user's. PASSWORD_CRYPT takes up to a quarter of a second. */
bool htpasswd_check(const struct htpasswd_user *user, const char *password);

#endif
