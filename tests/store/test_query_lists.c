// SPDX-License-Identifier: Apache-2.0
//
// Lists page by page while orders come and change, by every filter, each by an index.
#include <curl/curl.h>
#include <pthread.h>

#include "http/query.h"
#include "query_fixture.h"

enum { MANY = 20000, BETWEEN = 500 };

static bool has_seen[ORDERS];

// Marks the orders of the page, asserting that none was on an earlier one; false: it was the last.
static bool read_page(const char *filter, char cursor[64]) {
    char path[512];
    snprintf(path, sizeof(path), "/v1/orders?limit=7%s%s%s", filter, *cursor ? "&cursor=" : "",
             cursor);
    assert_status(path, 200);
    for (const char *at = reply.body; (at = strstr(at, "\"order_id\":\"")) != NULL;) {
        struct id id;
        at += strlen("\"order_id\":\"");
        assert_true(id_parse(at, ID_TEXT_LEN, &id));
        for (uint64_t n = 0; n < ORDERS; n++) {
            const struct id known = fixture_order_id(n);
            if (!id_equal(&id, &known))
                continue;
            assert_false(has_seen[n]);
            has_seen[n] = true;
        }
    }
    const char *next = strstr(reply.body, "\"next_cursor\":\"");
    if (next)
        snprintf(cursor, 64, "%.48s", next + strlen("\"next_cursor\":\""));
    return next != NULL;
}

static uint64_t placed_between = BETWEEN;

// New orders, later and earlier than others, and changes of ones that were and were not shown.
static void change_between(int page) {
    static struct order_placed placed[2];
    struct projection_record records[3];
    for (int i = 0; i < 2; i++) {
        placed[i] = fixture_placed(placed_between++);
        placed[i].occurred_at = fixture_t0_us() + (i ? (int64_t)1000000000 : page * 7000001);
        records[i] = (struct projection_record){RECORD_ORDER_PLACED, &placed[i], 0, log_end++};
    }
    struct order_cancelled cancelled = fixture_cancelled((uint64_t)page * 5 % ORDERS, 2);
    records[2] = (struct projection_record){RECORD_ORDER_CANCELLED, &cancelled, 0, log_end++};
    feed(every_model(), records, 3);
}

static size_t count_seen(void) {
    size_t count = 0;
    for (size_t n = 0; n < ORDERS; n++)
        count += has_seen[n];
    return count;
}

static void orders_that_stay_are_seen_once_while_others_come_and_change(void **state) {
    (void)state;
    char cursor[64] = "";
    memset(has_seen, 0, sizeof(has_seen));
    for (int page = 0; read_page("", cursor); page++)
        change_between(page);
    assert_int_equal(count_seen(), ORDERS);
}

// Those that were cancelled meanwhile have left the list of those placed; all others are in it.
static void a_filtered_list_shows_once_what_stays_in_it(void **state) {
    (void)state;
    char cursor[64] = "";
    bool changed[ORDERS] = {false};
    memset(has_seen, 0, sizeof(has_seen));
    for (int page = 0; read_page("&status=PLACED", cursor); page++) {
        change_between(page);
        changed[page * 5 % ORDERS] = true;
    }
    for (size_t n = 0; n < ORDERS; n++)
        assert_true(has_seen[n] || changed[n]);
}

static void assert_listed(const char *filter, int64_t count) {
    char path[512];
    int64_t listed = 0;
    snprintf(path, sizeof(path), "/v1/orders?limit=500%s", filter);
    assert_status(path, 200);
    for (const char *at = reply.body; (at = strstr(at, "\"order_id\"")) != NULL; at++)
        listed++;
    if (listed != count)
        fprintf(stderr, "%s: %lld orders\n", filter, (long long)listed);
    assert_int_equal(listed, count);
}

static void each_filter_leaves_what_it_says(void **state) {
    (void)state;
    char filter[256], from[CLOCK_TEXT_SIZE], to[CLOCK_TEXT_SIZE];
    fixture_exec(db, "UPDATE orders SET reference = 'R-' || (extract(epoch FROM placed_at)::int8 "
                     "/ 1000000)::text");
    fixture_exec(db, "UPDATE orders SET reference = 'mine', placed_at = now() WHERE order_id = "
                     "(SELECT min(order_id::text)::uuid FROM orders WHERE customer_id = 'odd')");
    assert_listed("&reference=mine", 1);
    assert_listed("&reference=mine&customer=odd", 1);
    assert_listed("&reference=mine&customer=even", 0);
    assert_listed("&reference=mine&status=PLACED", 1);
    assert_listed("&reference=mine&status=CANCELLED&customer=odd", 0);
    assert_listed("&reference=nothing", 0);
    // Nineteen seconds after the first, exclusively, to five seconds after it, inclusively.
    clock_format_us(fixture_t0_us() + 5000000, from);
    clock_format_us(fixture_t0_us() + 19000000, to);
    const int64_t between = fixture_count(
        db, "SELECT count(*) FROM orders WHERE placed_at < now() - interval '1 hour' AND "
            "placed_at >= (SELECT min(placed_at) FROM orders) + interval '5 seconds' AND "
            "placed_at < (SELECT min(placed_at) FROM orders) + interval '19 seconds'");
    assert_true(between > 5);
    snprintf(filter, sizeof(filter), "&placed_from=%s&placed_to=%s", from, to);
    assert_listed(filter, between);
    snprintf(filter, sizeof(filter), "&placed_from=%s&placed_to=%s", to, from);
    assert_listed(filter, 0);
    memset(has_seen, 0, sizeof(has_seen));
    char cursor[64] = "";
    snprintf(filter, sizeof(filter), "&placed_to=%s", to);
    while (read_page(filter, cursor)) {
    }
    snprintf(filter, sizeof(filter), "&placed_from=%s", to);
    *cursor = '\0';
    while (read_page(filter, cursor)) {
    }
    assert_int_equal(count_seen(), ORDERS); // nothing is in both, nothing in none
}

