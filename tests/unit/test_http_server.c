// SPDX-License-Identifier: Apache-2.0
//
// The HTTP server over real sockets: strict, bounded, and right about who answers when.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "http/admin.h"
#include "http/respond.h"
#include "http/server.h"
#include "service/clock.h"
#include "service/log.h"

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { WAIT_MS = 5000, READ_TIMEOUT_MS = 600, BODY_MAX = 10000 };

static struct http_server *server;

// --- handlers ----------------------------------------------------------------------------------

static void answer(struct http_request *request, const char *text) {
    respond_json_take(request, 200, strdup(text), strlen(text));
}

static void handle_echo(struct http_request *request, void *state) {
    (void)state;
    size_t length = 0;
    const char *body = http_request_body(request, &length);
    char text[256];
    (void)snprintf(text, sizeof(text), "[%zu %.20s %s]", length, body,
                   http_request_caller(request)->shop_id);
    const struct trace_context *trace = http_request_trace(request, NULL);
    char parent[TRACE_TEXT_LEN + 1] = "none";
    if (trace->is_set)
        trace_format(trace, parent);
    respond_header(request, "X-Trace", "%s", parent);
    answer(request, text);
}

static void *answer_later(void *arg) {
    answer(arg, "later");
    return NULL;
}

static void handle_later(struct http_request *request, void *state) {
    (void)state;
    pthread_t thread;
    http_request_suspend(request);
    assert_int_equal(pthread_create(&thread, NULL, answer_later, request), 0);
    assert_int_equal(pthread_detach(thread), 0);
}

static void handle_at_once(struct http_request *request, void *state) {
    (void)state;
    http_request_suspend(request);
    answer(request, "suspended and answered at once");
}

static void handle_later_waiting(struct http_request *request, void *state) {
    (void)state;
    pthread_t thread;
    http_request_wait(request);
    assert_int_equal(pthread_create(&thread, NULL, answer_later, request), 0);
    assert_int_equal(pthread_detach(thread), 0);
}

static void handle_at_once_waiting(struct http_request *request, void *state) {
    (void)state;
    http_request_wait(request);
    answer(request, "waited and answered at once");
}

static _Atomic(struct http_request *) held;
static sem_t held_ready;
static _Atomic int done_calls;

static void handle_hold(struct http_request *request, void *state) {
    (void)state;
    http_request_attach(request, &held);
    http_request_suspend(request);
    atomic_store(&held, request);
    assert_int_equal(sem_post(&held_ready), 0);
}

// All of them are kept until there are as many as wanted.
enum { CROWD_MAX = 40 };
static pthread_mutex_t crowd_lock = PTHREAD_MUTEX_INITIALIZER;
static struct http_request *crowd[CROWD_MAX];
static int crowd_count;

static void handle_wait(struct http_request *request, void *state) {
    (void)state;
    http_request_wait(request);
    (void)pthread_mutex_lock(&crowd_lock);
    assert_true(crowd_count < CROWD_MAX);
    crowd[crowd_count++] = request;
    (void)pthread_mutex_unlock(&crowd_lock);
    assert_int_equal(sem_post(&held_ready), 0);
}

static void answer_crowd(bool together) {
    if (together)
        respond_together_begin();
    for (int i = 0; i < crowd_count; i++)
        answer(crowd[i], "waited");
    crowd_count = 0;
    if (together)
        respond_together_end();
}

static void count_done(struct http_request *request, void *attachment, bool complete) {
    (void)request;
    (void)complete;
    assert_ptr_equal(attachment, &held);
    atomic_fetch_add(&done_calls, 1);
}

// A stream whose handler takes at most 1000 bytes at a time and pauses after each piece.
struct stream {
    uint64_t bytes;
    uint64_t sum;
};

