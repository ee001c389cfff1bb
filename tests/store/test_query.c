// SPDX-License-Identifier: Apache-2.0
//
// Reads over HTTP from a real PostgreSQL whose read models are fed without Kafka.
#include <curl/curl.h>
#include <pthread.h>

#include "http/query.h"
#include "query_fixture.h"

#include <signal.h>

static void an_order_is_read_back_with_its_lines(void **state) {
    (void)state;
    assert_status(order_path(5, ""), 200);
    assert_non_null(strstr(reply.body, "\"status\":\"PLACED\""));
    assert_non_null(strstr(reply.body, "\"total_minor\":600"));
    assert_non_null(strstr(reply.body, "\"sku\":\"pear\",\"quantity\":1"));
    assert_non_null(strstr(reply.headers, "ETag: \"1\""));
    assert_status(order_path(5, "/events"), 200);
    assert_non_null(strstr(reply.body, "\"type\":\"OrderPlaced\""));
    struct id command_id = fixture_command_id(5);
    char path[128];
    snprintf(path, sizeof(path), "/v1/commands/%s", id_text(&command_id).text);
    assert_status(path, 200);
    assert_non_null(strstr(reply.body, "\"outcome\":\"applied\""));
    assert_status(order_path(ORDERS, ""), 404);
    assert_status("/v1/orders/nonsense", 404);
    assert_status("/v1/inventory/apple", 404);
}

// What is written here against what PostgreSQL would write of the same rows.
static void an_order_reads_as_its_rows_say(void **state) {
    (void)state;
    static const char sql_same[] =
        "SELECT $1::text::jsonb = to_jsonb(x) FROM (SELECT order_id, version, status, "
        "reservation_status, payment_status, shipment_status, customer_id, reference, currency, "
        "items_minor, discount_minor, shipping_minor, tax_minor, total_minor, captured_minor, "
        "close_reason, close_detail, case_reason, tracking, ordered_at, placed_at, confirmed_at, "
        "dispatched_at, delivered_at, closed_at, updated_at, (SELECT json_agg(l) FROM (SELECT sku, "
        "quantity, unit_price_minor, price_version FROM order_lines WHERE order_id = o.order_id "
        "ORDER BY line_no) l) AS lines FROM orders o WHERE order_id = $2::uuid) x";
    static const char *const changes[] = {
        "UPDATE orders SET reference = E'\"quoted\", \\\\ and\\nlines, \\u00e4\\u20ac\\U0001f600, "
        "longer than a vector', close_detail = '', tracking = E'\\x01\\x1f\\x7f'",
        "UPDATE orders SET ordered_at = '1969-12-31 23:59:59.999999Z', placed_at = '2000-02-29Z', "
        "confirmed_at = '2100-03-01 00:00:00.1Z', dispatched_at = '0001-01-01Z', "
        "delivered_at = '9999-12-31 23:59:59.5Z', closed_at = '1900-02-28 12:34:56.000001Z'",
        "UPDATE orders SET items_minor = 9223372036854775807, discount_minor = -1",
        "UPDATE order_line_sets SET lines = left(lines, -1) || E',{\"sku\":\"\\\\\"a\\u00e4\","
        "\"quantity\":7,\"unit_price_minor\":0,\"price_version\":null}]'",
        "DELETE FROM order_line_sets",
    };
    for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
        struct error err;
        struct db_params params = {.count = 0};
        const struct id id = fixture_order_id(3);
        fixture_exec(db, changes[i]);
        assert_status(order_path(3, ""), 200);
        db_params_text(&params, reply.body, reply.length);
        db_params_uuid(&params, &id);
        DB_RESULT same = db_query(db, sql_same, &params, &err);
        if (!same)
            fixture_fail("comparing", &err);
        if (!db_bool(same, 0, 0))
            fail_msg("%s: %s", changes[i], reply.body);
    }
}

static void a_known_version_is_not_sent_again(void **state) {
    (void)state;
    get("ol_main_x", order_path(5, ""), "If-None-Match: \"7\", W/\"1\"", &reply);
    assert_int_equal(reply.status, 304);
    assert_int_equal(reply.length, 0);
    get("ol_main_x", order_path(5, ""), "If-None-Match: \"11\"", &reply);
    assert_int_equal(reply.status, 200);
}

