/*
 * certificate.h - a certificate for localhost and 127.0.0.1, signed by itself, in two files that
 * live as long as the test program: group setup and teardown for cmocka.
 */
#ifndef SPANGATE_TEST_CERTIFICATE_H
#define SPANGATE_TEST_CERTIFICATE_H

#include "unit.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

static struct {
    char cert[64];
    char key[64];
} certificate;

static inline void certificate_extend(X509 *cert, int nid, const char *value)
{
    X509V3_CTX ctx;

    X509V3_set_ctx_nodb(&ctx);
    X509V3_set_ctx(&ctx, cert, cert, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    assert_non_null(extension);
    assert_int_equal(X509_add_ext(cert, extension, -1), 1);
    X509_EXTENSION_free(extension);
}

static inline int certificate_make(void **state)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = X509_new();

    (void)state;
    (void)signal(SIGPIPE, SIG_IGN); /* the test's own server uses OpenSSL's sockets */
    assert_non_null(key);
    assert_non_null(cert);
    (void)X509_set_version(cert, 2);
    (void)ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
    (void)X509_gmtime_adj(X509_getm_notBefore(cert), -3600);
    (void)X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
    (void)X509_set_pubkey(cert, key);
    X509_NAME *name = X509_get_subject_name(cert);
    (void)X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"test", -1,
                                     -1, 0);
    (void)X509_set_issuer_name(cert, name);
    certificate_extend(cert, NID_basic_constraints, "critical,CA:TRUE");
    certificate_extend(cert, NID_subject_alt_name, "DNS:localhost,IP:127.0.0.1");
    assert_true(X509_sign(cert, key, EVP_sha256()) > 0);

    (void)snprintf(certificate.cert, sizeof(certificate.cert), "/tmp/spangate-test-%d.crt",
                   (int)getpid());
    (void)snprintf(certificate.key, sizeof(certificate.key), "/tmp/spangate-test-%d.key",
                   (int)getpid());
    FILE *out = fopen(certificate.cert, "w");
    assert_non_null(out);
    assert_int_equal(PEM_write_X509(out, cert), 1);
    assert_int_equal(fclose(out), 0);
    out = fopen(certificate.key, "w");
    assert_non_null(out);
    assert_int_equal(PEM_write_PrivateKey(out, key, NULL, NULL, 0, NULL, NULL), 1);
    assert_int_equal(fclose(out), 0);
    X509_free(cert);
    EVP_PKEY_free(key);
    return 0;
}

static inline int certificate_remove(void **state)
{
    (void)state;
    (void)unlink(certificate.cert);
    (void)unlink(certificate.key);
    return 0;
}

#endif
