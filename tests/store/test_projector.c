// SPDX-License-Identifier: Apache-2.0
//
// From a real Kafka into a real PostgreSQL, with trouble on the way.
#include <poll.h>

#include "event/types.h"
#include "log_fixture.h"
#include "service/service.h"
#include "store/projection_control.h"
#include "store/projector.h"

static struct projector *start(const char *const *names, int worker) {
    struct error err;
    struct projector *projector;
    const struct projector_options options = {.config = &log_config,
                                              .ids = log_ids,
                                              .topic = "orders.events",
                                              .kafka_name = log_topic,
                                              .files = projection_files,
                                              .files_count = projection_files_count,
                                              .names = names,
                                              .worker = worker};
    if (!projector_start(&options, &projector, &err))
        fixture_fail("starting", &err);
    assert_non_null(projector);
    return projector;
}

// Asks until the query's number is the expected one, or fails when the time is up.
static void await_count(struct db *db, const char *sql, int64_t expected) {
    int64_t deadline_ms = clock_monotonic_ms() + LOG_DEADLINE_MS;
    int64_t found;
    while ((found = fixture_count(db, sql)) != expected && clock_monotonic_ms() < deadline_ms)
        (void)poll(NULL, 0, 20);
    if (found != expected)
        fprintf(stderr, "%s\n", sql);
    assert_int_equal(found, expected);
}

static void write_orders(uint64_t from, uint64_t to) {
    for (uint64_t n = from; n < to; n++)
        log_write_placed(log_producer, n);
    for (uint64_t n = from; n < to; n++)
        if (n % 3 == 0)
            log_write_cancelled(log_producer, n);
    log_flush(log_producer);
}

// Every third of n orders is cancelled.
static void assert_orders(struct db *db, int64_t n) {
    int64_t cancelled = (n + 2) / 3;
    await_count(db, "SELECT count(*) FROM order_timeline", n + cancelled);
    await_count(db, "SELECT count(*) FROM orders", n);
    await_count(db, "SELECT count(*) FROM order_lines", 2 * n);
    await_count(db, "SELECT count(*) FROM order_commands", n + cancelled);
    await_count(db,
                "SELECT count(*) FROM orders WHERE version = 2 AND status = 'CANCELLED' "
                "AND close_reason = 'CUSTOMER' AND closed_at IS NOT NULL",
                cancelled);
}

static void every_event_reaches_every_read_model_once(void **state) {
    (void)state;
    struct db *db = fixture_connect();
    write_orders(0, 3000); // several batches
    struct projector *projector = start(NULL, 0);
    assert_orders(db, 3000);
    write_orders(3000, 3001); // and one by one, at rest
    await_count(db, "SELECT count(*) FROM orders", 3001);
    assert_int_equal(fixture_count(db, "SELECT sum(next_offset) FROM projection_offsets "
                                       "WHERE projection = 'orders'"),
                     4002);
    assert_true(projector_is_running(projector));
    projector_stop(projector);
    db_free(db);
}

static void aborted_records_are_never_seen(void **state) {
    (void)state;
    struct db *db = fixture_connect();
    rd_kafka_t *producer = log_producer_new(log_topic);
    rd_kafka_init_transactions(producer, LOG_DEADLINE_MS);
    for (uint64_t n = 0; n < 20; n++) {
        rd_kafka_begin_transaction(producer);
        log_write_placed(producer, n);
        log_flush(producer);
        rd_kafka_error_t *error = n % 2 ? rd_kafka_abort_transaction(producer, LOG_DEADLINE_MS)
                                        : rd_kafka_commit_transaction(producer, LOG_DEADLINE_MS);
        assert_null(error);
    }
    struct projector *projector = start(NULL, 0);
    await_count(db, "SELECT count(*) FROM orders", 10);
    write_orders(30, 31);
    await_count(db, "SELECT count(*) FROM orders", 11);
    projector_stop(projector);
    rd_kafka_destroy(producer);
    db_free(db);
}

static void set_paused(struct db *db, const char *name, bool yes) {
    struct error err;
    bool changed = false;
    if (!projection_control_pause(db, name, yes, &changed, &err))
        fixture_fail("pausing or resuming", &err);
    assert_true(changed);
    assert_true(projection_control_pause(db, name, yes, &changed, &err));
    assert_false(changed);
}