// A second look at the order's row would wait for whoever has the table locked.
static bool is_unchanged_while_locked(const char *path) {
    fixture_exec(db, "BEGIN; LOCK TABLE orders IN ACCESS EXCLUSIVE MODE");
    get("ol_main_x", path, "If-None-Match: \"1\"", &reply);
    fixture_exec(db, "COMMIT");
    return reply.status == 304;
}

static void an_unchanged_order_is_told_without_being_read(void **state) {
    (void)state;
    const char *path = order_path(5, "");
    bool told = false;
    for (int tries = 0; tries < 3 && !told; tries++) {
        for (int i = 0; i < 50; i++) { // meanwhile looks begin
            get("ol_main_x", path, "If-None-Match: \"1\"", &reply);
            assert_int_equal(reply.status, 304);
        }
        told = is_unchanged_while_locked(path);
    }
    assert_true(told);
    assert_non_null(strstr(reply.headers, "ETag: \"1\""));
    // Whatever is known, it is nobody else's.
    get("ol_other_x", path, "If-None-Match: \"1\"", &reply);
    assert_int_equal(reply.status, 404);
    get("ol_main_x", path, "If-None-Match: \"2\"", &reply);
    assert_int_equal(reply.status, 200);
}

static void a_changed_order_is_soon_told_and_stays_changed(void **state) {
    (void)state;
    char sql[512];
    const char *path = order_path(6, "");
    for (int i = 0; i < 50; i++) {
        get("ol_main_x", path, "If-None-Match: \"1\"", &reply);
        assert_int_equal(reply.status, 304);
    }
    struct id id = fixture_order_id(6);
    snprintf(
        sql, sizeof(sql),
        "BEGIN; UPDATE orders SET version = 2 WHERE order_id = '%s'; UPDATE projection_offsets "
        "SET next_offset = next_offset + 1 WHERE projection = 'orders'; COMMIT",
        id_text(&id).text);
    fixture_exec(db, sql);
    int64_t changed_ms = clock_monotonic_ms();
    do { // each answer left after its request: its time is a lower bound
        int64_t asked_ms = clock_monotonic_ms();
        get("ol_main_x", path, "If-None-Match: \"1\"", &reply);
        assert_true(reply.status == 200 || asked_ms - changed_ms <= 100);
    } while (reply.status != 200);
    assert_non_null(strstr(reply.headers, "ETag: \"2\""));
    for (int i = 0; i < 50; i++) {
        get("ol_main_x", path, "If-None-Match: \"1\"", &reply);
        assert_int_equal(reply.status, 200);
        get("ol_main_x", path, "If-None-Match: \"2\"", &reply);
        assert_int_equal(reply.status, 304);
    }
}

static void what_belongs_to_another_shop_is_not_there(void **state) {
    (void)state;
    char path[128];
    struct id command_id = fixture_command_id(5);
    get("ol_other_x", order_path(5, ""), NULL, &reply);
    assert_int_equal(reply.status, 404);
    get("ol_other_x", order_path(5, "/events"), NULL, &reply);
    assert_int_equal(reply.status, 404);
    snprintf(path, sizeof(path), "/v1/commands/%s", id_text(&command_id).text);
    get("ol_other_x", path, NULL, &reply);
    assert_int_equal(reply.status, 404);
    get("ol_other_x", "/v1/orders", NULL, &reply);
    assert_int_equal(reply.status, 200);
    assert_non_null(strstr(reply.body, "\"orders\":[]"));
    // Nor does waiting tell that the command is known.
    snprintf(path, sizeof(path), "/v1/commands/%s?wait=0ms", id_text(&command_id).text);
    get("ol_other_x", path, NULL, &reply);
    assert_int_equal(reply.status, 504);
    get("ol_main_wrong", order_path(5, ""), NULL, &reply);
    assert_int_equal(reply.status, 401);
}

static long status_for(const char *key, const char *path) {
    get(key, path, NULL, &reply);
    return reply.status;
}

static const char *command_path(uint64_t kind, uint64_t n, const char *rest) {
    static char path[128];
    struct id id = fixture_id(kind, n);
    snprintf(path, sizeof(path), "/v1/commands/%s%s", id_text(&id).text, rest);
    return path;
}

static const char *const not_of_order_5[] = {"ol_even_x", "ol_other_x", "ol_otherodd_x"};

