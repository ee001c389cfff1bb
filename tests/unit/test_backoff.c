// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "service/backoff.h"

static void pauses_are_spread_over_a_range_that_doubles_to_its_bound(void **state) {
    (void)state;
    uint64_t dice = 1;
    for (int tries = 0; tries < 70; tries++) {
        int64_t range_us = tries < 5 ? INT64_C(50) << tries : 1000;
        range_us = range_us < 1000 ? range_us : 1000;
        int64_t least_us = INT64_MAX, most_us = 0;
        for (int i = 0; i < 300; i++) {
            int64_t us = backoff_us(&dice, 50, 1000, tries);
            least_us = us < least_us ? us : least_us;
            most_us = us > most_us ? us : most_us;
        }
        assert_in_range(least_us, 0, range_us / 10);
        assert_in_range(most_us, range_us * 9 / 10, range_us);
    }
}

static void no_two_roll_the_same(void **state) {
    (void)state;
    uint64_t one = backoff_dice(), other = backoff_dice();
    assert_true(backoff_roll(&one) != backoff_roll(&other));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pauses_are_spread_over_a_range_that_doubles_to_its_bound),
        cmocka_unit_test(no_two_roll_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
