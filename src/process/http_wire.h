// SPDX-License-Identifier: Apache-2.0
//
// Requests on the wire: libcurl's multi interface over an epoll descriptor, never waiting. A fixed
// number of exchanges, each with a kept-alive connection of its own; answers are bounded. One
// thread. Inner to the clients of provider and carrier.
#ifndef ORDERLOG_PROCESS_HTTP_WIRE_H
#define ORDERLOG_PROCESS_HTTP_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "service/error.h"

enum {
    WIRE_PATH_MAX = 128,
    WIRE_KEY_MAX = 96,
    WIRE_BODY_MAX = 1024,
    WIRE_REPLY_MAX = 8192,
};

struct http_wire_options {
    const char *url;    // "https://provider.example/api", without a final '/' or with
    const char *bearer; // NULL: no Authorization
    int exchanges_max;
    int64_t connect_timeout_ms;
    int64_t timeout_ms; // of one exchange, connecting included
};

struct wire_request {
    char path[WIRE_PATH_MAX]; // encoded
    char key[WIRE_KEY_MAX];   // Idempotency-Key; "" if none
    char body[WIRE_BODY_MAX]; // JSON; "": GET
};

struct wire_reply {
    uint32_t tag;        // of the request
    long status;         // 0: no answer, or none that could be taken whole
    const char *failure; // why there is none
    const char *body;    // not terminated
    size_t length;
    int64_t retry_after_us; // 0: not said
};

struct http_wire;

// NULL with err: out of memory, or a URL that cannot be used.
struct http_wire *http_wire_new(const struct http_wire_options *options, struct error *err);
void http_wire_free(struct http_wire *wire); // NULL is fine

int http_wire_room(const struct http_wire *wire);
int http_wire_open(const struct http_wire *wire); // exchanges going on

// Needs room. Returns the exchange's number, or -1 when memory is out.
int http_wire_send(struct http_wire *wire, uint32_t tag, const struct wire_request *request);

// Breaks an exchange off: nothing more is heard of it, but its request may have arrived.
void http_wire_cancel(struct http_wire *wire, int exchange);

// Moves everything on that can move, and hands out what has ended; the reply is borrowed for the
// call, which must not send or cancel. Returns how many ended.
int http_wire_poll(struct http_wire *wire,
                   void (*ended)(void *context, const struct wire_reply *reply), void *context);

#endif