static void begin_stream(struct http_request *request, void *state) {
    (void)state;
    if (http_request_query(request, "refuse")) {
        respond_refuse(request, PROBLEM_BACKLOG, "not now");
        return;
    }
    struct stream *stream = calloc(1, sizeof(*stream));
    assert_non_null(stream);
    http_request_attach(request, stream);
}

static void *read_more_later(void *arg) {
    http_request_read_more(arg);
    return NULL;
}

static size_t take_stream(struct http_request *request, void *state, const char *bytes,
                          size_t length) {
    (void)state;
    struct stream *stream = http_request_attachment(request);
    size_t taken = length < 1000 ? length : 1000;
    for (size_t i = 0; i < taken; i++)
        stream->sum += (unsigned char)bytes[i];
    stream->bytes += taken;
    if (taken == length)
        return taken;
    // Both orders happen: before this returns, and after.
    if ((stream->bytes / 1000) % 2) {
        http_request_read_more(request);
    } else {
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, read_more_later, request), 0);
        assert_int_equal(pthread_detach(thread), 0);
    }
    return taken;
}

static void handle_stream(struct http_request *request, void *state) {
    (void)state;
    struct stream *stream = http_request_attachment(request);
    char text[64];
    (void)snprintf(text, sizeof(text), "%llu %llu", (unsigned long long)stream->bytes,
                   (unsigned long long)stream->sum);
    answer(request, text);
}

static void free_stream(struct http_request *request, void *attachment, bool complete) {
    (void)request;
    (void)complete;
    free(attachment);
}

static const char *const stream_query[] = {"refuse", NULL};

static const struct http_route rows[] = {
    {.method = "GET", .pattern = "/livez", .summary = "s", .handle = admin_handle_livez},
    {.method = "POST",
     .pattern = "/echo",
     .scope = SCOPE_ORDERS_WRITE,
     .flags = ROUTE_BODY,
     .summary = "s",
     .handle = handle_echo},
    {.method = "POST",
     .pattern = "/import",
     .scope = SCOPE_ORDERS_IMPORT | SCOPE_CATALOG_WRITE,
     .flags = ROUTE_BODY,
     .summary = "s",
     .handle = handle_echo},
    {.method = "GET", .pattern = "/later", .summary = "s", .handle = handle_later},
    {.method = "GET", .pattern = "/at-once", .summary = "s", .handle = handle_at_once},
    {.method = "GET",
     .pattern = "/hold",
     .summary = "s",
     .handle = handle_hold,
     .done = count_done},
    {.method = "GET", .pattern = "/later-waiting", .summary = "l", .handle = handle_later_waiting},
    {.method = "GET",
     .pattern = "/at-once-waiting",
     .summary = "a",
     .handle = handle_at_once_waiting},
    {.method = "GET", .pattern = "/wait", .summary = "w", .handle = handle_wait},
    {.method = "POST",
     .pattern = "/stream",
     .query = stream_query,
     .flags = ROUTE_STREAM,
     .summary = "s",
     .begin = begin_stream,
     .chunk = take_stream,
     .handle = handle_stream,
     .done = free_stream},
};
static const struct http_routes routes = {rows, sizeof(rows) / sizeof(rows[0])};

static bool check_key(void *state, const char *id, size_t id_length, const char *secret,
                      size_t secret_length, struct http_caller *ret_caller) {
    (void)state;
    if (id_length != 2 || memcmp(id, "k1", 2) != 0)
        return false;
    if (secret_length != 6 || memcmp(secret, "s_cret", 6) != 0)
        return false;
    *ret_caller =
        (struct http_caller){.shop_id = "main", .key_id = "k1", .scopes = SCOPE_ORDERS_WRITE};
    return true;
}

#define KEY "Authorization: Bearer ol_k1_s_cret\r\n"
#define HOST "Host: h\r\n"

// --- a client ----------------------------------------------------------------------------------

static int dial(void) {
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)http_server_port(server))};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