static void what_belongs_to_another_customer_is_not_there(void **state) {
    (void)state;
    char rest[64];
    struct id command_id = fixture_command_id(5);
    assert_int_equal(status_for("ol_odd_x", order_path(5, "")), 200);
    assert_int_equal(status_for("ol_odd_x", order_path(5, "/events")), 200);
    assert_int_equal(status_for("ol_odd_x", command_path('C', 5, "")), 200);
    for (size_t i = 0; i < sizeof(not_of_order_5) / sizeof(not_of_order_5[0]); i++) {
        const char *key = not_of_order_5[i];
        assert_int_equal(status_for(key, order_path(5, "")), 404);
        assert_int_equal(status_for(key, order_path(5, "/events")), 404);
        assert_int_equal(status_for(key, command_path('C', 5, "")), 404);
        // Nor does waiting tell that the command is known, on whatever read.
        assert_int_equal(status_for(key, command_path('C', 5, "?wait=0ms")), 504);
        snprintf(rest, sizeof(rest), "?after=%s&wait=0ms", id_text(&command_id).text);
        assert_int_equal(status_for(key, order_path(5, rest)), 504);
        assert_int_equal(status_for(key, order_path(5, rest)), 504);
        snprintf(rest, sizeof(rest), "/v1/orders?after=%s", id_text(&command_id).text);
        assert_int_equal(status_for(key, rest), 504);
    }
    snprintf(rest, sizeof(rest), "/v1/orders?after=%s", id_text(&command_id).text);
    assert_int_equal(status_for("ol_odd_x", rest), 200);
    // What is the shop's own is closed to customers, whatever their token says.
    assert_int_equal(status_for("ol_odd_x", "/v1/inventory/apple"), 403);
    assert_int_equal(status_for("ol_odd_x", "/metrics"), 403);
}

static void a_customers_list_holds_their_orders(void **state) {
    (void)state;
    static const char *const paths[] = {"/v1/orders?limit=500",
                                        "/v1/orders?limit=500&status=PLACED",
                                        "/v1/orders?limit=500&customer=even"};
    for (size_t i = 0; i < 3; i++) {
        size_t found = 0;
        assert_int_equal(status_for("ol_even_x", paths[i]), 200);
        for (const char *at = reply.body; (at = strstr(at, "\"customer_id\":")) != NULL; found++) {
            at += strlen("\"customer_id\":");
            assert_memory_equal(at, "\"even\"", 6);
        }
        assert_int_equal(found, ORDERS / 2);
    }
    assert_int_equal(status_for("ol_even_x", "/v1/orders?customer=odd"), 200);
    assert_string_equal(reply.body, "{\"orders\":[],\"next_cursor\":null}");
    assert_int_equal(status_for("ol_even_x", "/v1/orders?customer=nobody"), 200);
    assert_string_equal(reply.body, "{\"orders\":[],\"next_cursor\":null}");
}

static void what_is_remembered_of_an_order_is_told_to_its_customer_only(void **state) {
    (void)state;
    const char *path = order_path(5, "");
    bool told = false;
    for (int tries = 0; tries < 3 && !told; tries++) {
        for (int i = 0; i < 50; i++) { // meanwhile looks begin; the shop's reads tell whose it is
            get(i % 2 ? "ol_odd_x" : "ol_main_x", path, "If-None-Match: \"1\"", &reply);
            assert_int_equal(reply.status, 304);
            for (size_t k = 0; k < sizeof(not_of_order_5) / sizeof(not_of_order_5[0]); k++) {
                get(not_of_order_5[k], path, "If-None-Match: \"1\"", &reply);
                assert_int_equal(reply.status, 404);
            }
        }
        fixture_exec(db, "BEGIN; LOCK TABLE orders IN ACCESS EXCLUSIVE MODE");
        get("ol_odd_x", path, "If-None-Match: \"1\"", &reply);
        fixture_exec(db, "COMMIT");
        told = reply.status == 304;
    }
    assert_true(told);
}

