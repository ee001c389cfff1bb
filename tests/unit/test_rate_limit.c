// SPDX-License-Identifier: Apache-2.0
//
// The token bucket: exact in number and time, each caller for themselves, bounded, from any thread.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "http/rate_limit.h"
#include "service/clock.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

static bool take(struct rate_limit *limit, const char *caller, int64_t now_us,
                 struct rate_limit_state *ret) {
    rate_limit_take(limit, caller, strlen(caller), now_us, ret);
    return ret->allowed;
}

static void a_burst_is_taken_at_once_and_then_the_rate_counts(void **state) {
    (void)state;
    struct rate_limit *limit = rate_limit_new(10, 30);
    struct rate_limit_state got;
    int64_t now_us = 5000000;
    assert_string_equal(rate_limit_policy(limit), "\"caller\";q=30;w=3");
    for (int i = 0; i < 30; i++) {
        assert_true(take(limit, "a", now_us, &got));
        assert_int_equal(got.remaining, 29 - i);
    }
    assert_int_equal(got.full_in_s, 3);
    assert_false(take(limit, "a", now_us, &got));
    assert_int_equal(got.remaining, 0);
    assert_int_equal(got.retry_after_s, 1);
    assert_true(take(limit, "b", now_us, &got)); // another caller has a bucket of their own
    assert_false(take(limit, "a", now_us + 99999, &got));
    assert_true(take(limit, "a", now_us + 100000, &got));
    assert_false(take(limit, "a", now_us + 100000, &got));
    // What was refused has cost nothing: after a second there are ten.
    for (int i = 0; i < 10; i++)
        assert_true(take(limit, "a", now_us + 1100000, &got));
    assert_false(take(limit, "a", now_us + 1100000, &got));
    // A rest fills it, and no more than that.
    for (int i = 0; i < 30; i++)
        assert_true(take(limit, "a", now_us + 100000000, &got));
    assert_false(take(limit, "a", now_us + 100000000, &got));
    rate_limit_free(limit);
}

static void a_slow_bucket_says_when_to_come_back(void **state) {
    (void)state;
    struct rate_limit *limit = rate_limit_new(1, 5);
    struct rate_limit_state got;
    for (int i = 0; i < 5; i++)
        assert_true(take(limit, "a", 0, &got));
    assert_false(take(limit, "a", 100000, &got));
    assert_int_equal(got.retry_after_s, 1);
    assert_int_equal(got.full_in_s, 5);
    rate_limit_free(limit);
}

// More callers than there is room for: memory stays, and who is at their limit is held to it.
static void callers_without_number_push_out_only_who_has_spent_least(void **state) {
    (void)state;
    struct rate_limit *limit = rate_limit_new(1, 100);
    struct rate_limit_state got;
    for (int i = 0; i < 100; i++)
        assert_true(take(limit, "greedy", 0, &got));
    for (int i = 0; i < 200000; i++) {
        char name[16];
        (void)snprintf(name, sizeof(name), "c%d", i);
        assert_true(take(limit, name, 0, &got));
    }
    assert_false(take(limit, "greedy", 0, &got));
    rate_limit_free(limit);
}

enum { THREADS = 4, TAKES = 50000, BURST = 60000 };
static struct rate_limit *shared;
static _Atomic int allowed;

static void *run(void *arg) {
    (void)arg;
    struct rate_limit_state got;
    for (int i = 0; i < TAKES; i++)
        atomic_fetch_add(&allowed, take(shared, "same", 1000, &got));
    return NULL;
}

static void threads_together_get_no_more_than_there_is(void **state) {
    (void)state;
    pthread_t threads[THREADS];
    shared = rate_limit_new(1, BURST);
    int64_t before_us = clock_monotonic_us();
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, run, NULL), 0);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    print_message("%lld ns per request\n",
                  (long long)(clock_monotonic_us() - before_us) * 1000 / (THREADS * TAKES));
    assert_int_equal(atomic_load(&allowed), BURST);
    rate_limit_free(shared);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_burst_is_taken_at_once_and_then_the_rate_counts),
        cmocka_unit_test(a_slow_bucket_says_when_to_come_back),
        cmocka_unit_test(callers_without_number_push_out_only_who_has_spent_least),
        cmocka_unit_test(threads_together_get_no_more_than_there_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
