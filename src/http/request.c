// SPDX-License-Identifier: Apache-2.0
//
// What is checked of a request before its body, in this order: is it well-formed (no smuggling),
// is there such a route, is there room, who asks, may they, how often, are all query parameters
// known, is the body of a kind and size that is taken. And what handlers can ask of it.
#include "request_state.h"

#include "service/clock.h"
#include "service/spans.h"
#include "service/uninitialized.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { BODY_FIRST_BYTES = 4096 };

struct http_request *request_new(struct http_loop *loop, const char *uri) {
    struct http_server *server = loop->server;
    struct http_request *request = malloc(sizeof(*request));
    if (!request)
        return NULL;
    // The header lines and parameters need no zeros, and are most of it.
    memset(request, 0, offsetof(struct http_request, match));
    request->match.route = NULL;
    request->match.params_count = 0;
    request->caller = (struct http_caller){0};
    memset(&request->trace_known, 0,
           offsetof(struct http_request, headers) - offsetof(struct http_request, trace_known));
    request->server = server;
    request->loop = loop;
    request->round = loop->rounds;
    request->start_us = server->options.measured ? clock_monotonic_us() : 0;
    request->uri = strdup(uri);
    if (!request->uri) {
        free(request);
        return NULL;
    }
    char *query = strchr(request->uri, '?');
    if (query) {
        *query = '\0';
        request->query = query + 1;
    }
    return request;
}

void request_free(struct http_request *request) {
    for (uint32_t i = 0; i < request->query_count; i++) {
        free(request->query_params[i].name);
        free(request->query_params[i].value);
    }
    if (request->response)
        MHD_destroy_response(request->response);
    if (request->body_memory > 0)
        atomic_fetch_sub(&request->server->bodies_bytes, (int64_t)request->body_memory);
    if (request->in_work)
        atomic_fetch_sub(&request->server->requests_in_work, 1);
    free(request->body);
    free(request->uri);
    free(request);
}

// --- well-formed? ------------------------------------------------------------------------------

// Headers that mean something different to different readers when they come twice.
enum { SINGLE_CONTENT_LENGTH = 1, SINGLE_TRANSFER_ENCODING = 2, SINGLE_IF_MATCH = 7 };
#define SINGLE(name)                                                                               \
    { name, sizeof(name) - 1 }
static const struct {
    const char *name;
    size_t length;
} single_headers[] = {
    SINGLE("Host"),
    SINGLE("Content-Length"),
    SINGLE("Transfer-Encoding"),
    SINGLE("Authorization"),
    SINGLE("Content-Type"),
    SINGLE("Expect"),
    SINGLE("Idempotency-Key"),
    SINGLE("If-Match"),
    SINGLE("traceparent"),
};
#undef SINGLE
enum { SINGLE_HEADERS = sizeof(single_headers) / sizeof(single_headers[0]) };

struct header_scan {
    const char *line; // where the next one begins, if all before it ended in CR LF; NULL: not known
    bool bad_line;
    const char *values[SINGLE_HEADERS]; // NULL: the header is not there
    const char *twice;
    bool bad_name;
    bool bad_value;
};

// RFC 9110's tchar: 1 for those that may stand in a name.
static const uint8_t token_chars[256] = {
    ['!'] = 1, ['#'] = 1, ['$'] = 1, ['%'] = 1,         ['&'] = 1,         ['\''] = 1,
    ['*'] = 1, ['+'] = 1, ['-'] = 1, ['.'] = 1,         ['^'] = 1,         ['_'] = 1,
    ['`'] = 1, ['|'] = 1, ['~'] = 1, ['0' ... '9'] = 1, ['A' ... 'Z'] = 1, ['a' ... 'z'] = 1,
};

static bool is_token(const char *text, size_t length) {
    uint8_t good = length > 0;
    for (size_t i = 0; i < length; i++)
        good &= token_chars[(unsigned char)text[i]];
    return good;
}

// No control characters but tabs: a bare CR is the end of a line to some readers.
static bool is_field_value(const char *text, size_t length) {
    bool bad = false;
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)text[i];
        bad |= (c < 0x20 && c != '\t') || c == 0x7F;
    }
    return !bad;
}