static void bad_parameters_are_refused(void **state) {
    (void)state;
    static const char *const paths[] = {
        "/v1/orders?reference=",
        "/v1/orders?placed_from=today",
        "/v1/orders?placed_to=2026-01-01T00:00:00",
        "/v1/orders?limit=+1",
    };
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
        assert_status(paths[i], 400);
}

// What EXPLAIN says of the statement as the service runs it: with a plan for any parameters.
static void explain(size_t index, char *ret_plan, size_t size) {
    struct db *session = fixture_connect();
    char sql[4096];
    static const char *const arguments[] = {
        "",       ", 'c7'",       ", 'PLACED'",       ", 'c7', 'PLACED'",
        ", 'r7'", ", 'c7', 'r7'", ", 'PLACED', 'r7'", ", 'c7', 'PLACED', 'r7'",
    };
    fixture_exec(session, "SET plan_cache_mode = force_generic_plan");
    snprintf(sql, sizeof(sql), "PREPARE listed AS %s", query_list_statement(index));
    fixture_exec(session, sql);
    snprintf(sql, sizeof(sql),
             "EXPLAIN EXECUTE listed('main', 'infinity', "
             "'ffffffff-ffff-ffff-ffff-ffffffffffff', 51, '-infinity'%s)",
             arguments[index]);
    DB_RESULT result = PQexec(db_conn(session), sql);
    assert_int_equal(PQresultStatus(result), PGRES_TUPLES_OK);
    *ret_plan = '\0';
    for (int row = 0; row < PQntuples(result); row++)
        snprintf(ret_plan + strlen(ret_plan), size - strlen(ret_plan), "%s\n",
                 PQgetvalue(result, row, 0));
    db_free(session);
}

static void every_list_is_read_by_an_index(void **state) {
    (void)state;
    static const char *const indexes[] = {
        "orders_by_time",      "orders_by_customer",  "orders_by_stage",     "orders_by_customer",
        "orders_by_reference", "orders_by_reference", "orders_by_reference", "orders_by_reference",
    };
    char sql[1024], plan[8192];
    fixture_exec(db, "DELETE FROM orders");
    snprintf(sql, sizeof(sql),
             "INSERT INTO orders SELECT gen_random_uuid(), 'main', 'c' || i %% 500, 'r' || i, "
             "'GBP', 1, (ARRAY['PLACED', 'COMPLETED', 'CANCELLED'])[1 + i %% 3], 'PENDING', "
             "'NONE', 'NONE', 1, 100, 0, 0, 0, 100, 0, NULL, NULL, NULL, NULL, NULL, "
             "now() - i * interval '1 second', NULL, NULL, NULL, NULL, now() "
             "FROM generate_series(1, %d) i",
             MANY);
    fixture_exec(db, sql);
    fixture_exec(db, "ANALYZE orders");
    for (size_t i = 0; query_list_statement(i); i++) {
        explain(i, plan, sizeof(plan));
        if (!strstr(plan, indexes[i]) || strstr(plan, "Seq Scan"))
            fprintf(stderr, "statement %zu:\n%s\n", i, plan);
        assert_non_null(strstr(plan, indexes[i]));
        assert_null(strstr(plan, "Seq Scan"));
        assert_null(strstr(plan, "Sort"));
    }
}

int main(void) {
    curl_global_init(CURL_GLOBAL_DEFAULT);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(orders_that_stay_are_seen_once_while_others_come_and_change, begin),
        cmocka_unit_test_setup(a_filtered_list_shows_once_what_stays_in_it, begin),
        cmocka_unit_test_setup(each_filter_leaves_what_it_says, begin),
        cmocka_unit_test_setup(bad_parameters_are_refused, begin),
        cmocka_unit_test_setup(every_list_is_read_by_an_index, begin),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
