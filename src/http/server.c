// SPDX-License-Identifier: Apache-2.0
//
// libmicrohttpd's life and the callbacks it makes. One request:
//
//   on_uri      the request line has been read: the request is born, its deadline set
//   on_access   first call: headers are there; then once per piece of the body; then once more when
//               all of it has arrived; and, after a suspension, again until a response is queued
//   on_complete the answer has been sent, or the connection broke: the request dies
//
// All of these run in the thread that owns the connection. Other threads only fill in the answer
// and resume (respond.c), or allow reading on (http_request_read_more).
#include "http/server.h"

#include "request_state.h"
#include "service/clock.h"
#include "service/log.h"
#include "service/metrics.h"
#include "service/service.h"
#include "service/spans.h"
#include "service/uninitialized.h"
#include "tls.h"

#include <assert.h>
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CONNECTION_MEMORY_BYTES = 32 * 1024, LISTEN_BACKLOG = 1024, WRITE_TIMEOUT_MS = 120000 };

// A stream earns another read timeout with every so many bytes.
enum { STREAM_PROGRESS_BYTES = 64 * 1024 };

static void *on_uri(void *state, const char *uri, struct MHD_Connection *connection) {
    struct http_loop *loop = state;
    struct http_server *server = loop->server;
    struct http_request *request = request_new(loop, uri);
    if (!request)
        return NULL;
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    request->connection = connection;
    request->link = info ? info->socket_context : NULL;
    connection_set_deadline(request->link, server->options.read_timeout_ms);
    atomic_fetch_add(&server->requests_open, 1);
    metrics_add(METRIC_HTTP_REQUESTS_OPEN, 0, 1);
    return request;
}

void server_end_request(struct http_request *request) {
    struct http_server *server = request->server;
    request_free(request);
    metrics_add(METRIC_HTTP_REQUESTS_OPEN, 0, -1);
    atomic_fetch_sub(&server->requests_open, 1);
}

static void set_arrives(struct http_request *request, bool arrives) {
    request->loop->arriving += arrives;
    request->loop->arriving -= request->arrives;
    request->arrives = arrives;
}

static void on_complete(void *state, struct MHD_Connection *connection, void **request_context,
                        enum MHD_RequestTerminationCode code) {
    (void)connection;
    struct http_loop *loop = state;
    const struct http_server *server = loop->server;
    struct http_request *request = *request_context;
    if (!request)
        return;
    *request_context = NULL;
    set_arrives(request, false);
    loop_forget(loop, request);
    const struct http_route *route = request->match.route;
    if (route && route->done && request->attachment)
        route->done(request, request->attachment, code == MHD_REQUEST_TERMINATED_COMPLETED_OK);
    if (request->phase == REQUEST_QUEUED && request->status < 600)
        metrics_add(METRIC_HTTP_REQUESTS, request->status, 1);
    if (route && request->phase == REQUEST_QUEUED && server->options.measured &&
        !(route->flags & ROUTE_EVENTS))
        metrics_observe_us(METRIC_HTTP_REQUEST, (int)(route - server->options.routes->routes),
                           clock_monotonic_us() - request->start_us);
    if (request->has_span) {
        request->span.status = request->phase == REQUEST_QUEUED ? request->status : 0;
        request->span.failed = request->span.status >= 500;
        request->span.end_us = clock_now_us();
        spans_add(&request->span);
    }
    // Between requests the idle timeout counts; the next request line must not trickle in for ever.
    connection_set_deadline(request->link,
                            server->options.idle_timeout_ms + server->options.read_timeout_ms);
    int waits = REQUEST_WAITS;
    if (!atomic_compare_exchange_strong(&request->stage, &waits, REQUEST_DESERTED))
        server_end_request(request);
}

// --- one request -------------------------------------------------------------------------------

