/*
 * auth.c - checking credentials, and reading them again when their file changes.
 *
 * Tokens and keys become digests when they are read. Each request hashes what it was given once
 * and compares it with all of them, also after one fitted, so that the time says nothing.
 */
#include "htpasswd.h"

#include <spangate/auth/auth.h>

#include <openssl/crypto.h>
#include <pthread.h>
#include <spangate/base/clock.h>
#include <spangate/base/file_stamp.h>
#include <spangate/base/fs.h>
#include <spangate/base/log.h>
#include <spangate/base/mem.h>
#include <spangate/base/text.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
    FILE_BYTES_MAX = 4 << 20,
    CREDENTIALS_MAX = 8 * 1024, /* bytes of a header that are looked at */
    REMEMBERED = 64,            /* passwords that fitted, so that a slow hash is computed once */
    SLOW_BURST = 16,            /* slow hashes at once, */
    SLOW_PER_S = 4,             /* and in the long run */
};

#define LOOK_NS NS_PER_S

/* What is accepted. */
struct secrets {
    uint8_t (*digests)[DIGEST_BYTES]; /* of tokens or keys */
    size_t count;
    struct htpasswd users;
};

struct auth {
    const struct auth_settings *settings;
    char *challenge;

    /* Touched by any thread, under the lock. */
    struct {
        pthread_mutex_t lock;
        struct secrets secrets;
        uint64_t looked_ns; /* at the file */
        struct file_stamp file;
        uint8_t good[REMEMBERED][DIGEST_BYTES];
        size_t good_count, good_next;
        uint64_t slow_ns; /* when the last slow hash was paid for */
        unsigned slow_left;
    } shared;
};

/* --- reading --- */

static void secrets_deinit(struct secrets *secrets)
{
    free(secrets->digests);
    htpasswd_deinit(&secrets->users);
    *secrets = (struct secrets){0};
}

static struct slice trim(struct slice s)
{
    while (s.len > 0 && (s.data[0] == ' ' || s.data[0] == '\t')) {
        s = slice_from(s, 1);
    }
    while (s.len > 0 && memchr(" \t\r", s.data[s.len - 1], 3) != NULL) {
        s.len--;
    }
    return s;
}

static bool add_token(struct secrets *secrets, struct slice token, struct error *err)
{
    static const char hashed[] = "sha256:";
    uint8_t digest[DIGEST_BYTES];
    size_t len = strlen(hashed);

    if (token.len == 0) {
        return error_set(err, ERR_INVALID, "a token is empty");
    }
    if (token.len > len && memcmp(token.data, hashed, len) == 0) {
        if (!hex_decode(slice_from(token, len), digest, sizeof(digest))) {
            return error_set(err, ERR_INVALID, "sha256: needs 64 hexadecimal digits after it");
        }
    } else {
        digest_of(token, digest);
    }
    secrets->digests =
        mem_realloc(secrets->digests, (secrets->count + 1) * sizeof(*secrets->digests));
    memcpy(secrets->digests[secrets->count++], digest, sizeof(digest));
    return true;
}

/* Tokens one a line; empty lines and those that begin with # are none. */
static bool add_tokens(struct secrets *secrets, struct slice text, struct error *err)
{
    while (text.len > 0) {
        const uint8_t *end = memchr(text.data, '\n', text.len);
        size_t len = end != NULL ? (size_t)(end - text.data) : text.len;
        struct slice line = trim((struct slice){text.data, len});
        if (line.len > 0 && line.data[0] != '#' && !add_token(secrets, line, err)) {
            return false;
        }
        text = slice_from(text, len + 1);
    }
    return true;
}

static bool add_file(const struct auth *auth, struct secrets *secrets, struct error *err)
{
    char *text = NULL;
    size_t len = 0;

    if (!fs_read_file(&fs_posix, auth->settings->file, FILE_BYTES_MAX, &text, &len, err)) {
        return false;
    }
    struct slice lines = {(const uint8_t *)text, len};
    bool ok = auth->settings->kind == AUTH_BASIC ? htpasswd_add(&secrets->users, lines, err)
                                                 : add_tokens(secrets, lines, err);
    OPENSSL_cleanse(text, len);
    free(text);
    return ok || error_wrap(err, "%s", auth->settings->file);
}