static void send_all(int fd, const char *bytes, size_t length) {
    while (length > 0) {
        ssize_t sent = send(fd, bytes, length, MSG_NOSIGNAL);
        assert_true(sent > 0);
        bytes += sent;
        length -= (size_t)sent;
    }
}

static void send_text(int fd, const char *text) {
    send_all(fd, text, strlen(text));
}

// Reads until one whole answer is there (by its Content-Length), or the end. True: still open.
static bool receive(int fd, char *into, size_t size) {
    size_t used = 0;
    int64_t deadline_ms = clock_monotonic_ms() + WAIT_MS;
    into[0] = '\0';
    for (;;) {
        const char *body = strstr(into, "\r\n\r\n");
        const char *length = strcasestr(into, "Content-Length: ");
        if (body && length && used >= (size_t)(body + 4 - into) + (size_t)atoll(length + 16))
            return true;
        struct pollfd readable = {.fd = fd, .events = POLLIN};
        int64_t left_ms = deadline_ms - clock_monotonic_ms();
        assert_true(left_ms > 0);
        if (poll(&readable, 1, (int)left_ms) <= 0)
            continue;
        ssize_t got = recv(fd, into + used, size - 1 - used, 0);
        if (got <= 0)
            return false;
        used += (size_t)got;
        into[used] = '\0';
    }
}

static bool is_closed(int fd) {
    struct pollfd readable = {.fd = fd, .events = POLLIN};
    char rest[256];
    while (poll(&readable, 1, WAIT_MS) == 1) {
        if (recv(fd, rest, sizeof(rest), 0) <= 0)
            return true;
    }
    return false;
}

// Sends, expects a status and a text in the answer; returns whether the connection was closed.
static void expect(const char *request, const char *status, const char *text, bool closes) {
    char reply[8192];
    int fd = dial();
    send_all(fd, request, strlen(request));
    (void)receive(fd, reply, sizeof(reply));
    if (strncmp(reply + 9, status, 3) != 0 || (text && !strstr(reply, text)))
        fail_msg("%s\n--- was answered\n%s\n--- not %s %s", request, reply, status, text);
    if (closes) {
        assert_true(is_closed(fd));
    } else {
        send_text(fd, "GET /livez HTTP/1.1\r\n" HOST "\r\n");
        assert_true(receive(fd, reply, sizeof(reply)));
        assert_non_null(strstr(reply, " 200 "));
    }
    assert_int_equal(close(fd), 0);
}

// --- the promises ------------------------------------------------------------------------------

static void a_request_is_routed_checked_and_answered(void **state) {
    (void)state;
    expect("GET /livez HTTP/1.1\r\n" HOST "\r\n", "200", "ok\n", false);
    expect("POST /echo HTTP/1.1\r\n" HOST KEY "Content-Length: 2\r\n\r\n{}", "200", "[2 {} main]",
           false);
    expect("POST /echo HTTP/1.1\r\n" HOST KEY
           "Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\n\r\n",
           "200", "[2 {} main]", true);
    expect("POST /echo HTTP/1.1\r\n" HOST KEY "Content-Type: application/json; charset=utf-8\r\n"
           "Content-Length: 2\r\n\r\n{}",
           "200", "[2 {} main]", false);
}

