// SPDX-License-Identifier: Apache-2.0
//
// When the breaker lets calls out, and how long retries wait.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "process/breaker.h"

static struct breaker breaker;

static int begin(void **state) {
    (void)state;
    breaker = (struct breaker){.failures_max = 3, .open_us = 1000, .dice = 1};
    return 0;
}

static void open_it(void) {
    assert_false(breaker_failed(&breaker, false, 100));
    assert_false(breaker_failed(&breaker, false, 100));
    assert_true(breaker_failed(&breaker, false, 100));
}

static void failures_in_a_row_open_it(void **state) {
    (void)state;
    assert_true(breaker_allows(&breaker, 0));
    open_it();
    assert_false(breaker_allows(&breaker, 100));
    assert_in_range(breaker_due_us(&breaker), 600, 1100);
}

static void a_success_between_failures_keeps_it_closed(void **state) {
    (void)state;
    for (int i = 0; i < 100; i++) {
        assert_false(breaker_failed(&breaker, false, 100));
        assert_false(breaker_failed(&breaker, false, 100));
        assert_false(breaker_succeeded(&breaker, false));
    }
    assert_true(breaker_allows(&breaker, 100));
}

static void one_probe_goes_out_and_closes_it(void **state) {
    (void)state;
    open_it();
    int64_t due_us = breaker_due_us(&breaker);
    assert_false(breaker_allows(&breaker, due_us - 1));
    assert_true(breaker_allows(&breaker, due_us));
    assert_true(breaker_send(&breaker, due_us));
    assert_false(breaker_allows(&breaker, due_us + 1000000));
    assert_int_equal(breaker_due_us(&breaker), INT64_MAX);
    assert_true(breaker_succeeded(&breaker, true));
    assert_true(breaker_allows(&breaker, due_us));
    assert_false(breaker_send(&breaker, due_us));
}

static void every_failed_probe_doubles_the_wait_up_to_a_bound(void **state) {
    (void)state;
    open_it();
    int64_t longest_us = 0;
    for (int i = 0; i < 20; i++) {
        int64_t now_us = breaker_due_us(&breaker);
        assert_true(breaker_send(&breaker, now_us));
        assert_false(breaker_failed(&breaker, true, now_us));
        longest_us = breaker_due_us(&breaker) - now_us;
        int64_t open_us = INT64_C(1000) << (i < 4 ? i + 1 : 4);
        assert_in_range(longest_us, open_us / 2, open_us);
    }
    assert_in_range(longest_us, 8000, 16000);
    assert_true(breaker_send(&breaker, breaker_due_us(&breaker)));
    assert_true(breaker_succeeded(&breaker, true));
    open_it();
    assert_in_range(breaker_due_us(&breaker), 600, 1100);
}

static void late_outcomes_do_not_count(void **state) {
    (void)state;
    open_it();
    int64_t due_us = breaker_due_us(&breaker);
    assert_false(breaker_failed(&breaker, false, due_us - 1));
    assert_int_equal(breaker_due_us(&breaker), due_us);
    assert_true(breaker_send(&breaker, due_us));
    assert_false(breaker_failed(&breaker, false, due_us));
    assert_false(breaker_succeeded(&breaker, false));
    assert_int_equal(breaker.state, BREAKER_PROBING);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(failures_in_a_row_open_it, begin),
        cmocka_unit_test_setup(a_success_between_failures_keeps_it_closed, begin),
        cmocka_unit_test_setup(one_probe_goes_out_and_closes_it, begin),
        cmocka_unit_test_setup(every_failed_probe_doubles_the_wait_up_to_a_bound, begin),
        cmocka_unit_test_setup(late_outcomes_do_not_count, begin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
