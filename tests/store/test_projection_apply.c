// SPDX-License-Identifier: Apache-2.0
//
// The transaction of a batch, on a real PostgreSQL, without Kafka.
#include "store/projection.h"
#include "store_fixture.h"

enum { ORDERS = 500 };

static struct order_placed placed[ORDERS];
static struct order_cancelled cancelled[ORDERS];
static struct order_command_refused refused[ORDERS];
static struct projection_record records[3 * ORDERS];

// Offsets 0 … ORDERS - 1 place the orders, the following ones cancel every one of them, and the
// last refuse to cancel them again.
static void make_records(void) {
    for (uint64_t n = 0; n < ORDERS; n++) {
        placed[n] = fixture_placed(n);
        cancelled[n] = fixture_cancelled(n, 2);
        records[n] = (struct projection_record){RECORD_ORDER_PLACED, &placed[n], 0, (int64_t)n};
        records[ORDERS + n] = (struct projection_record){RECORD_ORDER_CANCELLED, &cancelled[n], 0,
                                                         (int64_t)(ORDERS + n)};
        refused[n] = fixture_refused(n);
        records[2 * ORDERS + n] = (struct projection_record){
            RECORD_ORDER_COMMAND_REFUSED, &refused[n], 0, (int64_t)(2 * ORDERS + n)};
    }
}

static struct projection_set *open_set(void) {
    struct error err;
    struct projection_set *set =
        projection_set_new("orders.events", projection_files, projection_files_count, NULL, &err);
    if (!set)
        fixture_fail("projections", &err);
    return set;
}

static int64_t load_position(struct db *db, struct projection_set *set) {
    struct projection_position positions[PROJECTIONS_MAX];
    struct error err;
    int32_t partition = 0;
    if (!projection_positions_load(db, set, "topic-1", &partition, 1, positions, &err))
        fixture_fail("positions", &err);
    return positions[0].next_offset;
}

static bool apply(struct db *db, struct projection_set *set, size_t from, size_t to,
                  int64_t expected, struct error *err) {
    struct projection_move moves[PROJECTIONS_MAX];
    size_t count = projection_set_count(set);
    for (size_t i = 0; i < count; i++)
        moves[i] =
            (struct projection_move){(uint32_t)i, 0, expected, expected + (int64_t)(to - from)};
    struct projection_batch batch = {.mask = (1u << count) - 1,
                                     .records = records + from,
                                     .records_count = to - from,
                                     .moves = moves,
                                     .moves_count = count};
    return projection_set_apply(set, db, &batch, NULL, err);
}

static void clear(struct db *db) {
    fixture_exec(db, "TRUNCATE orders, order_counts, customer_counts, order_line_sets, "
                     "order_timeline_parts, order_timeline_news, order_commands, "
                     "projection_offsets, projection_skipped");
}

static const char *const tables[] = {"orders",         "order_lines", "order_timeline",
                                     "order_commands", "order_stats", "customer_counts"};
enum { TABLES = sizeof(tables) / sizeof(tables[0]) };

static void rows_and_offset_are_written_together(void **state) {
    (void)state;
    struct error err;
    struct db *db = fixture_connect();
    struct projection_set *set = open_set();
    clear(db);
    assert_int_equal(load_position(db, set), 0);
    if (!apply(db, set, 0, ORDERS, 0, &err))
        fixture_fail("apply", &err);
    assert_int_equal(load_position(db, set), ORDERS);
    assert_int_equal(fixture_count(db, "SELECT count(*) FROM orders"), ORDERS);
    assert_int_equal(fixture_count(db, "SELECT count(*) FROM order_lines"), 2 * ORDERS);
    assert_int_equal(fixture_count(db, "SELECT count(*) FROM order_timeline"), ORDERS);
    assert_int_equal(
        fixture_count(db, "SELECT count(*) FROM order_commands WHERE outcome = 'applied'"), ORDERS);
    assert_int_equal(fixture_count(db, "SELECT sum(total_minor) FROM orders "
                                       "WHERE status = 'PLACED' AND lines_count = 2 "
                                       "AND customer_id IN ('odd', 'even')"),
                     600 * ORDERS);
    assert_int_equal(fixture_count(db, "SELECT extract(epoch FROM min(placed_at)) FROM orders"),
                     fixture_t0_us() / 1000000);
    projection_set_free(set);
    db_free(db);
}

