// SPDX-License-Identifier: Apache-2.0
//
// The answer is built by whoever answers and queued by the HTTP thread: at the end of the handler,
// or, when the request was suspended, after it is resumed. After resuming, the request may be gone
// at any moment: nothing touches it any more.
#include "http/respond.h"

#include "request_state.h"
#include "service/log.h"
#include "service/metrics.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// What this thread has answered, and whose threads it has not woken yet.
enum { TOGETHER_MAX = 128, LOOPS_MAX = 8 };
static _Thread_local struct {
    struct MHD_Connection *connections[TOGETHER_MAX]; // suspended
    size_t connections_count;
    struct http_loop *loops[LOOPS_MAX]; // held
    size_t loops_count;
    bool holds;
} together;

static void let_go(void) {
    for (size_t i = 0; i < together.connections_count; i++)
        MHD_resume_connection(together.connections[i]);
    for (size_t i = 0; i < together.loops_count; i++)
        loop_wake(together.loops[i]);
    together.connections_count = together.loops_count = 0;
}

void respond_together_begin(void) {
    together.holds = true;
}

void respond_together_end(void) {
    together.holds = false;
    let_go();
}

static bool is_held(const struct http_loop *loop) {
    for (size_t i = 0; i < together.loops_count; i++) {
        if (together.loops[i] == loop)
            return true;
    }
    return false;
}

// Before a request is answered: its loop will be woken, unless this is its own thread.
static void hold(struct http_loop *loop) {
    if (together.connections_count == TOGETHER_MAX || together.loops_count == LOOPS_MAX)
        let_go();
    if (loop_is_here(loop) || is_held(loop))
        return;
    loop_hold(loop);
    together.loops[together.loops_count++] = loop;
}

static struct respond_header_line *add_line(struct http_request *request, const char *name) {
    assert(request->headers_count < RESPOND_HEADERS_MAX);
    struct respond_header_line *line = &request->headers[request->headers_count++];
    line->name = name;
    return line;
}

static void check_printable(const struct respond_header_line *line) {
    (void)line;
    for (const char *at = line->value; *at; at++)
        assert((unsigned char)*at >= 0x20 && *at != 0x7F);
}

void respond_header(struct http_request *request, const char *name, const char *fmt, ...) {
    struct respond_header_line *line = add_line(request, name);
    va_list args;
    va_start(args, fmt);
    int length = vsnprintf(line->value, sizeof(line->value), fmt, args);
    va_end(args);
    assert(length >= 0 && length < RESPOND_HEADER_VALUE_MAX);
    check_printable(line);
}

void respond_header_text(struct http_request *request, const char *name, const char *value) {
    struct respond_header_line *line = add_line(request, name);
    const size_t length = strlen(value);
    assert(length < RESPOND_HEADER_VALUE_MAX);
    memcpy(line->value, value, length + 1);
    check_printable(line);
}

// What callers were told to expect is checked where they get it; a test that provokes an answer
// which the document lacks finds this line in the log.
static void check_named(const struct http_request *request, int status, const char *problem) {
    const struct http_server *server = request->server;
    const struct http_route *route = request->match.route;
    const struct openapi_operation *operation =
        route && server->operations ? server->operations[route - server->options.routes->routes]
                                    : NULL;
    if (!operation || openapi_names(operation, status, problem))
        return;
    LOG(ERROR, "the OpenAPI document does not name this answer", F_STR("method", operation->method),
        F_STR("path", operation->path), F_INT("status", status),
        F_STR("problem", problem ? problem : ""));
}

// In its own thread a loop is not woken, but may have passed the request in this round already.
static void look_again(struct http_loop *loop) {
    if (loop_is_here(loop))
        loop->queued = true;
}

// The last touch, unless the caller is the request's handler: afterwards it may be gone.
static void hand_over(struct http_request *request) {
    struct http_loop *loop = request->loop;
    struct MHD_Connection *connection = request->connection;
    hold(loop);
    switch ((enum request_stage)atomic_exchange(&request->stage, REQUEST_ANSWERED)) {
    case REQUEST_SUSPENDED:
        together.connections[together.connections_count++] = connection;
        look_again(loop);
        break;
    case REQUEST_WAITS:
        look_again(loop);
        break;
    case REQUEST_DESERTED:
        server_end_request(request);
        break;
    case REQUEST_OPEN:
    case REQUEST_ANSWERED:
        break;
    }
    if (!together.holds)
        let_go();
}

// problem: the name of its type, NULL when it is none.
void respond_finish(struct http_request *request, int status, const char *content_type,
                    const char *problem, struct MHD_Response *response) {
    assert(atomic_load(&request->stage) != REQUEST_ANSWERED);
    check_named(request, status, problem);
    request->status = status;
    request->response = response;
    if (response) {
        if (content_type)
            (void)MHD_add_response_header(response, "Content-Type", content_type);
        for (uint32_t i = 0; i < request->headers_count; i++)
            (void)MHD_add_response_header(response, request->headers[i].name,
                                          request->headers[i].value);
        if (request->close)
            (void)MHD_add_response_header(response, "Connection", "close");
    }
    // Without memory for a response the connection is closed: http_server sees that it is NULL.
    hand_over(request);
}

void respond_static(struct http_request *request, int status, const char *content_type,
                    const char *body, size_t length) {
    respond_finish(request, status, content_type, NULL,
                   MHD_create_response_from_buffer(length, (void *)body, MHD_RESPMEM_PERSISTENT));
}

void respond_bytes_take(struct http_request *request, int status, const char *content_type,
                        char *body_take, size_t length) {
    struct MHD_Response *response =
        MHD_create_response_from_buffer(length, body_take, MHD_RESPMEM_MUST_FREE);
    if (!response)
        free(body_take);
    respond_finish(request, status, content_type, NULL, response);
}

void respond_json_take(struct http_request *request, int status, char *body_take, size_t length) {
    respond_bytes_take(request, status, "application/json", body_take, length);
}

void respond_file_take(struct http_request *request, int status, const char *content_type,
                       int fd_take, uint64_t length) {
    struct MHD_Response *response = MHD_create_response_from_fd64(length, fd_take);
    if (!response)
        (void)close(fd_take);
    respond_finish(request, status, content_type, NULL, response);
}

void respond_empty(struct http_request *request, int status) {
    respond_finish(request, status, NULL, NULL,
                   MHD_create_response_from_buffer(0, (void *)"", MHD_RESPMEM_PERSISTENT));
}

void respond_nothing(struct http_request *request) {
    respond_finish(request, 0, NULL, NULL, NULL);
}

void respond_problem(struct http_request *request, const struct problem *problem) {
    metrics_add(METRIC_HTTP_REFUSED, (int)problem->type, 1);
    size_t length = 0;
    char *body = problem_render(problem, request->uri, /* line= */ 0, &length);
    if (problem->retry_after_s > 0)
        respond_header(request, "Retry-After", "%d", problem->retry_after_s);
    struct MHD_Response *response =
        body ? MHD_create_response_from_buffer(length, body, MHD_RESPMEM_MUST_FREE) : NULL;
    if (!response)
        free(body);
    respond_finish(request, problem_status(problem->type), "application/problem+json",
                   problem_name(problem->type), response);
}

void respond_refuse(struct http_request *request, enum problem_type type, const char *fmt, ...) {
    struct problem problem;
    problem_init(&problem);
    problem.type = type;
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(problem.detail, sizeof(problem.detail), fmt, args);
    va_end(args);
    respond_problem(request, &problem);
}
