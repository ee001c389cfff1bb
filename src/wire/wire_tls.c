// SPDX-License-Identifier: Apache-2.0
#include "wire/wire_tls.h"

#include <arpa/inet.h>
#include <assert.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct wire_tls {
    SSL_CTX *context; // owned
    bool any_host;
};

struct wire_tls_session {
    SSL *ssl; // owned
};

static bool failed(struct error *err, const char *what, const char *which) {
    char reason[256] = "";
    ERR_error_string_n(ERR_peek_last_error(), reason, sizeof(reason));
    ERR_clear_error();
    return error_set(err, DISP_FATAL, 0, "%s%s%s: %s", what, which ? " " : "", which ? which : "",
                     reason);
}

static bool trust_pem(SSL_CTX *context, const char *pem) {
    BIO *text = BIO_new_mem_buf(pem, -1);
    X509_STORE *store = SSL_CTX_get_cert_store(context);
    bool added = false;
    X509 *one;
    while (text && (one = PEM_read_bio_X509(text, NULL, NULL, NULL))) {
        added = X509_STORE_add_cert(store, one) == 1 || added;
        X509_free(one);
    }
    ERR_clear_error(); // the last one is that there are no more
    BIO_free(text);
    return added;
}

static bool is_folder(const char *path) {
    struct stat found;
    return stat(path, &found) == 0 && S_ISDIR(found.st_mode);
}

static bool trust(SSL_CTX *context, const struct wire_settings *settings, struct error *err) {
    if (settings->ca_pem)
        return trust_pem(context, settings->ca_pem) ||
               error_set(err, DISP_FATAL, 0, "kafka.ssl.ca.pem holds no certificate");
    if (!settings->ca_location || strcmp(settings->ca_location, "probe") == 0)
        return SSL_CTX_set_default_verify_paths(context) == 1 ||
               failed(err, "the system's certificates cannot be read", NULL);
    const bool folder = is_folder(settings->ca_location);
    return SSL_CTX_load_verify_locations(context, folder ? NULL : settings->ca_location,
                                         folder ? settings->ca_location : NULL) == 1 ||
           failed(err, "kafka.ssl.ca.location cannot be read:", settings->ca_location);
}

static bool use_certificate(SSL_CTX *context, const struct wire_settings *settings,
                            struct error *err) {
    if (settings->certificate_location)
        return SSL_CTX_use_certificate_chain_file(context, settings->certificate_location) == 1 ||
               failed(err, "kafka.ssl.certificate.location cannot be read:",
                      settings->certificate_location);
    if (!settings->certificate_pem)
        return true;
    BIO *text = BIO_new_mem_buf(settings->certificate_pem, -1);
    X509 *own = text ? PEM_read_bio_X509(text, NULL, NULL, NULL) : NULL;
    bool used = own && SSL_CTX_use_certificate(context, own) == 1;
    X509_free(own);
    X509 *issuer;
    while (used && (issuer = PEM_read_bio_X509(text, NULL, NULL, NULL)))
        if (SSL_CTX_add0_chain_cert(context, issuer) != 1) {
            X509_free(issuer);
            used = false;
        }
    BIO_free(text);
    return used || failed(err, "kafka.ssl.certificate.pem cannot be used", NULL);
}

static bool use_key(SSL_CTX *context, const struct wire_settings *settings, struct error *err) {
    if (!settings->key_location && !settings->key_pem)
        return true;
    BIO *text = settings->key_location ? BIO_new_file(settings->key_location, "r")
                                       : BIO_new_mem_buf(settings->key_pem, -1);
    // Without a callback the last argument is the password itself; without that, too, somebody at
    // the terminal would be asked.
    const char *password = settings->key_password ? settings->key_password : "";
    EVP_PKEY *key =
        text ? PEM_read_bio_PrivateKey(text, NULL, NULL, (void *)(uintptr_t)password) : NULL;
    bool used =
        key && SSL_CTX_use_PrivateKey(context, key) == 1 && SSL_CTX_check_private_key(context) == 1;
    EVP_PKEY_free(key);
    BIO_free(text);
    return used || failed(err, "kafka.ssl.key cannot be used", settings->key_location);
}

