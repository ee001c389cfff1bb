// SPDX-License-Identifier: Apache-2.0
//
// The HTTP server under gateway and query: libmicrohttpd (epoll, a few threads) made strict and
// bounded.
//
// What holds for every request before a handler sees it: no smuggling shapes (duplicate
// Content-Length or Host, Content-Length with Transfer-Encoding, other codings: 400 and close),
// route found (404, 405), server open and not full (503), caller known, allowed and within their
// rate (401, 403, 429), query parameters known and each given once (400), body within its limit
// (413), all of it arrived within http.read.timeout.ms (otherwise the connection is closed).
//
// Life of a request: begin → (chunks) → handle → [waits, or is suspended] → answered → done. One
// that waits or is suspended stays valid until it is answered, even when the client has gone: it
// must be answered exactly once, by any thread.
#ifndef ORDERLOG_HTTP_SERVER_H
#define ORDERLOG_HTTP_SERVER_H

#include "http/caller.h"
#include "http/openapi.h"
#include "http/router.h"
#include "service/error.h"
#include "service/trace.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Who callers are. Both run in HTTP threads: quick, thread-safe.
struct http_access {
    // `Authorization: Bearer ol_ID_SECRET`; constant time in the secret. False: no such key.
    bool (*check)(void *state, const char *id, size_t id_length, const char *secret,
                  size_t secret_length, struct http_caller *ret_caller);
    bool (*holds)(void *state, const struct http_caller *caller); // see http_access_holds()
    void *state;

    // Any other token; NULL: none is taken. False: *ret_why, a literal, says what is wrong.
    bool (*verify)(void *state, const char *token, size_t length, struct http_caller *ret_caller,
                   const char **ret_why);
    bool (*token_holds)(void *verify_state, const struct http_caller *caller);
    void *verify_state;
};

// Does what this caller was let in by still hold? For answers that go on for long; any thread,
// quick.
static inline bool http_access_holds(const struct http_access *access,
                                     const struct http_caller *caller) {
    if (caller->until_s != 0)
        return !access->token_holds || access->token_holds(access->verify_state, caller);
    return !access->holds || access->holds(access->state, caller);
}

struct http_server_options {
    const char *host;
    int port; // 0: a free one
    int threads;
    int connections_max;
    int connections_per_ip_max;
    int64_t requests_max; // in work at one time, streams of events not counted; 0: no limit
    int64_t body_bytes_max;
    int64_t bodies_bytes_max; // memory of all bodies together; 0: no limit
    int64_t rate_per_second;  // of each caller; 0: no limit
    int64_t rate_burst;       // 0: what a second brings
    int64_t idle_timeout_ms;
    int64_t read_timeout_ms;
    const char
        *tls_certificate_file; // PEM; "" or NULL: no TLS. Borrowed, as the key's: both are read
    const char *tls_key_file;  // again after SIGHUP. One certificate per process
    bool tls_1_2;              // besides 1.3
    const struct http_routes *routes; // borrowed for the server's life
    struct http_access access;        // check NULL: only routes without scope can be reached
    void *state;                      // handed to handlers
    bool closed;                      // only routes without scope can be reached until it is opened
    enum openapi_service openapi; // whose part of the document the routes are; NONE: of no document
    bool measured;                // METRIC_HTTP_REQUEST by route; one server per process only
};

struct http_server;

// Work for others, done in an HTTP thread. All of it is quick.
struct http_side_work {
    // When fd can be read from, and when the thread has rested for pause_ms_max. Requests that it
    // answers are sent without a thread being woken. NULL: there is nothing to serve.
    void (*serve)(void *state);
    int fd;           // -1: none
    int pause_ms_max; // -1: as long as it likes. What runs in the thread may change it
    int64_t due_us;   // likewise: a round is to be run then (clock_monotonic_us), 0: no need

    // Around a round, in which handlers may be called.
    void (*round_begins)(void *state); // NULL: nothing is to be done
    void (*round_ends)(void *state);
    void *state;
};

// Listens and serves when it returns true.
bool http_server_start(const struct http_server_options *options, struct http_server **ret,
                       struct error *err);

// Opens one that was started closed, once what its handlers stand on has been started. Until then
// requests are answered 503 with Retry-After.
void http_server_open(struct http_server *server, struct http_access access);

// From now on, until the server is freed, in the thread of this number (0 to threads - 1), which
// has no other work. work is borrowed.
void http_server_add_work(struct http_server *server, int thread,
                          const struct http_side_work *work);

// Stops listening and taking requests (answers get "Connection: close", new requests 503), waits
// at most timeout_ms for open requests to be answered. True: none is left.
bool http_server_drain(struct http_server *server, int64_t timeout_ms);

// After drain. Every request that waits or is suspended must have been answered. NULL is fine.
void http_server_free(struct http_server *server);

int http_server_port(const struct http_server *server);

// --- the request, as handlers see it ------------------------------------------------------------

// "" when the pattern has no such parameter: a mistake in the table.
const char *http_request_param(const struct http_request *request, const char *name);

// Decoded query parameter; NULL when absent. valid until the request is done.
const char *http_request_query(struct http_request *request, const char *name);

bool http_request_has_query(const struct http_request *request); // any at all, decodable or not

// False with ret_name set when the query has a parameter that is not in the NULL-terminated list,
// one twice, or one that cannot be decoded (then it and the rest are given as they were sent).
bool http_request_query_only(struct http_request *request, const char *const *names,
                             const char **ret_name);

// Header value or NULL; names are case-insensitive.
const char *http_request_header(const struct http_request *request, const char *name);

const char *http_request_body(const struct http_request *request, size_t *ret_length);
const struct http_caller *http_request_caller(const struct http_request *request);

// http_access_holds() for its caller: for what goes on for longer than it takes to answer.
bool http_request_holds(const struct http_request *request);
const char *http_request_method(const struct http_request *request);
const char *http_request_path(const struct http_request *request); // raw, for problem "instance"

// The trace that the request belongs to, for what it causes; is_set is false where it belongs to
// none. The caller's, with a span of the request's own where traces are on; else, of an order whose
// id is given (may be NULL), that of the order if it is one of those traced. The first call counts.
const struct trace_context *http_request_trace(struct http_request *request,
                                               const uint8_t order_id[16]);

// The number of the HTTP thread that the request belongs to, and whether this is it. Any thread.
int http_request_thread(const struct http_request *request);
bool http_request_is_here(const struct http_request *request);

// A pointer of the handler's own, given to `done` at the end.
void http_request_attach(struct http_request *request, void *attachment);
void *http_request_attachment(const struct http_request *request);

// In the handler, before anything that may answer from another thread is set going. After it the
// HTTP thread leaves the request alone until a respond_…() function is called on it. For a request
// that is suspended it does nothing, in any thread.
void http_request_suspend(struct http_request *request);

// As http_request_suspend(), and cheaper where the answer comes within some milliseconds. But what
// libmicrohttpd keeps of the request goes with the client: when the handler has returned, headers
// and trace are not to be asked for, no event stream opened, and `done` may have been called.
void http_request_wait(struct http_request *request);

// For streams: after chunk() took less than it was given, read on. Any thread; calling it before
// chunk() has returned, or without need, is fine.
void http_request_read_more(struct http_request *request);

#endif
