// SPDX-License-Identifier: Apache-2.0
//
// TLS over a socket that does not block. OpenSSL, as librdkafka brings it.
#ifndef ORDERLOG_WIRE_TLS_H
#define ORDERLOG_WIRE_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "service/error.h"
#include "wire/wire_settings.h"

struct wire_tls;

// Reads certificates and keys: once per client. NULL: DISP_FATAL, naming what cannot be read.
struct wire_tls *wire_tls_new(const struct wire_settings *settings, struct error *err);
void wire_tls_free(struct wire_tls *tls); // NULL is fine

// One connection to host, whose certificate it has to be.
struct wire_tls_session;
struct wire_tls_session *wire_tls_open(struct wire_tls *tls, int fd, const char *host,
                                       struct error *err);
void wire_tls_close(struct wire_tls_session *session); // NULL is fine; the socket stays open

// What a call has come to: more than 0 bytes, or what to wait for, or the end.
enum { WIRE_TLS_WANT_READ = -1, WIRE_TLS_WANT_WRITE = -2, WIRE_TLS_FAILED = -3 };

ssize_t wire_tls_handshake(struct wire_tls_session *session); // 1: done
ssize_t wire_tls_read(struct wire_tls_session *session, void *buffer, size_t size);
ssize_t wire_tls_write(struct wire_tls_session *session, const void *bytes, size_t len);

// Why the last call failed, in OpenSSL's words.
void wire_tls_reason(struct wire_tls_session *session, char *out, size_t size);

#endif
