// SPDX-License-Identifier: Apache-2.0
//
// From a read model's SQL to what PostgreSQL is sent.
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "store/projection.h"

static struct projection_set *load(const char *sql, struct error *err) {
    struct projection_file file = {"model/apply.sql", sql, strlen(sql)};
    static struct projection_file kept; // borrowed for the set's life
    kept = file;
    return projection_set_new("orders.events", &kept, 1, NULL, err);
}

#define TOPIC "-- topic: orders.events\n"

static const char *statement(struct projection_set *set, size_t index) {
    const char *sql = projection_set_statement(set, index);
    assert_non_null(sql);
    return sql;
}

static void only_relations_and_columns_that_are_named_are_sent(void **state) {
    (void)state;
    struct error err;
    struct projection_set *set =
        load(TOPIC "INSERT INTO t SELECT order_id, total_minor FROM order_placed", &err);
    assert_non_null(set);
    const char *sql = statement(set, 0);
    assert_non_null(strstr(sql, "WITH \"order_placed\" AS (SELECT * FROM unnest($1::uuid[], "
                                "$2::int8[]) AS t (\"order_id\", \"total_minor\"))"));
    assert_null(strstr(sql, "customer_id"));
    assert_null(strstr(sql, "\"event\""));
    projection_set_free(set);
}

static void nested_records_and_array_lengths_can_be_read(void **state) {
    (void)state;
    struct error err;
    struct projection_set *set =
        load(TOPIC "INSERT INTO t SELECT event_id, line_no, sku FROM order_placed_lines;\n"
                   "INSERT INTO u SELECT event_id, lines_count FROM order_placed",
             &err);
    assert_non_null(set);
    assert_non_null(strstr(statement(set, 0), "(\"event_id\", \"line_no\", \"sku\")"));
    assert_non_null(strstr(statement(set, 1), "(\"event_id\", \"lines_count\")"));
    assert_null(projection_set_statement(set, 2));
    projection_set_free(set);
}

static void a_star_means_all_columns_but_the_body(void **state) {
    (void)state;
    struct error err;
    struct projection_set *set =
        load(TOPIC "INSERT INTO t SELECT * FROM event; INSERT INTO u SELECT count(*) FROM event; "
                   "INSERT INTO v SELECT body FROM event",
             &err);
    assert_non_null(set);
    assert_non_null(strstr(statement(set, 0), "\"tracking\""));
    assert_non_null(strstr(statement(set, 0), "\"key_id\""));
    assert_null(strstr(statement(set, 0), "\"body\""));
    assert_null(strstr(statement(set, 1), "\"tracking\""));
    assert_non_null(strstr(statement(set, 2), "$1::jsonb[]) AS t (\"body\")"));
    projection_set_free(set);
}

static void relations_join_a_with_that_is_there(void **state) {
    (void)state;
    struct error err;
    struct projection_set *set =
        load(TOPIC "WITH x AS (SELECT order_id FROM event) INSERT INTO t SELECT order_id FROM x;"
                   "with recursive y as (select order_id from event) insert into t select order_id "
                   "from y",
             &err);
    assert_non_null(set);
    assert_non_null(strstr(statement(set, 0), "(\"order_id\")), x AS (SELECT"));
    assert_int_equal(strncmp(statement(set, 0), "WITH \"event\"", 12), 0);
    assert_int_equal(strncmp(statement(set, 1), "WITH RECURSIVE \"event\"", 22), 0);
    projection_set_free(set);
}

static void what_stands_in_comments_and_literals_is_not_looked_at(void **state) {
    (void)state;
    struct error err;
    struct projection_set *set = load(
        TOPIC
        "/* order_placed; /* nested; */ */ INSERT INTO t -- order_confirmed;\n"
        "SELECT 'it''s order_cancelled;', E'\\';', $tag$ order_rejected; $tag$, \"order_expired\" "
        "FROM order_completed;",
        &err);
    assert_non_null(set);
    const char *sql = statement(set, 0);
    assert_null(projection_set_statement(set, 1));
    assert_non_null(strstr(sql, "\"order_completed\" AS"));
    assert_null(strstr(sql, "\"order_placed\" AS"));
    assert_null(strstr(sql, "\"order_cancelled\" AS"));
    assert_null(strstr(sql, "\"order_rejected\" AS"));
    assert_null(strstr(sql, "\"order_expired\" AS"));
    assert_non_null(strstr(sql, "FROM order_completed"));
    projection_set_free(set);
}

static void files_that_make_no_sense_are_refused_by_name(void **state) {
    (void)state;
    static const struct {
        const char *sql;
        const char *says;
    } bad[] = {
        {"INSERT INTO t SELECT order_id FROM event", "-- topic: NAME"},
        {TOPIC "UPDATE t SET n = n + 1", "names no relation of orders.events"},
        {TOPIC "-- nothing but words", "has no statement"},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct error err;
        assert_null(load(bad[i].sql, &err));
        assert_int_equal(err.what, DISP_FATAL);
        assert_non_null(strstr(err.msg, "model/apply.sql"));
        assert_non_null(strstr(err.msg, bad[i].says));
    }
}

static void models_of_other_topics_and_unnamed_ones_are_left_out(void **state) {
    (void)state;
    struct error err;
    static const char *const names[] = {"orders", NULL};
    struct projection_set *set =
        projection_set_new("orders.events", projection_files, projection_files_count, names, &err);
    assert_non_null(set);
    assert_int_equal(projection_set_count(set), 1);
    assert_string_equal(projection_set_name(set, 0), "orders");
    projection_set_free(set);
    set =
        projection_set_new("payments.events", projection_files, projection_files_count, NULL, &err);
    assert_non_null(set);
    assert_int_equal(projection_set_count(set), 0);
    projection_set_free(set);
    size_t length;
    assert_non_null(
        projection_topic_of(projection_files, projection_files_count, "inventory", 9, &length));
    assert_int_equal(length, strlen("inventory.events"));
    assert_null(projection_topic_of(projection_files, projection_files_count, "orde", 4, &length));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_relations_and_columns_that_are_named_are_sent),
        cmocka_unit_test(nested_records_and_array_lengths_can_be_read),
        cmocka_unit_test(a_star_means_all_columns_but_the_body),
        cmocka_unit_test(relations_join_a_with_that_is_there),
        cmocka_unit_test(what_stands_in_comments_and_literals_is_not_looked_at),
        cmocka_unit_test(files_that_make_no_sense_are_refused_by_name),
        cmocka_unit_test(models_of_other_topics_and_unnamed_ones_are_left_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
