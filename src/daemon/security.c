/*
 * security.c - the keys `tls` and `auth` of a listener, and the extensions that check credentials.
 */
#include "components.h"

#include <stdio.h>

/* --- tls: the server's part of configtls --- */

static const struct config_name version_names[] = {{"1.2", TLS_1_2}, {"1.3", TLS_1_3}, {NULL, 0}};

#define FROM_FILES "Certificates and keys are read from files."
#define LIBRARYS_CHOICE "The TLS library's choice is used."

static const struct config_field tls_fields[] = {
    {
        .key = "cert_file",
        .type = CONFIG_STRING,
        .at = CONFIG_AT(struct tls_server_draft, cert_file, char *),
        .help = "PEM file with the certificate of this listener, followed by those between it and "
                "its authority. Required.",
    },
    {
        .key = "key_file",
        .type = CONFIG_STRING,
        .at = CONFIG_AT(struct tls_server_draft, key_file, char *),
        .help = "PEM file with its key, without a password. Required.",
    },
    {
        .key = "client_ca_file",
        .type = CONFIG_STRING,
        .at = CONFIG_AT(struct tls_server_draft, client_ca_file, char *),
        .help = "PEM file with authorities. Clients must then show a certificate of one of them "
                "(mutual TLS).",
    },
    {
        .key = "min_version",
        .type = CONFIG_ENUM,
        .at = CONFIG_AT(struct tls_server_draft, min_version, int),
        .fallback = "1.2",
        .names = version_names,
        .help = "Oldest version of TLS that is spoken.",
    },
    {
        .key = "reload_interval",
        .type = CONFIG_DURATION,
        .at = CONFIG_AT(struct tls_server_draft, reload_interval_ns, uint64_t),
        .fallback = "0s",
        .help = "A new connection looks at the files again after this long, and takes what is in "
                "them if they changed; connections that are open stay as they are. 0s: files are "
                "read at the start only.",
    },
    {
        .key = "client_ca_file_reload",
        .type = CONFIG_NO_EFFECT,
        .fallback = "false",
        .help = "reload_interval covers client_ca_file too.",
    },
    {.key = "cert_pem", .type = CONFIG_UNSUPPORTED, .help = FROM_FILES},
    {.key = "key_pem", .type = CONFIG_UNSUPPORTED, .help = FROM_FILES},
    {
        .key = "ca_file",
        .type = CONFIG_NO_EFFECT,
        .help = "A listener checks clients by client_ca_file.",
    },
    {
        .key = "ca_pem",
        .type = CONFIG_NO_EFFECT,
        .help = "A listener checks clients by client_ca_file.",
    },
    {
        .key = "include_system_ca_certs_pool",
        .type = CONFIG_NO_EFFECT,
        .fallback = "false",
        .help = "A listener checks clients by client_ca_file.",
    },
    {.key = "max_version", .type = CONFIG_UNSUPPORTED, .help = "The newest version is spoken."},
    {.key = "cipher_suites", .type = CONFIG_UNSUPPORTED, .help = LIBRARYS_CHOICE},
    {
        .key = "include_insecure_cipher_suites",
        .type = CONFIG_UNSUPPORTED,
        .fallback = "false",
        .help = LIBRARYS_CHOICE,
    },
    {.key = "curve_preferences", .type = CONFIG_UNSUPPORTED, .help = LIBRARYS_CHOICE},
    {.key = "tpm", .type = CONFIG_UNSUPPORTED, .help = FROM_FILES},
};
const struct config_schema tls_server_schema = CONFIG_SCHEMA(struct tls_server_draft, tls_fields);

static const struct config_field auth_fields[] = {
    {
        .key = "authenticator",
        .type = CONFIG_STRING,
        .at = CONFIG_AT(struct auth_draft, authenticator, char *),
        .help = "The extension that checks: basicauth, bearertokenauth or apikeyauth, with its "
                "/name. It must be in service.extensions.",
    },
    {
        .key = "request_params",
        .type = CONFIG_UNSUPPORTED,
        .help = "Credentials are read from headers only.",
    },
};
const struct config_schema auth_schema = CONFIG_SCHEMA(struct auth_draft, auth_fields);

/* "protocols.grpc" and "tls" as one path of at most cap bytes. */
static const char *path_of(const char *path, const char *key, char *out, size_t cap)
{
    (void)snprintf(out, cap, "%s.%s", path, key);
    return out;
}

static void *keep(const struct section *section, const void *what, size_t size)
{
    void *copy = arena_alloc(section->arena, size);

    memcpy(copy, what, size);
    return copy;
}