static void a_paused_read_model_stands_still_while_the_others_go_on(void **state) {
    (void)state;
    struct db *db = fixture_connect();
    write_orders(0, 300);
    struct projector *projector = start(NULL, 0);
    assert_orders(db, 300);
    set_paused(db, "orders", true);
    write_orders(300, 600);
    await_count(db, "SELECT count(*) FROM order_timeline", 800);
    assert_int_equal(fixture_count(db, "SELECT count(*) FROM orders"), 300);

    set_paused(db, "order_timeline", true);
    set_paused(db, "order_commands", true);
    write_orders(600, 900);
    set_paused(db, "order_timeline", false); // found again although nothing at all was at work
    await_count(db, "SELECT count(*) FROM order_timeline", 1200);
    assert_int_equal(fixture_count(db, "SELECT count(*) FROM orders"), 300);
    assert_true(projector_is_running(projector));

    set_paused(db, "order_commands", false);
    set_paused(db, "orders", false);
    int64_t resumed_ms = clock_monotonic_ms();
    await_count(db, "SELECT count(*) FROM orders WHERE version >= 1", 900);
    assert_true(clock_monotonic_ms() - resumed_ms < 2000 || getenv("ORDERLOG_TEST_SLOW"));
    assert_orders(db, 900);
    projector_stop(projector);
    db_free(db);
}

static void a_reset_read_model_is_built_again(void **state) {
    (void)state;
    struct db *db = fixture_connect();
    struct error err;
    write_orders(0, 300);
    struct projector *projector = start(NULL, 0);
    assert_orders(db, 300);
    fixture_exec(db, "UPDATE orders SET total_minor = total_minor + 1");
    set_paused(db, "orders", true);
    if (!projection_control_reset(db, projection_files, projection_files_count, "orders", &err))
        fixture_fail("resetting", &err);
    assert_int_equal(fixture_count(db, "SELECT count(*) FROM orders"), 0);
    assert_int_equal(fixture_count(db, "SELECT count(*) FROM order_lines"), 0);
    assert_int_equal(fixture_count(db, "SELECT count(*) FROM order_timeline"), 400);
    set_paused(db, "orders", false);
    assert_orders(db, 300);
    assert_int_equal(fixture_count(db, "SELECT count(*) FROM orders WHERE total_minor <> "
                                       "items_minor - discount_minor + shipping_minor + tax_minor"),
                     0);
    // And while projectors are at work on it.
    assert_true(
        projection_control_reset(db, projection_files, projection_files_count, "orders", &err));
    assert_orders(db, 300);
    projector_stop(projector);
    db_free(db);
}

static void bad_records_stop_nothing_and_are_kept(void **state) {
    (void)state;
    struct db *db = fixture_connect();
    static const uint8_t unknown_schema[] = {0, 0x00, 0x0f, 0x42, 0x3f, 1, 2, 3};
    struct order_placed truncated = fixture_placed(1000);
    struct order_placed refused = fixture_placed(1001);
    refused.customer_id = VIEW("a\0b"); // UTF-8 and Avro allow it, PostgreSQL's text does not
    struct stock_sold elsewhere = {.shop_id = VIEW("main"), .sku = VIEW("apple"), .version = 1};
    uint8_t bytes[4096];
    uint8_t *end = message_encode(RECORD_ORDER_PLACED + 1, &order_placed_type, &truncated, bytes,
                                  bytes + sizeof(bytes));

    write_orders(0, 30);
    log_produce(log_producer, 0, "garbage", 7);
    log_produce(log_producer, 0, NULL, 0);
    log_produce(log_producer, 1, unknown_schema, sizeof(unknown_schema));
    log_produce(log_producer, 1, bytes, (size_t)(end - bytes) - 3);
    log_write_record(log_producer, 0, RECORD_STOCK_SOLD, &elsewhere);
    log_write_record(log_producer, 1, RECORD_ORDER_PLACED, &refused);
    write_orders(30, 60);

    struct projector *projector = start(NULL, 0);
    // The refused order is in the models that can take it: they do not hold the customer.
    await_count(db, "SELECT count(*) FROM orders", 60);
    await_count(db, "SELECT count(*) FROM order_timeline", 81);
    await_count(db, "SELECT count(*) FROM order_commands", 81);
    await_count(db, "SELECT count(*) FROM projection_skipped WHERE projection = ''", 5);
    await_count(db, "SELECT count(*) FROM projection_skipped WHERE projection = 'orders'", 1);
    await_count(db, "SELECT count(*) FROM projection_skipped WHERE value = 'garbage'::bytea", 1);
    await_count(db, "SELECT count(*) FROM projection_skipped WHERE error LIKE '%999999%'", 1);
    projector_stop(projector);
    db_free(db);
}

