// SPDX-License-Identifier: Apache-2.0
//
// Group commit: nothing waits without need, nothing is forgotten, and never too much is on its way.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "http/command_lanes.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

static void push(struct command_lanes *lanes, struct lane_item *item, uint32_t lane,
                 int64_t queued_ms) {
    *item = (struct lane_item){.lane = lane, .queued_ms = queued_ms};
    command_lanes_push(lanes, item);
}

static void a_command_for_an_idle_lane_goes_at_once(void **state) {
    (void)state;
    struct command_lanes lanes;
    struct lane_item items[2];
    assert_true(command_lanes_init(&lanes, 8));
    push(&lanes, &items[0], 3, 0);
    assert_ptr_equal(command_lanes_take(&lanes, 0), &items[0]);
    push(&lanes, &items[1], 5, 0);
    assert_ptr_equal(command_lanes_take(&lanes, 0), &items[1]);
    command_lanes_done(&lanes);
}

static void what_comes_during_a_burst_leaves_together_in_order(void **state) {
    (void)state;
    struct command_lanes lanes;
    struct lane_item items[4];
    assert_true(command_lanes_init(&lanes, 2));
    for (int i = 0; i < 4; i++) {
        push(&lanes, &items[i], 1, i);
        if (i == 0)
            assert_ptr_equal(command_lanes_take(&lanes, 0), &items[0]);
    }
    assert_null(command_lanes_take(&lanes, 0));
    command_lanes_landed(&lanes, 1, 1);
    assert_ptr_equal(command_lanes_take(&lanes, 0), &items[1]);
    assert_ptr_equal(items[1].next, &items[2]);
    assert_ptr_equal(items[2].next, &items[3]);
    assert_null(items[3].next);
    assert_null(command_lanes_take(&lanes, 0));
    command_lanes_done(&lanes);
}

static void only_what_has_waited_too_long_expires(void **state) {
    (void)state;
    struct command_lanes lanes;
    struct lane_item items[3];
    assert_true(command_lanes_init(&lanes, 2));
    push(&lanes, &items[0], 0, 10);
    push(&lanes, &items[1], 0, 20);
    push(&lanes, &items[2], 1, 15);
    assert_null(command_lanes_expire(&lanes, 9));
    struct lane_item *expired = command_lanes_expire(&lanes, 15);
    assert_ptr_equal(expired, &items[2]);
    assert_ptr_equal(expired->next, &items[0]);
    assert_null(expired->next->next);
    assert_ptr_equal(command_lanes_take(&lanes, 0), &items[1]);
    assert_null(command_lanes_take(&lanes, 0));
    command_lanes_done(&lanes);
}

static uint32_t length(const struct lane_item *burst) {
    uint32_t count = 0;
    for (; burst; burst = burst->next)
        count++;
    return count;
}

static void a_burst_is_no_larger_than_brokers_take(void **state) {
    (void)state;
    static const uint32_t sizes[] = {LANE_BURST_BYTES_MAX - 10, 10, 1, 2 * LANE_BURST_BYTES_MAX, 1};
    struct command_lanes lanes;
    struct lane_item items[5];
    assert_true(command_lanes_init(&lanes, 1));
    for (int i = 0; i < 5; i++) {
        items[i] = (struct lane_item){.size = sizes[i]};
        command_lanes_push(&lanes, &items[i]);
    }
    static const uint32_t lengths[] = {2, 1, 1, 1};
    for (int i = 0; i < 4; i++) {
        assert_int_equal(length(command_lanes_take(&lanes, 0)), lengths[i]);
        command_lanes_landed(&lanes, 0, lengths[i]);
    }
    command_lanes_done(&lanes);
}

