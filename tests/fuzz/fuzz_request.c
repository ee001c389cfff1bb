// SPDX-License-Identifier: Apache-2.0
//
// A request of any form to the gateway or the query service: path, query string, cursor, headers
// and body. It is answered exactly once, and what it makes the gateway write can be read.
//
//   first bytes  which service, and what its parts do
//   then         METHOD PATH?QUERY, newline, NAME: VALUE lines, an empty line, the body
#include "fuzz/support/fuzz_http.h"

#include "../../src/http/query_state.h"
#include "http/gateway.h"
#include "service/log.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { CHOICES = 3, ROWS_MAX = 52, CONNECTION_BYTES_MAX = 32 * 1024 };

static bool check_key(void *state, const char *id, size_t id_length, const char *secret,
                      size_t secret_length, struct http_caller *ret_caller) {
    (void)state;
    (void)secret;
    if (id_length == 0 || id_length >= HTTP_KEY_ID_MAX || secret_length == 0)
        return false;
    *ret_caller =
        (struct http_caller){.shop_id = "main", .scopes = SCOPE_ALL & ~SCOPE_ORDERS_IMPORT};
    memcpy(ret_caller->key_id, id, id_length);
    if (secret[0] == 'i')
        ret_caller->scopes |= SCOPE_ORDERS_IMPORT;
    return true;
}

static struct query *query_new(void) {
    // No reader's thread: what they do is done in this one.
    static struct config config = {.query_wait_ms_max = 10000, .http_connections_max = 1};
    struct error err;
    struct query *query = calloc(1, sizeof(*query));
    assert(query);
    query->config = &config;
    (void)pthread_mutex_init(&query->waiter.lock, NULL);
    (void)pthread_cond_init(&query->waiter.changed, NULL);
    const bool started = query_readers_start(query, &query->readers, &err);
    assert(started);
    (void)started;
    return query;
}

// Ends the line in place; NULL when there is none any more.
static char *take_line(char **at) {
    char *line = *at;
    char *newline = strchr(line, '\n');
    if (!newline)
        return NULL;
    *newline = '\0';
    *at = newline + 1;
    return line;
}

static void take_headers(char **at) {
    fuzz_http.headers_count = 0;
    for (char *line; (line = take_line(at)) && *line;) {
        char *value = strstr(line, ": ");
        if (!value || fuzz_http.headers_count == FUZZ_HEADERS_MAX)
            continue;
        *value = '\0';
        fuzz_http.headers[fuzz_http.headers_count++] = (struct fuzz_header){line, value + 2};
    }
}

static bool is_answered(const struct http_request *request) {
    return atomic_load(&request->stage) == REQUEST_ANSWERED;
}

static void take_body(struct http_request *request, const char *body, size_t length) {
    const struct http_route *route = request->match.route;
    void *state = request->server->options.state;
    enum problem_type late;
    if (!(route->flags & ROUTE_STREAM)) {
        if (length > 0 && !request_collect(request, body, length, &late)) {
            respond_refuse(request, late, "too large");
            return;
        }
    } else {
        route->begin(request, state);
        for (size_t at = 0; at < length && !is_answered(request);) {
            size_t taken = route->chunk(request, state, body + at, length - at);
            assert(taken <= length - at);
            at += taken;
            if (at < length)
                fuzz_http_settle();
        }
    }
    if (!is_answered(request))
        route->handle(request, state);
}

static void serve(struct http_request *request, const char *body, size_t length) {
    struct problem problem;
    problem_init(&problem);
    if (request_admit(request, &problem))
        take_body(request, body, length);
    else
        respond_problem(request, &problem);
    fuzz_http_settle();
    const struct http_route *route = request->match.route;
    if (route && route->done && request->attachment)
        route->done(request, request->attachment, true);
}

// A read that waits for its command: the thread that looks for it is not there.
static void end_wait(struct query *query, struct http_request *request) {
    if (query->waiter.count == 0)
        return;
    assert(query->waiter.count == 1 && query->waiter.waiting[0].request == request);
    query->waiter.count = 0;
    query_answer_not_yet(request);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct query *query;
    if (!query) {
        query = query_new();
        log_init(LEVEL_ERROR, LOG_FORMAT_TEXT, "fuzz", 0);
    }
    if (size < CHOICES || size > CONNECTION_BYTES_MAX)
        return 0;
    bool is_query = data[0] & 1;
    fuzz_http = (struct fuzz_http){
        .rows = data[1] % (ROWS_MAX + 1),
        .outcome = data[2] % 3,
        .answers_after = data[2] & 16,
        .backlog = data[0] & 2,
        .stale = data[0] & 4,
    };
    size -= CHOICES;
    char *text = malloc(size + 1);
    assert(text);
    memcpy(text, data + CHOICES, size);
    text[size] = '\0';
    char *at = text;
    char *line = take_line(&at);
    char *uri = line ? strchr(line, ' ') : NULL;
    if (!uri) {
        free(text);
        return 0;
    }
    *uri++ = '\0';
    take_headers(&at);

    struct http_server server = {.options = {
                                     .routes = is_query ? &query_routes : gateway_routes(),
                                     .access = {.check = check_key},
                                     .body_bytes_max = 1 << 20,
                                     .state = is_query ? (void *)query : fuzz_http_gateway(),
                                 }};
    struct http_loop loop = {.server = &server, .woken = true}; // nobody runs it
    struct http_request *request = request_new(&loop, uri);
    assert(request);
    request->method = line;
    serve(request, at, size - (size_t)(at - text));
    (void)query_readers_answer_one(query->readers, NULL);
    end_wait(query, request);
    assert(is_answered(request));
    assert(!request->response || (request->status >= 200 && request->status < 600));
    request_free(request);
    free(text);
    return 0;
}
