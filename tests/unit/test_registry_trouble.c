// SPDX-License-Identifier: Apache-2.0
//
// What a sick registry, or a topic full of garbage, may cost: a server under the test's control
// counts the requests and answers as told. The healthy case runs against a real registry in
// tests/stream/test_registry.c.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "event/registry.h"
#include "event/schema_ids.h"
#include "service/clock.h"

// One request per connection. answer NULL: says nothing until the client hangs up.
struct server {
    int listener;
    int port;
    pthread_t thread;
    const char *_Atomic answer;
    const char *_Atomic first; // in place of the answer, once
    _Atomic int requests;
};

static const char not_found[] = "HTTP/1.1 404 Not Found\r\nConnection: close\r\n"
                                "Content-Length: 41\r\n\r\n"
                                "{\"error_code\":40403,\"message\":\"Not here\"}";
static const char failing[] = "HTTP/1.1 500 Oops\r\nConnection: close\r\n"
                              "Content-Length: 4\r\n\r\noops";
static const char web_page[] = "HTTP/1.1 200 OK\r\nConnection: close\r\n"
                               "Content-Length: 14\r\n\r\n<html>Hi</html";

static const char conflict[] = "HTTP/1.1 409 Conflict\r\nConnection: close\r\n"
                               "Content-Length: 32\r\n\r\n"
                               "{\"message\":\"It already exists.\"}";
static const char rule_set[] = "HTTP/1.1 200 OK\r\nConnection: close\r\n"
                               "Content-Length: 24\r\n\r\n"
                               "{\"compatibility\":\"FULL\"}";

static struct error err;

static void *serve(void *context) {
    struct server *server = context;
    for (int client; (client = accept(server->listener, NULL, NULL)) >= 0; (void)close(client)) {
        char request[4096] = "";
        ssize_t len = 0, got;
        while (!strstr(request, "\r\n\r\n") && len < (ssize_t)sizeof(request) - 1 &&
               (got = read(client, request + len, sizeof(request) - 1 - (size_t)len)) > 0)
            len += got;
        atomic_fetch_add(&server->requests, 1);
        const char *answer = atomic_exchange(&server->first, NULL);
        if (!answer)
            answer = atomic_load(&server->answer);
        if (answer)
            (void)!write(client, answer, strlen(answer));
        else
            while (read(client, request, sizeof(request)) > 0)
                continue;
    }
    return NULL;
}

