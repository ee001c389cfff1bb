// SPDX-License-Identifier: Apache-2.0
//
// Random inputs in random order on one order: whatever comes, versions have no gap, the fold of the
// events is the live state (order_world checks both after every input), no invariant breaks (the
// domain asserts them), requests make sense, and when the dust settles every order has ended or
// waits for people.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "order_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static uint64_t random_state;

static uint32_t random_below(uint32_t bound) {
    random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)((random_state >> 33) % bound);
}

static const char *const skus[] = {"A", "B", "C", ""};

static void random_command(struct order_world *w) {
    char name[8];
    (void)snprintf(name, sizeof(name), "c%u", random_below(6));
    switch (random_below(8)) {
    case 0:
        order_world_cancel(w, name);
        return;
    case 1:
    case 2:
        order_world_dispatch(w, name);
        return;
    case 3:
    case 4:
        order_world_deliver(w, name);
        return;
    default:
        order_world_place(w);
    }
}

static void random_input(struct order_world *w) {
    switch (random_below(10)) {
    case 0:
        random_command(w);
        return;
    case 1:
    case 2:
    case 3:
        order_world_stock(w, skus[random_below(4)],
                          random_below(20) ? STOCK_RESULT_RESERVED
                                           : (enum stock_result)random_below(STOCK_RESULT_COUNT),
                          random_below(3));
        return;
    case 4:
    case 5:
        w->attempt += random_below(10) == 0;
        order_world_payment(w, (enum payment_action)random_below(PAYMENT_ACTION_COUNT),
                            (enum payment_result)random_below(PAYMENT_RESULT_COUNT));
        return;
    case 6:
        order_world_time(w, w->now_us + random_below(200000000));
        return;
    default:
        order_world_shipment(w, (enum shipment_action)random_below(SHIPMENT_ACTION_COUNT),
                             (enum shipment_result)random_below(SHIPMENT_RESULT_COUNT));
    }
}

// All deadlines pass, one after the other: then nothing may hang on. An order that is still under
// way waits for an answer that its other domain owes it (a shipment's), or for people.
static void let_time_pass(struct order_world *w) {
    for (int i = 0; w->order && order_deadline_us(w->order) != INT64_MAX; i++) {
        assert_in_range(i, 0, 2 * w->policy.payment_lookups_max + 3);
        order_world_time(w, order_deadline_us(w->order));
    }
    if (!w->order)
        return;
    enum order_status status = order_status(w->order);
    assert_true(status != ORDER_STATUS_PLACED && status != ORDER_STATUS_AWAITING_PAYMENT);
}

// Money and stock are asked for in an order that makes sense, whatever the inputs were.
struct asked {
    int captures, voids, sells, releases, dispatches;
};

static void count_requests(const struct order_world *w, struct asked *asked) {
    asked->captures += strstr(w->messages, "CAPTURE") != NULL;
    asked->voids += strstr(w->messages, "VOID") != NULL;
    asked->sells += strstr(w->messages, "SELL") != NULL;
    asked->releases += strstr(w->messages, "RELEASE") != NULL;
    asked->dispatches += strstr(w->messages, "DISPATCH") != NULL;
    assert_false(asked->captures && asked->voids);
    assert_false(asked->sells && asked->releases);
    assert_true(asked->sells <= 1 && asked->releases <= 1 && asked->dispatches <= 1);
    assert_true(!asked->sells || asked->dispatches);
}

static void one_life(uint64_t seed, bool recalls) {
    static struct order_world world;
    random_state = seed;
    order_world_init(&world);
    world.recalls = recalls;
    struct asked asked = {0};
    order_world_place(&world);
    uint32_t inputs = 5 + random_below(60);
    for (uint32_t i = 0; i < inputs; i++) {
        random_input(&world);
        count_requests(&world, &asked);
    }
    let_time_pass(&world);
    order_world_done(&world);
}

static void any_inputs_in_any_order_keep_the_promises(void **state) {
    (void)state;
    const char *given = getenv("ORDERLOG_TEST_SEED");
    uint64_t seed = given ? strtoull(given, NULL, 10) : (uint64_t)time(NULL) * 1000003;
    uint32_t lives = getenv("ORDERLOG_TEST_LONG") ? 200000 : 5000;
    printf("seed %llu (ORDERLOG_TEST_SEED repeats it), %u lives\n", (unsigned long long)seed,
           lives);
    for (uint32_t i = 0; i < lives; i++)
        one_life(seed + i, i % 2 == 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_inputs_in_any_order_keep_the_promises),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