static enum MHD_Result scan_header(void *state, enum MHD_ValueKind kind, const char *name,
                                   size_t name_length, const char *value, size_t value_length) {
    (void)kind;
    struct header_scan *scan = state;
    // libmicrohttpd parses in place, so that a header stands where it came in. It also takes lines
    // that end in a bare LF, or go on in the next line: one reader's header is another's body.
    if (scan->line) {
        scan->bad_line = scan->bad_line || name != scan->line;
        scan->line = (value ? value + value_length : name + name_length + 1) + 2;
    }
    if (!is_token(name, name_length))
        scan->bad_name = true;
    if (value && !is_field_value(value, value_length))
        scan->bad_value = true;
    for (size_t i = 0; i < SINGLE_HEADERS; i++) {
        if (single_headers[i].length == name_length &&
            strcasecmp(single_headers[i].name, name) == 0) {
            if (scan->values[i])
                scan->twice = single_headers[i].name;
            scan->values[i] = value ? value : "";
        }
    }
    return MHD_YES;
}

static bool is_number(const char *text) {
    return text[0] && strspn(text, "0123456789") == strlen(text);
}

static bool check_form(struct http_request *request, struct problem *problem) {
    struct header_scan scan = {0};
    if (request->version)
        scan.line = request->version + strlen(request->version) + 2;
    (void)MHD_get_connection_values_n(request->connection, MHD_HEADER_KIND, scan_header, &scan);
    const char *length = scan.values[SINGLE_CONTENT_LENGTH];
    const char *coding = scan.values[SINGLE_TRANSFER_ENCODING];
    request->is_conditional = scan.values[SINGLE_IF_MATCH] != NULL;
    request->close = true; // whatever follows on this connection cannot be trusted
    if (scan.bad_line)
        return problem_set(problem, PROBLEM_MALFORMED_REQUEST,
                           "each header is one line, ended by CR LF");
    if (scan.bad_name)
        return problem_set(problem, PROBLEM_MALFORMED_REQUEST, "a header's name is not a token");
    if (scan.bad_value)
        return problem_set(problem, PROBLEM_MALFORMED_REQUEST, "a header has a control character");
    if (scan.twice)
        return problem_set(problem, PROBLEM_MALFORMED_REQUEST, "the header %s comes twice",
                           scan.twice);
    if (length && coding)
        return problem_set(problem, PROBLEM_MALFORMED_REQUEST,
                           "Content-Length and Transfer-Encoding exclude each other");
    if (length && !is_number(length))
        return problem_set(problem, PROBLEM_MALFORMED_REQUEST, "Content-Length is not a number");
    if (coding && strcasecmp(coding, "chunked") != 0)
        return problem_set(problem, PROBLEM_MALFORMED_REQUEST,
                           "the only Transfer-Encoding taken is chunked");
    // In chunks, too, libmicrohttpd takes a bare LF: nothing that follows them is a request.
    request->close = coding != NULL;
    return true;
}

// --- is there room? ----------------------------------------------------------------------------

// Routes open to everybody, by which operators see how it is, always have some.
static bool check_room(struct http_request *request, struct problem *problem) {
    struct http_server *server = request->server;
    const struct http_route *route = request->match.route;
    if (route->scope == SCOPE_NONE || (route->flags & ROUTE_EVENTS))
        return true;
    request->in_work = true;
    int64_t in_work = atomic_fetch_add(&server->requests_in_work, 1) + 1;
    if (server->options.requests_max == 0 || in_work <= server->options.requests_max)
        return true;
    problem->retry_after_s = 1;
    return problem_set(problem, PROBLEM_UNAVAILABLE, "%lld requests are in work already",
                       (long long)server->options.requests_max);
}

// --- who asks? ---------------------------------------------------------------------------------

static bool unauthenticated(struct http_request *request, struct problem *problem,
                            const char *detail) {
    respond_header_text(request, "WWW-Authenticate", "Bearer");
    return problem_set(problem, PROBLEM_UNAUTHENTICATED, "%s", detail);
}

static bool identify(const struct http_access *access, const char *token, struct http_caller *ret,
                     const char **ret_why) {
    const char *id = strncmp(token, "ol_", 3) == 0 ? token + 3 : "";
    const char *underscore = strchr(id, '_');
    if (!id[0] && access->verify)
        return access->verify(access->verify_state, token, strlen(token), ret, ret_why);
    *ret_why = "the API key is not known";
    return underscore && access->check &&
           access->check(access->state, id, (size_t)(underscore - id), underscore + 1,
                         strlen(underscore + 1), ret);
}