// However the log is cut into batches, the same rows come out.
static void batches_of_any_size_give_the_same_rows(void **state) {
    (void)state;
    static const size_t sizes[] = {3 * ORDERS, 1, 7, 100, 101, ORDERS + 3};
    char *expected[TABLES] = {NULL};
    struct db *db = fixture_connect();
    for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
        struct projection_set *set = open_set();
        clear(db);
        load_position(db, set);
        for (size_t from = 0; from < 3 * ORDERS; from += sizes[s]) {
            struct error err;
            size_t to = from + sizes[s] < 3 * ORDERS ? from + sizes[s] : 3 * ORDERS;
            if (!apply(db, set, from, to, (int64_t)from, &err))
                fixture_fail("apply", &err);
        }
        for (size_t t = 0; t < TABLES; t++) {
            char *dump = fixture_dump(db, tables[t]);
            if (!expected[t]) {
                assert_true(strlen(dump) > 100);
                expected[t] = dump;
                continue;
            }
            assert_string_equal(dump, expected[t]);
            free(dump);
        }
        projection_set_free(set);
        db_disconnect(db);
        assert_true(db_connect(db, NULL));
    }
    for (size_t t = 0; t < TABLES; t++)
        free(expected[t]);
    db_free(db);
}

static void applying_a_batch_twice_changes_nothing(void **state) {
    (void)state;
    struct error err;
    struct db *db = fixture_connect();
    struct projection_set *set = open_set();
    clear(db);
    load_position(db, set);
    assert_true(apply(db, set, 0, 2 * ORDERS, 0, &err));
    char *before[TABLES];
    for (size_t t = 0; t < TABLES; t++)
        before[t] = fixture_dump(db, tables[t]);
    // A rest, and what is old is forgotten. Then somebody sets the offsets back: all of it comes
    // again, and in other batches.
    fixture_exec(db, "UPDATE order_timeline_news SET noted_at = now() - interval '1 hour'");
    assert_true(projection_set_purge(set, db, 0, &err));
    fixture_exec(db, "UPDATE projection_offsets SET next_offset = 0");
    static const size_t cuts[] = {0, 300, ORDERS + 100, 2 * ORDERS};
    for (size_t c = 0; c < 3; c++) {
        assert_true(apply(db, set, cuts[c], cuts[c + 1], (int64_t)cuts[c], &err));
        for (size_t t = 0; t < TABLES; t++) {
            char *after = fixture_dump(db, tables[t]);
            assert_string_equal(before[t], after);
            free(after);
        }
    }
    for (size_t t = 0; t < TABLES; t++)
        free(before[t]);
    projection_set_free(set);
    db_free(db);
}

// What was refused for its version says so.
static void another_version_is_told_as_the_reason(void **state) {
    (void)state;
    struct error err;
    struct db *db = fixture_connect();
    struct projection_set *set = open_set();
    const struct order_command_refused before = refused[7];
    clear(db);
    load_position(db, set);
    refused[7].reason = ORDER_REFUSAL_INVALID_ORDER;
    refused[7].has_expected_version = refused[7].has_actual_version = true;
    refused[7].expected_version = 1;
    refused[7].actual_version = 2;
    assert_true(apply(db, set, 0, 3 * ORDERS, 0, &err));
    refused[7] = before;
    assert_int_equal(fixture_count(db, "SELECT count(*) FROM order_commands "
                                       "WHERE outcome = 'refused' AND reason = 'VERSION_DIFFERS' "
                                       "AND detail = 'the order is at version 2, not 1'"),
                     1);
    assert_int_equal(fixture_count(db, "SELECT count(*) FROM order_commands "
                                       "WHERE outcome = 'refused' AND reason = 'ALREADY_CLOSED'"),
                     ORDERS - 1);
    projection_set_free(set);
    db_free(db);
}

// Sums that are moved step by step are what summing up would say, at every step.
static void sums_are_those_of_the_rows(void **state) {
    (void)state;
    static const char stats_differ[] =
        "SELECT count(*) FROM order_stats s FULL JOIN ("
        "SELECT shop_id, unit, date_trunc(unit, placed_at, 'UTC') AS bucket, currency, status, "
        "coalesce(close_reason, '') AS close_reason, count(*) AS orders, "
        "sum(total_minor)::int8 AS total_minor, sum(captured_minor)::int8 AS captured_minor "
        "FROM orders CROSS JOIN (VALUES ('minute'), ('hour'), ('day')) u (unit) "
        "GROUP BY 1, 2, 3, 4, 5, 6) o USING (shop_id, unit, bucket, currency, status, "
        "close_reason) "
        "WHERE (s.orders, s.total_minor, s.captured_minor) IS DISTINCT FROM "
        "(o.orders, o.total_minor, o.captured_minor)";
    static const char customers_differ[] =
        "SELECT count(*) FROM customer_counts c FULL JOIN ("
        "SELECT shop_id, customer_id, currency, count(*) AS orders, "
        "count(*) FILTER (WHERE status = 'CANCELLED') AS cancelled, "
        "sum(total_minor)::int8 AS total_minor, min(placed_at) AS first_placed_at, "
        "max(placed_at) AS last_placed_at FROM orders GROUP BY 1, 2, 3) o "
        "USING (shop_id, customer_id, currency) "
        "WHERE (c.orders, c.cancelled, c.total_minor, c.first_placed_at, c.last_placed_at) "
        "IS DISTINCT FROM (o.orders, o.cancelled, o.total_minor, o.first_placed_at, "
        "o.last_placed_at)";
    struct error err;
    struct db *db = fixture_connect();
    struct projection_set *set = open_set();
    clear(db);
    load_position(db, set);
    for (size_t from = 0; from < 3 * ORDERS; from += 211) {
        size_t to = from + 211 < 3 * ORDERS ? from + 211 : 3 * ORDERS;
        assert_true(apply(db, set, from, to, (int64_t)from, &err));
        assert_int_equal(fixture_count(db, stats_differ), 0);
        assert_int_equal(fixture_count(db, customers_differ), 0);
    }
    assert_int_equal(fixture_count(db, "SELECT sum(orders) FROM order_stats WHERE unit = 'day' "
                                       "AND status = 'CANCELLED' AND close_reason = 'CUSTOMER'"),
                     ORDERS);
    assert_int_equal(fixture_count(db, "SELECT count(*) FROM customer_counts WHERE cancelled > 0"),
                     2);
    projection_set_free(set);
    db_free(db);
}