static bool read_secrets(const struct auth *auth, struct secrets *out, struct error *err)
{
    const struct auth_settings *settings = auth->settings;
    bool ok = true;

    *out = (struct secrets){0};
    for (size_t i = 0; i < settings->secret_count && ok; i++) {
        struct slice text = slice_of(settings->secrets[i]);
        ok = settings->kind == AUTH_BASIC ? htpasswd_add(&out->users, text, err)
                                          : add_token(out, trim(text), err);
    }
    ok = ok && (settings->file == NULL || add_file(auth, out, err));
    if (!ok) {
        secrets_deinit(out);
    }
    return ok;
}

static size_t secret_count(const struct secrets *secrets)
{
    return secrets->count + secrets->users.count;
}

/* Lock held. */
static void read_again(struct auth *auth)
{
    uint64_t now = clock_monotonic(&clock_system);
    struct secrets fresh;
    struct error err;

    if (auth->settings->file == NULL || now - auth->shared.looked_ns < LOOK_NS) {
        return;
    }
    auth->shared.looked_ns = now;
    struct file_stamp stamp = file_stamp(auth->settings->file);
    if (file_stamp_equal(&stamp, &auth->shared.file)) {
        return;
    }
    auth->shared.file = stamp;
    if (!read_secrets(auth, &fresh, &err)) {
        log_warn("auth", "credentials cannot be read again, the old ones stay valid",
                 "authenticator=%s error=\"%s\"", auth->settings->id, err.message);
        return;
    }
    secrets_deinit(&auth->shared.secrets);
    auth->shared.secrets = fresh;
    auth->shared.good_count = auth->shared.good_next = 0;
    log_info("auth", "credentials read again", "authenticator=%s count=%zu", auth->settings->id,
             secret_count(&fresh));
}

/* --- checking --- */

/* What follows the scheme; false: another scheme. Schemes have no case (RFC 9110 section 11.1). */
static bool after_scheme(struct slice value, const char *scheme, struct slice *out)
{
    size_t len = strlen(scheme);

    if (len == 0) {
        *out = trim(value);
        return true;
    }
    if (value.len <= len || value.data[len] != ' ' ||
        strncasecmp((const char *)value.data, scheme, len) != 0) {
        return false;
    }
    *out = trim(slice_from(value, len));
    return true;
}

static bool is_token(const struct secrets *secrets, struct slice token)
{
    uint8_t digest[DIGEST_BYTES];
    int found = 0;

    digest_of(token, digest);
    for (size_t i = 0; i < secrets->count; i++) {
        found |= CRYPTO_memcmp(digest, secrets->digests[i], sizeof(digest)) == 0;
    }
    return found != 0;
}

/* Lock held. Whether a slow hash may be computed now. */
static bool pay_for_slow(struct auth *auth)
{
    uint64_t now = clock_monotonic(&clock_system);
    uint64_t earned = (now - auth->shared.slow_ns) / (NS_PER_S / SLOW_PER_S);

    if (earned > 0) {
        uint64_t left = auth->shared.slow_left + earned;
        auth->shared.slow_left = left > SLOW_BURST ? SLOW_BURST : (unsigned)left;
        auth->shared.slow_ns = now;
    }
    if (auth->shared.slow_left == 0) {
        return false;
    }
    auth->shared.slow_left--;
    return true;
}

/* Lock held. A password that is kept as a slow hash: computed once, then remembered. */
static bool check_slowly(struct auth *auth, const struct htpasswd_user *user,
                         const char *credentials, const char *password, struct error *err)
{
    uint8_t digest[DIGEST_BYTES];
    int found = 0;

    digest_of(slice_of(credentials), digest);
    for (size_t i = 0; i < auth->shared.good_count; i++) {
        found |= CRYPTO_memcmp(digest, auth->shared.good[i], sizeof(digest)) == 0;
    }
    if (found != 0) {
        return true;
    }
    if (!pay_for_slow(auth)) {
        return error_set(err, ERR_LIMIT, "too many passwords were tried, try again later");
    }
    if (!htpasswd_check(user, password)) {
        return error_set(err, ERR_UNAUTHENTICATED, "credentials are wrong");
    }
    memcpy(auth->shared.good[auth->shared.good_next], digest, sizeof(digest));
    auth->shared.good_next = (auth->shared.good_next + 1) % REMEMBERED;
    if (auth->shared.good_count < REMEMBERED) {
        auth->shared.good_count++;
    }
    return true;
}