static bool check_scope(const struct http_request *request, struct problem *problem) {
    const struct http_route *route = request->match.route;
    if (!(request->caller.scopes & route->scope)) {
        char words[SCOPES_TEXT_MAX] UNINITIALIZED;
        scopes_format(route->scope, " or ", words);
        return problem_set(problem, PROBLEM_FORBIDDEN, "a scope is needed: %s", words);
    }
    if (http_caller_is_customer(&request->caller) && !(route->flags & ROUTE_CUSTOMERS))
        return problem_set(problem, PROBLEM_FORBIDDEN, "customers' tokens are not taken here");
    return true;
}

static bool check_caller(struct http_request *request, struct problem *problem) {
    if (request->match.route->scope == SCOPE_NONE)
        return true;
    const char *header = http_request_header(request, "Authorization");
    if (!header)
        return unauthenticated(request, problem,
                               "send 'Authorization: Bearer' and an API key or token");
    if (strncasecmp(header, "Bearer ", 7) != 0)
        return unauthenticated(request, problem, "the only Authorization taken is Bearer");
    const char *token = header + 7 + strspn(header + 7, " ");
    const char *why = "";
    if (!identify(&request->server->options.access, token, &request->caller, &why))
        return unauthenticated(request, problem, why);
    return check_scope(request, problem);
}

// --- how often? --------------------------------------------------------------------------------

static bool check_rate(struct http_request *request, struct problem *problem) {
    struct rate_limit *limit = request->server->rate_limit;
    if (!limit || request->match.route->scope == SCOPE_NONE)
        return true;
    // What names a caller, one after the other; the rest of the fields is zeros.
    const struct http_caller *caller = &request->caller;
    struct rate_limit_state state;
    rate_limit_take(limit, caller, offsetof(struct http_caller, scopes), clock_monotonic_us(),
                    &state);
    respond_header_text(request, "RateLimit-Policy", rate_limit_policy(limit));
    respond_header(request, "RateLimit", "\"caller\";r=%lld;t=%lld", (long long)state.remaining,
                   (long long)state.full_in_s);
    if (state.allowed)
        return true;
    problem->retry_after_s = (int)state.retry_after_s;
    return problem_set(problem, PROBLEM_RATE_LIMITED, "come back in %lld s",
                       (long long)state.retry_after_s);
}

// --- the query ---------------------------------------------------------------------------------

// Who sets a condition must not be taken for one who did not.
static bool check_condition(const struct http_request *request, struct problem *problem) {
    bool reads = strcmp(request->method, "GET") == 0 || strcmp(request->method, "HEAD") == 0;
    return !request->is_conditional || reads ||
           (request->match.route->flags & ROUTE_IF_MATCH) != 0 ||
           problem_set(problem, PROBLEM_INVALID_PARAMETER, "If-Match is not known here");
}

static bool check_query(struct http_request *request, struct problem *problem) {
    static const char *const none[] = {NULL};
    const char *const *names = request->match.route->query;
    const char *wrong = "";
    return http_request_query_only(request, names ? names : none, &wrong) ||
           problem_set(problem, PROBLEM_INVALID_PARAMETER,
                       "the query parameter \"%.64s\" is not known here, given twice or malformed",
                       wrong);
}

// --- the body ----------------------------------------------------------------------------------

static bool media_type_is(const char *header, const char *type) {
    size_t length = strlen(type);
    if (strncasecmp(header, type, length) != 0)
        return false;
    return header[length + strspn(header + length, " \t")] == '\0' || header[length] == ';' ||
           header[length] == ' ';
}

