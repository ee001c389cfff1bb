// SPDX-License-Identifier: Apache-2.0
//
// Deadlines come out earliest first, each as often as it was set.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "stream/timers.h"

static struct id key_of(uint32_t number) {
    struct id id = {{0}};
    memcpy(id.bytes, &number, sizeof(number));
    return id;
}

static void an_empty_heap_has_no_top(void **state) {
    (void)state;
    struct timers timers = {0};
    assert_null(timers_top(&timers));
    struct id key = key_of(1);
    timers_push(&timers, 5, &key);
    assert_int_equal(timers_top(&timers)->deadline_us, 5);
    timers_pop(&timers);
    assert_null(timers_top(&timers));
    timers_done(&timers);
    timers_done(&timers);
}

static void deadlines_come_out_in_order_each_with_its_key(void **state) {
    (void)state;
    enum { COUNT = 20000 };
    const char *given = getenv("ORDERLOG_TEST_SEED");
    unsigned seed = given ? (unsigned)strtoul(given, NULL, 10) : (unsigned)time(NULL);
    printf("seed: ORDERLOG_TEST_SEED=%u\n", seed);
    srandom(seed);

    static int64_t deadline_of[COUNT];
    static bool inside[COUNT];
    memset(inside, 0, sizeof(inside));
    struct timers timers = {0};
    uint32_t pushed = 0, living = 0;
    while (pushed < COUNT || living) {
        if (pushed < COUNT && (living == 0 || random() % 5 < 3)) {
            // Few different values, so that equal ones are common; negative ones too.
            deadline_of[pushed] = random() % 2000 - 500;
            struct id key = key_of(pushed);
            timers_push(&timers, deadline_of[pushed], &key);
            inside[pushed++] = true;
            living++;
            continue;
        }
        struct timer top = *timers_top(&timers);
        uint32_t number;
        memcpy(&number, top.key.bytes, sizeof(number));
        assert_true(number < pushed && inside[number]);
        assert_int_equal(top.deadline_us, deadline_of[number]);
        if (living % 64 == 0)
            for (uint32_t i = 0; i < pushed; i++)
                assert_false(inside[i] && deadline_of[i] < top.deadline_us);
        timers_pop(&timers);
        inside[number] = false;
        living--;
        assert_int_equal(timers.count, living);
    }
    timers_done(&timers);
}

static bool is_even(const void *opaque, const struct timer *timer) {
    ++*(size_t *)(uintptr_t)opaque;
    return timer->deadline_us % 2 == 0;
}

static void filtered_they_still_come_out_in_order(void **state) {
    (void)state;
    struct timers timers = {0};
    size_t asked = 0;
    timers_filter(&timers, is_even, &asked);
    for (uint32_t i = 0; i < 1000; i++) {
        struct id key = key_of(i);
        timers_push(&timers, i * 7919 % 1000, &key);
    }
    timers_filter(&timers, is_even, &asked);
    assert_int_equal(asked, 1000);
    assert_int_equal(timers.count, 500);
    for (int64_t deadline_us = 0; deadline_us < 1000; deadline_us += 2) {
        assert_int_equal(timers_top(&timers)->deadline_us, deadline_us);
        timers_pop(&timers);
    }
    assert_null(timers_top(&timers));
    timers_done(&timers);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_heap_has_no_top),
        cmocka_unit_test(deadlines_come_out_in_order_each_with_its_key),
        cmocka_unit_test(filtered_they_still_come_out_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