/* Lock held. credentials: "user:password". */
static bool check_user(struct auth *auth, const char *credentials, struct error *err)
{
    const char *colon = strchr(credentials, ':');
    const struct htpasswd_user *user = NULL;

    if (colon != NULL) {
        struct slice name = {(const uint8_t *)credentials, (size_t)(colon - credentials)};
        user = htpasswd_find(&auth->shared.secrets.users, name);
    }
    if (user != NULL && user->form == PASSWORD_CRYPT) {
        return check_slowly(auth, user, credentials, colon + 1, err);
    }
    if (user == NULL || !htpasswd_check(user, colon + 1)) {
        return error_set(err, ERR_UNAUTHENTICATED, "credentials are wrong");
    }
    return true;
}

/* Lock held. */
static bool check_basic(struct auth *auth, struct slice encoded, struct error *err)
{
    struct strbuf plain;

    strbuf_init(&plain, CREDENTIALS_MAX);
    bool ok = base64_decode(encoded, &plain) && plain.len > 0 && !plain.overflow &&
              memchr(plain.data, '\0', plain.len) == NULL;
    ok = ok ? check_user(auth, plain.data, err)
            : error_set(err, ERR_UNAUTHENTICATED, "credentials are wrong");
    if (plain.data != NULL) {
        OPENSSL_cleanse(plain.data, plain.len);
    }
    strbuf_deinit(&plain);
    return ok;
}

static bool check(struct auth *auth, struct slice given, struct error *err)
{
    (void)pthread_mutex_lock(&auth->shared.lock);
    read_again(auth);
    bool ok = auth->settings->kind == AUTH_BASIC
                  ? check_basic(auth, given, err)
                  : is_token(&auth->shared.secrets, given) ||
                        error_set(err, ERR_UNAUTHENTICATED, "credentials are wrong");
    (void)pthread_mutex_unlock(&auth->shared.lock);
    return ok;
}

bool auth_check(struct auth *auth, auth_header_fn *header, void *ctx, struct error *err)
{
    const struct auth_settings *settings = auth->settings;
    bool basic = settings->kind == AUTH_BASIC;
    const char *scheme = basic ? "Basic" : settings->kind == AUTH_BEARER ? settings->scheme : "";
    struct slice value;
    struct slice given;

    if (!header(ctx, basic ? "authorization" : settings->header, &value) || value.len == 0) {
        return error_set(err, ERR_UNAUTHENTICATED, "credentials are missing");
    }
    if (value.len > CREDENTIALS_MAX || !after_scheme(value, scheme, &given) || given.len == 0) {
        return error_set(err, ERR_UNAUTHENTICATED, "credentials are wrong");
    }
    return check(auth, given, err);
}

/* --- new and free --- */

bool auth_new(struct auth **out, const struct auth_settings *settings, struct error *err)
{
    struct auth *auth = mem_zalloc(1, sizeof(*auth));

    auth->settings = settings;
    (void)pthread_mutex_init(&auth->shared.lock, NULL);
    auth->shared.slow_left = SLOW_BURST;
    auth->shared.slow_ns = clock_monotonic(&clock_system);
    auth->shared.looked_ns = auth->shared.slow_ns;
    auth->shared.file = file_stamp(settings->file); /* first: a change meanwhile is seen later */
    if (!read_secrets(auth, &auth->shared.secrets, err)) {
        auth_free(auth);
        return error_wrap(err, "authenticator %s", settings->id);
    }
    if (secret_count(&auth->shared.secrets) == 0) {
        auth_free(auth);
        return error_set(err, ERR_INVALID, "authenticator %s: nothing in it could be accepted",
                         settings->id);
    }
    switch (settings->kind) {
    case AUTH_BEARER:
        auth->challenge = mem_strdup(settings->scheme[0] != '\0' ? settings->scheme : "Bearer");
        break;
    case AUTH_BASIC:
        auth->challenge = mem_strdup("Basic realm=\"spangate\", charset=\"UTF-8\"");
        break;
    case AUTH_API_KEY:
        auth->challenge = mem_printf("ApiKey header=\"%s\"", settings->header);
        break;
    }
    *out = auth;
    return true;
}

void auth_free(struct auth *auth)
{
    if (auth == NULL) {
        return;
    }
    secrets_deinit(&auth->shared.secrets);
    (void)pthread_mutex_destroy(&auth->shared.lock);
    free(auth->challenge);
    free(auth);
}

const char *auth_challenge(const struct auth *auth)
{
    return auth->challenge;
}