struct wire_tls *wire_tls_new(const struct wire_settings *settings, struct error *err) {
    struct wire_tls *tls = calloc(1, sizeof(*tls));
    assert(tls);
    tls->any_host = settings->tls_any_host || settings->tls_unverified;
    tls->context = SSL_CTX_new(TLS_client_method());
    bool good = tls->context && SSL_CTX_set_min_proto_version(tls->context, TLS1_2_VERSION) == 1;
    if (!good)
        (void)failed(err, "TLS is not available", NULL);
    if (!good || !trust(tls->context, settings, err) ||
        !use_certificate(tls->context, settings, err) || !use_key(tls->context, settings, err)) {
        wire_tls_free(tls);
        return NULL;
    }
    SSL_CTX_set_verify(tls->context, settings->tls_unverified ? SSL_VERIFY_NONE : SSL_VERIFY_PEER,
                       NULL);
    SSL_CTX_set_mode(tls->context,
                     SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    return tls;
}

void wire_tls_free(struct wire_tls *tls) {
    if (!tls)
        return;
    SSL_CTX_free(tls->context);
    free(tls);
}

static bool is_address(const char *host) {
    unsigned char bytes[16];
    return inet_pton(AF_INET, host, bytes) == 1 || inet_pton(AF_INET6, host, bytes) == 1;
}

struct wire_tls_session *wire_tls_open(struct wire_tls *tls, int fd, const char *host,
                                       struct error *err) {
    struct wire_tls_session *session = calloc(1, sizeof(*session));
    assert(session);
    session->ssl = SSL_new(tls->context);
    bool good = session->ssl && SSL_set_fd(session->ssl, fd) == 1;
    const bool address = is_address(host);
    if (good && !address)
        good = SSL_set_tlsext_host_name(session->ssl, host) == 1;
    if (good && !tls->any_host)
        good = address ? X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(session->ssl), host) == 1
                       : SSL_set1_host(session->ssl, host) == 1;
    if (good)
        return session;
    (void)failed(err, "a TLS session cannot be made for", host);
    wire_tls_close(session);
    return NULL;
}

void wire_tls_close(struct wire_tls_session *session) {
    if (!session)
        return;
    SSL_free(session->ssl);
    free(session);
}

static ssize_t meaning(const struct wire_tls_session *session, int result) {
    switch (SSL_get_error(session->ssl, result)) {
    case SSL_ERROR_WANT_READ:
        return WIRE_TLS_WANT_READ;
    case SSL_ERROR_WANT_WRITE:
        return WIRE_TLS_WANT_WRITE;
    default:
        return WIRE_TLS_FAILED;
    }
}

ssize_t wire_tls_handshake(struct wire_tls_session *session) {
    ERR_clear_error();
    const int result = SSL_connect(session->ssl);
    return result == 1 ? 1 : meaning(session, result);
}

ssize_t wire_tls_read(struct wire_tls_session *session, void *buffer, size_t size) {
    ERR_clear_error();
    size_t got = 0;
    const int result = SSL_read_ex(session->ssl, buffer, size, &got);
    return result == 1 ? (ssize_t)got : meaning(session, result);
}

ssize_t wire_tls_write(struct wire_tls_session *session, const void *bytes, size_t len) {
    ERR_clear_error();
    size_t put = 0;
    const int result = SSL_write_ex(session->ssl, bytes, len, &put);
    return result == 1 ? (ssize_t)put : meaning(session, result);
}

void wire_tls_reason(struct wire_tls_session *session, char *out, size_t size) {
    const long verified = SSL_get_verify_result(session->ssl);
    const unsigned long code = ERR_peek_last_error();
    if (verified != X509_V_OK)
        (void)snprintf(out, size, "%s", X509_verify_cert_error_string(verified));
    else if (code)
        ERR_error_string_n(code, out, size);
    else
        (void)snprintf(out, size, "the connection was closed");
}