static void a_refusal_has_its_status_and_type_and_keeps_the_connection(void **state) {
    (void)state;
    expect("GET /nothing HTTP/1.1\r\n" HOST "\r\n", "404", "problem:not-found", false);
    expect("GET /a%00 HTTP/1.1\r\n" HOST "\r\n", "400", "problem:invalid-parameter", false);
    expect("GET /echo HTTP/1.1\r\n" HOST "\r\n", "405", "Allow: POST", false);
    expect("POST /echo HTTP/1.1\r\n" HOST "Content-Length: 2\r\n\r\n{}", "401",
           "WWW-Authenticate: Bearer", false);
    expect("POST /echo HTTP/1.1\r\n" HOST "Authorization: Basic eDp5\r\n\r\n", "401",
           "problem:unauthenticated", false);
    expect("POST /echo HTTP/1.1\r\n" HOST "Authorization: Bearer ol_k1_s_cre\r\n\r\n", "401",
           "problem:unauthenticated", false);
    expect("POST /echo HTTP/1.1\r\n" HOST "Authorization: Bearer ol_\r\n\r\n", "401",
           "problem:unauthenticated", false);
    expect("POST /import HTTP/1.1\r\n" HOST KEY "Content-Length: 2\r\n\r\n{}", "403",
           "problem:forbidden", false);
    expect("POST /echo HTTP/1.1\r\n" HOST KEY
           "Content-Type: text/plain\r\nContent-Length: 2\r\n\r\n{}",
           "415", "problem:unsupported-media-type", false);
}

static void ambiguous_framing_is_refused_and_the_connection_closed(void **state) {
    (void)state;
    static const char *const requests[] = {
        "POST /echo HTTP/1.1\r\n" HOST KEY "Content-Length: 2\r\nContent-Length: 40\r\n\r\n{}",
        "POST /echo HTTP/1.1\r\n" HOST KEY "Content-Length: 2\r\ncontent-length: 2\r\n\r\n{}",
        "POST /echo HTTP/1.1\r\n" HOST KEY
        "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST /echo HTTP/1.1\r\n" HOST KEY "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "POST /echo HTTP/1.1\r\n" HOST KEY
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "GET /livez HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "POST /echo HTTP/1.1\r\n" HOST KEY "Content-Length : 2\r\n\r\n{}",
        "POST /echo HTTP/1.1\r\n" HOST KEY KEY "Content-Length: 2\r\n\r\n{}",
        "POST /echo HTTP/1.1\r\n" HOST KEY "Content-Length: +2\r\n\r\n{}",
        // Lines that end in a bare LF: the request's, a header's, the one before another.
        "GET /livez HTTP/1.1\n" HOST "\r\n",
        "POST /echo HTTP/1.1\r\n" HOST "X-A: b\n" KEY "Content-Length: 2\r\n\r\n{}",
        "POST /echo HTTP/1.1\r\n" HOST KEY "X-A: b\nContent-Length: 2\r\n\r\n{}",
        // And those that go on in the next.
        "POST /echo HTTP/1.1\r\n" HOST KEY "X-A: b\r\n c\r\nContent-Length: 2\r\n\r\n{}",
        "POST /echo HTTP/1.1\r\n" HOST KEY "Content-Length: 2\r\nX-A: b\r\n c\r\n\r\n{}",
        "POST /echo HTTP/1.1\r\n" HOST KEY "Content-Length: 99999999999999999999999\r\n\r\n{}",
    };
    enum { REQUESTS = sizeof(requests) / sizeof(requests[0]) };
    for (size_t i = 0; i < REQUESTS; i++)
        expect(requests[i], i == REQUESTS - 1 ? "413" : "400", NULL, true);
}

static void many_headers_in_small_pieces_are_one_request(void **state) {
    (void)state;
    static char text[28 * 1024];
    size_t length = (size_t)snprintf(text, sizeof(text), "GET /at-once HTTP/1.1\r\n" HOST);
    for (int i = 0; i < 120; i++)
        length += (size_t)snprintf(text + length, sizeof(text) - length, "X-%d: %0150d\r\n", i, i);
    length += (size_t)snprintf(text + length, sizeof(text) - length, "\r\n");
    char reply[8192];
    int fd = dial();
    for (size_t at = 0; at < length; at += 700)
        send_all(fd, text + at, length - at < 700 ? length - at : 700);
    assert_true(receive(fd, reply, sizeof(reply)));
    assert_non_null(strstr(reply, " 200 "));
    assert_int_equal(close(fd), 0);
}

