// SPDX-License-Identifier: Apache-2.0
//
// Customers and addresses on a real PostgreSQL: the last record counts, however the log is cut into
// batches; and who has no address costs no row.
#include "store/projection.h"
#include "store_fixture.h"

enum { RECORDS = 6 };

static struct db *db;
static struct customer customers[RECORDS];
static struct projection_record records[RECORDS];

static struct personal sealed(uint8_t n) {
    return (struct personal){
        .key_id = fixture_id('P', n), .nonce = VIEW("nonce"), .ciphertext = VIEW("sealed")};
}

// ann at 0, 2 and 5; bea at 1, erased at 3; carl at 4, erased before he was there.
static void make_records(void) {
    static const struct {
        const char *customer;
        bool is_erased;
    } rows[RECORDS] = {{"ann", false}, {"bea", false}, {"ann", false},
                       {"bea", true},  {"carl", true}, {"ann", false}};
    for (uint8_t n = 0; n < RECORDS; n++) {
        customers[n] = (struct customer){
            .shop_id = VIEW("main"),
            .customer_id = {rows[n].customer, (uint32_t)strlen(rows[n].customer)},
            .command_id = fixture_id('C', n),
            .created_at = fixture_t0_us(),
            .updated_at = fixture_t0_us() + n,
            .has_personal = !rows[n].is_erased,
            .personal = sealed(n),
            .has_erased_at = rows[n].is_erased,
            .erased_at = fixture_t0_us() + n,
        };
        records[n] = (struct projection_record){RECORD_CUSTOMER, &customers[n], 0, n};
    }
}

static void apply(struct projection_set *set, const struct projection_record *from, size_t count,
                  int64_t expected, int64_t next) {
    struct projection_move moves[PROJECTIONS_MAX];
    struct error err;
    size_t models = projection_set_count(set);
    for (size_t i = 0; i < models; i++)
        moves[i] = (struct projection_move){(uint32_t)i, 0, expected, next};
    const struct projection_batch batch = {.mask = (1u << models) - 1,
                                           .records = from,
                                           .records_count = count,
                                           .moves = moves,
                                           .moves_count = models};
    if (!projection_set_apply(set, db, &batch, NULL, &err))
        fixture_fail("apply", &err);
}

static struct projection_set *open_set(const char *topic) {
    struct projection_position positions[PROJECTIONS_MAX];
    struct error err;
    int32_t partition = 0;
    db_free(db); // a connection keeps the statements of one set
    db = fixture_connect();
    struct projection_set *set =
        projection_set_new(topic, projection_files, projection_files_count, NULL, &err);
    if (!set || !projection_positions_load(db, set, "topic", &partition, 1, positions, &err))
        fixture_fail("projections", &err);
    return set;
}

static int begin(void **state) {
    (void)state;
    fixture_exec(db, "TRUNCATE customers, customer_commands, orders, order_line_sets, "
                     "order_addresses, order_timeline_parts, order_commands, projection_offsets");
    make_records();
    return 0;
}

static void the_last_record_counts_however_the_log_is_cut(void **state) {
    (void)state;
    char *whole = NULL;
    for (size_t cut = 0; cut < RECORDS; cut++) { // 0: in one batch
        (void)begin(NULL);
        struct projection_set *set = open_set("customers");
        if (cut > 0)
            apply(set, records, cut, 0, (int64_t)cut);
        apply(set, records + cut, RECORDS - cut, (int64_t)cut, RECORDS);
        char *rows = fixture_dump(db, "customers");
        if (whole)
            assert_string_equal(rows, whole);
        free(whole);
        whole = rows;
        projection_set_free(set);
    }
    free(whole);
    assert_int_equal(fixture_count(db, "SELECT count(*) FROM customers"), 3);
    assert_int_equal(fixture_count(db, "SELECT log_offset FROM customers WHERE customer_id = "
                                       "'ann' AND key_id IS NOT NULL AND erased_at IS NULL"),
                     5);
    assert_int_equal(fixture_count(db, "SELECT count(*) FROM customers WHERE erased_at IS NOT NULL "
                                       "AND key_id IS NULL AND nonce IS NULL AND ciphertext IS "
                                       "NULL"),
                     2);
    assert_int_equal(fixture_count(db, "SELECT count(*) FROM customer_commands"), RECORDS);
}

static void a_batch_applied_again_changes_nothing(void **state) {
    (void)state;
    struct projection_set *set = open_set("customers");
    apply(set, records, RECORDS, 0, RECORDS);
    char *rows = fixture_dump(db, "customers");
    char *commands = fixture_dump(db, "customer_commands");
    apply(set, records, RECORDS, RECORDS, RECORDS + 1);
    apply(set, records, 2, RECORDS + 1, RECORDS + 2); // what came before does not come back
    char *rows_again = fixture_dump(db, "customers");
    char *commands_again = fixture_dump(db, "customer_commands");
    assert_string_equal(rows_again, rows);
    assert_string_equal(commands_again, commands);
    free(rows);
    free(rows_again);
    free(commands);
    free(commands_again);
    projection_set_free(set);
}

static void only_an_order_with_an_address_has_a_row(void **state) {
    (void)state;
    struct order_placed placed[3] = {fixture_placed(1), fixture_placed(2), fixture_placed(3)};
    placed[1].has_shipping_address = true;
    placed[1].shipping_address = sealed(9);
    const struct projection_record orders[3] = {{RECORD_ORDER_PLACED, &placed[0], 0, 0},
                                                {RECORD_ORDER_PLACED, &placed[1], 0, 1},
                                                {RECORD_ORDER_PLACED, &placed[2], 0, 2}};
    struct projection_set *set = open_set("orders.events");
    apply(set, orders, 1, 0, 1);
    apply(set, orders + 1, 2, 1, 3);
    apply(set, orders, 3, 3, 4);
    assert_int_equal(fixture_count(db, "SELECT count(*) FROM orders"), 3);
    assert_int_equal(
        fixture_count(db, "SELECT count(*) FROM order_addresses a JOIN orders o USING (order_id, "
                          "shop_id, customer_id) WHERE ciphertext = 'sealed' AND nonce = 'nonce'"),
        1);
    assert_int_equal(fixture_count(db, "SELECT count(*) FROM order_addresses"), 1);
    projection_set_free(set);
}

static int open_all(void **state) {
    if (fixture_create(state) != 0)
        return -1;
    db = fixture_connect();
    return 0;
}

static int close_all(void **state) {
    db_free(db);
    return fixture_drop(state);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(the_last_record_counts_however_the_log_is_cut, begin),
        cmocka_unit_test_setup(a_batch_applied_again_changes_nothing, begin),
        cmocka_unit_test_setup(only_an_order_with_an_address_has_a_row, begin),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