static enum MHD_Result queue(struct http_request *request) {
    assert(request->phase != REQUEST_QUEUED);
    request->phase = REQUEST_QUEUED;
    if (!request->response)
        return MHD_NO; // no memory: close
    bool stream = request->match.route && (request->match.route->flags & ROUTE_STREAM);
    set_arrives(request, false);
    loop_forget(request->loop, request);
    // What came and is answered within one round is sent in that round.
    if (request->round != request->loop->rounds)
        request->loop->queued = true;
    connection_set_deadline(request->link, stream ? 0 : WRITE_TIMEOUT_MS);
    enum MHD_Result queued =
        MHD_queue_response(request->connection, (unsigned)request->status, request->response);
    MHD_destroy_response(request->response);
    request->response = NULL;
    return queued;
}

// The answer is there already; when a short body is still to come, it is swallowed first.
static enum MHD_Result queue_or_discard(struct http_request *request) {
    if (request_can_discard(request)) {
        request->phase = REQUEST_DISCARD;
        return MHD_YES;
    }
    return queue(request);
}

static enum MHD_Result admit(struct http_request *request, const char *method,
                             const char *version) {
    struct problem problem UNINITIALIZED;
    problem_init(&problem);
    request->method = method;
    request->version = version;
    request->phase = REQUEST_BODY;
    set_arrives(request, true);
    request->loop->moved = true;
    if (!request_admit(request, &problem)) {
        respond_problem(request, &problem);
        return queue_or_discard(request);
    }
    const struct http_route *route = request->match.route;
    if (route->flags & ROUTE_STREAM) {
        route->begin(request, request->server->options.state);
        if (atomic_load(&request->stage) == REQUEST_ANSWERED)
            return queue_or_discard(request);
    }
    return MHD_YES;
}

// Some of the body. Sets *length to what is left over.
static enum MHD_Result take(struct http_request *request, const char *bytes, size_t *length) {
    request->loop->moved = true;
    if (request->phase == REQUEST_DISCARD || request->body_refused) {
        request->body_seen += *length;
        *length = 0;
        // One without end is cut off.
        return request->body_seen <= DISCARD_BYTES_MAX ? MHD_YES : MHD_NO;
    }
    const struct http_route *route = request->match.route;
    if (!(route->flags & ROUTE_STREAM)) {
        request->body_refused = !request_collect(request, bytes, *length, &request->late);
        *length = 0;
        return MHD_YES;
    }
    atomic_store(&request->read_state, READ_GOING);
    size_t taken = route->chunk(request, request->server->options.state, bytes, *length);
    assert(taken <= *length);
    uint64_t before = request->body_seen / STREAM_PROGRESS_BYTES;
    request->body_seen += taken;
    if (taken == *length) {
        if (request->body_seen / STREAM_PROGRESS_BYTES != before)
            connection_set_deadline(request->link, request->server->options.read_timeout_ms);
        *length = 0;
        return MHD_YES;
    }
    *length -= taken;
    // It is we who wait now, not the client: no deadline until reading goes on.
    connection_set_deadline(request->link, 0);
    MHD_suspend_connection(request->connection);
    int going = READ_GOING;
    if (!atomic_compare_exchange_strong(&request->read_state, &going, READ_PAUSED))
        loop_resume(request->loop, request->connection); // read_more was quicker
    return MHD_YES;
}

void http_request_read_more(struct http_request *request) {
    int paused = READ_PAUSED;
    if (atomic_compare_exchange_strong(&request->read_state, &paused, READ_GOING)) {
        connection_set_deadline(request->link, request->server->options.read_timeout_ms);
        loop_resume(request->loop, request->connection);
        return;
    }
    int going = READ_GOING;
    (void)atomic_compare_exchange_strong(&request->read_state, &going, READ_TOKEN);
}

void http_request_suspend(struct http_request *request) {
    if (atomic_load(&request->stage) == REQUEST_SUSPENDED)
        return;
    assert(atomic_load(&request->stage) == REQUEST_OPEN);
    atomic_store(&request->stage, REQUEST_SUSPENDED);
    request->suspended = true;
    MHD_suspend_connection(request->connection);
}