static void a_smuggled_second_request_is_never_served(void **state) {
    (void)state;
    char reply[8192];
    int fd = dial();
    static const char text[] =
        "POST /echo HTTP/1.1\r\n" HOST KEY "Content-Length: 0\r\nContent-Length: 40\r\n\r\n"
        "GET /livez HTTP/1.1\r\n" HOST "\r\n";
    send_all(fd, text, strlen(text));
    (void)receive(fd, reply, sizeof(reply));
    assert_null(strstr(reply, " 200 "));
    assert_true(is_closed(fd));
    assert_int_equal(close(fd), 0);
}

static void a_body_over_the_limit_is_refused(void **state) {
    (void)state;
    static char request[BODY_MAX + 400];
    int length = snprintf(request, sizeof(request),
                          "POST /echo HTTP/1.1\r\n" HOST KEY "Content-Length: %d\r\n\r\n%*s",
                          BODY_MAX + 1, BODY_MAX + 1, "x");
    assert_true(length > 0 && (size_t)length < sizeof(request));
    expect(request, "413", "problem:body-too-large", false);
    // Announced too large to be swallowed: answered before it is sent.
    expect("POST /echo HTTP/1.1\r\n" HOST KEY "Content-Length: 100000000\r\n\r\n", "413",
           "problem:body-too-large", true);
    // Not announced.
    length = snprintf(request, sizeof(request),
                      "POST /echo HTTP/1.1\r\n" HOST KEY
                      "Transfer-Encoding: chunked\r\n\r\n%x\r\n%*s\r\n0\r\n\r\n",
                      BODY_MAX + 1, BODY_MAX + 1, "x");
    assert_true(length > 0 && (size_t)length < sizeof(request));
    expect(request, "413", "problem:body-too-large", true);
}

static void any_thread_may_answer_a_suspended_request(void **state) {
    (void)state;
    for (int i = 0; i < 200; i++) {
        expect("GET /later HTTP/1.1\r\n" HOST "\r\n", "200", "later", false);
        expect("GET /at-once HTTP/1.1\r\n" HOST "\r\n", "200", "at once", false);
    }
}

static void wait_until_done(int calls) {
    int64_t deadline_ms = clock_monotonic_ms() + WAIT_MS;
    while (atomic_load(&done_calls) != calls) {
        assert_true(clock_monotonic_ms() < deadline_ms);
        (void)poll(NULL, 0, 5);
    }
}

static void others_are_served_while_requests_are_suspended(void **state) {
    (void)state;
    enum { HELD = 20 };
    int fds[HELD];
    struct http_request *requests[HELD];
    int before = atomic_load(&done_calls);
    for (int i = 0; i < HELD; i++) {
        fds[i] = dial();
        send_text(fds[i], "GET /hold HTTP/1.1\r\n" HOST "\r\n");
        assert_int_equal(sem_wait(&held_ready), 0);
        requests[i] = atomic_load(&held);
        expect("GET /later HTTP/1.1\r\n" HOST "\r\n", "200", "later", false);
    }
    char reply[8192];
    for (int i = 0; i < HELD; i++) {
        respond_refuse(requests[i], PROBLEM_OUTCOME_UNKNOWN, "x");
        assert_true(receive(fds[i], reply, sizeof(reply)));
        assert_non_null(strstr(reply, " 504 "));
        assert_int_equal(close(fds[i]), 0);
    }
    wait_until_done(before + HELD);
}

static void a_client_that_leaves_does_not_take_its_request_with_it(void **state) {
    (void)state;
    int before = atomic_load(&done_calls);
    int fd = dial();
    send_text(fd, "GET /hold HTTP/1.1\r\n" HOST "\r\n");
    assert_int_equal(sem_wait(&held_ready), 0);
    struct linger reset = {.l_onoff = 1, .l_linger = 0};
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)), 0);
    assert_int_equal(close(fd), 0);
    expect("GET /livez HTTP/1.1\r\n" HOST "\r\n", "200", NULL, false);
    assert_int_equal(atomic_load(&done_calls), before);
    answer(atomic_load(&held), "to nobody");
    wait_until_done(before + 1);
}