// A customer hears what became of a command of theirs about an order that is not; the order's own
// people see nothing of it.
static void a_strangers_command_stays_outside_of_the_order(void **state) {
    (void)state;
    struct order_command_refused refused[2] = {fixture_refused(5), fixture_refused(7)};
    struct order_cancelled cancelled = fixture_cancelled(5, 2);
    refused[0].reason = ORDER_REFUSAL_UNKNOWN_ORDER;
    refused[0].customer_id = VIEW("even");
    refused[1].order_id = fixture_order_id(5); // of another shop, last in the batch
    refused[1].reason = ORDER_REFUSAL_UNKNOWN_ORDER;
    refused[1].shop_id = VIEW("other");
    const struct projection_record records[] = {
        {RECORD_ORDER_COMMAND_REFUSED, &refused[0], 0, log_end},
        {RECORD_ORDER_CANCELLED, &cancelled, 0, log_end + 1},
        {RECORD_ORDER_COMMAND_REFUSED, &refused[1], 0, log_end + 2},
    };
    feed(every_model(), records, 3);
    static const char *const owners[] = {"ol_main_x", "ol_odd_x"};
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(status_for(owners[i], order_path(5, "/events")), 200);
        assert_non_null(strstr(reply.body, "OrderPlaced"));
        assert_non_null(strstr(reply.body, "OrderCancelled"));
        assert_null(strstr(reply.body, "OrderCommandRefused"));
        assert_int_equal(status_for(owners[i], order_path(5, "")), 200);
        assert_non_null(strstr(reply.body, "\"status\":\"CANCELLED\""));
    }
    for (size_t i = 0; i < sizeof(not_of_order_5) / sizeof(not_of_order_5[0]); i++)
        assert_int_equal(status_for(not_of_order_5[i], order_path(5, "/events")), 404);
    assert_int_equal(status_for("ol_even_x", command_path('Y', 5, "?wait=10s")), 200);
    assert_non_null(strstr(reply.body, "UNKNOWN_ORDER"));
    assert_int_equal(status_for("ol_main_x", command_path('Y', 5, "")), 200);
    assert_int_equal(status_for("ol_otherodd_x", command_path('Y', 5, "")), 404);
    assert_int_equal(status_for("ol_other_x", command_path('Y', 7, "?wait=10s")), 200);
    assert_int_equal(status_for("ol_odd_x", command_path('Y', 7, "")), 404);
}

static void a_key_reads_what_its_scopes_say(void **state) {
    (void)state;
    char path[128];
    struct id command_id = fixture_command_id(5);
    for (int i = 0; i < 2; i++) {
        const char *key = i ? "ol_shelf_x" : "ol_till_x";
        get(key, order_path(5, ""), NULL, &reply);
        assert_int_equal(reply.status, 403);
        assert_non_null(strstr(reply.body, "orders:read"));
        get(key, order_path(5, "/events"), NULL, &reply);
        assert_int_equal(reply.status, 403);
        get(key, "/v1/orders", NULL, &reply);
        assert_int_equal(reply.status, 403);
        get(key, "/metrics", NULL, &reply);
        assert_int_equal(reply.status, 403);
    }
    // Who may send a command hears what became of it; who may not, does not.
    snprintf(path, sizeof(path), "/v1/commands/%s", id_text(&command_id).text);
    get("ol_till_x", path, NULL, &reply);
    assert_int_equal(reply.status, 200);
    get("ol_shelf_x", path, NULL, &reply);
    assert_int_equal(reply.status, 404);
    get("ol_till_x", "/v1/inventory/apple", NULL, &reply);
    assert_int_equal(reply.status, 403);
    get("ol_shelf_x", "/v1/inventory/apple", NULL, &reply);
    assert_int_equal(reply.status, 404);
}

// Follows the pages and checks that each order is seen once, in order.
static size_t read_pages(const char *filter, int limit) {
    char path[512], cursor[64] = "", last[64] = "";
    size_t seen = 0;
    bool found[ORDERS] = {false};
    for (;;) {
        snprintf(path, sizeof(path), "/v1/orders?limit=%d%s%s%s", limit, filter,
                 *cursor ? "&cursor=" : "", cursor);
        assert_status(path, 200);
        for (const char *at = reply.body; (at = strstr(at, "\"order_id\":\"")) != NULL;) {
            struct id id;
            at += strlen("\"order_id\":\"");
            assert_true(id_parse(at, ID_TEXT_LEN, &id));
            const char *placed_at = strstr(at, "\"placed_at\":\"") + strlen("\"placed_at\":\"");
            assert_true(!*last || strncmp(placed_at, last, 19) <= 0);
            snprintf(last, sizeof(last), "%.19s", placed_at);
            for (uint64_t n = 0; n < ORDERS; n++) {
                struct id known = fixture_order_id(n);
                if (!id_equal(&known, &id))
                    continue;
                assert_false(found[n]);
                found[n] = true;
                seen++;
            }
        }
        const char *next = strstr(reply.body, "\"next_cursor\":\"");
        if (!next)
            return seen;
        snprintf(cursor, sizeof(cursor), "%.48s", next + strlen("\"next_cursor\":\""));
    }
}