static bool check_body(struct http_request *request, struct problem *problem) {
    const struct http_route *route = request->match.route;
    const char *length = http_request_header(request, "Content-Length");
    const char *type = http_request_header(request, "Content-Type");
    if (route->flags & ROUTE_STREAM) {
        if (type && !media_type_is(type, "application/x-ndjson") &&
            !media_type_is(type, "application/jsonl"))
            return problem_set(problem, PROBLEM_UNSUPPORTED_MEDIA_TYPE,
                               "Content-Type is to be application/x-ndjson");
        return true;
    }
    request->body_bytes_max =
        route->body_bytes_max ? route->body_bytes_max : request->server->options.body_bytes_max;
    if (length && (strlen(length) > 18 || atoll(length) > request->body_bytes_max))
        return problem_set(problem, PROBLEM_BODY_TOO_LARGE, "at most %lld bytes are taken",
                           (long long)request->body_bytes_max);
    if ((route->flags & ROUTE_BODY) && type && !media_type_is(type, "application/json"))
        return problem_set(problem, PROBLEM_UNSUPPORTED_MEDIA_TYPE,
                           "Content-Type is to be application/json");
    return true;
}

// What is taken is given back with the request.
static bool take_body_memory(struct http_request *request, size_t size) {
    struct http_server *server = request->server;
    int64_t more = (int64_t)(size - request->body_memory);
    int64_t all = atomic_fetch_add(&server->bodies_bytes, more) + more;
    request->body_memory = size;
    return server->options.bodies_bytes_max == 0 || all <= server->options.bodies_bytes_max;
}

bool request_collect(struct http_request *request, const char *bytes, size_t length,
                     enum problem_type *ret_type) {
    if (request->body_length + length > (uint64_t)request->body_bytes_max) {
        *ret_type = PROBLEM_BODY_TOO_LARGE;
        return false;
    }
    if (request->body_length + length + 1 > request->body_size) {
        size_t size = request->body_size ? request->body_size : BODY_FIRST_BYTES;
        while (size < request->body_length + length + 1)
            size *= 2;
        char *body = take_body_memory(request, size) ? realloc(request->body, size) : NULL;
        if (!body) {
            *ret_type = PROBLEM_UNAVAILABLE;
            return false;
        }
        request->body = body;
        request->body_size = size;
    }
    memcpy(request->body + request->body_length, bytes, length);
    request->body_length += length;
    request->body[request->body_length] = '\0';
    return true;
}

bool request_can_discard(const struct http_request *request) {
    const char *length = http_request_header(request, "Content-Length");
    if (request->close || http_request_header(request, "Expect") ||
        http_request_header(request, "Transfer-Encoding"))
        return false;
    return !length || (strlen(length) < 10 && atoll(length) <= DISCARD_BYTES_MAX);
}

bool request_admit(struct http_request *request, struct problem *problem) {
    if (!check_form(request, problem))
        return false;
    if (atomic_load(&request->server->draining)) {
        request->close = true;
        problem->retry_after_s = 1;
        return problem_set(problem, PROBLEM_UNAVAILABLE, "the service is stopping");
    }
    if (!router_match(request->server->options.routes, request->method, request->uri,
                      &request->match))
        return problem_set(problem, PROBLEM_INVALID_PARAMETER, "the path is malformed");
    if (!request->match.route && request->match.path_known) {
        respond_header_text(request, "Allow", request->match.allow);
        return problem_set(problem, PROBLEM_METHOD_NOT_ALLOWED, "allowed: %s",
                           request->match.allow);
    }
    if (!request->match.route)
        return problem_set(problem, PROBLEM_NOT_FOUND, "no route has this path");
    if (request->match.route->scope != SCOPE_NONE && atomic_load(&request->server->closed)) {
        problem->retry_after_s = 1;
        return problem_set(problem, PROBLEM_UNAVAILABLE, "the service is starting");
    }
    return check_room(request, problem) && check_caller(request, problem) &&
           check_rate(request, problem) && check_query(request, problem) &&
           check_condition(request, problem) && check_body(request, problem);
}

// --- what handlers ask -------------------------------------------------------------------------

const char *http_request_param(const struct http_request *request, const char *name) {
    for (uint32_t i = 0; i < request->match.params_count; i++) {
        if (strlen(name) == request->match.params[i].name_length &&
            memcmp(name, request->match.params[i].name, request->match.params[i].name_length) == 0)
            return request->match.params[i].value;
    }
    assert(!"the route's pattern has no such parameter");
    return "";
}

