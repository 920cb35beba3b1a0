/*
 * tls.h - TLS of the HTTP servers: what libmicrohttpd's GnuTLS sessions are given, and the few
 * things that are done with a session directly. The only place that knows GnuTLS.
 *
 * libmicrohttpd makes a session for each connection and runs its handshake. Before the first byte
 * we give the session our credentials, which are those of the files as they are now, and functions
 * that see what comes in and whether the handshake is done.
 */
#ifndef SPANGATE_SRC_HTTPD_TLS_H
#define SPANGATE_SRC_HTTPD_TLS_H

#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>
#include <microhttpd.h>
#include <spangate/base/error.h>
#include <spangate/base/slice.h>
#include <spangate/net/tls.h>

struct connection;
struct tls_files;
struct tls_credentials;

/* settings are borrowed. ERR_INVALID: a file is missing or holds something else. */
bool tls_files_open(struct tls_files **out, const struct tls_server_settings *settings,
                    struct error *err) MUST_CHECK;
void tls_files_close(struct tls_files *files); /* NULL is allowed */

/* For MHD_OPTION_HTTPS_PRIORITIES. */
const char *tls_priorities(const struct tls_files *files);

/* For MHD_OPTION_HTTPS_CERT_CALLBACK2, which it insists on; sessions get credentials of ours. */
gnutls_certificate_retrieve_function3 tls_no_certificate;

/*
 * Set up the session of a new connection; reads the files again when it is time. The credentials
 * live until the session is gone: release them with tls_end().
 */
struct tls_credentials *tls_begin(struct tls_files *files, struct MHD_Connection *mhd,
                                  struct connection *connection);
void tls_end(struct tls_credentials *credentials); /* NULL is allowed */

/* Send past libmicrohttpd, on its thread. What the socket does not take is lost. */
void tls_send(struct MHD_Connection *mhd, struct slice bytes);

#endif
