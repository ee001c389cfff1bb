// SPDX-License-Identifier: Apache-2.0
//
// Start, stop and watchdog, each in a process of its own, seen from outside as a supervisor does.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "service/clock.h"
#include "service/log.h"
#include "service/service.h"
#include "service/watchdog.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

// What the child does is written to a pipe, a letter each.
static int trace_fd;

static void trace(char letter) {
    ssize_t written = write(trace_fd, &letter, 1);
    assert_int_equal(written, 1);
}

static bool start_a(void *state, struct error *err) {
    (void)state;
    (void)err;
    trace('a');
    return true;
}

static void stop_a(void *state) {
    (void)state;
    trace('A');
}

static bool start_b(void *state, struct error *err) {
    (void)state;
    (void)err;
    trace('b');
    return true;
}

static void stop_b(void *state) {
    (void)state;
    trace('B');
}

static bool start_bad(void *state, struct error *err) {
    (void)state;
    return error_set(err, DISP_RETRY, 0, "nobody answers");
}

static bool start_not_set_up(void *state, struct error *err) {
    (void)state;
    (void)error_set(err, DISP_FATAL, 0, "nothing is there");
    service_fail(EXIT_NOT_SET_UP, err);
    return false;
}

static bool start_failing_later(void *state, struct error *err) {
    (void)state;
    (void)error_set(err, DISP_FATAL, 0, "fenced");
    service_fail(EXIT_FENCED, err);
    trace('f');
    return true;
}

static void hang(void) {
    for (;;)
        (void)pause();
}

static void stop_hanging(void *state) {
    (void)state;
    trace('H');
    hang();
}

static bool start_hanging_call(void *state, struct error *err) {
    (void)state;
    (void)err;
    struct watchdog *guard = watchdog_register("test");
    watchdog_enter(guard, "a call that comes back", 60000);
    watchdog_leave(guard);
    watchdog_enter(guard, "a call that hangs", 50);
    hang();
    return true;
}

struct child {
    pid_t pid;
    int fd;
};

static struct child run(const struct service_part *parts) {
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    struct child child = {.pid = fork(), .fd = ends[0]};
    assert_true(child.pid >= 0);
    if (child.pid > 0) {
        assert_int_equal(close(ends[1]), 0);
        return child;
    }
    trace_fd = ends[1];
    const struct config config = {.role = ROLE_GATEWAY,
                                  .log_level = "error",
                                  .log_format = "text",
                                  .watchdog_ms = 60000,
                                  .shutdown_timeout_ms = 300};
    _exit(service_run("test", &config, parts, NULL));
}

static char next_letter(struct child *child) {
    char letter = 0;
    struct pollfd readable = {.fd = child->fd, .events = POLLIN};
    assert_int_equal(poll(&readable, 1, 10000), 1);
    return read(child->fd, &letter, 1) == 1 ? letter : 0;
}

static void expect_trace(struct child *child, const char *letters) {
    for (; *letters; letters++)
        assert_int_equal(next_letter(child), *letters);
}

static void expect_exit(struct child *child, int code) {
    int status = 0;
    assert_int_equal(next_letter(child), 0); // the end of the pipe: the process is gone
    assert_int_equal(waitpid(child->pid, &status, 0), child->pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), code);
    assert_int_equal(close(child->fd), 0);
}

static const struct service_part two[] = {{"a", start_a, stop_a}, {"b", start_b, stop_b}, {0}};

static void parts_stop_in_reverse_order_on_sigterm(void **state) {
    (void)state;
    struct child child = run(two);
    expect_trace(&child, "ab");
    assert_int_equal(kill(child.pid, SIGTERM), 0);
    expect_trace(&child, "BA");
    expect_exit(&child, EXIT_OK);
}

static void a_part_that_cannot_start_stops_those_before_it(void **state) {
    (void)state;
    static const struct service_part parts[] = {
        {"a", start_a, stop_a}, {"bad", start_bad, stop_b}, {"b", start_b, stop_b}, {0}};
    struct child child = run(parts);
    expect_trace(&child, "aA");
    expect_exit(&child, EXIT_UNAVAILABLE);
}

static void the_first_failure_names_the_exit_code(void **state) {
    (void)state;
    static const struct service_part not_set_up[] = {{"bad", start_not_set_up, NULL}, {0}};
    struct child child = run(not_set_up);
    expect_exit(&child, EXIT_NOT_SET_UP);
    static const struct service_part later[] = {
        {"f", start_failing_later, stop_a}, {"b", start_b, stop_b}, {0}};
    child = run(later);
    expect_trace(&child, "fA");
    expect_exit(&child, EXIT_FENCED);
}