static void a_new_read_model_catches_up_while_the_others_go_on(void **state) {
    (void)state;
    static const char *const first[] = {"order_timeline", NULL};
    struct db *db = fixture_connect();
    write_orders(0, 200);
    struct projector *projector = start(first, 0);
    await_count(db, "SELECT count(*) FROM order_timeline", 267);
    await_count(db, "SELECT count(*) FROM orders", 0);
    projector_stop(projector);

    write_orders(201, 300); // 201 is divisible by 3 as well
    projector = start(NULL, 0);
    await_count(db, "SELECT count(*) FROM orders", 299);
    await_count(db, "SELECT count(*) FROM order_timeline", 267 + 99 + 33);
    await_count(db,
                "SELECT count(DISTINCT sums) FROM (SELECT sum(next_offset) AS sums "
                "FROM projection_offsets GROUP BY projection) s",
                1);
    projector_stop(projector);
    db_free(db);
}

static void a_projector_whose_offsets_were_moved_steps_aside(void **state) {
    (void)state;
    struct db *db = fixture_connect();
    write_orders(0, 90);
    struct projector *projector = start(NULL, 0);
    assert_orders(db, 90);
    // Somebody else goes back to the beginning and has only just begun: what we believe is stale.
    fixture_exec(db, "TRUNCATE orders, order_line_sets, order_timeline_parts, order_commands;"
                     "UPDATE projection_offsets SET next_offset = 0");
    write_orders(90, 120);
    assert_orders(db, 120);
    projector_stop(projector);
    db_free(db);
}

static void killed_connections_lose_and_double_nothing(void **state) {
    (void)state;
    struct db *db = fixture_connect();
    config_free(&log_config);
    log_config_load("50"); // many transactions to be hit
    struct projector *projector = start(NULL, 0);
    int64_t killed = 0;
    for (uint64_t round = 0; round < 10; round++) {
        write_orders(round * 300, (round + 1) * 300);
        for (int i = 0; i < 3; i++)
            killed += fixture_count(db, "SELECT count(pg_terminate_backend(pid)) "
                                        "FROM pg_stat_activity WHERE datname = current_database() "
                                        "AND application_name LIKE 'orderlog project%'");
    }
    assert_true(killed > 0);
    assert_orders(db, 3000);
    assert_int_equal(fixture_count(db, "SELECT count(*) FROM projection_skipped"), 0);
    projector_stop(projector);
    config_free(&log_config);
    log_config_load("2000");
    db_free(db);
}

static void two_projectors_share_the_partitions(void **state) {
    (void)state;
    struct db *db = fixture_connect();
    struct projector *one = start(NULL, 0);
    write_orders(0, 150);
    await_count(db, "SELECT count(*) FROM orders", 150);
    struct projector *two = start(NULL, 1);
    write_orders(150, 300);
    assert_orders(db, 300);
    projector_stop(one);
    write_orders(300, 600);
    // The other one's partitions come over when its session has timed out, or when it returns.
    one = start(NULL, 0);
    assert_orders(db, 600);
    projector_stop(one);
    projector_stop(two);
    db_free(db);
}

// Last: it asks the whole process to stop.
static void a_topic_made_anew_is_refused(void **state) {
    (void)state;
    struct db *db = fixture_connect();
    write_orders(0, 9);
    struct projector *projector = start(NULL, 0);
    assert_orders(db, 9);
    projector_stop(projector);
    log_topic_delete();
    log_topic_create();
    write_orders(0, 1);
    projector = start(NULL, 0);
    assert_true(service_wait_stop(LOG_DEADLINE_MS));
    assert_orders(db, 9);
    projector_stop(projector);
    db_free(db);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_event_reaches_every_read_model_once, log_begin,
                                        log_end),
        cmocka_unit_test_setup_teardown(aborted_records_are_never_seen, log_begin, log_end),
        cmocka_unit_test_setup_teardown(bad_records_stop_nothing_and_are_kept, log_begin, log_end),
        cmocka_unit_test_setup_teardown(a_paused_read_model_stands_still_while_the_others_go_on,
                                        log_begin, log_end),
        cmocka_unit_test_setup_teardown(a_reset_read_model_is_built_again, log_begin, log_end),
        cmocka_unit_test_setup_teardown(a_new_read_model_catches_up_while_the_others_go_on,
                                        log_begin, log_end),
        cmocka_unit_test_setup_teardown(a_projector_whose_offsets_were_moved_steps_aside, log_begin,
                                        log_end),
        cmocka_unit_test_setup_teardown(killed_connections_lose_and_double_nothing, log_begin,
                                        log_end),
        cmocka_unit_test_setup_teardown(two_projectors_share_the_partitions, log_begin, log_end),
        cmocka_unit_test_setup_teardown(a_topic_made_anew_is_refused, log_begin, log_end),
    };
    return cmocka_run_group_tests(tests, log_open, log_close);
}