void http_request_wait(struct http_request *request) {
    if (atomic_load(&request->stage) == REQUEST_SUSPENDED)
        return;
    assert(atomic_load(&request->stage) == REQUEST_OPEN);
    loop_wait(request->loop, request);
}

// For lines of log: the caller's trace, and the order where one is known.
static void tell(const void *opaque, struct log_about *ret) {
    const struct http_request *request = opaque;
    const char *given = http_request_header(request, "traceparent");
    if (given)
        (void)trace_parse(given, strlen(given), &ret->trace);
    if (request->has_span) {
        ret->trace = request->trace;
        ret->has_order_id = request->span.has_order_id;
        memcpy(ret->order_id, request->span.order_id, sizeof(ret->order_id));
    }
}

// In every round, while the request waits.
static enum MHD_Result await_answer(struct http_request *request) {
    if (atomic_load(&request->stage) == REQUEST_ANSWERED)
        return queue(request);
    loop_look(request->loop, request);
    return MHD_YES;
}

// All of the body has arrived.
static enum MHD_Result handle(struct http_request *request) {
    request->phase = REQUEST_HANDLED;
    set_arrives(request, false);
    connection_set_deadline(request->link, 0);
    if (request->body_refused) {
        respond_refuse(request, request->late, "at most %lld bytes are taken",
                       (long long)request->body_bytes_max);
        return queue(request);
    }
    // A command about an order may be traced for the order's sake, once it is known: see gateway.
    if (spans_are_on() && http_request_header(request, "traceparent"))
        (void)http_request_trace(request, NULL);
    const struct log_context context = {.tell = tell, .opaque = request};
    log_context = &context;
    request->match.route->handle(request, request->server->options.state);
    log_context = NULL;
    // A suspended request may have been answered, but is queued only after it has been resumed.
    if (request->suspended)
        return MHD_YES;
    assert(request->waits || atomic_load(&request->stage) == REQUEST_ANSWERED);
    return await_answer(request);
}

static enum MHD_Result on_access(void *state, struct MHD_Connection *connection, const char *url,
                                 const char *method, const char *version, const char *upload_data,
                                 size_t *upload_data_size, void **request_context) {
    (void)state;
    (void)connection;
    (void)url;
    struct http_request *request = *request_context;
    if (!request)
        return MHD_NO; // no memory when the request was born
    switch (request->phase) {
    case REQUEST_NEW:
        return admit(request, method, version);
    case REQUEST_BODY:
        return *upload_data_size ? take(request, upload_data, upload_data_size) : handle(request);
    case REQUEST_DISCARD:
        if (*upload_data_size)
            return take(request, upload_data, upload_data_size);
        return queue(request);
    case REQUEST_HANDLED:
        return await_answer(request);
    case REQUEST_QUEUED:
        return MHD_YES;
    }
    return MHD_NO;
}

// ISO C keeps functions and objects apart; libmicrohttpd's table of options does not.
static gnutls_certificate_retrieve_function3 *const tls_retrieve_function = tls_retrieve;

// --- the server --------------------------------------------------------------------------------

__attribute__((format(printf, 2, 0))) static void on_log(void *state, const char *fmt,
                                                         va_list args) {
    (void)state;
    if (!log_enabled(LEVEL_DEBUG))
        return; // clients can cause these at will
    char text[512];
    int length = vsnprintf(text, sizeof(text), fmt, args);
    if (length > 0 && (size_t)length < sizeof(text) && text[length - 1] == '\n')
        text[length - 1] = '\0';
    LOG(DEBUG, "libmicrohttpd", F_STR("message", text));
}