static void pages_neither_skip_nor_repeat(void **state) {
    (void)state;
    assert_int_equal(read_pages("", 7), ORDERS);
    assert_int_equal(read_pages("", 1), ORDERS);
    assert_int_equal(read_pages("", ORDERS), ORDERS);
    assert_int_equal(read_pages("&customer=odd", 4), ORDERS / 2);
    assert_int_equal(read_pages("&status=PLACED", 11), ORDERS);
    assert_int_equal(read_pages("&status=CANCELLED", 11), 0);
    assert_int_equal(read_pages("&customer=even&status=PLACED", 11), ORDERS / 2);
    assert_int_equal(read_pages("&customer=nobody", 11), 0);
}

static void bad_parameters_are_refused(void **state) {
    (void)state;
    static const char *const paths[] = {
        "/v1/orders?limit=0",
        "/v1/orders?limit=501",
        "/v1/orders?limit=x",
        "/v1/orders?status=LOST",
        "/v1/orders?cursor=12",
        "/v1/orders?customer=",
        "/v1/orders?colour=red",
        "/v1/orders?limit=1&limit=2",
        "/v1/orders?wait=2",
        "/v1/orders?limit=+5",
        "/v1/orders?limit=%2B5",
        "/v1/orders?after=nonsense",
        "/v1/orders?after=00000000-0000-8000-8000-000000000000&wait=2",
        "/v1/orders?after=00000000-0000-8000-8000-000000000000&wait=1h",
        "/v1/orders?after=00000000-0000-8000-8000-000000000000&wait=-1s",
        "/v1/orders?after=00000000-0000-8000-8000-000000000000&wait=3600s",
    };
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        assert_status(paths[i], 400);
        assert_non_null(strstr(reply.body, "urn:orderlog:problem:invalid-parameter"));
    }
    assert_status("/v1/orders?wait=2s", 200); // for nothing: at once
    // Of a form that we give, but not by us: beyond what PostgreSQL takes as a time.
    assert_status("/v1/orders?cursor=7fffffffffffff001a6e146fd16083b1aa6db51190943ebd", 200);
    assert_status("/v1/orders?cursor=80000000000000011a6e146fd16083b1aa6db51190943ebd", 200);
}

struct waiting_get {
    char path[256];
    struct reply reply;
};

static void *get_in_thread(void *arg) {
    struct waiting_get *waiting = arg;
    get("ol_main_x", waiting->path, NULL, &waiting->reply);
    return NULL;
}

static void a_read_after_a_command_sees_its_effect(void **state) {
    (void)state;
    static struct waiting_get waiting[20];
    pthread_t threads[20];
    struct id command_id = fixture_id('X', 7);
    struct order_cancelled cancelled = fixture_cancelled(7, 2);
    const struct projection_record record = {RECORD_ORDER_CANCELLED, &cancelled, 0, log_end};
    for (int i = 0; i < 20; i++) {
        char rest[64];
        snprintf(rest, sizeof(rest), "?after=%s&wait=10s", id_text(&command_id).text);
        snprintf(waiting[i].path, sizeof(waiting[i].path), "%s", order_path(7, rest));
        assert_int_equal(pthread_create(&threads[i], NULL, get_in_thread, &waiting[i]), 0);
    }
    // First the outcome alone: the order does not show it yet, and whoever asks is told so.
    feed(only_model("order_commands"), &record, 1);
    char rest[64];
    snprintf(rest, sizeof(rest), "?after=%s&wait=50ms", id_text(&command_id).text);
    assert_status(order_path(7, rest), 504);
    assert_non_null(strstr(reply.body, "urn:orderlog:problem:not-yet"));
    assert_non_null(strstr(reply.headers, "Retry-After"));
    feed(every_model() & ~only_model("order_commands"), &record, 1);
    for (int i = 0; i < 20; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(waiting[i].reply.status, 200);
        assert_non_null(strstr(waiting[i].reply.body, "\"status\":\"CANCELLED\""));
        assert_non_null(strstr(waiting[i].reply.body, "\"close_reason\":\"CUSTOMER\""));
    }
    snprintf(rest, sizeof(rest), "?after=%s", id_text(&command_id).text);
    assert_status(order_path(7, rest), 200); // without waiting, too
}