const struct tls_server_settings *make_tls_server(const struct section *section, const char *path,
                                                  const struct access_draft *draft)
{
    const struct tls_server_draft *tls = &draft->tls;
    char key[64];

    if (!draft->tls_given) {
        return NULL;
    }
    if (tls->cert_file == NULL || tls->key_file == NULL) {
        section_problem(section, path_of(path, "tls", key, sizeof(key)),
                        "cert_file and key_file are both required");
        return NULL;
    }
    const struct tls_server_settings out = {
        .cert_file = tls->cert_file,
        .key_file = tls->key_file,
        .client_ca_file = tls->client_ca_file,
        .min_version = (enum tls_version)tls->min_version,
        .reload_interval_ns = tls->reload_interval_ns,
    };
    return keep(section, &out, sizeof(out));
}

char *make_authenticator(const struct section *section, const char *path,
                         const struct access_draft *draft)
{
    char key[64];

    if (draft->auth_given && draft->auth.authenticator == NULL) {
        section_problem(section, path_of(path, "auth", key, sizeof(key)),
                        "authenticator is required");
    }
    return draft->auth_given ? draft->auth.authenticator : NULL;
}

/* --- extensions --- */

struct bearer_draft {
    char *header, *scheme, *token, *filename;
    char **tokens;
    size_t token_count;
};
struct htpasswd_draft {
    char *file, *inline_text;
};
struct basic_draft {
    struct htpasswd_draft htpasswd;
};
struct apikey_draft {
    char *header, *filename;
    char **keys;
    size_t key_count;
};

/* A header name or a scheme: a token of RFC 9110 section 5.6.2. */
static void check_token(const struct section *section, const char *key, const char *text)
{
    if (text[strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                          "!#$%&'*+-.^_`|~")] != '\0') {
        section_problem(section, key, "must be of letters, digits and hyphens");
    }
}

static void check_secrets(const struct section *section, const char *key, char *const *texts,
                          size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (texts[i][0] == '\0' || strpbrk(texts[i], "\r\n") != NULL) {
            section_problem(section, key, "entry %zu is empty or has several lines", i + 1);
        }
    }
}

static char **list_of_one(const struct section *section, char *text)
{
    return keep(section, &text, sizeof(text));
}

static const struct config_field bearer_fields[] = {
    {
        .key = "header",
        .type = CONFIG_STRING,
        .at = CONFIG_AT(struct bearer_draft, header, char *),
        .fallback = "Authorization",
        .help = "Header that holds the token.",
    },
    {
        .key = "scheme",
        .type = CONFIG_STRING,
        .at = CONFIG_AT(struct bearer_draft, scheme, char *),
        .fallback = "Bearer",
        .help = "Word before the token. \"\": the header is the token alone.",
    },
    {
        .key = "token",
        .type = CONFIG_SECRET,
        .at = CONFIG_AT(struct bearer_draft, token, char *),
        .help = "The token that is accepted, or `sha256:` and the hexadecimal SHA-256 of it.",
    },
    {
        .key = "tokens",
        .type = CONFIG_SECRETS,
        .at = CONFIG_AT(struct bearer_draft, tokens, char **),
        .count_at = CONFIG_AT(struct bearer_draft, token_count, size_t),
        .help = "Several of them.",
    },
    {
        .key = "filename",
        .type = CONFIG_STRING,
        .at = CONFIG_AT(struct bearer_draft, filename, char *),
        .help = "File with tokens, one a line, read again when it changes. token and tokens are "
                "then ignored.",
    },
};
static const struct config_schema bearer_schema = CONFIG_SCHEMA(struct bearer_draft, bearer_fields);

static void make_bearer(const struct section *section, const void *source,
                        struct auth_settings *out)
{
    const struct bearer_draft *draft = source;
    bool has_file = draft->filename != NULL;
    bool has_token = draft->token != NULL;

    out->kind = AUTH_BEARER;
    out->header = draft->header;
    out->scheme = draft->scheme;
    out->file = draft->filename;
    check_token(section, "header", draft->header);
    check_token(section, "scheme", draft->scheme);
    if (!has_file && !has_token && draft->token_count == 0) {
        section_problem(section, "", "needs token, tokens or filename");
    }
    if (has_token && draft->token_count > 0) {
        section_problem(section, "tokens", "either token or tokens should be set, not both");
    }
    if (has_file && (has_token || draft->token_count > 0)) {
        section_warning(section, "filename", "token and tokens are ignored, the file counts");
    } else if (has_token) {
        out->secrets = list_of_one(section, draft->token);
        out->secret_count = 1;
        check_secrets(section, "token", out->secrets, 1);
    } else {
        out->secrets = draft->tokens;
        out->secret_count = draft->token_count;
        check_secrets(section, "tokens", out->secrets, out->secret_count);
    }
}