static void after_a_large_burst_a_lane_gathers_for_the_next(void **state) {
    (void)state;
    enum { NOW_US = 1000, ITEMS = LANE_GATHER_FROM + 4 };
    struct command_lanes lanes;
    static struct lane_item items[ITEMS], others[2];
    assert_true(command_lanes_init(&lanes, 2));
    push(&lanes, &items[0], 0, 0);
    assert_int_equal(length(command_lanes_take(&lanes, NOW_US)), 1);
    for (int i = 1; i <= LANE_GATHER_FROM; i++)
        push(&lanes, &items[i], 0, 0);
    command_lanes_landed(&lanes, 0, 1);
    assert_int_equal(command_lanes_next_us(&lanes), 0);
    assert_int_equal(length(command_lanes_take(&lanes, NOW_US)), LANE_GATHER_FROM);
    command_lanes_landed(&lanes, 0, LANE_GATHER_FROM);
    assert_int_equal(command_lanes_next_us(&lanes), INT64_MAX);

    push(&lanes, &items[LANE_GATHER_FROM + 1], 0, 0);
    assert_null(command_lanes_take(&lanes, NOW_US + LANE_GATHER_US - 1));
    assert_int_equal(command_lanes_next_us(&lanes), NOW_US + LANE_GATHER_US);
    push(&lanes, &others[0], 1, 0); // and another lane goes meanwhile
    assert_ptr_equal(command_lanes_take(&lanes, NOW_US), &others[0]);
    assert_int_equal(length(command_lanes_take(&lanes, NOW_US + LANE_GATHER_US)), 1);
    command_lanes_landed(&lanes, 0, 1);

    // That was a small one.
    push(&lanes, &items[LANE_GATHER_FROM + 2], 0, 0);
    assert_int_equal(length(command_lanes_take(&lanes, NOW_US + LANE_GATHER_US)), 1);
    command_lanes_done(&lanes);
}

static void what_is_gathered_goes_once_it_is_much(void **state) {
    (void)state;
    struct command_lanes lanes;
    static struct lane_item items[LANE_GATHER_FROM], more[2];
    assert_true(command_lanes_init(&lanes, 1));
    for (int i = 0; i < LANE_GATHER_FROM; i++)
        push(&lanes, &items[i], 0, 0);
    assert_int_equal(length(command_lanes_take(&lanes, 0)), LANE_GATHER_FROM);
    command_lanes_landed(&lanes, 0, LANE_GATHER_FROM);
    more[0] = (struct lane_item){.size = LANE_GATHER_BYTES - 1};
    more[1] = (struct lane_item){.size = 1};
    command_lanes_push(&lanes, &more[0]);
    assert_null(command_lanes_take(&lanes, 1));
    command_lanes_push(&lanes, &more[1]);
    assert_int_equal(length(command_lanes_take(&lanes, 1)), 2);
    command_lanes_done(&lanes);
}

static void under_any_order_of_things_all_go_in_order_and_few_lanes_at_once(void **state) {
    (void)state;
    enum { LANES = 16, ITEMS = 3000, STEPS = 60000 };
    unsigned seed = (unsigned)time(NULL);
    print_message("seed %u\n", seed);
    struct command_lanes lanes;
    static struct lane_item items[ITEMS];
    int64_t last_taken[LANES];
    uint32_t on_the_way[LANES] = {0};
    int pushed = 0;
    int gone = 0;
    memset(last_taken, -1, sizeof(last_taken));
    assert_true(command_lanes_init(&lanes, LANES));
    for (int step = 0; step < STEPS || gone < ITEMS; step++) {
        if (pushed < ITEMS && rand_r(&seed) % 3 == 0) {
            push(&lanes, &items[pushed], (uint32_t)rand_r(&seed) % LANES, pushed);
            pushed++;
        }
        for (struct lane_item *item = command_lanes_take(&lanes, 0); item; item = item->next) {
            assert_true(item->queued_ms > last_taken[item->lane]);
            last_taken[item->lane] = item->queued_ms;
            on_the_way[item->lane]++;
        }
        uint32_t lane = (uint32_t)rand_r(&seed) % LANES;
        if (on_the_way[lane] > 0) {
            on_the_way[lane]--;
            gone++;
            command_lanes_landed(&lanes, lane, 1);
        }
        uint32_t active = 0;
        for (int i = 0; i < LANES; i++)
            active += on_the_way[i] > 0;
        assert_true(active <= LANES_ACTIVE_MAX);
    }
    assert_int_equal(gone, ITEMS);
    command_lanes_done(&lanes);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_command_for_an_idle_lane_goes_at_once),
        cmocka_unit_test(what_comes_during_a_burst_leaves_together_in_order),
        cmocka_unit_test(only_what_has_waited_too_long_expires),
        cmocka_unit_test(a_burst_is_no_larger_than_brokers_take),
        cmocka_unit_test(after_a_large_burst_a_lane_gathers_for_the_next),
        cmocka_unit_test(what_is_gathered_goes_once_it_is_much),
        cmocka_unit_test(under_any_order_of_things_all_go_in_order_and_few_lanes_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