// As parameters and by COPY.
static const size_t small_and_large[] = {200, 3 * ORDERS};

static void stale_offset(size_t count) {
    struct error err;
    struct db *live_db = fixture_connect();
    struct db *zombie_db = fixture_connect();
    struct projection_set *live = open_set();
    struct projection_set *zombie = open_set();
    clear(live_db);
    int64_t believed = load_position(zombie_db, zombie);
    assert_true(apply(live_db, live, 0, 100, load_position(live_db, live), &err));

    assert_false(apply(zombie_db, zombie, 0, count, believed, &err));
    assert_int_equal(err.what, DISP_ABORT);
    assert_int_equal(fixture_count(live_db, "SELECT count(*) FROM orders"), 100);
    assert_int_equal(fixture_count(live_db, "SELECT count(*) FROM order_timeline"), 100);
    // It may go on where the log really is.
    assert_true(apply(zombie_db, zombie, 100, count, load_position(zombie_db, zombie), &err));
    assert_int_equal(fixture_count(live_db, "SELECT count(*) FROM order_timeline"), count);
    projection_set_free(live);
    projection_set_free(zombie);
    db_free(live_db);
    db_free(zombie_db);
}

static void a_stale_offset_writes_nothing(void **state) {
    (void)state;
    for (size_t i = 0; i < 2; i++)
        stale_offset(small_and_large[i]);
}

static void failing_statement(size_t count) {
    struct error err;
    struct db *db = fixture_connect();
    struct projection_set *set = open_set();
    clear(db);
    load_position(db, set);
    // PostgreSQL's text cannot hold a NUL, which UTF-8 and Avro allow.
    struct view good = placed[42].customer_id;
    placed[42].customer_id = VIEW("a\0b");
    assert_false(apply(db, set, 0, count, 0, &err));
    assert_int_equal(err.what, DISP_POISON);
    assert_non_null(strstr(err.msg, "read model orders"));
    placed[42].customer_id = good;
    assert_int_equal(fixture_count(db, "SELECT count(*) FROM order_timeline"), 0);
    assert_int_equal(load_position(db, set), 0);
    assert_true(apply(db, set, 0, count, 0, &err)); // the connection is usable
    assert_int_equal(fixture_count(db, "SELECT count(*) FROM order_timeline"), count);
    projection_set_free(set);
    db_free(db);
}

static void a_failing_statement_takes_rows_and_offset_with_it(void **state) {
    (void)state;
    for (size_t i = 0; i < 2; i++)
        failing_statement(small_and_large[i]);
}

// Setup had not granted it yet.
static void without_temporary_tables_large_batches_are_applied_all_the_same(void **state) {
    (void)state;
    struct error err;
    struct db *db = fixture_connect();
    struct projection_set *set = open_set();
    clear(db);
    load_position(db, set);
    fixture_exec(db, "SET default_transaction_read_only = on");
    assert_false(apply(db, set, 0, 100, 0, &err)); // prepares all but these tables
    fixture_exec(db, "SET default_transaction_read_only = off");
    assert_true(apply(db, set, 0, 3 * ORDERS, 0, &err));
    assert_int_equal(fixture_count(db, "SELECT count(*) FROM order_timeline"), 3 * ORDERS);
    projection_set_free(set);
    db_free(db);
}

