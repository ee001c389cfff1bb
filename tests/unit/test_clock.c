// SPDX-License-Identifier: Apache-2.0
//
// Times as text, there and back.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "service/clock.h"

static void what_is_formatted_parses_to_the_same(void **state) {
    (void)state;
    static const int64_t times[] = {0,
                                    1,
                                    -1,
                                    1700000000123456,
                                    951782400000000,
                                    999999,
                                    -1000000,
                                    253402300799999999,
                                    -62135596800000000};
    for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
        char text[CLOCK_TEXT_SIZE];
        int64_t back = 0;
        clock_format_us(times[i], text);
        assert_true(clock_parse_us(text, &back));
        assert_int_equal(back, times[i]);
    }
}

static void zones_and_fractions_are_taken(void **state) {
    (void)state;
    int64_t us = 0;
    assert_true(clock_parse_us("2026-01-31T12:00:00+02:30", &us));
    char text[CLOCK_TEXT_SIZE];
    clock_format_us(us, text);
    assert_string_equal(text, "2026-01-31T09:30:00.000000Z");
    assert_true(clock_parse_us("1970-01-01T00:00:00.5-00:01", &us));
    assert_int_equal(us, 60500000);
    assert_true(clock_parse_us("1970-01-01T00:00:00.000001999Z", &us));
    assert_int_equal(us, 1);
}

static void what_is_no_time_is_refused(void **state) {
    (void)state;
    static const char *const texts[] = {
        "",
        "2026-01-31",
        "2026-01-31T12:00:00",
        "2026-02-30T12:00:00Z",
        "2026-13-01T12:00:00Z",
        "2026-00-01T12:00:00Z",
        "2026-01-00T12:00:00Z",
        "2026-01-31T24:00:00Z",
        "2026-01-31T12:60:00Z",
        "2026-01-31T12:00:60Z",
        "2026-01-31T12:00:00.Z",
        "2026-01-31T12:00:00.1234567890Z",
        "2026-01-31T12:00:00+2:00",
        "2026-01-31T12:00:00+24:00",
        "2026-01-31T12:00:00Zx",
        "2026-01-31 12:00:00Z",
        "+026-01-31T12:00:00Z",
    };
    int64_t us = 7;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        if (clock_parse_us(texts[i], &us))
            fail_msg("taken: %s", texts[i]);
    }
    assert_int_equal(us, 7);
}

static void a_manual_clock_moves_only_when_told(void **state) {
    (void)state;
    struct clock_manual manual;
    clock_manual_init(&manual, 5000);
    assert_int_equal(manual.clock.now_us(&manual.clock), 5000);
    clock_manual_advance_ms(&manual, 3);
    assert_int_equal(manual.clock.now_us(&manual.clock), 8000);
    assert_int_equal(manual.clock.monotonic_ms(&manual.clock), 8);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_formatted_parses_to_the_same),
        cmocka_unit_test(zones_and_fractions_are_taken),
        cmocka_unit_test(what_is_no_time_is_refused),
        cmocka_unit_test(a_manual_clock_moves_only_when_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
