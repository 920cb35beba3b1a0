/*
 * tls.h - what a listener needs for TLS: the server's part of the Collector's configtls.
 *
 * net/ does TLS for gRPC with OpenSSL, httpd/ has libmicrohttpd do it with GnuTLS. Both read the
 * same files, know the same two versions and ask for the client's certificate in the same case.
 */
#ifndef SPANGATE_NET_TLS_H
#define SPANGATE_NET_TLS_H

#include <stdint.h>

enum tls_version { TLS_1_2, TLS_1_3 };

struct tls_server_settings {
    char *cert_file;      /* PEM: our certificate, then those between it and its authority */
    char *key_file;       /* PEM, without a password */
    char *client_ca_file; /* PEM: clients must have a certificate of one of these; NULL: need not */
    enum tls_version min_version;
    uint64_t reload_interval_ns; /* look at the files again for a new connection after this long,
                                    and take them if they changed; 0: never */
};

#endif