static bool listen_on(const char *host, int port, int *ret_fd, int *ret_port, struct error *err) {
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    char service[16];
    (void)snprintf(service, sizeof(service), "%d", port);
    int failed = getaddrinfo(host, service, &hints, &found);
    if (failed)
        return error_set(err, DISP_FATAL, failed, "address '%s': %s", host, gai_strerror(failed));

    int on = 1;
    int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool ok = fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0 &&
              bind(fd, found->ai_addr, found->ai_addrlen) == 0 && listen(fd, LISTEN_BACKLOG) == 0;
    int saved = errno;
    freeaddrinfo(found);
    struct sockaddr_storage bound;
    socklen_t length = sizeof(bound);
    if (!ok || getsockname(fd, (struct sockaddr *)&bound, &length) != 0) {
        if (fd >= 0)
            (void)close(fd);
        return error_set(err, DISP_FATAL, saved, "listen on %s port %d: %s", host, port,
                         strerror(saved));
    }
    (void)getnameinfo((struct sockaddr *)&bound, length, NULL, 0, service, sizeof(service),
                      NI_NUMERICSERV);
    *ret_fd = fd;
    *ret_port = atoi(service);
    return true;
}

static bool has_tls(const struct http_server *server) {
    const char *file = server->options.tls_certificate_file;
    return file && file[0];
}

static bool load_certificate(struct http_server *server, struct error *err) {
    const struct http_server_options *options = &server->options;
    bool has_key = options->tls_key_file && options->tls_key_file[0];
    if (!has_tls(server) && !has_key)
        return true;
    if (!has_tls(server) || !has_key)
        return error_set(err, DISP_FATAL, 0,
                         "http.tls.certificate.file and http.tls.key.file go together");
    server->hangups_seen = service_hangups();
    return tls_load(options->tls_certificate_file, options->tls_key_file, err);
}

void http_server_reload(struct http_server *server) {
    struct error err;
    unsigned hangups = service_hangups();
    if (hangups == server->hangups_seen || !has_tls(server))
        return;
    server->hangups_seen = hangups;
    if (tls_load(server->options.tls_certificate_file, server->options.tls_key_file, &err))
        LOG(INFO, "certificate read again", F_STR("file", server->options.tls_certificate_file));
    else
        LOG(ERROR, "the certificate cannot be read again, going on with the one before",
            F_ERR(&err));
}

struct MHD_Daemon *server_start_daemon(struct http_loop *loop) {
    struct http_server *server = loop->server;
    const struct http_server_options *options = &server->options;
    unsigned flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG |
                     MHD_USE_NO_LISTEN_SOCKET; // acceptor.c adds connections
    struct MHD_OptionItem tls[] = {
        {MHD_OPTION_HTTPS_CERT_CALLBACK2, 0, NULL},
        {MHD_OPTION_HTTPS_PRIORITIES, 0, (void *)tls_priorities(options->tls_1_2)},
        {MHD_OPTION_END, 0, NULL},
    };
    memcpy(&tls[0].ptr_value, &tls_retrieve_function, sizeof(tls[0].ptr_value));
    if (has_tls(server))
        flags |= MHD_USE_TLS;
    else
        tls[0] = tls[2];
    return MHD_start_daemon(
        flags, 0, connections_accept, server, on_access, loop, MHD_OPTION_EXTERNAL_LOGGER, on_log,
        NULL, MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        (size_t)CONNECTION_MEMORY_BYTES, MHD_OPTION_CONNECTION_LIMIT,
        (unsigned)loop->connections_max, MHD_OPTION_CONNECTION_TIMEOUT,
        (unsigned)((options->idle_timeout_ms + 999) / 1000), MHD_OPTION_URI_LOG_CALLBACK, on_uri,
        loop, MHD_OPTION_NOTIFY_COMPLETED, on_complete, loop, MHD_OPTION_NOTIFY_CONNECTION,
        connections_notify, loop, MHD_OPTION_ARRAY, tls, MHD_OPTION_END);
}

// A connection is a file, and the limit that is set by default is lower than what is allowed.
static void raise_open_files(void) {
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur == files.rlim_max)
        return;
    files.rlim_cur = files.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &files);
}

