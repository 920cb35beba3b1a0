/*
 * htpasswd.c - reading lines of htpasswd(1) and checking one password.
 *
 * crypt_r(3) knows nearly all forms. It does not know Apache's own $apr1$, and would take minutes
 * over a bcrypt hash of cost 20, so what it can do in reasonable time is listed here and the rest
 * is refused when the file is read: a user whose password could never be checked shows at the
 * start.
 */
#include "htpasswd.h"

#include <crypt.h>
#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <spangate/base/mem.h>
#include <spangate/base/text.h>
#include <stdlib.h>
#include <string.h>

enum { BCRYPT_COST_MIN = 4, BCRYPT_COST_MAX = 12, ROUNDS_MAX = 100000, USERS_MAX = 100000 };

void digest_of(struct slice bytes, uint8_t out[DIGEST_BYTES])
{
    static const uint8_t none[1] = {0};

    (void)SHA256(bytes.len > 0 ? bytes.data : none, bytes.len, out);
}

/* --- which hashes can be checked --- */

static bool begins(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

/* "$2y$10$" and 53 characters. */
static const char *bcrypt_fault(const char *hash)
{
    char *end;
    unsigned long cost = strtoul(hash + 4, &end, 10);

    if (end != hash + 6 || *end != '$' || strlen(hash) != 60 || cost < BCRYPT_COST_MIN) {
        return "a bcrypt hash that is not whole";
    }
    return cost > BCRYPT_COST_MAX
               ? "a bcrypt hash that takes too long to check: use cost 12 or less"
               : NULL;
}

static const char *rounds_fault(const char *hash)
{
    static const char rounds[] = "rounds=";

    if (!begins(hash + 3, rounds)) {
        return NULL; /* 5000 */
    }
    return strtoul(hash + 3 + strlen(rounds), NULL, 10) > ROUNDS_MAX
               ? "a hash that takes too long to check: use at most 100000 rounds"
               : NULL;
}

/* NULL: it can be checked. */
static const char *hash_fault(const char *hash)
{
    const char *fault = NULL;

    if (begins(hash, "$2y$") || begins(hash, "$2a$") || begins(hash, "$2b$")) {
        fault = bcrypt_fault(hash);
    } else if (begins(hash, "$5$") || begins(hash, "$6$")) {
        fault = rounds_fault(hash);
    } else if (!begins(hash, "$1$")) {
        return "a form of password that is not supported: use bcrypt (htpasswd -B)";
    }
    if (fault != NULL) {
        return fault;
    }
    int salt = crypt_checksalt(hash);
    return salt == CRYPT_SALT_INVALID || salt == CRYPT_SALT_METHOD_DISABLED
               ? "a form of password that this system's libcrypt does not check: use bcrypt "
                 "(htpasswd -B)"
               : NULL;
}

/* --- reading --- */

static const char *take_password(struct htpasswd_user *user, const char *text)
{
    static const char sha[] = "{SHA}";
    struct strbuf sha1;
    const char *fault = NULL;

    if (begins(text, sha)) {
        user->form = PASSWORD_SHA1;
        strbuf_init(&sha1, 256);
        if (base64_decode(slice_of(text + strlen(sha)), &sha1) && sha1.len == SHA_DIGEST_LENGTH) {
            digest_of(strbuf_slice(&sha1), user->digest);
        } else {
            fault = "a {SHA} password that is not base64 of 20 bytes";
        }
        strbuf_deinit(&sha1);
        return fault;
    }
    if (text[0] == '$' || text[0] == '{') {
        user->form = PASSWORD_CRYPT;
        fault = hash_fault(text);
        user->hash = fault == NULL ? mem_strdup(text) : NULL;
        return fault;
    }
    user->form = PASSWORD_PLAIN;
    digest_of(slice_of(text), user->digest);
    return text[0] == '\0' ? "no password" : NULL;
}

/* One line without its end. NULL: taken, or nothing in it. */
static const char *take_line(struct htpasswd *table, char *line)
{
    char *colon = strchr(line, ':');

    if (line[0] == '\0' || line[0] == '#') {
        return NULL;
    }
    if (colon == NULL || colon == line) {
        return "no user:password";
    }
    *colon = '\0';
    char *password = colon + 1;
    password[strcspn(password, ":")] = '\0'; /* other programs keep more behind a second colon */
    if (table->count == USERS_MAX) {
        return "too many users";
    }
    struct htpasswd_user user = {0};
    const char *fault = take_password(&user, password);
    if (fault != NULL) {
        return fault;
    }
    user.name = mem_strdup(line);
    table->users = mem_realloc(table->users, (table->count + 1) * sizeof(*table->users));
    table->users[table->count++] = user;
    return NULL;
}

bool htpasswd_add(struct htpasswd *table, struct slice text, struct error *err)
{
    char *copy = mem_strndup(text.data, text.len);
    char *rest = copy;
    const char *fault = NULL;
    size_t number = 0;

    for (char *line = strsep(&rest, "\n"); line != NULL && fault == NULL;
         line = strsep(&rest, "\n")) {
        number++;
        line[strcspn(line, "\r")] = '\0';
        fault = take_line(table, line);
    }
    OPENSSL_cleanse(copy, text.len);
    free(copy);
    return fault == NULL || error_set(err, ERR_INVALID, "line %zu has %s", number, fault);
}

void htpasswd_deinit(struct htpasswd *table)
{
    for (size_t i = 0; i < table->count; i++) {
        free(table->users[i].name);
        free(table->users[i].hash);
    }
    free(table->users);
    *table = (struct htpasswd){0};
}

/* --- checking --- */

const struct htpasswd_user *htpasswd_find(const struct htpasswd *table, struct slice name)
{
    for (size_t i = 0; i < table->count; i++) {
        if (slice_equal_text(name, table->users[i].name)) {
            return &table->users[i];
        }
    }
    return NULL;
}

static bool check_crypt(const char *hash, const char *password)
{
    struct crypt_data *data = mem_zalloc(1, sizeof(*data)); /* 32 KiB: too much for a stack */
    const char *computed = crypt_r(password, hash, data);
    size_t len = strlen(hash);
    bool ok = computed != NULL && strlen(computed) == len && computed[0] != '*' &&
              CRYPTO_memcmp(computed, hash, len) == 0;

    OPENSSL_cleanse(data, sizeof(*data));
    free(data);
    return ok;
}

bool htpasswd_check(const struct htpasswd_user *user, const char *password)
{
    uint8_t digest[DIGEST_BYTES];
    uint8_t sha1[SHA_DIGEST_LENGTH];

    switch (user->form) {
    case PASSWORD_CRYPT:
        return check_crypt(user->hash, password);
    case PASSWORD_SHA1:
        (void)SHA1((const unsigned char *)password, strlen(password), sha1);
        digest_of((struct slice){sha1, sizeof(sha1)}, digest);
        break;
    case PASSWORD_PLAIN:
        digest_of(slice_of(password), digest);
        break;
    }
    return CRYPTO_memcmp(digest, user->digest, sizeof(digest)) == 0;
}