static void server_start(struct server *server, const char *answer) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)server->port)};
    socklen_t size = sizeof(address);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    server->listener = socket(AF_INET, SOCK_STREAM, 0);
    int yes = 1;
    assert_int_equal(setsockopt(server->listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes)), 0);
    assert_int_equal(bind(server->listener, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(getsockname(server->listener, (struct sockaddr *)&address, &size), 0);
    assert_int_equal(listen(server->listener, 16), 0);
    server->port = ntohs(address.sin_port);
    atomic_store(&server->answer, answer);
    assert_int_equal(pthread_create(&server->thread, NULL, serve, server), 0);
}

static void server_stop(struct server *server) {
    (void)shutdown(server->listener, SHUT_RDWR);
    assert_int_equal(pthread_join(server->thread, NULL), 0);
    (void)close(server->listener);
}

struct fixture {
    struct server server;
    struct clock_manual clock;
    struct registry *registry;
    struct schema_ids *ids;
};

static void fixture_start(struct fixture *fixture, const char *answer, long timeout_ms) {
    *fixture = (struct fixture){0};
    server_start(&fixture->server, answer);
    clock_manual_init(&fixture->clock, 1700000000000000);
    char url[64];
    (void)snprintf(url, sizeof(url), "http://user:secret@127.0.0.1:%d/", fixture->server.port);
    fixture->registry = registry_new(url, timeout_ms, &err);
    assert_non_null(fixture->registry);
    fixture->ids = schema_ids_new(fixture->registry, &fixture->clock.clock);
    assert_non_null(fixture->ids);
}

static void fixture_stop(struct fixture *fixture) {
    schema_ids_free(fixture->ids);
    registry_free(fixture->registry);
    server_stop(&fixture->server);
}

// How many requests it took to be told that the id cannot be read.
static int find_costs(struct fixture *fixture, int32_t id) {
    int before = atomic_load(&fixture->server.requests);
    enum record_id record;
    const struct resolution *resolution;
    assert_false(schema_ids_resolve(fixture->ids, id, &record, &resolution, &err));
    assert_int_equal(err.what, DISP_POISON);
    char expected[64];
    (void)snprintf(expected, sizeof(expected), "schema id %d is unknown", id);
    assert_non_null(strstr(err.msg, expected));
    return atomic_load(&fixture->server.requests) - before;
}

static void an_unknown_id_is_asked_again_only_after_ten_seconds(void **state) {
    (void)state;
    struct fixture fixture;
    fixture_start(&fixture, not_found, 5000);
    assert_int_equal(find_costs(&fixture, 5), 1);
    assert_non_null(strstr(err.msg, "Not here"));
    clock_manual_advance_ms(&fixture.clock, 9999);
    assert_int_equal(find_costs(&fixture, 5), 0);
    assert_non_null(strstr(err.msg, "Not here"));
    clock_manual_advance_ms(&fixture.clock, 1);
    assert_int_equal(find_costs(&fixture, 5), 1);
    fixture_stop(&fixture);
}

static void garbage_causes_few_requests(void **state) {
    (void)state;
    struct fixture fixture;
    fixture_start(&fixture, not_found, 5000);
    int requests = 0;
    for (int32_t id = 1; id <= 3000; id++)
        requests += find_costs(&fixture, id);
    assert_int_equal(requests, 20);
    assert_non_null(strstr(err.msg, "was not looked up"));
    clock_manual_advance_ms(&fixture.clock, 1000);
    assert_int_equal(find_costs(&fixture, 3001), 1);
    fixture_stop(&fixture);
}

// More ids than are remembered: the oldest is forgotten, and nothing is mixed up.
static void ids_beyond_the_memory_are_still_answered(void **state) {
    (void)state;
    struct fixture fixture;
    fixture_start(&fixture, not_found, 5000);
    enum { REMEMBERED = 1024, PER_SECOND = 20 };
    for (int32_t id = 1; id <= REMEMBERED + 1; id++) {
        if (id % PER_SECOND == 0)
            clock_manual_advance_ms(&fixture.clock, 1000);
        assert_int_equal(find_costs(&fixture, id), 1);
    }
    assert_int_equal(find_costs(&fixture, REMEMBERED + 1), 0);
    clock_manual_advance_ms(&fixture.clock, 1000);
    assert_int_equal(find_costs(&fixture, 1), 1);
    assert_int_equal(find_costs(&fixture, 1), 0);
    fixture_stop(&fixture);
}

static void a_registry_that_fails_is_left_alone(void **state) {
    (void)state;
    struct fixture fixture;
    fixture_start(&fixture, failing, 5000);
    assert_int_equal(find_costs(&fixture, 5), 1);
    assert_non_null(strstr(err.msg, "HTTP 500: oops"));
    assert_int_equal(find_costs(&fixture, 6), 0);
    clock_manual_advance_ms(&fixture.clock, 10000);
    atomic_store(&fixture.server.answer, not_found);
    assert_int_equal(find_costs(&fixture, 6), 1);
    assert_non_null(strstr(err.msg, "HTTP 404"));
    fixture_stop(&fixture);
}

static void a_silent_registry_costs_one_time_out(void **state) {
    (void)state;
    struct fixture fixture;
    fixture_start(&fixture, NULL, 100);
    int64_t began_ms = clock_monotonic_ms();
    for (int32_t id = 1; id <= 500; id++)
        (void)find_costs(&fixture, id);
    assert_true(clock_monotonic_ms() - began_ms < 5000);
    assert_int_equal(atomic_load(&fixture.server.requests), 1);
    assert_non_null(strstr(err.msg, "timed out"));
    fixture_stop(&fixture);
}

static void a_registry_that_is_down_and_comes_back_is_used(void **state) {
    (void)state;
    struct fixture fixture;
    fixture_start(&fixture, not_found, 5000);
    server_stop(&fixture.server);
    (void)find_costs(&fixture, 5);
    char expected[64];
    (void)snprintf(expected, sizeof(expected), "is the registry at http://127.0.0.1:%d/ up?",
                   fixture.server.port);
    assert_non_null(strstr(err.msg, expected));
    server_start(&fixture.server, not_found);
    assert_int_equal(find_costs(&fixture, 5), 0);
    clock_manual_advance_ms(&fixture.clock, 10000);
    assert_int_equal(find_costs(&fixture, 5), 1);
    fixture_stop(&fixture);
}

static void a_schema_once_fetched_is_never_asked_for_again(void **state) {
    (void)state;
    struct fixture fixture;
    fixture_start(&fixture,
                  "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"
                  "{\"schema\": \"{\\\"type\\\": \\\"record\\\", \\\"name\\\": \\\"Stranger\\\", "
                  "\\\"fields\\\": []}\"}",
                  5000);
    for (int i = 0; i < 3; i++) {
        enum record_id record;
        const struct resolution *resolution;
        assert_false(schema_ids_resolve(fixture.ids, 5, &record, &resolution, &err));
        assert_int_equal(err.what, DISP_POISON);
        assert_non_null(strstr(err.msg, "schema id 5 is Stranger in the registry"));
        clock_manual_advance_ms(&fixture.clock, 60 * 1000);
    }
    assert_int_equal(atomic_load(&fixture.server.requests), 1);
    fixture_stop(&fixture);
}

static void two_who_set_up_at_the_same_time_do_not_mind(void **state) {
    (void)state;
    struct fixture fixture;
    fixture_start(&fixture, rule_set, 5000);
    atomic_store(&fixture.server.first, conflict);
    assert_true(registry_set_compatibility(fixture.registry, "a subject", "FULL", &err));
    assert_int_equal(atomic_load(&fixture.server.requests), 2);
    atomic_store(&fixture.server.answer, conflict);
    assert_false(registry_set_compatibility(fixture.registry, "a subject", "FULL", &err));
    assert_non_null(strstr(err.msg, "HTTP 409"));
    fixture_stop(&fixture);
}

static void what_is_no_registry_is_named(void **state) {
    (void)state;
    struct fixture fixture;
    fixture_start(&fixture, web_page, 5000);
    char *text;
    assert_false(registry_get(fixture.registry, 7, &text, &err));
    assert_non_null(strstr(err.msg, "is this the address of a schema registry?"));
    fixture_stop(&fixture);
}

static void credentials_are_never_shown(void **state) {
    (void)state;
    struct fixture fixture;
    static const char *const answers[] = {not_found, failing, web_page};
    fixture_start(&fixture, not_found, 5000);
    for (size_t i = 0; i < 3; i++) {
        char *text;
        atomic_store(&fixture.server.answer, answers[i]);
        assert_false(registry_get(fixture.registry, 7, &text, &err));
        assert_null(strstr(err.msg, "secret"));
    }
    assert_null(strstr(registry_url(fixture.registry), "secret"));
    fixture_stop(&fixture);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_unknown_id_is_asked_again_only_after_ten_seconds),
        cmocka_unit_test(garbage_causes_few_requests),
        cmocka_unit_test(ids_beyond_the_memory_are_still_answered),
        cmocka_unit_test(a_registry_that_fails_is_left_alone),
        cmocka_unit_test(a_silent_registry_costs_one_time_out),
        cmocka_unit_test(a_registry_that_is_down_and_comes_back_is_used),
        cmocka_unit_test(a_schema_once_fetched_is_never_asked_for_again),
        cmocka_unit_test(two_who_set_up_at_the_same_time_do_not_mind),
        cmocka_unit_test(what_is_no_registry_is_named),
        cmocka_unit_test(credentials_are_never_shown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