static bool add_query(struct http_request *request, const char *pair, size_t length) {
    if (request->query_count == QUERY_PARAMS_MAX)
        return false;
    const char *equals = memchr(pair, '=', length);
    size_t name_length = equals ? (size_t)(equals - pair) : length;
    size_t value_length = equals ? length - name_length - 1 : 0;
    char *name = malloc(name_length + 1);
    char *value = malloc(value_length + 1);
    if (name && value && router_decode(pair, name_length, true, name, name_length + 1) &&
        router_decode(equals ? equals + 1 : "", value_length, true, value, value_length + 1)) {
        request->query_params[request->query_count].name = name;
        request->query_params[request->query_count].value = value;
        request->query_count++;
        return true;
    }
    free(name);
    free(value);
    return false;
}

static void parse_query(struct http_request *request) {
    if (request->query_parsed)
        return;
    request->query_parsed = true;
    for (const char *at = request->query; at && *at;) {
        size_t length = strcspn(at, "&");
        if (length > 0 && !add_query(request, at, length) && !request->query_bad)
            request->query_bad = at;
        at += length;
        at += *at == '&';
    }
}

const char *http_request_query(struct http_request *request, const char *name) {
    parse_query(request);
    for (uint32_t i = 0; i < request->query_count; i++) {
        if (strcmp(request->query_params[i].name, name) == 0)
            return request->query_params[i].value;
    }
    return NULL;
}

bool http_request_has_query(const struct http_request *request) {
    return request->query && request->query[0];
}

bool http_request_query_only(struct http_request *request, const char *const *names,
                             const char **ret_name) {
    parse_query(request);
    for (uint32_t i = 0; i < request->query_count; i++) {
        const char *const *known = names;
        while (*known && strcmp(*known, request->query_params[i].name) != 0)
            known++;
        bool twice = false;
        for (uint32_t j = 0; j < i; j++)
            twice =
                twice || strcmp(request->query_params[i].name, request->query_params[j].name) == 0;
        if (!*known || twice) {
            *ret_name = request->query_params[i].name;
            return false;
        }
    }
    if (!request->query_bad)
        return true;
    *ret_name = request->query_bad;
    return false;
}

const char *http_request_header(const struct http_request *request, const char *name) {
    return MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND, name);
}

const char *http_request_body(const struct http_request *request, size_t *ret_length) {
    *ret_length = request->body_length;
    return request->body ? request->body : "";
}

int http_request_thread(const struct http_request *request) {
    return (int)(request->loop - request->server->loops);
}

bool http_request_is_here(const struct http_request *request) {
    return loop_is_here(request->loop);
}

const struct http_caller *http_request_caller(const struct http_request *request) {
    return &request->caller;
}

bool http_request_holds(const struct http_request *request) {
    return http_access_holds(&request->server->options.access, &request->caller);
}

const char *http_request_method(const struct http_request *request) {
    return request->method;
}

const char *http_request_path(const struct http_request *request) {
    return request->uri;
}

// The span began with the request, whose time is that of the monotonic clock.
static void begin_span(struct http_request *request) {
    const struct http_route *route = request->match.route;
    int64_t age_us = request->start_us ? clock_monotonic_us() - request->start_us : 0;
    struct trace_context parent = request->trace;
    span_begin(&request->span, &parent, SPAN_SERVER, clock_now_us() - age_us);
    (void)snprintf(request->span.name, SPAN_NAME_MAX, "%s %s", route->method, route->pattern);
    request->span.method = route->method;
    request->span.route = route->pattern;
    request->trace = request->span.self;
    request->has_span = true;
}

static void find_trace(struct http_request *request, const uint8_t *order_id) {
    request->trace_known = true;
    const char *given = http_request_header(request, "traceparent");
    if (given && trace_parse(given, strlen(given), &request->trace))
        spans_of_caller(&request->trace);
    else if (order_id)
        spans_of_order(order_id, &request->trace);
    else
        request->trace = (struct trace_context){0};
    if (spans_are_on() && trace_is_sampled(&request->trace))
        begin_span(request);
}

const struct trace_context *http_request_trace(struct http_request *request,
                                               const uint8_t order_id[16]) {
    if (!request->trace_known)
        find_trace(request, order_id);
    if (request->has_span && order_id) {
        request->span.has_order_id = true;
        memcpy(request->span.order_id, order_id, sizeof(request->span.order_id));
    }
    return &request->trace;
}
void http_request_attach(struct http_request *request, void *attachment) {
    request->attachment = attachment;
}

void *http_request_attachment(const struct http_request *request) {
    return request->attachment;
}
