// SPDX-License-Identifier: Apache-2.0
//
// What a request is inside the server: shared by server.c (its life), request.c (what is checked
// and read of it), respond.c (its answer), connection.c (its deadline) and loop.c (its thread).
#ifndef ORDERLOG_HTTP_REQUEST_STATE_H
#define ORDERLOG_HTTP_REQUEST_STATE_H

#include "http/problem.h"
#include "http/rate_limit.h"
#include "http/respond.h"
#include "http/router.h"
#include "http/server.h"
#include "service/spans.h"
#include "service/strmap.h"

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

// OPEN ─▶ WAITS ─▶ SUSPENDED ─▶ ANSWERED      who answers sees what it was
//   │       ├──▶ DESERTED ───────────▲ ▲ ▲    the connection is gone: who answers ends the request
//   │       └──────────────────────────┘ │
//   └────────────────────────────────────┘
enum request_stage {
    REQUEST_OPEN,
    REQUEST_WAITS,     // libmicrohttpd asks for the answer in every round of the loop
    REQUEST_SUSPENDED, // libmicrohttpd leaves the connection alone until it is resumed
    REQUEST_ANSWERED,
    REQUEST_DESERTED,
};

// READ_GOING: chunk() may be called. READ_PAUSED: the connection is suspended until read_more.
// READ_TOKEN: read_more came first.
enum read_state { READ_GOING, READ_PAUSED, READ_TOKEN };

// Of a body that is refused so much is swallowed, so that most clients see the answer and not a
// reset.
enum { QUERY_PARAMS_MAX = 16, DISCARD_BYTES_MAX = 8 * 1024 * 1024 };

struct connection_address {
    uint8_t bytes[16];
    uint8_t length; // 0: none
};

// One per connection, in the server's list, so that deadlines can be watched from outside MHD.
struct http_connection {
    struct http_connection *next;
    struct http_connection *previous;
    int fd;
    struct connection_address address; // counted
    _Atomic int64_t deadline_ms;       // 0: none
};

// An HTTP thread with a libmicrohttpd of its own.
struct http_loop {
    struct http_server *server;
    struct MHD_Daemon *daemon;
    int daemon_fd; // libmicrohttpd's epoll set
    int wake_fd;
    pthread_t thread;
    bool running;
    _Atomic bool woken;  // wake_fd has been written to, or need not be
    _Atomic int holders; // threads that are about to wake it: until then it is not freed
    const struct http_side_work *_Atomic work; // NULL: none
    int connections_max;
    _Atomic int connections; // open, or on their way here
    pthread_mutex_t arrivals_lock;
    int *arrivals; // owned; descriptors, room for connections_max
    size_t arrivals_count;

    // The thread's own.
    uint64_t rounds;
    int64_t round_us; // when the round began
    size_t waiting;   // requests
    size_t arriving;  // requests that have not arrived whole
    bool moved;       // some of these came on in this round
    bool queued;      // answers are to be sent
    int pause_ms;
};

struct http_server {
    struct http_server_options options;
    struct http_loop *loops; // owned
    int loops_count;
    _Atomic int listen_fd;                       // the first loop's; -1: closed
    _Atomic bool is_full;                        // nobody is let in until a connection ends
    int64_t accepts_again_ms;                    // the first loop's
    _Atomic bool stopping;                       // the loops are to end
    const struct openapi_operation **operations; // owned; by route, NULL where there is none
    int port;
    _Atomic bool closed;
    _Atomic bool draining;
    _Atomic int64_t requests_open;
    _Atomic int64_t requests_in_work; // those of them that requests_max is about
    _Atomic int64_t bodies_bytes;
    struct rate_limit *rate_limit; // NULL: none
    unsigned hangups_seen;

    pthread_mutex_t lock; // of the connection list and the counts
    struct http_connection *connections;
    struct strmap addresses; // size_t: connections of each
    pthread_t reaper;
    int stop_fd;
};

struct respond_header_line {
    const char *name;
    char value[RESPOND_HEADER_VALUE_MAX];
};

struct http_request {
    struct http_server *server;
    struct http_loop *loop;
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
    _Atomic int stage;
    bool suspended; // since it waits; the HTTP thread's own
    bool waits;     // counted in the loop
    bool arrives;   // likewise
    uint64_t round; // in which it began
    int64_t waits_since_us;
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

// The last of a request whose connection and answer are both over.
void server_end_request(struct http_request *request);

struct MHD_Daemon *server_start_daemon(struct http_loop *loop);
void server_close_listening(struct http_server *server); // in the first loop's thread

// Reads the certificate again if a SIGHUP asked for it. In the reaper's thread.
void http_server_reload(struct http_server *server);

// --- request.c ---------------------------------------------------------------------------------

struct http_request *request_new(struct http_loop *loop, const char *uri);
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

// --- loop.c ------------------------------------------------------------------------------------

bool loops_start(struct http_server *server);
void loops_stop(struct http_server *server); // every request has been answered

// From any thread, in which it must be known not to have been freed: loop_hold() before the last of
// its requests is answered.
void loop_hold(struct http_loop *loop);
void loop_wake(struct http_loop *loop); // gives up the hold

// Any thread.
void loop_resume(struct http_loop *loop, struct MHD_Connection *connection);

// Is this the loop's thread?
bool loop_is_here(const struct http_loop *loop);

// In the loop's thread: the request is to wait, is asked for again, does not wait any more.
void loop_wait(struct http_loop *loop, struct http_request *request);
void loop_look(struct http_loop *loop, struct http_request *request);
void loop_forget(struct http_loop *loop, struct http_request *request);

// --- acceptor.c --------------------------------------------------------------------------------

bool acceptor_init(struct http_loop *loop, int connections_max); // false: no memory
void acceptor_done(struct http_loop *loop);                      // after its thread

// In the first loop's thread: what to listen on, -1: nothing now; how long that may last, -1: it
// will be woken; and when there is somebody.
int acceptor_fd(struct http_server *server);
int acceptor_pause_ms(const struct http_server *server);
void acceptor_accept(struct http_server *server);

// In the loop's thread: those that were given to it; one of its connections has ended.
void acceptor_begin_arrived(struct http_loop *loop);
void acceptor_ended(struct http_loop *loop);

// --- connection.c ------------------------------------------------------------------------------

bool connections_start(struct http_server *server);
void connections_stop(struct http_server *server);
enum MHD_Result connections_accept(void *state, const struct sockaddr *address, socklen_t length);
void connections_notify(void *state, struct MHD_Connection *connection, void **socket_context,
                        enum MHD_ConnectionNotificationCode code);
void connection_set_deadline(struct http_connection *link, int64_t in_ms); // 0: none

#endif
