// SPDX-License-Identifier: Apache-2.0
//
// Lag in time: as old as the oldest record that is not committed.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "http/lag_clock.h"

static void who_has_read_everything_has_no_lag(void **state) {
    (void)state;
    struct lag_clock clock = {0};
    assert_int_equal(lag_clock_update(&clock, 1000, 0, 0), 0);
    assert_int_equal(lag_clock_update(&clock, 2000, 50, 50), 0);
    assert_int_equal(lag_clock_update(&clock, 3000, 50, 51), 0);
}

static void the_lag_grows_with_time_and_falls_with_commits(void **state) {
    (void)state;
    struct lag_clock clock = {0};
    assert_int_equal(lag_clock_update(&clock, 1000, 10, 0), 0);
    assert_int_equal(lag_clock_update(&clock, 2000, 20, 0), 1000);
    assert_int_equal(lag_clock_update(&clock, 3000, 30, 0), 2000);
    assert_int_equal(lag_clock_update(&clock, 3500, 30, 9), 2500); // one of the first ten is left
    assert_int_equal(lag_clock_update(&clock, 3500, 30, 10), 1500);
    assert_int_equal(lag_clock_update(&clock, 4000, 40, 30), 0);
    assert_int_equal(lag_clock_update(&clock, 4000, 40, 40), 0);
}

static void a_lag_longer_than_the_memory_is_still_the_whole_lag(void **state) {
    (void)state;
    struct lag_clock clock = {0};
    int64_t end = 0;
    int64_t now_ms = 0;
    for (int i = 0; i < 10 * LAG_CLOCK_SAMPLES; i++) {
        now_ms += 250;
        int64_t lag_ms = lag_clock_update(&clock, now_ms, ++end, 0);
        assert_int_equal(lag_ms, now_ms - 250);
    }
    for (int64_t committed = 100; committed < end; committed += 10) {
        int64_t lag_ms = lag_clock_update(&clock, now_ms, end, committed);
        int64_t true_ms = now_ms - (committed + 1) * 250;
        assert_true(lag_ms <= true_ms);
        assert_true(lag_ms >= true_ms - now_ms / 100);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_has_read_everything_has_no_lag),
        cmocka_unit_test(the_lag_grows_with_time_and_falls_with_commits),
        cmocka_unit_test(a_lag_longer_than_the_memory_is_still_the_whole_lag),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