static void a_second_signal_ends_it_at_once(void **state) {
    (void)state;
    static const struct service_part parts[] = {{"h", start_a, stop_hanging}, {0}};
    struct child child = run(parts);
    expect_trace(&child, "a");
    assert_int_equal(kill(child.pid, SIGINT), 0);
    expect_trace(&child, "H");
    assert_int_equal(kill(child.pid, SIGTERM), 0);
    expect_exit(&child, EXIT_FORCED);
}

static void stopping_has_a_deadline(void **state) {
    (void)state;
    static const struct service_part parts[] = {{"h", start_a, stop_hanging}, {0}};
    struct child child = run(parts);
    expect_trace(&child, "a");
    assert_int_equal(kill(child.pid, SIGTERM), 0);
    expect_trace(&child, "H");
    expect_exit(&child, EXIT_SHUTDOWN_TIMEOUT);
}

static void a_guarded_call_that_hangs_ends_the_process(void **state) {
    (void)state;
    static const struct service_part parts[] = {{"h", start_hanging_call, NULL}, {0}};
    struct child child = run(parts);
    expect_exit(&child, EXIT_WATCHDOG);
}

static void only_a_section_past_its_limit_counts_as_hanging(void **state) {
    (void)state;
    const char *thread = NULL;
    struct watchdog *guard = watchdog_register("mine");
    int64_t now_ms = clock_monotonic_ms();
    assert_null(watchdog_find_expired(now_ms + 1000000, &thread));
    watchdog_enter(guard, "section", 1000);
    assert_null(watchdog_find_expired(now_ms + 500, &thread));
    assert_string_equal(watchdog_find_expired(now_ms + 1000000, &thread), "section");
    assert_string_equal(thread, "mine");
    watchdog_leave(guard);
    assert_null(watchdog_find_expired(now_ms + 1000000, &thread));
    watchdog_unregister(guard);
}

static bool check_flag(void *state, char reason[SERVICE_REASON_MAX]) {
    (void)snprintf(reason, SERVICE_REASON_MAX, "the flag is down");
    return *(bool *)state;
}

static bool flag_up;

static bool start_flag(void *state, struct error *err) {
    (void)state;
    (void)err;
    service_check_add("flag", check_flag, &flag_up);
    return true;
}

static void stop_flag(void *state) {
    (void)state;
    char reason[SERVICE_REASON_MAX + 64];
    trace(!service_ready(reason) && strcmp(reason, "service: stopping") == 0 ? 's' : '?');
}

// Looks at readiness from a thread, as an HTTP server would, and then stops the service.
static void *look(void *arg) {
    (void)arg;
    char reason[SERVICE_REASON_MAX + 64];
    int64_t deadline_ms = clock_monotonic_ms() + 10000;
    while (!service_ready(reason) && strcmp(reason, "service: starting") == 0 &&
           clock_monotonic_ms() < deadline_ms)
        (void)service_wait_stop(1);
    trace(strcmp(reason, "flag: the flag is down") == 0 ? 'd' : '?');
    flag_up = true;
    trace(service_ready(reason) ? 'r' : '?');
    service_stop();
    return NULL;
}

static bool start_looking(void *state, struct error *err) {
    (void)state;
    (void)err;
    pthread_t thread;
    return pthread_create(&thread, NULL, look, NULL) == 0 && pthread_detach(thread) == 0;
}

static void readiness_names_what_is_missing(void **state) {
    (void)state;
    static const struct service_part parts[] = {
        {"flag", start_flag, stop_flag}, {"look", start_looking, NULL}, {0}};
    struct child child = run(parts);
    expect_trace(&child, "drs");
    expect_exit(&child, EXIT_OK);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_stop_in_reverse_order_on_sigterm),
        cmocka_unit_test(a_part_that_cannot_start_stops_those_before_it),
        cmocka_unit_test(the_first_failure_names_the_exit_code),
        cmocka_unit_test(a_second_signal_ends_it_at_once),
        cmocka_unit_test(stopping_has_a_deadline),
        cmocka_unit_test(a_guarded_call_that_hangs_ends_the_process),
        cmocka_unit_test(only_a_section_past_its_limit_counts_as_hanging),
        cmocka_unit_test(readiness_names_what_is_missing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
