/*
 * tls.c - see tls.h.
 *
 * Credentials are counted: each session holds on to those it began with, so that changed files can
 * take effect with the next connection and nothing has to stop. Files that cannot be used are
 * reported and the old ones stay.
 *
 * Threads: a connection belongs to the epoll thread of its daemon; a server may have several, so
 * the current credentials are under a lock.
 */
#include "tls.h"

#include "internal.h"

#include <ctype.h>
#include <errno.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <poll.h>
#include <spangate/base/clock.h>
#include <spangate/base/file_stamp.h>
#include <spangate/base/log.h>
#include <spangate/base/mem.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { FILES = 3, TLS_HANDSHAKE = 0x16 /* the first byte a client sends */ };

struct tls_credentials {
    atomic_uint refs;
    gnutls_certificate_credentials_t gnutls;
};

struct tls_files {
    const struct tls_server_settings *settings;

    /* Touched by the epoll threads, under the lock. */
    struct {
        pthread_mutex_t lock;
        struct tls_credentials *current;
        uint64_t looked_ns;
        struct file_stamp stamps[FILES];
    } shared;
};

/* --- files --- */

static bool fail(struct error *err, const char *what, const char *file, int code)
{
    return error_set(err, ERR_INVALID, "%s %s: %s", what, file, gnutls_strerror(code));
}

static bool load_files(gnutls_certificate_credentials_t credentials,
                       const struct tls_server_settings *settings, struct error *err)
{
    int code = gnutls_certificate_set_x509_key_file2(
        credentials, settings->cert_file, settings->key_file, GNUTLS_X509_FMT_PEM, NULL, 0);

    if (code < 0) {
        (void)fail(err, "read the certificate", settings->cert_file, code);
        return error_wrap(err, "key %s", settings->key_file);
    }
    if (settings->client_ca_file == NULL) {
        return true;
    }
    code = gnutls_certificate_set_x509_trust_file(credentials, settings->client_ca_file,
                                                  GNUTLS_X509_FMT_PEM);
    if (code <= 0) {
        return fail(err, "read certificate authorities from", settings->client_ca_file,
                    code < 0 ? code : GNUTLS_E_NO_CERTIFICATE_FOUND);
    }
    return true;
}

static struct tls_credentials *credentials_new(const struct tls_server_settings *settings,
                                               struct error *err)
{
    struct tls_credentials *credentials = mem_zalloc(1, sizeof(*credentials));

    atomic_init(&credentials->refs, 1);
    if (gnutls_certificate_allocate_credentials(&credentials->gnutls) < 0) {
        abort(); /* only memory can be missing */
    }
    if (!load_files(credentials->gnutls, settings, err)) {
        tls_end(credentials);
        return NULL;
    }
    return credentials;
}

void tls_end(struct tls_credentials *credentials)
{
    if (credentials != NULL && atomic_fetch_sub(&credentials->refs, 1) == 1) {
        gnutls_certificate_free_credentials(credentials->gnutls);
        free(credentials);
    }
}

static void take_stamps(const struct tls_server_settings *settings, struct file_stamp out[FILES])
{
    out[0] = file_stamp(settings->cert_file);
    out[1] = file_stamp(settings->key_file);
    out[2] = file_stamp(settings->client_ca_file);
}

static bool same_stamps(const struct file_stamp *a, const struct file_stamp *b)
{
    bool same = true;

    for (size_t i = 0; i < FILES; i++) {
        same = same && file_stamp_equal(&a[i], &b[i]);
    }
    return same;
}

