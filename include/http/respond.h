// SPDX-License-Identifier: Apache-2.0
//
// Every status, header and body leaves through here. Each request is answered exactly once
// (asserted), from its handler or, after http_request_suspend() or _wait(), from any thread.
#ifndef ORDERLOG_HTTP_RESPOND_H
#define ORDERLOG_HTTP_RESPOND_H

#include "http/problem.h"

#include <stddef.h>
#include <stdint.h>

struct http_request;

enum { RESPOND_HEADERS_MAX = 12, RESPOND_HEADER_VALUE_MAX = 512 };

// Adds a header to the answer to come. name is borrowed for ever (a literal); value is copied and
// must be printable (asserted).
void respond_header(struct http_request *request, const char *name, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

// The same with a value that needs no formatting.
void respond_header_text(struct http_request *request, const char *name, const char *value);

// body_take is owned by the server from here on (free()), may be NULL when length is 0.
void respond_json_take(struct http_request *request, int status, char *body_take, size_t length);

// As above with a Content-Type (a literal).
void respond_bytes_take(struct http_request *request, int status, const char *content_type,
                        char *body_take, size_t length);

// Bytes that live as long as the program.
void respond_static(struct http_request *request, int status, const char *content_type,
                    const char *body, size_t length);

// The file's first `length` bytes; fd_take is closed by the server.
void respond_file_take(struct http_request *request, int status, const char *content_type,
                       int fd_take, uint64_t length);

// No body: 304, 204.
void respond_empty(struct http_request *request, int status);

// Closes the connection without an answer. For playing a service that has died.
void respond_nothing(struct http_request *request);

// application/problem+json with the status of the type.
void respond_problem(struct http_request *request, const struct problem *problem);

// Whoever answers many requests from another thread than theirs does it between these two: the
// answers leave together at the end, or in between when there are many, so that the HTTP threads
// are woken once and not for each. What is done in between is to be quick.
void respond_together_begin(void);
void respond_together_end(void);

// For the simple ones: no field errors.
void respond_refuse(struct http_request *request, enum problem_type type, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

#endif