static const struct config_field htpasswd_fields[] = {
    {
        .key = "file",
        .type = CONFIG_STRING,
        .at = CONFIG_AT(struct htpasswd_draft, file, char *),
        .help = "File of htpasswd(1), read again when it changes. Passwords may be bcrypt up to "
                "cost 12 (htpasswd -B), {SHA}, crypt(3) $1$ $5$ $6$, or plain.",
    },
    {
        .key = "inline",
        .type = CONFIG_SECRET,
        .at = CONFIG_AT(struct htpasswd_draft, inline_text, char *),
        .help = "The same as text, one user:password a line. It comes before the file.",
    },
};
static const struct config_schema htpasswd_schema =
    CONFIG_SCHEMA(struct htpasswd_draft, htpasswd_fields);

static const struct config_field basic_fields[] = {
    {
        .key = "htpasswd",
        .type = CONFIG_STRUCT,
        .at = CONFIG_AT(struct basic_draft, htpasswd, struct htpasswd_draft),
        .schema = &htpasswd_schema,
    },
    {
        .key = "client_auth",
        .type = CONFIG_UNSUPPORTED,
        .help = "Put the credentials into headers of the exporter.",
    },
};
static const struct config_schema basic_schema = CONFIG_SCHEMA(struct basic_draft, basic_fields);

static void make_basic(const struct section *section, const void *source, struct auth_settings *out)
{
    const struct htpasswd_draft *draft = &((const struct basic_draft *)source)->htpasswd;
    struct auth *auth = NULL;
    struct error err;

    out->kind = AUTH_BASIC;
    out->file = draft->file;
    if (draft->inline_text != NULL) {
        out->secrets = list_of_one(section, draft->inline_text);
        out->secret_count = 1;
    } else if (draft->file == NULL) {
        section_problem(section, "htpasswd", "needs file or inline");
        return;
    }
    /* Tried here where nothing has to be read; not on what print-config wrote, which loads too. */
    if (draft->file == NULL && strcmp(draft->inline_text, "[REDACTED]") != 0) {
        if (!auth_new(&auth, out, &err)) {
            section_problem(section, "htpasswd.inline", "%s", err.message);
        }
        auth_free(auth);
    }
}

static const struct config_field apikey_fields[] = {
    {
        .key = "header",
        .type = CONFIG_STRING,
        .at = CONFIG_AT(struct apikey_draft, header, char *),
        .fallback = "x-api-key",
        .help = "Header that holds the key.",
    },
    {
        .key = "keys",
        .type = CONFIG_SECRETS,
        .at = CONFIG_AT(struct apikey_draft, keys, char **),
        .count_at = CONFIG_AT(struct apikey_draft, key_count, size_t),
        .help = "Keys that are accepted, each as it is or as `sha256:` and the hexadecimal SHA-256 "
                "of it.",
    },
    {
        .key = "filename",
        .type = CONFIG_STRING,
        .at = CONFIG_AT(struct apikey_draft, filename, char *),
        .help = "File with more keys, one a line, read again when it changes.",
    },
};
static const struct config_schema apikey_schema = CONFIG_SCHEMA(struct apikey_draft, apikey_fields);

static void make_apikey(const struct section *section, const void *source,
                        struct auth_settings *out)
{
    const struct apikey_draft *draft = source;

    *out = (struct auth_settings){
        .kind = AUTH_API_KEY,
        .id = out->id,
        .header = draft->header,
        .secrets = draft->keys,
        .secret_count = draft->key_count,
        .file = draft->filename,
    };
    check_token(section, "header", draft->header);
    check_secrets(section, "keys", draft->keys, draft->key_count);
    if (draft->key_count == 0 && draft->filename == NULL) {
        section_problem(section, "", "needs keys or filename");
    }
}

const struct component bearertokenauth_extension_component = {
    .class = COMPONENT_EXTENSION,
    .type = "bearertokenauth",
    .schema = &bearer_schema,
    .help = "Lets in who knows a token. Named by `auth.authenticator` of a listener.",
    .make_auth = make_bearer,
};

const struct component basicauth_extension_component = {
    .class = COMPONENT_EXTENSION,
    .type = "basicauth",
    .schema = &basic_schema,
    .help =
        "Lets in who has a user name and password. Named by `auth.authenticator` of a listener.",
    .make_auth = make_basic,
};

const struct component apikeyauth_extension_component = {
    .class = COMPONENT_EXTENSION,
    .type = "apikeyauth",
    .schema = &apikey_schema,
    .help = "Lets in who sends a key in a header of its own. Named by `auth.authenticator` of a "
            "listener. Ours, not the Collector's.",
    .make_auth = make_apikey,
};