static void any_thread_may_answer_a_request_that_waits(void **state) {
    (void)state;
    for (int i = 0; i < 50; i++) {
        expect("GET /later-waiting HTTP/1.1\r\n" HOST "\r\n", "200", "later", false);
        expect("GET /at-once-waiting HTTP/1.1\r\n" HOST "\r\n", "200", "waited and", false);
    }
}

// Until what waits is suspended after all.
static void serve_others(int64_t for_ms) {
    const int64_t until_ms = clock_monotonic_ms() + for_ms;
    do
        expect("GET /livez HTTP/1.1\r\n" HOST "\r\n", "200", NULL, false);
    while (clock_monotonic_ms() < until_ms);
}

static void all_that_wait_are_answered_and_others_served_meanwhile(void **state) {
    (void)state;
    int fds[CROWD_MAX];
    char reply[8192];
    for (int i = 0; i < CROWD_MAX; i++)
        fds[i] = dial();
    for (int round = 0; round < 4; round++) {
        for (int i = 0; i < CROWD_MAX; i++) // the second is there before the first is answered
            send_text(fds[i], "GET /wait HTTP/1.1\r\n" HOST "\r\n"
                              "GET /livez HTTP/1.1\r\n" HOST "\r\n");
        for (int i = 0; i < CROWD_MAX; i++)
            assert_int_equal(sem_wait(&held_ready), 0);
        serve_others(round < 2 ? 0 : 250);
        answer_crowd(round % 2 == 0);
        for (int i = 0; i < CROWD_MAX; i++) {
            do
                assert_true(receive(fds[i], reply, sizeof(reply)));
            while (!strstr(reply, "ok\n"));
        }
    }
    for (int i = 0; i < CROWD_MAX; i++)
        assert_int_equal(close(fds[i]), 0);
}

static int64_t cpu_ms(void) {
    struct timespec used;
    assert_int_equal(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used), 0);
    return used.tv_sec * 1000 + used.tv_nsec / 1000000;
}

static void a_request_that_waits_takes_no_time(void **state) {
    (void)state;
    char reply[8192];
    int fd = dial();
    send_text(fd, "GET /wait HTTP/1.1\r\n" HOST "\r\n");
    assert_int_equal(sem_wait(&held_ready), 0);
    const int64_t before_ms = cpu_ms();
    struct pollfd never = {.fd = fd, .events = POLLIN};
    assert_int_equal(poll(&never, 1, 400), 0);
    assert_true(cpu_ms() - before_ms < 100);
    answer_crowd(false);
    assert_true(receive(fd, reply, sizeof(reply)));
    assert_int_equal(close(fd), 0);
}

static void a_client_that_leaves_while_its_request_waits_harms_nobody(void **state) {
    (void)state;
    static const struct linger reset = {.l_onoff = 1, .l_linger = 0};
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < CROWD_MAX; i++) {
            int fd = dial();
            send_text(fd, "GET /wait HTTP/1.1\r\n" HOST "\r\n");
            assert_int_equal(sem_wait(&held_ready), 0);
            assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)), 0);
            assert_int_equal(close(fd), 0);
        }
        serve_others(round == 0 ? 0 : 250);
        answer_crowd(true);
        serve_others(0);
    }
}

