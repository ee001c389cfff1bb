// SPDX-License-Identifier: Apache-2.0
//
// Loaded whole and checked before anything is replaced: a certificate that does not belong to its
// key would fail every handshake.
#include "tls.h"

#include <errno.h>
#include <gnutls/x509.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { CHAIN_MAX = 16, KEY_ID_BYTES = 64 };

struct certificate {
    gnutls_x509_crt_t chain[CHAIN_MAX];
    unsigned chain_count;
    gnutls_x509_privkey_t key;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; // of current
static struct certificate current;

static void release(struct certificate *certificate) {
    for (unsigned i = 0; i < certificate->chain_count; i++)
        gnutls_x509_crt_deinit(certificate->chain[i]);
    if (certificate->key)
        gnutls_x509_privkey_deinit(certificate->key);
    *certificate = (struct certificate){0};
}

static bool refuse(const char *file, int code, struct error *err) {
    return error_set(err, DISP_FATAL, code, "%s: %s", file, gnutls_strerror(code));
}

static bool read_chain(const char *file, struct certificate *ret, struct error *err) {
    gnutls_datum_t text = {0};
    int code = gnutls_load_file(file, &text);
    if (code < 0)
        return error_set(err, DISP_FATAL, code, "%s cannot be read: %s", file, strerror(errno));
    unsigned count = CHAIN_MAX;
    code = gnutls_x509_crt_list_import(ret->chain, &count, &text, GNUTLS_X509_FMT_PEM,
                                       GNUTLS_X509_CRT_LIST_IMPORT_FAIL_IF_EXCEED |
                                           GNUTLS_X509_CRT_LIST_FAIL_IF_UNSORTED);
    gnutls_free(text.data);
    if (code < 0)
        return refuse(file, code, err);
    ret->chain_count = (unsigned)code;
    return true;
}

static bool read_key(const char *file, struct certificate *ret, struct error *err) {
    gnutls_datum_t text = {0};
    int code = gnutls_load_file(file, &text);
    if (code < 0)
        return error_set(err, DISP_FATAL, code, "%s cannot be read: %s", file, strerror(errno));
    code = gnutls_x509_privkey_init(&ret->key);
    if (code == 0)
        code = gnutls_x509_privkey_import2(ret->key, &text, GNUTLS_X509_FMT_PEM, NULL, 0);
    gnutls_memset(text.data, 0, text.size);
    gnutls_free(text.data);
    return code == 0 || refuse(file, code, err);
}

static bool belong_together(const struct certificate *certificate) {
    unsigned char of_key[KEY_ID_BYTES];
    unsigned char of_certificate[KEY_ID_BYTES];
    size_t key_size = sizeof(of_key);
    size_t certificate_size = sizeof(of_certificate);
    return gnutls_x509_privkey_get_key_id(certificate->key, GNUTLS_KEYID_USE_SHA256, of_key,
                                          &key_size) == 0 &&
           gnutls_x509_crt_get_key_id(certificate->chain[0], GNUTLS_KEYID_USE_SHA256,
                                      of_certificate, &certificate_size) == 0 &&
           key_size == certificate_size && memcmp(of_key, of_certificate, key_size) == 0;
}

bool tls_load(const char *certificate_file, const char *key_file, struct error *err) {
    struct certificate made = {.chain_count = 0};
    bool ok = read_chain(certificate_file, &made, err) && read_key(key_file, &made, err) &&
              (belong_together(&made) ||
               error_set(err, DISP_FATAL, 0, "the certificate in %s is not of the key in %s",
                         certificate_file, key_file));
    if (!ok) {
        release(&made);
        return false;
    }
    (void)pthread_mutex_lock(&lock);
    struct certificate before = current;
    current = made;
    (void)pthread_mutex_unlock(&lock);
    release(&before);
    return true;
}

void tls_forget(void) {
    (void)pthread_mutex_lock(&lock);
    release(&current);
    (void)pthread_mutex_unlock(&lock);
}

const char *tls_priorities(bool also_1_2) {
    return also_1_2 ? "SECURE128:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:-RSA:%SERVER_PRECEDENCE"
                    : "SECURE128:-VERS-ALL:+VERS-TLS1.3:%SERVER_PRECEDENCE";
}

// Under the lock. False: out of memory, nothing is kept.
static bool copy_chain(gnutls_pcert_st **ret_chain, unsigned *ret_count) {
    gnutls_pcert_st *chain = gnutls_calloc(current.chain_count, sizeof(*chain));
    unsigned copied = 0;
    while (chain && copied < current.chain_count &&
           gnutls_pcert_import_x509(&chain[copied], current.chain[copied], 0) == 0)
        copied++;
    if (chain && copied == current.chain_count && copied > 0) {
        *ret_chain = chain;
        *ret_count = copied;
        return true;
    }
    for (unsigned i = 0; i < copied; i++)
        gnutls_pcert_deinit(&chain[i]);
    gnutls_free(chain);
    return false;
}

static bool copy_key(gnutls_privkey_t *ret_key) {
    if (gnutls_privkey_init(ret_key) != 0)
        return false;
    if (gnutls_privkey_import_x509(*ret_key, current.key, GNUTLS_PRIVKEY_IMPORT_COPY) == 0)
        return true;
    gnutls_privkey_deinit(*ret_key);
    return false;
}

int tls_retrieve(gnutls_session_t session, const struct gnutls_cert_retr_st *info,
                 gnutls_pcert_st **certs, unsigned int *certs_length, gnutls_ocsp_data_st **ocsp,
                 unsigned int *ocsp_length, gnutls_privkey_t *privkey, unsigned int *flags) {
    (void)session;
    (void)info;
    *ocsp = NULL;
    *ocsp_length = 0;
    *flags = GNUTLS_CERT_RETR_DEINIT_ALL; // the copies are GnuTLS's
    (void)pthread_mutex_lock(&lock);
    bool ok = copy_key(privkey);
    if (ok && !copy_chain(certs, certs_length)) {
        gnutls_privkey_deinit(*privkey);
        ok = false;
    }
    (void)pthread_mutex_unlock(&lock);
    return ok ? 0 : -1;
}