/* Lock held. */
static void load_again(struct tls_files *files)
{
    const struct tls_server_settings *settings = files->settings;
    uint64_t now_ns = clock_monotonic(&clock_system);
    struct file_stamp stamps[FILES];
    struct error err;

    if (settings->reload_interval_ns == 0 ||
        now_ns - files->shared.looked_ns < settings->reload_interval_ns) {
        return;
    }
    files->shared.looked_ns = now_ns;
    take_stamps(settings, stamps);
    if (same_stamps(stamps, files->shared.stamps)) {
        return;
    }
    struct tls_credentials *fresh = credentials_new(settings, &err);
    if (fresh == NULL) {
        log_warn("httpd", "certificates cannot be read again, the old ones stay", "error=\"%s\"",
                 err.message);
        return; /* asked again after the interval */
    }
    memcpy(files->shared.stamps, stamps, sizeof(stamps));
    tls_end(files->shared.current);
    files->shared.current = fresh;
    log_info("httpd", "certificates read again", "cert_file=%s", settings->cert_file);
}

bool tls_files_open(struct tls_files **out, const struct tls_server_settings *settings,
                    struct error *err)
{
    if (MHD_is_feature_supported(MHD_FEATURE_TLS) != MHD_YES ||
        MHD_is_feature_supported(MHD_FEATURE_HTTPS_CERT_CALLBACK2) != MHD_YES) {
        return error_set(err, ERR_INVALID, "this system's libmicrohttpd is built without TLS");
    }
    struct tls_files *files = mem_zalloc(1, sizeof(*files));
    files->settings = settings;
    files->shared.looked_ns = clock_monotonic(&clock_system);
    take_stamps(settings, files->shared.stamps); /* first: a change meanwhile is seen later */
    files->shared.current = credentials_new(settings, err);
    if (files->shared.current == NULL) {
        free(files);
        return false;
    }
    (void)pthread_mutex_init(&files->shared.lock, NULL);
    *out = files;
    return true;
}

void tls_files_close(struct tls_files *files)
{
    if (files != NULL) {
        tls_end(files->shared.current);
        (void)pthread_mutex_destroy(&files->shared.lock);
        free(files);
    }
}

const char *tls_priorities(const struct tls_files *files)
{
    return files->settings->min_version == TLS_1_3
               ? "NORMAL:-VERS-ALL:+VERS-TLS1.3:%SERVER_PRECEDENCE"
               : "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:%SERVER_PRECEDENCE";
}

int tls_no_certificate(gnutls_session_t session, const struct gnutls_cert_retr_st *info,
                       gnutls_pcert_st **pcert, unsigned *pcert_len, gnutls_ocsp_data_st **ocsp,
                       unsigned *ocsp_len, gnutls_privkey_t *key, unsigned *flags)
{
    (void)session;
    (void)info;
    (void)pcert;
    (void)pcert_len;
    (void)ocsp;
    (void)ocsp_len;
    (void)key;
    (void)flags;
    return -1;
}

/* --- sessions --- */

static gnutls_session_t session_of(struct MHD_Connection *mhd)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_GNUTLS_SESSION);

    return info->tls_session;
}

static struct connection *connection_of(gnutls_session_t session)
{
    gnutls_transport_ptr_t receiving = NULL;
    gnutls_transport_ptr_t sending = NULL;

    gnutls_transport_get_ptr2(session, &receiving, &sending);
    return receiving;
}

