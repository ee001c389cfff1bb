// SPDX-License-Identifier: Apache-2.0
//
// What the order processor holds in memory: a million open orders, a million closed ones, a million
// remembered commands, as the allocator counts them, with snapshots taken as it takes them. One
// line each: what, bytes per piece, nanoseconds per input that made it so.
//
//   bench_memory [ORDERS]
#include <assert.h>
#include <jemalloc/jemalloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "process/orders.h"
#include "service/clock.h"

enum { LINES = 3, TEXT_MAX = 16, COMMIT_EVERY = 1000, PASS_ROWS = 100000 };

static const struct policy policy = {
    .reservation_ttl_us = 900 * INT64_C(1000000),
    .payment_timeout_us = 30 * INT64_C(1000000),
    .payment_lookups_max = 10,
    .command_window_us = 86400 * INT64_C(1000000),
};
static char skus[1000][TEXT_MAX];
static struct arena arena;

static struct view view(const char *text) {
    return (struct view){.ptr = text, .len = (uint32_t)strlen(text)};
}

static struct id id_of(uint64_t number, uint64_t what) {
    struct id id = {0};
    memcpy(id.bytes, &number, sizeof(number));
    return id_derive(&id, what);
}

// Size classes included.
static size_t held_bytes(void) {
    uint64_t epoch = 1;
    size_t bytes = 0, size = sizeof(bytes);
    int failed = mallctl("epoch", NULL, NULL, &epoch, sizeof(epoch)) ||
                 mallctl("stats.allocated", &bytes, &size, NULL, 0);
    assert(!failed && "jemalloc counts");
    return bytes;
}

static bool drop_row(void *opaque, const struct snapshot_row *row, struct error *err) {
    (void)opaque;
    (void)row;
    (void)err;
    return true;
}

// A pass of snapshots when the processor would not wait for its time with it.
static void take_snapshots(struct orders *orders, size_t rows_max) {
    if (orders_changed(orders) < rows_max)
        return;
    const struct snapshot_sink sink = {.put = drop_row};
    struct error err;
    bool done = false;
    orders_snapshot_begin(orders);
    while (!done) {
        bool good = orders_snapshot(orders, COMMIT_EVERY, &arena, &sink, &done, &err);
        assert(good);
        orders_commit(orders);
    }
}

static uint64_t inputs;

static void give(struct orders *orders, const struct id *id, enum record_id type,
                 const void *input) {
    static int64_t now_us = INT64_C(1700000000000000);
    arena_reset(&arena);
    struct decision decision;
    decision_begin(&decision, &arena, &policy, now_us++);
    inputs++;
    struct order *order = orders_edit(orders, id);
    struct orders_before before = orders_before(order);
    const struct id *key_id = order_input_key(type, input);
    struct remembered_command remembered = {0};
    order_decide(&decision, &order, key_id ? &remembered : NULL, type, input);
    command_memory_put(orders->commands, &remembered);
    orders_keep(orders, id, before, order, 0);
}

static void place(struct orders *orders, uint64_t number) {
    struct order_line lines[LINES];
    for (uint64_t i = 0; i < LINES; i++)
        lines[i] = (struct order_line){
            .sku = view(skus[(number + 333 * i) % 1000]), .quantity = 1, .unit_price_minor = 995};
    struct id id = id_of(number, 'O');
    const struct place_order place = {
        .command_id = id_of(number, 'C'),
        .key_id = id,
        .shop_id = view("main"),
        .order_id = id,
        .idempotency_key = view("k"),
        .customer_id = view("c"),
        .currency = view("EUR"),
        .payment_method = view("tok_ok"),
        .lines = lines,
        .lines_count = LINES,
    };
    give(orders, &id, RECORD_PLACE_ORDER, &place);
}

// Nothing is in stock: rejected, and closed.
static void reject(struct orders *orders, uint64_t number) {
    struct id id = id_of(number, 'O');
    for (uint64_t i = 0; i < LINES; i++) {
        const struct stock_answered answer = {
            .message_id = id_of(number, i),
            .shop_id = view("main"),
            .order_id = id,
            .sku = view(skus[(number + 333 * i) % 1000]),
            .result = STOCK_RESULT_OUT_OF_STOCK,
        };
        give(orders, &id, RECORD_STOCK_ANSWERED, &answer);
    }
}

static void cancel(struct orders *orders, uint64_t number) {
    struct id id = id_of(number, 'O');
    const struct cancel_order cancel = {
        .command_id = id_of(number, 'D'),
        .key_id = id_of(number, 'K'),
        .shop_id = view("main"),
        .order_id = id,
        .idempotency_key = view("k"),
    };
    give(orders, &id, RECORD_CANCEL_ORDER, &cancel);
}

static void measure(const char *what, void (*one)(struct orders *, uint64_t),
                    void (*then)(struct orders *, uint64_t), uint64_t count) {
    struct orders *orders = orders_new(policy.command_window_us, count);
    (void)orders_next_deadline(orders); // deadlines are noted from now on
    size_t before = held_bytes();
    inputs = 0;
    int64_t begun_us = clock_monotonic_us();
    for (uint64_t number = 0; number < count; number++) {
        one(orders, number);
        if (then)
            then(orders, number);
        if (number % COMMIT_EVERY == 0) {
            orders_commit(orders);
            take_snapshots(orders, PASS_ROWS);
        }
    }
    orders_commit(orders);
    int64_t took_us = clock_monotonic_us() - begun_us;
    take_snapshots(orders, 1);
    size_t bytes = held_bytes() - before;
    printf("%s %.1f %.0f\n", what, (double)bytes / (double)count,
           1000.0 * (double)took_us / (double)inputs);
    orders_free(orders);
}

int main(int argc, char **argv) {
    uint64_t count = argc > 1 ? strtoull(argv[1], NULL, 10) : 1000000;
    assert(count > 0);
    arena_init(&arena, 1 << 20);
    for (int i = 0; i < 1000; i++)
        (void)snprintf(skus[i], sizeof(skus[i]), "SKU-%04d", i);
    measure("open", place, NULL, count);
    measure("closed", place, reject, count);
    measure("remembered", cancel, NULL, count);
    arena_done(&arena);
    return 0;
}
