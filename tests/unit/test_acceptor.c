// SPDX-License-Identifier: Apache-2.0
//
// Which thread serves a connection, and what happens where there is room for no more of them.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "http/respond.h"
#include "http/server.h"
#include "service/clock.h"
#include "service/log.h"

#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { THREADS = 4, WAIT_MS = 5000 };

static void handle_thread(struct http_request *request, void *state) {
    (void)state;
    char *text = malloc(16);
    assert_non_null(text);
    const int length = snprintf(text, 16, "thread=%d", http_request_thread(request));
    assert_true(http_request_is_here(request));
    respond_json_take(request, 200, text, (size_t)length);
}

static const struct http_route rows[] = {
    {.method = "GET", .pattern = "/thread", .summary = "s", .handle = handle_thread},
};
static const struct http_routes routes = {rows, sizeof(rows) / sizeof(rows[0])};

static struct http_server *start(int connections_max) {
    const struct http_server_options options = {
        .host = "127.0.0.1",
        .threads = THREADS,
        .connections_max = connections_max,
        .connections_per_ip_max = 1000,
        .body_bytes_max = 1000,
        .idle_timeout_ms = 30000,
        .read_timeout_ms = 30000,
        .routes = &routes,
    };
    struct http_server *server;
    struct error err;
    assert_true(http_server_start(&options, &server, &err));
    return server;
}

static int dial(const struct http_server *server) {
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)http_server_port(server)),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

static void ask(int fd) {
    static const char request[] = "GET /thread HTTP/1.1\r\nHost: h\r\n\r\n";
    assert_int_equal(send(fd, request, sizeof(request) - 1, MSG_NOSIGNAL), sizeof(request) - 1);
}

// The thread that has answered.
static int hear(int fd) {
    char reply[2048] = "";
    size_t used = 0;
    const char *found = NULL;
    const int64_t deadline_ms = clock_monotonic_ms() + WAIT_MS;
    while (!(found = strstr(reply, "thread="))) {
        struct pollfd readable = {.fd = fd, .events = POLLIN};
        assert_true(clock_monotonic_ms() < deadline_ms);
        if (poll(&readable, 1, WAIT_MS) != 1)
            continue;
        const ssize_t got = recv(fd, reply + used, sizeof(reply) - 1 - used, 0);
        assert_true(got > 0);
        used += (size_t)got;
    }
    return atoi(found + strlen("thread="));
}

static int thread_of(int fd) {
    ask(fd);
    return hear(fd);
}

static void each_thread_has_as_many_connections(void **state) {
    (void)state;
    enum { EACH = 10 };
    struct http_server *server = start(100);
    int fds[EACH * THREADS], counts[THREADS] = {0};
    for (int i = 0; i < EACH * THREADS; i++)
        fds[i] = dial(server);
    for (int i = 0; i < EACH * THREADS; i++)
        counts[thread_of(fds[i])]++;
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(counts[i], EACH);
    for (int i = 0; i < EACH * THREADS; i++)
        assert_int_equal(close(fds[i]), 0);
    http_server_free(server);
}

static void who_finds_no_room_waits_until_a_connection_ends(void **state) {
    (void)state;
    enum { ROOM = 6, MORE = 5 };
    struct http_server *server = start(ROOM);
    int fds[ROOM], more[MORE];
    for (int i = 0; i < ROOM; i++) {
        fds[i] = dial(server);
        (void)thread_of(fds[i]);
    }
    for (int i = 0; i < MORE; i++) {
        more[i] = dial(server);
        ask(more[i]);
    }
    for (int i = 0; i < ROOM; i++)
        (void)thread_of(fds[i]);
    for (int i = 0; i < MORE; i++) {
        struct pollfd readable = {.fd = more[i], .events = POLLIN};
        assert_int_equal(poll(&readable, 1, 0), 0);
    }
    for (int i = 0; i < MORE; i++) {
        assert_int_equal(close(fds[i]), 0);
        (void)hear(more[i]); // in turn
    }
    for (int i = 0; i < MORE; i++)
        assert_int_equal(close(more[i]), 0);
    assert_int_equal(close(fds[MORE]), 0);
    http_server_free(server);
}

static void a_server_may_end_while_others_wait_to_be_let_in(void **state) {
    (void)state;
    for (int round = 0; round < 20; round++) {
        struct http_server *server = start(2);
        int fds[8];
        for (int i = 0; i < 8; i++) {
            fds[i] = dial(server);
            ask(fds[i]);
        }
        if (round % 2)
            (void)http_server_drain(server, 0);
        http_server_free(server);
        for (int i = 0; i < 8; i++)
            assert_int_equal(close(fds[i]), 0);
    }
}

int main(void) {
    log_init(LEVEL_WARN, LOG_FORMAT_TEXT, NULL, -1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_thread_has_as_many_connections),
        cmocka_unit_test(who_finds_no_room_waits_until_a_connection_ends),
        cmocka_unit_test(a_server_may_end_while_others_wait_to_be_let_in),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
