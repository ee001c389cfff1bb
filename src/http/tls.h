// SPDX-License-Identifier: Apache-2.0
//
// The certificate that the servers of this process show. GnuTLS's callback knows no state of ours,
// hence one per process. A handshake takes a copy, so that replacing the certificate disturbs
// neither handshakes under way nor connections that stand.
#ifndef ORDERLOG_HTTP_TLS_H
#define ORDERLOG_HTTP_TLS_H

#include "service/error.h"

#include <gnutls/abstract.h>
#include <stdbool.h>

// PEM: the certificate with its chain, and its key. False: what was there stays.
bool tls_load(const char *certificate_file, const char *key_file, struct error *err);
void tls_forget(void);

// For MHD_OPTION_HTTPS_PRIORITIES. Lives as long as the program.
const char *tls_priorities(bool also_1_2);

// For MHD_OPTION_HTTPS_CERT_CALLBACK2.
gnutls_certificate_retrieve_function3 tls_retrieve;

#endif