// Deleting its offsets is how a read model is made anew.
static void a_read_model_that_has_not_begun_has_seen_nothing(void **state) {
    (void)state;
    struct id command_id = fixture_command_id(5);
    char rest[64];
    snprintf(rest, sizeof(rest), "?after=%s&wait=50ms", id_text(&command_id).text);
    assert_status(order_path(5, rest), 200);
    fixture_exec(db, "DELETE FROM projection_offsets WHERE projection = 'orders'");
    assert_status(order_path(5, rest), 504);
    fixture_exec(db, "DELETE FROM projection_offsets WHERE projection <> 'order_commands'");
    assert_status(order_path(5, rest), 504);
}

static void an_unknown_command_is_not_waited_for_longer_than_asked(void **state) {
    (void)state;
    int64_t begin_ms = clock_monotonic_ms();
    assert_status(order_path(5, "?after=00000000-0000-8000-8000-000000000000&wait=300ms"), 504);
    assert_in_range(clock_monotonic_ms() - begin_ms, 290, 5000);
}

static void killed_connections_do_not_disturb_reads(void **state) {
    (void)state;
    for (int i = 0; i < 5; i++) {
        assert_true(fixture_count(db, "SELECT count(pg_terminate_backend(pid)) "
                                      "FROM pg_stat_activity WHERE datname = current_database() "
                                      "AND application_name LIKE 'orderlog query%'") > 0);
        for (int j = 0; j < 4; j++)
            assert_status(order_path(5, ""), 200);
        assert_status(order_path(5, "?after=00000000-0000-8000-8000-000000000000&wait=60ms"), 504);
    }
}

// To every backend that looks orders up. Returns how many there are.
static int64_t signal_lookups(int number) {
    static const char sql[] = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() "
                              "AND application_name = 'orderlog query orders'";
    struct error err;
    DB_RESULT result = db_query(db, sql, NULL, &err);
    assert_non_null(result);
    for (int row = 0; row < PQntuples(result); row++)
        (void)kill(db_int4(result, row, 0), number);
    return PQntuples(result);
}

// All of them, which needs a request to each thread that has lost its connection.
static void stop_look_ups(void) {
    const int64_t deadline_ms = clock_monotonic_ms() + 10000;
    while (signal_lookups(0) != config.query_threads) {
        assert_status(order_path(5, ""), 200);
        assert_in_range(clock_monotonic_ms(), 0, deadline_ms);
    }
    assert_int_equal(signal_lookups(SIGSTOP), config.query_threads);
}

static int let_look_ups_go(void **state) {
    (void)state;
    (void)signal_lookups(SIGCONT);
    return 0;
}

// As one database's storage would do that hangs while its server answers.
static void look_ups_that_stand_still_hold_up_nobody_else(void **state) {
    (void)state;
    enum { STUCK = 8 };
    static struct waiting_get waiting[STUCK];
    pthread_t threads[STUCK];
    stop_look_ups();
    const int64_t begin_ms = clock_monotonic_ms();
    for (int i = 0; i < STUCK; i++) {
        snprintf(waiting[i].path, sizeof(waiting[i].path), "%s", order_path((uint64_t)i, ""));
        assert_int_equal(pthread_create(&threads[i], NULL, get_in_thread, &waiting[i]), 0);
    }
    int others = 0, refused = 0;
    while (clock_monotonic_ms() - begin_ms < 2000) {
        const int64_t asked_ms = clock_monotonic_ms();
        assert_status("/v1/orders?limit=3", 200);
        assert_status("/livez", 200);
        assert_in_range(clock_monotonic_ms() - asked_ms, 0, 1000);
        others++;
    }
    assert_true(others > 4);
    for (int i = 0; i < STUCK; i++) {
        pthread_join(threads[i], NULL);
        if (waiting[i].reply.status == 200) // waited for its turn, and went to another backend
            continue;
        assert_int_equal(waiting[i].reply.status, 503);
        assert_non_null(strstr(waiting[i].reply.headers, "Retry-After"));
        refused++;
    }
    assert_true(refused > 0);
    assert_in_range(clock_monotonic_ms() - begin_ms, 5000, 9000);
    (void)signal_lookups(SIGCONT);
    for (int i = 0; i < STUCK; i++)
        assert_status(order_path((uint64_t)i, ""), 200);
}

