// SPDX-License-Identifier: Apache-2.0
//
// One static table of routes per service. To add a route: add a row, write its handler and describe
// it in src/http/openapi.yaml; 404, 405 with Allow, authentication, scope, body limit and which
// query parameters are taken follow from the table.
#ifndef ORDERLOG_HTTP_ROUTER_H
#define ORDERLOG_HTTP_ROUTER_H

#include "http/scope.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct http_request;

enum http_route_flag {
    ROUTE_BODY = 1 << 0,   // takes a JSON body, handed to the handler whole
    ROUTE_STREAM = 1 << 1, // takes a body of any length, handed to `chunk` as it comes
    // Open to customers' tokens: the handler shows and changes only what is theirs (http/caller.h).
    // Without it such a token is refused.
    ROUTE_CUSTOMERS = 1 << 2,
    ROUTE_EVENTS = 1 << 3, // answers with events for as long as the client listens
    // Knows the condition If-Match; elsewhere a write that has it is refused.
    ROUTE_IF_MATCH = 1 << 4,
};

enum { ROUTE_PARAMS_MAX = 4, ROUTE_PARAM_BYTES_MAX = 512 };

struct http_route {
    const char *method;
    const char *pattern; // "/v1/orders/{id}/cancel"; a {param} is one whole segment
    int scope;           // enum http_scope: one of these is needed
    int flags;
    int64_t body_bytes_max; // 0: the server's limit
    const char *summary;
    const char *const *query; // names of query parameters, NULL at the end; NULL: none are taken

    // Called in an HTTP thread once the request has arrived whole. Exactly one of: answer with a
    // respond_…() function before returning; or call http_request_suspend() or _wait() first and
    // let any thread answer later.
    void (*handle)(struct http_request *request, void *state);

    // ROUTE_STREAM only. begin: after authentication, before the first byte; may answer at once
    // (the rest of the body is then not read). chunk: returns how many bytes it took; fewer than
    // given means "wait": it must have arranged for http_request_read_more() to be called from
    // some thread. handle comes after the last chunk.
    void (*begin)(struct http_request *request, void *state);
    size_t (*chunk)(struct http_request *request, void *state, const char *bytes, size_t length);

    // Called once when the request is over, answered or broken off; may be NULL. Frees what the
    // handler attached with http_request_attach(). NULL attachment: not called.
    void (*done)(struct http_request *request, void *attachment, bool complete);
};

struct http_routes {
    const struct http_route *routes; // borrowed
    size_t count;
};

struct http_match {
    const struct http_route *route; // NULL: none
    bool path_known;                // but not with this method
    char allow[64];                 // "GET, PUT", when path_known
    uint32_t params_count;
    struct {
        const char *name; // borrowed from the pattern, not terminated
        size_t name_length;
        char value[ROUTE_PARAM_BYTES_MAX]; // percent-decoded, UTF-8, no control characters
    } params[ROUTE_PARAMS_MAX];
};

// path: the raw path, still percent-encoded, without the query. False: the path is malformed (bad
// escape, NUL, bad UTF-8, parameter too long).
bool router_match(const struct http_routes *routes, const char *method, const char *path,
                  struct http_match *ret);

// Percent-decodes [text, text+length) into out; '+' is a space when plus_is_space. False: malformed
// or too long. Always terminated.
bool router_decode(const char *text, size_t length, bool plus_is_space, char *out, size_t size);

// Asserts what must hold of a table: known methods, patterns begin with '/', a summary, no two
// rows that match the same request.
void router_check(const struct http_routes *routes);

#endif