/* Who speaks clear text to a TLS port is told so. */
static void refuse_clear_text(struct connection *connection, unsigned char first)
{
    static const char answer[] = "HTTP/1.1 400 Bad Request\r\n"
                                 "Content-Type: text/plain; charset=utf-8\r\n"
                                 "Content-Length: 28\r\n"
                                 "Connection: close\r\n"
                                 "\r\n"
                                 "this port speaks HTTPS only\n";

    log_warn("httpd", "clear text on a TLS port, connection closed", "server=%s port=%u",
             connection->httpd->name, (unsigned)connection->httpd->port);
    if (isupper(first)) {
        (void)send(connection->fd, answer, sizeof(answer) - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
        connection->linger = true;
    }
}

static ssize_t pull(gnutls_transport_ptr_t ptr, void *data, size_t len)
{
    struct connection *connection = ptr;
    ssize_t got = recv(connection->fd, data, len, 0);
    int failure = errno;

    if (got > 0 && !connection->greeted) {
        connection->greeted = true;
        unsigned char first = *(const unsigned char *)data;
        if (first != TLS_HANDSHAKE) {
            refuse_clear_text(connection, first);
            connection->secured = true; /* nothing more to say about it */
            got = -1;
            failure = ECONNRESET;
        }
    }
    errno = failure;
    return got;
}

static int pull_timeout(gnutls_transport_ptr_t ptr, unsigned timeout_ms)
{
    const struct connection *connection = ptr;
    struct pollfd fd = {.fd = connection->fd, .events = POLLIN};

    return poll(&fd, 1, timeout_ms == GNUTLS_INDEFINITE_TIMEOUT ? -1 : (int)timeout_ms);
}

/* The client's last message of the handshake was good: now it may take its time. */
static int on_finished(gnutls_session_t session, unsigned message, unsigned when, unsigned incoming,
                       const gnutls_datum_t *content)
{
    struct connection *connection = connection_of(session);

    (void)message;
    (void)when;
    (void)content;
    if (incoming != 0 && !connection->secured) {
        connection->secured = true;
        atomic_fetch_add(&connection->watch.serial, 1);
    }
    return 0;
}

/* During the handshake: whether the client's certificate is one of ours, and made for clients. */
static int verify_client(gnutls_session_t session)
{
    const struct connection *connection = connection_of(session);
    unsigned char purpose[] = GNUTLS_KP_TLS_WWW_CLIENT;
    gnutls_typed_vdata_st wanted = {.type = GNUTLS_DT_KEY_PURPOSE_OID, .data = purpose};
    unsigned status = 0;
    gnutls_datum_t text = {0};

    int code = gnutls_certificate_verify_peers(session, &wanted, 1, &status);
    if (code == 0 && status == 0) {
        return 0;
    }
    bool told = code == 0 && gnutls_certificate_verification_status_print(status, GNUTLS_CRT_X509,
                                                                          &text, 0) == 0;
    log_warn("httpd", "client certificate refused", "server=%s port=%u error=\"%s\"",
             connection->httpd->name, (unsigned)connection->httpd->port,
             told ? (const char *)text.data : gnutls_strerror(code));
    gnutls_free(text.data);
    return GNUTLS_E_CERTIFICATE_ERROR;
}

struct tls_credentials *tls_begin(struct tls_files *files, struct MHD_Connection *mhd,
                                  struct connection *connection)
{
    gnutls_session_t session = session_of(mhd);
    gnutls_transport_ptr_t receiving = NULL;
    gnutls_transport_ptr_t sending = NULL;

    (void)pthread_mutex_lock(&files->shared.lock);
    load_again(files);
    struct tls_credentials *credentials = files->shared.current;
    atomic_fetch_add(&credentials->refs, 1);
    (void)pthread_mutex_unlock(&files->shared.lock);

    (void)gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, credentials->gnutls);
    if (files->settings->client_ca_file != NULL) {
        gnutls_certificate_server_set_request(session, GNUTLS_CERT_REQUIRE);
        gnutls_session_set_verify_function(session, verify_client);
    }
    gnutls_transport_get_ptr2(session, &receiving, &sending);
    gnutls_transport_set_ptr2(session, connection, sending);
    gnutls_transport_set_pull_function(session, pull);
    gnutls_transport_set_pull_timeout_function(session, pull_timeout);
    gnutls_handshake_set_hook_function(session, GNUTLS_HANDSHAKE_FINISHED, GNUTLS_HOOK_POST,
                                       on_finished);
    return credentials;
}

void tls_send(struct MHD_Connection *mhd, struct slice bytes)
{
    gnutls_session_t session = session_of(mhd);

    while (bytes.len > 0) {
        ssize_t sent = gnutls_record_send(session, bytes.data, bytes.len);
        if (sent <= 0) {
            return;
        }
        bytes = slice_from(bytes, (size_t)sent);
    }
}