// More than there are readers for: who wants a single order, or nothing of PostgreSQL, waits for
// none of them.
static void reads_that_wait_for_a_lock_hold_up_nobody_else(void **state) {
    (void)state;
    enum { STUCK = 12 };
    static struct waiting_get waiting[STUCK];
    pthread_t threads[STUCK];
    fixture_exec(db, "BEGIN; LOCK TABLE order_stats IN ACCESS EXCLUSIVE MODE");
    for (int i = 0; i < STUCK; i++) {
        snprintf(waiting[i].path, sizeof(waiting[i].path), "/v1/stats?unit=day");
        assert_int_equal(pthread_create(&threads[i], NULL, get_in_thread, &waiting[i]), 0);
    }
    for (int i = 0; i < 20; i++) {
        const int64_t asked_ms = clock_monotonic_ms();
        assert_status(order_path((uint64_t)i, ""), 200);
        assert_status("/livez", 200);
        assert_in_range(clock_monotonic_ms() - asked_ms, 0, 1000);
    }
    fixture_exec(db, "ROLLBACK");
    for (int i = 0; i < STUCK; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(waiting[i].reply.status, 200);
    }
}

// The connection breaks while an answer is waited for: it is asked for again on another one.
static void look_ups_under_way_outlive_their_connection(void **state) {
    (void)state;
    enum { STUCK = 8 };
    static struct waiting_get waiting[STUCK];
    pthread_t threads[STUCK];
    stop_look_ups();
    for (int i = 0; i < STUCK; i++) {
        snprintf(waiting[i].path, sizeof(waiting[i].path), "%s", order_path((uint64_t)i, ""));
        assert_int_equal(pthread_create(&threads[i], NULL, get_in_thread, &waiting[i]), 0);
    }
    // All of them have been taken when one that came later is answered by the same threads.
    for (int i = 0; i < STUCK; i++)
        assert_status("/livez", 200);
    assert_true(signal_lookups(SIGTERM) > 0);
    (void)signal_lookups(SIGCONT);
    for (int i = 0; i < STUCK; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(waiting[i].reply.status, 200);
    }
}

int main(void) {
    curl_global_init(CURL_GLOBAL_DEFAULT);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(an_order_is_read_back_with_its_lines, begin),
        cmocka_unit_test_setup(an_order_reads_as_its_rows_say, begin),
        cmocka_unit_test_setup(a_known_version_is_not_sent_again, begin),
        cmocka_unit_test_setup(an_unchanged_order_is_told_without_being_read, begin),
        cmocka_unit_test_setup(a_changed_order_is_soon_told_and_stays_changed, begin),
        cmocka_unit_test_setup(what_belongs_to_another_shop_is_not_there, begin),
        cmocka_unit_test_setup(what_belongs_to_another_customer_is_not_there, begin),
        cmocka_unit_test_setup(a_customers_list_holds_their_orders, begin),
        cmocka_unit_test_setup(what_is_remembered_of_an_order_is_told_to_its_customer_only, begin),
        cmocka_unit_test_setup(a_strangers_command_stays_outside_of_the_order, begin),
        cmocka_unit_test_setup(a_key_reads_what_its_scopes_say, begin),
        cmocka_unit_test_setup(pages_neither_skip_nor_repeat, begin),
        cmocka_unit_test_setup(bad_parameters_are_refused, begin),
        cmocka_unit_test_setup(a_read_after_a_command_sees_its_effect, begin),
        cmocka_unit_test_setup(a_read_model_that_has_not_begun_has_seen_nothing, begin),
        cmocka_unit_test_setup(an_unknown_command_is_not_waited_for_longer_than_asked, begin),
        cmocka_unit_test_setup_teardown(look_ups_that_stand_still_hold_up_nobody_else, begin,
                                        let_look_ups_go),
        cmocka_unit_test_setup(reads_that_wait_for_a_lock_hold_up_nobody_else, begin),
        cmocka_unit_test_setup_teardown(look_ups_under_way_outlive_their_connection, begin,
                                        let_look_ups_go),
        cmocka_unit_test_setup(killed_connections_do_not_disturb_reads, begin),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
