// SPDX-License-Identifier: Apache-2.0
//
// A caller of our own HTTP services, for tools: one kept-alive connection per thread.
#ifndef ORDERLOG_CLI_HTTP_CLIENT_H
#define ORDERLOG_CLI_HTTP_CLIENT_H

#include "service/error.h"

#include <stdbool.h>
#include <stddef.h>

struct http_client;

// url: "http://host:port", copied. token: API key, copied. NULL when memory is out. The first one
// in a process must be made before other threads start.
struct http_client *http_client_new(const char *url, const char *token);
void http_client_free(struct http_client *client); // NULL is fine

struct http_call {
    const char *method;          // "GET"
    const char *path;            // "/v1/orders?limit=5", already encoded
    const char *idempotency_key; // may be NULL
    const char *content_type;    // of the body
    const char *body;            // NULL: none
    size_t body_len;
    long timeout_ms;
};

struct http_reply {
    long status;
    const char *body; // terminated; borrowed until the next call
    size_t length;
    int retry_after_s; // 0: not said
};

// False (DISP_RETRY) when there was no answer. Any status is an answer.
bool http_client_call(struct http_client *client, const struct http_call *call,
                      struct http_reply *ret, struct error *err);

// Percent-encodes text as one path segment; out holds 3 * len + 1 bytes. Returns out.
char *http_client_escape(const char *text, size_t len, char *out);

#endif
