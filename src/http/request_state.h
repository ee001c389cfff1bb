// SPDX-License-Identifier: Apache-2.0
//
// What a request is inside the server: shared by server.c (its life), request.c (what is checked
// and read of it), respond.c (its answer) and connection.c (its deadline).
#ifndef ORDERLOG_HTTP_REQUEST_STATE_H
#define ORDERLOG_HTTP_REQUEST_STATE_H

#include "http/problem.h"
#include "http/rate_limit.h"
#include "http/respond.h"
#include "http/router.h"
#include "http/server.h"
#include "service/spans.h"

#include <microhttpd.h>
#include <pthread.h>
#include <stdatomic.h>

// NEW ─▶ BODY ─▶ HANDLED ─▶ QUEUED       the body is collected, or handed on in chunks
//   ├──▶ DISCARD ─────────────▲  ▲        refused; a short body is swallowed so that the client
//   │                            │        reads the answer instead of a reset
//   └────────────────────────────┘        refused at once, the connection is closed
enum request_phase {
    REQUEST_NEW,
    REQUEST_BODY,
    REQUEST_DISCARD,
    REQUEST_HANDLED,
    REQUEST_QUEUED,
};

// READ_GOING: chunk() may be called. READ_PAUSED: the connection is suspended until read_more.
// READ_TOKEN: read_more came first.
enum read_state { READ_GOING, READ_PAUSED, READ_TOKEN };

// Of a body that is refused so much is swallowed, so that most clients see the answer and not a
// reset.
enum { QUERY_PARAMS_MAX = 16, DISCARD_BYTES_MAX = 8 * 1024 * 1024 };

// One per connection, in the server's list, so that deadlines can be watched from outside MHD.
struct http_connection {
    struct http_connection *next;
    struct http_connection *previous;
    int fd;
    _Atomic int64_t deadline_ms; // 0: none
};

struct http_server {
    struct http_server_options options;
    struct MHD_Daemon *daemon;
    const struct openapi_operation **operations; // owned; by route, NULL where there is none
    int port;
    _Atomic bool closed;
    _Atomic bool draining;
    _Atomic int64_t requests_open;
    _Atomic int64_t requests_in_work; // those of them that requests_max is about
    _Atomic int64_t bodies_bytes;
    struct rate_limit *rate_limit; // NULL: none
    unsigned hangups_seen;

    pthread_mutex_t lock; // of the connection list
    struct http_connection *connections;
    pthread_t reaper;
    int stop_fd;
};

struct respond_header_line {
    const char *name;
    char value[RESPOND_HEADER_VALUE_MAX];
};

struct http_request {
    struct http_server *server;
    struct MHD_Connection *connection;
    struct http_connection *link;
    enum request_phase phase;
    int64_t start_us;

    char *uri; // owned; path, terminated where the query began
    char *query;
    bool query_parsed;
    const char *query_bad; // the first parameter that cannot be decoded, as sent; in query
    uint32_t query_count;
    struct {
        char *name; // owned
        char *value;
    } query_params[QUERY_PARAMS_MAX];

    const char *method; // borrowed from MHD
    const char *version;
    struct http_match match;
    struct http_caller caller;
    bool trace_known;
    bool has_span;

    char *body; // owned
    size_t body_length;
    size_t body_size;
    size_t body_memory; // counted in the server's bodies_bytes
    int64_t body_bytes_max;
    uint64_t body_seen;
    bool body_refused; // a problem waits for the end of the body in `late`
    enum problem_type late;

    void *attachment;
    _Atomic int read_state;
    bool suspended;
    _Atomic bool answered;
    bool close;          // after the answer
    bool is_conditional; // has If-Match
    bool in_work;        // counted

    // Written by the answering thread before the connection is resumed.
    struct MHD_Response *response; // owned until queued
    int status;
    uint32_t headers_count;
    struct respond_header_line headers[RESPOND_HEADERS_MAX];

    // Neither is zeroed: see trace_known and has_span.
    struct trace_context trace;
    struct span span;
};

// --- server.c ----------------------------------------------------------------------------------

// Reads the certificate again if a SIGHUP asked for it. In the reaper's thread.
void http_server_reload(struct http_server *server);

// --- request.c ---------------------------------------------------------------------------------

struct http_request *request_new(struct http_server *server, const char *uri);
void request_free(struct http_request *request);

// Everything that is checked before the body. False: the problem is set.
bool request_admit(struct http_request *request, struct problem *problem);

// Adds to the body. False: the problem is set.
bool request_collect(struct http_request *request, const char *bytes, size_t length,
                     enum problem_type *ret_type);

// True when the request has no body, or announces one that is short enough to be swallowed.
bool request_can_discard(const struct http_request *request);

// --- respond.c ---------------------------------------------------------------------------------

// Where every answer leaves. problem: the name of its type, NULL when it is none. response_take may
// be NULL: the connection is closed.
void respond_finish(struct http_request *request, int status, const char *content_type,
                    const char *problem, struct MHD_Response *response_take);

// --- connection.c ------------------------------------------------------------------------------

bool connections_start(struct http_server *server);
void connections_stop(struct http_server *server);
void connections_notify(void *state, struct MHD_Connection *connection, void **socket_context,
                        enum MHD_ConnectionNotificationCode code);
void connection_set_deadline(struct http_connection *link, int64_t in_ms); // 0: none

#endif