static bool find_operations(struct http_server *server) {
    const struct http_routes *routes = server->options.routes;
    if (server->options.openapi == OPENAPI_NONE)
        return true;
    server->operations = calloc(routes->count, sizeof(const struct openapi_operation *));
    for (size_t i = 0; server->operations && i < routes->count; i++)
        server->operations[i] = openapi_find(server->options.openapi, routes->routes[i].method,
                                             routes->routes[i].pattern);
    return server->operations != NULL;
}

static bool limit_rate(struct http_server *server) {
    const struct http_server_options *options = &server->options;
    if (options->rate_per_second == 0)
        return true;
    server->rate_limit =
        rate_limit_new(options->rate_per_second,
                       options->rate_burst > 0 ? options->rate_burst : options->rate_per_second);
    return server->rate_limit != NULL;
}

bool http_server_start(const struct http_server_options *options, struct http_server **ret,
                       struct error *err) {
    router_check(options->routes);
    raise_open_files();
    struct http_server *server = calloc(1, sizeof(*server));
    if (!server)
        return error_set(err, DISP_FATAL, 0, "out of memory");
    server->options = *options;
    server->closed = options->closed;
    server->stop_fd = -1;
    int listen_fd = -1;
    if (!load_certificate(server, err) ||
        !listen_on(options->host, options->port, &listen_fd, &server->port, err)) {
        free(server);
        return false;
    }
    server->listen_fd = listen_fd;
    for (int type = PROBLEM_NONE + 1; type < PROBLEM_COUNT; type++)
        metrics_name_series(METRIC_HTTP_REFUSED, type, problem_name((enum problem_type)type));
    metrics_add(METRIC_HTTP_REFUSED, PROBLEM_CATALOGUE_STALE, 0); // an alert watches its increase
    for (size_t i = 0; options->measured && i < options->routes->count; i++)
        metrics_name_series(METRIC_HTTP_REQUEST, (int)i, options->routes->routes[i].pattern);
    if (!find_operations(server) || !limit_rate(server) || !connections_start(server) ||
        !loops_start(server)) {
        connections_stop(server);
        server_close_listening(server);
        free(server->operations);
        rate_limit_free(server->rate_limit);
        free(server);
        return error_set(err, DISP_FATAL, 0, "cannot start the HTTP server");
    }
    LOG(INFO, "listening", F_STR("host", options->host), F_INT("port", server->port),
        F_BOOL("tls", has_tls(server)));
    *ret = server;
    return true;
}

void http_server_open(struct http_server *server, struct http_access access) {
    server->options.access = access; // read only where it is open
    atomic_store(&server->closed, false);
}

void server_close_listening(struct http_server *server) {
    const int fd = atomic_exchange(&server->listen_fd, -1);
    if (fd >= 0)
        (void)close(fd);
}

bool http_server_drain(struct http_server *server, int64_t timeout_ms) {
    atomic_store(&server->draining, true);
    loop_hold(server->loops);
    loop_wake(server->loops); // it closes what it listens on
    // Looking a few times a second is enough here, and needs nothing from the hot path.
    int64_t deadline_ms = clock_monotonic_ms() + timeout_ms;
    int fd = eventfd(0, EFD_CLOEXEC);
    struct pollfd timer = {.fd = fd, .events = POLLIN};
    while ((atomic_load(&server->requests_open) > 0 || atomic_load(&server->listen_fd) >= 0) &&
           clock_monotonic_ms() < deadline_ms)
        (void)poll(&timer, 1, 20);
    (void)close(fd);
    return atomic_load(&server->requests_open) == 0;
}

void http_server_free(struct http_server *server) {
    if (!server)
        return;
    loops_stop(server);
    server_close_listening(server);
    connections_stop(server);
    if (has_tls(server))
        tls_forget();
    free(server->operations);
    rate_limit_free(server->rate_limit);
    free(server);
}

int http_server_port(const struct http_server *server) {
    return server->port;
}