static void a_stream_may_pause_and_gets_every_byte(void **state) {
    (void)state;
    enum { BYTES = 300000 };
    char *bytes = malloc(BYTES);
    assert_non_null(bytes);
    uint64_t sum = 0;
    for (int i = 0; i < BYTES; i++) {
        bytes[i] = (char)(i * 7);
        sum += (unsigned char)bytes[i];
    }
    char text[256];
    (void)snprintf(text, sizeof(text),
                   "POST /stream HTTP/1.1\r\n" HOST "Content-Length: %d\r\n\r\n", BYTES);
    char expected[64];
    (void)snprintf(expected, sizeof(expected), "%d %llu", BYTES, (unsigned long long)sum);
    char reply[8192];
    int fd = dial();
    for (int round = 0; round < 3; round++) {
        send_all(fd, text, strlen(text));
        send_all(fd, bytes, BYTES);
        assert_true(receive(fd, reply, sizeof(reply)));
        assert_non_null(strstr(reply, expected));
    }
    assert_int_equal(close(fd), 0);
    free(bytes);
    expect("POST /stream?refuse=1 HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\nabc", "503",
           "problem:backlog", false);
}

static void a_request_that_trickles_in_is_cut_off(void **state) {
    (void)state;
    static const char *const starts[] = {
        "GET /li",
        "GET /livez HTTP/1.1\r\nHost:",
        "POST /echo HTTP/1.1\r\n" HOST KEY "Content-Length: 1000\r\n\r\n",
    };
    for (size_t i = 0; i < sizeof(starts) / sizeof(starts[0]); i++) {
        const int64_t start_ms = clock_coarse_ms(); // by which deadlines are set
        int fd = dial();
        send_all(fd, starts[i], strlen(starts[i]));
        struct pollfd readable = {.fd = fd, .events = POLLIN};
        // A byte now and then keeps libmicrohttpd's own time-out from ever firing.
        while (poll(&readable, 1, 50) == 0) {
            assert_true(clock_monotonic_ms() - start_ms < WAIT_MS);
            (void)send(fd, "x", 1, MSG_NOSIGNAL);
        }
        assert_true(is_closed(fd));
        assert_true(clock_monotonic_ms() - start_ms >= READ_TIMEOUT_MS);
        assert_int_equal(close(fd), 0);
    }
}

static void trace_context_is_kept(void **state) {
    (void)state;
    expect("POST /echo HTTP/1.1\r\n" HOST KEY
           "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n"
           "Content-Length: 2\r\n\r\n{}",
           "200", "X-Trace: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", false);
    expect("POST /echo HTTP/1.1\r\n" HOST KEY "traceparent: 00-zz\r\nContent-Length: 2\r\n\r\n{}",
           "200", "X-Trace: none", false);
}

static const struct http_server_options server_options = {
    .host = "127.0.0.1",
    .threads = 2,
    .connections_max = 100,
    .connections_per_ip_max = 100,
    .body_bytes_max = BODY_MAX,
    .idle_timeout_ms = 30000,
    .read_timeout_ms = READ_TIMEOUT_MS,
    .routes = &routes,
    .access = {.check = check_key},
    .measured = true,
};

static void until_it_is_opened_only_health_is_answered(void **state) {
    (void)state;
    http_server_free(server);
    struct error err;
    struct http_server_options options = server_options;
    options.closed = true;
    options.access = (struct http_access){0};
    assert_true(http_server_start(&options, &server, &err));
    expect("GET /livez HTTP/1.1\r\n" HOST "\r\n", "200", "", false);
    expect("POST /echo HTTP/1.1\r\n" HOST KEY "Content-Length: 2\r\n\r\n{}", "503",
           "Retry-After: 1", false);
    http_server_open(server, server_options.access);
    expect("POST /echo HTTP/1.1\r\n" HOST KEY "Content-Length: 2\r\n\r\n{}", "200", "", false);
}