static void a_killed_connection_leaves_all_or_nothing(void **state) {
    (void)state;
    struct error err;
    struct db *db = fixture_connect();
    struct db *killer = fixture_connect();
    struct projection_set *set = open_set();
    clear(db);
    load_position(db, set);
    // A trigger ends the backend in the middle of the transaction: rows are written, no commit.
    fixture_exec(killer,
                 "CREATE FUNCTION end_backend() RETURNS trigger LANGUAGE plpgsql AS "
                 "$$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END $$;"
                 "CREATE TRIGGER crash AFTER INSERT ON order_commands "
                 "FOR EACH STATEMENT EXECUTE FUNCTION end_backend()");
    assert_false(apply(db, set, 0, 100, 0, &err));
    assert_int_equal(err.what, DISP_RETRY);
    fixture_exec(killer, "DROP TRIGGER crash ON order_commands; DROP FUNCTION end_backend()");
    assert_int_equal(fixture_count(killer, "SELECT count(*) FROM orders"), 0);
    assert_int_equal(load_position(db, set), 0); // connects again by itself
    assert_true(apply(db, set, 0, 100, 0, &err));
    assert_int_equal(fixture_count(killer, "SELECT count(*) FROM orders"), 100);
    assert_int_equal(fixture_count(killer, "SELECT count(*) FROM order_commands"), 100);
    projection_set_free(set);
    db_free(db);
    db_free(killer);
}

static void keys_are_those_of_what_was_folded_last(void **state) {
    (void)state;
    struct projection_set *set = open_set();
    assert_int_not_equal(projection_set_fold(set, records, 2 * ORDERS), 0);
    assert_int_equal(projection_set_keys(set), ORDERS);
    assert_int_not_equal(projection_set_fold(set, records, 10), 0);
    assert_int_equal(projection_set_keys(set), 10);
    projection_set_free(set);
}

static void a_recreated_topic_is_refused(void **state) {
    (void)state;
    struct error err;
    struct db *db = fixture_connect();
    struct projection_set *set = open_set();
    clear(db);
    load_position(db, set);
    struct projection_position positions[PROJECTIONS_MAX];
    int32_t partition = 0;
    assert_false(projection_positions_load(db, set, "topic-2", &partition, 1, positions, &err));
    assert_int_equal(err.what, DISP_FATAL);
    assert_non_null(strstr(err.msg, "deleted"));
    projection_set_free(set);
    db_free(db);
}

static void migrating_twice_changes_nothing_and_a_changed_file_is_refused(void **state) {
    (void)state;
    struct error err;
    struct db *db = fixture_connect();
    int applied = -1;
    assert_true(store_migrate(db, &applied, &err));
    assert_int_equal(applied, 0);
    struct projection_file file = {"first/table.sql", "CREATE TABLE first (n int)", 26};
    assert_true(store_migrate_files(db, &file, 1, &applied, &err));
    assert_int_equal(applied, 1);
    file = (struct projection_file){"first/table.sql", "CREATE TABLE first (n bigint)", 29};
    assert_false(store_migrate_files(db, &file, 1, &applied, &err));
    assert_non_null(strstr(err.msg, "table_2.sql"));
    db_free(db);
}

static void outcomes_older_than_a_week_are_purged_and_others_stay(void **state) {
    (void)state;
    struct error err;
    struct db *db = fixture_connect();
    struct projection_set *set = open_set();
    clear(db);
    load_position(db, set);
    assert_true(apply(db, set, 0, 10, 0, &err));
    fixture_exec(db, "UPDATE order_commands SET occurred_at = now();"
                     "UPDATE order_commands SET occurred_at = now() - interval '8 days' "
                     "WHERE log_offset < 4");
    assert_true(projection_set_purge(set, db, 0, &err));
    assert_int_equal(fixture_count(db, "SELECT count(*) FROM order_commands"), 6);
    projection_set_free(set);
    db_free(db);
}

int main(void) {
    make_records();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_and_offset_are_written_together),
        cmocka_unit_test(batches_of_any_size_give_the_same_rows),
        cmocka_unit_test(applying_a_batch_twice_changes_nothing),
        cmocka_unit_test(another_version_is_told_as_the_reason),
        cmocka_unit_test(sums_are_those_of_the_rows),
        cmocka_unit_test(a_stale_offset_writes_nothing),
        cmocka_unit_test(a_failing_statement_takes_rows_and_offset_with_it),
        cmocka_unit_test(without_temporary_tables_large_batches_are_applied_all_the_same),
        cmocka_unit_test(a_killed_connection_leaves_all_or_nothing),
        cmocka_unit_test(keys_are_those_of_what_was_folded_last),
        cmocka_unit_test(a_recreated_topic_is_refused),
        cmocka_unit_test(migrating_twice_changes_nothing_and_a_changed_file_is_refused),
        cmocka_unit_test(outcomes_older_than_a_week_are_purged_and_others_stay),
    };
    return cmocka_run_group_tests(tests, fixture_create, fixture_drop);
}
