// SPDX-License-Identifier: Apache-2.0
//
// Levels of stock, and what was sold of each SKU day by day, on a real PostgreSQL, without Kafka.
#include "store/projection.h"
#include "store_fixture.h"

enum { SALES = 40, RECORDS = SALES + 1 };

static struct product_created created;
static struct stock_sold sales[SALES];
static struct projection_record records[RECORDS];
static struct projection_set *set;
static struct db *db;

// One a quarter of an hour, 1, 2, 3 … pieces, from five hours before the end of a day on.
static void make_records(void) {
    const int64_t begin_us = INT64_C(1767207600000000); // 2025-12-31 19:00 UTC
    created = (struct product_created){.event_id = fixture_id('P', 0),
                                       .shop_id = VIEW("main"),
                                       .sku = VIEW("sku"),
                                       .version = 1,
                                       .occurred_at = begin_us,
                                       .on_hand = 1000,
                                       .name = VIEW("thing"),
                                       .currency = VIEW("GBP"),
                                       .price_minor = 100,
                                       .price_version = 1};
    records[0] = (struct projection_record){RECORD_PRODUCT_CREATED, &created, 0, 0};
    int64_t sold = 0;
    for (int64_t n = 0; n < SALES; n++) {
        sold += n + 1;
        sales[n] = (struct stock_sold){.event_id = fixture_id('S', (uint64_t)n),
                                       .shop_id = VIEW("main"),
                                       .sku = VIEW("sku"),
                                       .version = n + 2,
                                       .occurred_at = begin_us + n * 900000000,
                                       .on_hand = 1000 - sold,
                                       .sold = sold,
                                       .order_id = fixture_order_id((uint64_t)n),
                                       .quantity = n + 1};
        records[n + 1] = (struct projection_record){RECORD_STOCK_SOLD, &sales[n], 0, n + 1};
    }
}

static int begin(void **state) {
    (void)state;
    struct error err;
    struct projection_position positions[PROJECTIONS_MAX];
    int32_t partition = 0;
    make_records();
    db = fixture_connect();
    fixture_exec(db, "TRUNCATE inventory, sku_days, projection_offsets");
    set = projection_set_new("inventory.events", projection_files, projection_files_count, NULL,
                             &err);
    if (!set || !projection_positions_load(db, set, "topic-1", &partition, 1, positions, &err))
        fixture_fail("inventory", &err);
    return 0;
}

static int end(void **state) {
    (void)state;
    projection_set_free(set);
    db_free(db);
    return 0;
}

static void apply(int64_t from, int64_t to, int64_t expected) {
    struct error err;
    struct projection_move moves[PROJECTIONS_MAX];
    const size_t count = projection_set_count(set);
    for (size_t i = 0; i < count; i++)
        moves[i] = (struct projection_move){(uint32_t)i, 0, expected, to};
    const struct projection_batch batch = {.mask = (1u << count) - 1,
                                           .records = records + from,
                                           .records_count = (size_t)(to - from),
                                           .moves = moves,
                                           .moves_count = count};
    if (!projection_set_apply(set, db, &batch, NULL, &err))
        fixture_fail("apply", &err);
}

static void assert_sold(const char *day, int64_t sold) {
    char sql[256];
    snprintf(sql, sizeof(sql),
             "SELECT coalesce(sum(sold), 0)::int8 FROM sku_days WHERE day = '%s 00:00Z'", day);
    assert_int_equal(fixture_count(db, sql), sold);
}

// 1 + … + 20 before midnight, 21 + … + 40 after it.
static void assert_all_sold(void) {
    assert_sold("2025-12-31", 210);
    assert_sold("2026-01-01", 610);
    assert_int_equal(fixture_count(db, "SELECT count(*) FROM sku_days"), 2);
    assert_int_equal(fixture_count(db, "SELECT sold FROM inventory"), 820);
}

static void sales_count_for_their_day_however_batches_are_cut(void **state) {
    (void)state;
    apply(0, 7, 0);
    apply(7, 30, 7);
    apply(30, RECORDS, 30);
    assert_all_sold();
}

static void go_back_to(int64_t offset) {
    char sql[128];
    snprintf(sql, sizeof(sql), "UPDATE projection_offsets SET next_offset = %lld",
             (long long)offset);
    fixture_exec(db, sql);
}

static void sales_that_were_seen_are_not_counted_again(void **state) {
    (void)state;
    apply(0, 11, 0);
    assert_sold("2025-12-31", 55);
    go_back_to(0);
    apply(0, 11, 0);
    assert_sold("2025-12-31", 55);
    go_back_to(5);
    apply(5, 16, 5);
    assert_sold("2025-12-31", 120);
    go_back_to(3);
    apply(3, RECORDS, 3);
    assert_all_sold();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(sales_count_for_their_day_however_batches_are_cut, begin,
                                        end),
        cmocka_unit_test_setup_teardown(sales_that_were_seen_are_not_counted_again, begin, end),
    };
    return cmocka_run_group_tests(tests, fixture_create, fixture_drop);
}
