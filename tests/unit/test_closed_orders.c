// SPDX-License-Identifier: Apache-2.0
//
// What is left of closed orders goes back with its transaction, and none is ever lost: random
// changes, commits and aborts against an array that remembers everything.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "process/closed_orders.h"

enum { ORDERS = 20000, STEPS = 400000 };

static uint32_t now[ORDERS], committed[ORDERS];         // versions; 0: none
static int64_t closed_at[ORDERS], committed_at[ORDERS]; // offsets
static int64_t offsets[ORDERS];                         // of the open transaction's events
static int64_t events_count, next_offset;
static uint64_t random_state;

static uint32_t draw(uint32_t below) {
    random_state = random_state * 6364136223846793005ULL + 1442695040888963407ULL;
    return (uint32_t)(random_state >> 33) % below;
}

static struct id id_of(uint32_t number) {
    struct id id = {.bytes = "order"};
    memcpy(&id.bytes[8], &number, sizeof(number));
    return id;
}

static void put(struct closed_orders *orders, uint32_t number) {
    const struct id id = id_of(number);
    const struct order_closed *known = closed_orders_get(orders, &id);
    const struct order_closed closed = {.order_id = id,
                                        .version = ++now[number],
                                        .closing_offset =
                                            known ? known->closing_offset : events_count};
    closed_orders_put(orders, &closed);
    if (!known)
        closed_at[number] = next_offset;
    assert_in_range(events_count, 0, ORDERS - 1);
    offsets[events_count++] = next_offset;
    next_offset += 1 + draw(3); // markers lie between
}

static void commit(struct closed_orders *orders) {
    closed_orders_locate(orders, offsets, (size_t)events_count);
    closed_orders_commit(orders);
    events_count = 0;
    memcpy(committed, now, sizeof(committed));
    memcpy(committed_at, closed_at, sizeof(committed_at));
}

static void undo(struct closed_orders *orders) {
    closed_orders_undo(orders);
    events_count = 0;
    memcpy(now, committed, sizeof(now));
    memcpy(closed_at, committed_at, sizeof(closed_at));
}

static void check(const struct closed_orders *orders, uint32_t number) {
    struct id id = id_of(number);
    const struct order_closed *closed = closed_orders_get(orders, &id);
    assert_int_equal(closed != NULL, now[number] != 0);
    if (!closed)
        return;
    assert_true(id_equal(&closed->order_id, &id));
    assert_int_equal(closed->version, now[number]);
}

static void closed_orders_go_back_with_their_transaction(void **state) {
    (void)state;
    const char *given = getenv("ORDERLOG_TEST_SEED");
    random_state = given ? strtoull(given, NULL, 10) : (uint64_t)time(NULL) * 1000003;
    printf("seed %llu (ORDERLOG_TEST_SEED repeats it)\n", (unsigned long long)random_state);
    struct closed_orders *orders = closed_orders_new();
    for (int step = 0; step < STEPS; step++) {
        uint32_t what = draw(100);
        if (what < 60) {
            put(orders, draw(ORDERS));
        } else if (what < 96) {
            check(orders, draw(ORDERS));
        } else if (what < 98) {
            commit(orders);
        } else {
            undo(orders);
        }
    }
    commit(orders);
    size_t count = 0;
    for (uint32_t number = 0; number < ORDERS; number++) {
        check(orders, number);
        count += now[number] != 0;
        struct id id = id_of(number);
        const struct order_closed *closed = closed_orders_get(orders, &id);
        if (closed)
            assert_int_equal(closed->closing_offset, closed_at[number]);
    }
    assert_int_equal(closed_orders_count(orders), count);
    assert_true(count > ORDERS / 2);
    closed_orders_free(orders);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(closed_orders_go_back_with_their_transaction),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