static void draining_answers_what_is_open_and_takes_nothing_new(void **state) {
    (void)state;
    int idle = dial();
    send_text(idle, "GET /livez HTTP/1.1\r\n" HOST "\r\n");
    char reply[8192];
    assert_true(receive(idle, reply, sizeof(reply)));
    int fd = dial();
    send_text(fd, "GET /hold HTTP/1.1\r\n" HOST "\r\n");
    assert_int_equal(sem_wait(&held_ready), 0);
    assert_false(http_server_drain(server, 50));
    send_text(idle, "GET /livez HTTP/1.1\r\n" HOST "\r\n");
    (void)receive(idle, reply, sizeof(reply));
    if (!strstr(reply, " 503 "))
        fail_msg("answered %s", reply);
    answer(atomic_load(&held), "last");
    assert_true(receive(fd, reply, sizeof(reply)));
    assert_non_null(strstr(reply, "last"));
    assert_true(http_server_drain(server, WAIT_MS));
    assert_int_equal(close(fd), 0);
    assert_int_equal(close(idle), 0);
}

static bool is_served(int fd) {
    static const char request[] = "GET /livez HTTP/1.1\r\n" HOST "\r\n";
    char reply[8192];
    (void)send(fd, request, sizeof(request) - 1, MSG_NOSIGNAL); // it may be closed already
    return receive(fd, reply, sizeof(reply));
}

// A client sees that a connection is closed before it is counted no more.
static int dial_until_served(void) {
    const int64_t until_ms = clock_monotonic_ms() + WAIT_MS;
    int fd = dial();
    while (!is_served(fd)) {
        assert_true(clock_monotonic_ms() < until_ms);
        assert_int_equal(close(fd), 0);
        fd = dial();
    }
    return fd;
}

static void an_address_has_so_many_connections(void **state) {
    (void)state;
    http_server_free(server);
    struct error err;
    struct http_server_options options = server_options;
    options.connections_per_ip_max = 3;
    assert_true(http_server_start(&options, &server, &err));
    int fds[3];
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 3; i++)
            fds[i] = dial_until_served();
        int more = dial();
        assert_true(is_closed(more));
        assert_int_equal(close(more), 0);
        for (int i = 0; i < 3; i++)
            assert_int_equal(close(fds[i]), 0);
    }
    http_server_free(server);
    assert_true(http_server_start(&server_options, &server, &err));
}

static int start(void **state) {
    (void)state;
    log_init(LEVEL_WARN, LOG_FORMAT_TEXT, NULL, -1);
    struct error err = {0};
    if (sem_init(&held_ready, 0, 0) != 0 || !http_server_start(&server_options, &server, &err))
        return -1;
    return 0;
}

static int stop(void **state) {
    (void)state;
    http_server_free(server);
    return sem_destroy(&held_ready);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_is_routed_checked_and_answered),
        cmocka_unit_test(a_refusal_has_its_status_and_type_and_keeps_the_connection),
        cmocka_unit_test(ambiguous_framing_is_refused_and_the_connection_closed),
        cmocka_unit_test(many_headers_in_small_pieces_are_one_request),
        cmocka_unit_test(a_smuggled_second_request_is_never_served),
        cmocka_unit_test(a_body_over_the_limit_is_refused),
        cmocka_unit_test(any_thread_may_answer_a_suspended_request),
        cmocka_unit_test(others_are_served_while_requests_are_suspended),
        cmocka_unit_test(a_client_that_leaves_does_not_take_its_request_with_it),
        cmocka_unit_test(any_thread_may_answer_a_request_that_waits),
        cmocka_unit_test(all_that_wait_are_answered_and_others_served_meanwhile),
        cmocka_unit_test(a_request_that_waits_takes_no_time),
        cmocka_unit_test(a_client_that_leaves_while_its_request_waits_harms_nobody),
        cmocka_unit_test(a_stream_may_pause_and_gets_every_byte),
        cmocka_unit_test(a_request_that_trickles_in_is_cut_off),
        cmocka_unit_test(trace_context_is_kept),
        cmocka_unit_test(until_it_is_opened_only_health_is_answered),
        cmocka_unit_test(an_address_has_so_many_connections),
        cmocka_unit_test(draining_answers_what_is_open_and_takes_nothing_new),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
