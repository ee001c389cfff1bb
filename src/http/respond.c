// SPDX-License-Identifier: Apache-2.0
//
// The answer is built by whoever answers and queued by the HTTP thread: at the end of the handler,
// or, when the request was suspended, after it is resumed. After resuming, the request may be gone
// at any moment: nothing touches it any more.
#include "http/respond.h"

#include "request_state.h"
#include "service/metrics.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void respond_header(struct http_request *request, const char *name, const char *fmt, ...) {
    assert(request->headers_count < RESPOND_HEADERS_MAX);
    struct respond_header_line *line = &request->headers[request->headers_count++];
    line->name = name;
    va_list args;
    va_start(args, fmt);
    int length = vsnprintf(line->value, sizeof(line->value), fmt, args);
    va_end(args);
    assert(length >= 0 && length < RESPOND_HEADER_VALUE_MAX);
    for (const char *at = line->value; *at; at++)
        assert((unsigned char)*at >= 0x20 && *at != 0x7F);
}

void respond_finish(struct http_request *request, int status, const char *content_type,
                    struct MHD_Response *response) {
    bool answered_before = atomic_exchange(&request->answered, true);
    assert(!answered_before);
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
    if (request->suspended)
        MHD_resume_connection(request->connection);
}

void respond_bytes_take(struct http_request *request, int status, const char *content_type,
                        char *body_take, size_t length) {
    struct MHD_Response *response =
        MHD_create_response_from_buffer(length, body_take, MHD_RESPMEM_MUST_FREE);
    if (!response)
        free(body_take);
    respond_finish(request, status, content_type, response);
}

void respond_json_take(struct http_request *request, int status, char *body_take, size_t length) {
    respond_bytes_take(request, status, "application/json", body_take, length);
}

void respond_file_take(struct http_request *request, int status, const char *content_type,
                       int fd_take, uint64_t length) {
    struct MHD_Response *response = MHD_create_response_from_fd64(length, fd_take);
    if (!response)
        (void)close(fd_take);
    respond_finish(request, status, content_type, response);
}

void respond_empty(struct http_request *request, int status) {
    respond_finish(request, status, NULL,
                   MHD_create_response_from_buffer(0, (void *)"", MHD_RESPMEM_PERSISTENT));
}

void respond_nothing(struct http_request *request) {
    respond_finish(request, 0, NULL, NULL);
}

void respond_problem(struct http_request *request, const struct problem *problem) {
    metrics_add(METRIC_HTTP_REFUSED, (int)problem->type, 1);
    size_t length = 0;
    char *body = problem_render(problem, request->uri, /* line= */ 0, &length);
    if (problem->retry_after_s > 0)
        respond_header(request, "Retry-After", "%d", problem->retry_after_s);
    if (!body) {
        respond_empty(request, problem_status(problem->type));
        return;
    }
    respond_bytes_take(request, problem_status(problem->type), "application/problem+json", body,
                       length);
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
