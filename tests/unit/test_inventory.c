// SPDX-License-Identifier: Apache-2.0
//
// One SKU and the reservations of a few orders: given what happened, when an input comes, then.
// After every input the SKU folded anew from its events must equal the live one.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "domain/inventory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { ORDERS = 8, KEYS = 8, LOG_MAX = 512 };

static struct shelf {
    struct arena arena;
    struct policy policy;
    int64_t now_us;
    struct stock stock;
    struct reservation reservations[ORDERS];
    struct remembered_command remembered[KEYS];
    struct decision decision;
    struct {
        struct decided event;
        int order; // or -1
        int key;   // or -1
    } log[LOG_MAX];
    int log_count;
} shelf;

static struct id id_of(const char *what, int number) {
    struct id cause = id_hash(&(struct id_part){.bytes = what, .len = strlen(what)}, 1);
    return id_derive(&cause, (uint64_t)number);
}

static struct view view(const char *text) {
    return (struct view){.ptr = text, .len = (uint32_t)strlen(text)};
}

static int begin(void **state) {
    (void)state;
    memset(&shelf, 0, sizeof(shelf));
    arena_init(&shelf.arena, 64 << 20);
    shelf.policy.command_window_us = 1000000;
    shelf.now_us = INT64_C(1700000000000000);
    return 0;
}

static int end(void **state) {
    (void)state;
    arena_done(&shelf.arena);
    return 0;
}

static void assert_fold_is_live(void) {
    static struct shelf again;
    memset(&again, 0, sizeof(again));
    for (int i = 0; i < shelf.log_count; i++) {
        int order = shelf.log[i].order;
        int key = shelf.log[i].key;
        struct inventory_slice slice = {
            .stock = &again.stock,
            .reservation = order >= 0 ? &again.reservations[order] : NULL,
            .remembered = key >= 0 ? &again.remembered[key] : NULL,
        };
        inventory_evolve(&slice, shelf.log[i].event.type, shelf.log[i].event.body);
    }
    assert_memory_equal(&again.stock, &shelf.stock, sizeof(shelf.stock));
    assert_memory_equal(again.reservations, shelf.reservations, sizeof(shelf.reservations));
    assert_memory_equal(again.remembered, shelf.remembered, sizeof(shelf.remembered));
}

static void give(enum record_id type, const void *input, int order, int key) {
    struct inventory_slice slice = {
        .stock = &shelf.stock,
        .reservation = order >= 0 ? &shelf.reservations[order] : NULL,
        .remembered = key >= 0 ? &shelf.remembered[key] : NULL,
    };
    int64_t version = shelf.stock.version;
    decision_begin(&shelf.decision, &shelf.arena, &shelf.policy, shelf.now_us);
    inventory_decide(&shelf.decision, &slice, type, input);
    assert_false(shelf.decision.out_of_memory);
    assert_in_range(shelf.decision.events_count, 0, 1);
    for (uint32_t i = 0; i < shelf.decision.events_count; i++) {
        struct decided event = shelf.decision.events[i];
        assert_in_range(shelf.log_count, 0, LOG_MAX - 1);
        shelf.log[shelf.log_count].event = event;
        shelf.log[shelf.log_count].order = order;
        shelf.log[shelf.log_count++].key = key;
        if (event.type == RECORD_STOCK_COMMAND_REFUSED)
            continue;
        const struct stock_head *head = event.body;
        struct id event_id = id_derive(&head->causation_id, (uint64_t)head->version);
        assert_int_equal(head->version, version + 1);
        assert_true(id_equal(&event_id, &head->event_id));
        assert_int_equal(head->on_hand, shelf.stock.on_hand);
        assert_int_equal(head->reserved, shelf.stock.reserved);
        assert_int_equal(head->sold, shelf.stock.sold);
    }
    assert_fold_is_live();
}

// ---- inputs ------------------------------------------------------------------------------------

static void set_product(int key, const char *name, int64_t price_minor, const char *currency) {
    struct set_product set = {
        .command_id = id_of(name, (int)price_minor),
        .key_id = id_of("key", key),
        .shop_id = view("main"),
        .sku = view("A"),
        .name = view(name),
        .price_minor = price_minor,
        .currency = view(currency),
    };
    give(RECORD_SET_PRODUCT, &set, -1, key);
}

static void receive(int key, int64_t quantity) {
    struct receive_stock receive = {
        .command_id = id_of("receive", (int)quantity),
        .key_id = id_of("key", key),
        .shop_id = view("main"),
        .sku = view("A"),
        .quantity = quantity,
    };
    give(RECORD_RECEIVE_STOCK, &receive, -1, key);
}

static void adjust(int key, int64_t delta) {
    struct adjust_stock adjust = {
        .command_id = id_of("adjust", (int)delta),
        .key_id = id_of("key", key),
        .shop_id = view("main"),
        .sku = view("A"),
        .delta = delta,
        .reason = view("counted"),
    };
    give(RECORD_ADJUST_STOCK, &adjust, -1, key);
}

static void request(enum stock_action action, int order, int64_t quantity) {
    struct request_stock request = {
        .message_id = id_of("request", shelf.log_count),
        .correlation_id = id_of("correlation", order),
        .shop_id = view("main"),
        .sku = view("A"),
        .order_id = id_of("order", order),
        .action = action,
        .quantity = quantity,
    };
    give(RECORD_REQUEST_STOCK, &request, order, -1);
    if (action != STOCK_ACTION_RESERVE) {
        assert_int_equal(shelf.decision.messages_count, 0);
        return;
    }
    const struct stock_answered *answer = shelf.decision.messages[0].body;
    struct id message_id = id_derive(&request.message_id, 2);
    assert_int_equal(shelf.decision.messages_count, 1);
    assert_true(id_equal(&answer->message_id, &message_id));
    assert_int_equal(answer->requested, quantity);
}

// ---- outcomes ----------------------------------------------------------------------------------

static const void *then(enum record_id type) {
    assert_int_equal(shelf.decision.events_count, 1);
    assert_string_equal(record_types[shelf.decision.events[0].type]->name,
                        record_types[type]->name);
    return shelf.decision.events[0].body;
}

static void then_nothing(void) {
    assert_int_equal(shelf.decision.events_count, 0);
}

static void then_refused(enum stock_refusal reason, int64_t shortfall) {
    const struct stock_command_refused *refused = then(RECORD_STOCK_COMMAND_REFUSED);
    assert_string_equal(stock_refusal_names[refused->reason], stock_refusal_names[reason]);
    assert_int_equal(refused->shortfall, shortfall);
    assert_true(refused->detail.len > 0);
}

static void then_answered(enum stock_result result, int64_t available) {
    const struct stock_answered *answer = shelf.decision.messages[0].body;
    assert_string_equal(stock_result_names[answer->result], stock_result_names[result]);
    assert_int_equal(answer->available, available);
}

static void then_stock(int64_t on_hand, int64_t reserved, int64_t sold) {
    assert_int_equal(shelf.stock.on_hand, on_hand);
    assert_int_equal(shelf.stock.reserved, reserved);
    assert_int_equal(shelf.stock.sold, sold);
}

static void given_stock(int64_t quantity) {
    set_product(0, "Teapot", 500, "GBP");
    receive(1, quantity);
}

// ---- products ----------------------------------------------------------------------------------

static void a_product_is_created_and_changed(void **state) {
    (void)state;
    set_product(0, "Teapot", 500, "GBP");
    const struct product_created *created = then(RECORD_PRODUCT_CREATED);
    assert_int_equal(created->version, 1);
    assert_int_equal(created->price_version, 1);
    assert_true(created->has_key_id);
    set_product(1, "Teapot", 550, "GBP");
    assert_int_equal(((const struct product_changed *)then(RECORD_PRODUCT_CHANGED))->price_version,
                     2);
    set_product(2, "Blue teapot", 550, "GBP");
    const struct product_changed *renamed = then(RECORD_PRODUCT_CHANGED);
    assert_int_equal(renamed->price_version, 2);
    assert_int_equal(renamed->version, 3);
    assert_memory_equal(shelf.stock.name, "Blue teapot", shelf.stock.name_len);
}

static void setting_the_same_product_again_is_an_outcome_too(void **state) {
    (void)state;
    set_product(0, "Teapot", 500, "GBP");
    set_product(1, "Teapot", 500, "GBP");
    const struct product_changed *changed = then(RECORD_PRODUCT_CHANGED);
    assert_int_equal(changed->price_version, 1);
}

static void a_product_keeps_its_currency(void **state) {
    (void)state;
    set_product(0, "Teapot", 500, "GBP");
    set_product(1, "Teapot", 500, "EUR");
    then_refused(STOCK_REFUSAL_CURRENCY_CHANGED, 0);
    assert_string_equal(shelf.stock.currency, "GBP");
}

static void impossible_products_are_refused(void **state) {
    (void)state;
    set_product(0, "Teapot", -1, "GBP");
    then_refused(STOCK_REFUSAL_OUT_OF_RANGE, 0);
    set_product(1, "Teapot", INT64_MAX, "GBP");
    then_refused(STOCK_REFUSAL_OUT_OF_RANGE, 0);
    set_product(2, "Teapot", 1, "gbp");
    then_refused(STOCK_REFUSAL_OUT_OF_RANGE, 0);
    set_product(3, "", 1, "GBP");
    then_refused(STOCK_REFUSAL_OUT_OF_RANGE, 0);
    char name[INVENTORY_NAME_MAX + 2];
    memset(name, 'x', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    set_product(4, name, 1, "GBP");
    then_refused(STOCK_REFUSAL_OUT_OF_RANGE, 0);
    assert_int_equal(shelf.stock.version, 0);
    name[INVENTORY_NAME_MAX] = '\0';
    set_product(5, name, 1, "GBP");
    then(RECORD_PRODUCT_CREATED);
}

// ---- stock -------------------------------------------------------------------------------------

static void stock_needs_a_product(void **state) {
    (void)state;
    receive(0, 5);
    then_refused(STOCK_REFUSAL_UNKNOWN_SKU, 0);
    adjust(1, 5);
    then_refused(STOCK_REFUSAL_UNKNOWN_SKU, 0);
    request(STOCK_ACTION_RESERVE, 0, 1);
    then_nothing();
    then_answered(STOCK_RESULT_UNKNOWN_SKU, 0);
}

static void stock_is_received_within_bounds(void **state) {
    (void)state;
    given_stock(5);
    then_stock(5, 0, 0);
    receive(2, 0);
    then_refused(STOCK_REFUSAL_OUT_OF_RANGE, 0);
    receive(3, -1);
    then_refused(STOCK_REFUSAL_OUT_OF_RANGE, 0);
    receive(4, INT64_MAX);
    then_refused(STOCK_REFUSAL_OUT_OF_RANGE, 0);
    receive(5, INT64_C(1000000000000) - 4);
    then_refused(STOCK_REFUSAL_OUT_OF_RANGE, 0);
    receive(6, INT64_C(1000000000000) - 5);
    then(RECORD_STOCK_RECEIVED);
}

static void an_adjustment_below_what_is_held_is_refused_with_the_shortfall(void **state) {
    (void)state;
    given_stock(10);
    request(STOCK_ACTION_RESERVE, 0, 7);
    adjust(2, -5);
    then_refused(STOCK_REFUSAL_BELOW_RESERVED, 2);
    then_stock(10, 7, 0);
    adjust(3, -3);
    then(RECORD_STOCK_ADJUSTED);
    then_stock(7, 7, 0);
    adjust(4, -100);
    then_refused(STOCK_REFUSAL_BELOW_RESERVED, 100);
    adjust(5, INT64_MIN);
    then_refused(STOCK_REFUSAL_OUT_OF_RANGE, 0);
    adjust(6, 0);
    then_refused(STOCK_REFUSAL_OUT_OF_RANGE, 0);
}

static void a_reservation_is_held_then_sold(void **state) {
    (void)state;
    given_stock(10);
    request(STOCK_ACTION_RESERVE, 0, 4);
    then(RECORD_STOCK_RESERVED);
    then_answered(STOCK_RESULT_RESERVED, 10);
    then_stock(10, 4, 0);
    request(STOCK_ACTION_SELL, 0, 0);
    assert_int_equal(((const struct stock_sold *)then(RECORD_STOCK_SOLD))->quantity, 4);
    then_stock(6, 0, 4);
    request(STOCK_ACTION_SELL, 0, 0);
    then_nothing();
    request(STOCK_ACTION_RELEASE, 0, 0);
    then_nothing();
}

static void a_reservation_is_held_then_let_go(void **state) {
    (void)state;
    given_stock(10);
    request(STOCK_ACTION_RESERVE, 0, 4);
    request(STOCK_ACTION_RELEASE, 0, 999);
    assert_int_equal(((const struct stock_released *)then(RECORD_STOCK_RELEASED))->quantity, 4);
    then_stock(10, 0, 0);
    request(STOCK_ACTION_RELEASE, 0, 4);
    then_nothing();
}

static void nothing_is_sold_that_is_not_there(void **state) {
    (void)state;
    given_stock(5);
    request(STOCK_ACTION_RESERVE, 0, 3);
    request(STOCK_ACTION_RESERVE, 1, 3);
    then_nothing();
    then_answered(STOCK_RESULT_OUT_OF_STOCK, 2);
    request(STOCK_ACTION_RESERVE, 2, 2);
    then(RECORD_STOCK_RESERVED);
    request(STOCK_ACTION_RESERVE, 3, INT64_MAX);
    then_answered(STOCK_RESULT_OUT_OF_STOCK, 0);
    request(STOCK_ACTION_RESERVE, 3, -1);
    then_nothing();
    then_answered(STOCK_RESULT_OUT_OF_STOCK, 0);
    then_stock(5, 5, 0);
}

static void reserving_twice_holds_once(void **state) {
    (void)state;
    given_stock(5);
    request(STOCK_ACTION_RESERVE, 0, 5);
    request(STOCK_ACTION_RESERVE, 0, 5);
    then_nothing();
    then_answered(STOCK_RESULT_RESERVED, 0);
    then_stock(5, 5, 0);
}

// ---- duplicates --------------------------------------------------------------------------------

static void a_repeated_command_is_answered_by_the_first(void **state) {
    (void)state;
    given_stock(5);
    receive(1, 5);
    then_nothing();
    receive(1, 6);
    then_refused(STOCK_REFUSAL_KEY_REUSED, 0);
    receive(1, 5);
    then_nothing();
    then_stock(5, 0, 0);
    shelf.now_us += shelf.policy.command_window_us + 1;
    receive(1, 6);
    then(RECORD_STOCK_RECEIVED);
    then_stock(11, 0, 0);
}

static void a_refused_command_is_remembered_too(void **state) {
    (void)state;
    receive(0, 5);
    then_refused(STOCK_REFUSAL_UNKNOWN_SKU, 0);
    set_product(1, "Teapot", 500, "GBP");
    receive(0, 5);
    then_nothing();
}

// ---- anything ----------------------------------------------------------------------------------

// The domain asserts 0 <= reserved <= on hand, and that nothing appears or vanishes; give() checks
// the fold and the versions.
static void any_inputs_in_any_order_conserve_stock(void **state) {
    (void)state;
    const char *given = getenv("ORDERLOG_TEST_SEED");
    unsigned seed = given ? (unsigned)strtoul(given, NULL, 10) : (unsigned)time(NULL);
    printf("seed %u (ORDERLOG_TEST_SEED repeats it)\n", seed);
    srand(seed);
    for (int life = 0; life < 200; life++) {
        end(state);
        begin(state);
        if (rand() % 20)
            set_product(0, "Teapot", 500, "GBP");
        for (int i = 0; i < 100; i++) {
            shelf.now_us += rand() % 100000;
            int number = rand() % ORDERS;
            switch (rand() % 8) {
            case 0:
                receive(number, rand() % 30);
                break;
            case 1:
                adjust(number, rand() % 30 - 20);
                break;
            case 2:
                set_product(number, rand() % 2 ? "Teapot" : "Pot", rand() % 3, "GBP");
                break;
            default:
                request((enum stock_action)(rand() % STOCK_ACTION_COUNT), number, rand() % 12);
            }
            int64_t held = 0;
            for (int order = 0; order < ORDERS; order++)
                held += shelf.reservations[order].quantity;
            assert_int_equal(shelf.stock.reserved, held);
        }
    }
}

#define TOLD(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void) {
    const struct CMUnitTest tests[] = {
        TOLD(a_product_is_created_and_changed),
        TOLD(setting_the_same_product_again_is_an_outcome_too),
        TOLD(a_product_keeps_its_currency),
        TOLD(impossible_products_are_refused),
        TOLD(stock_needs_a_product),
        TOLD(stock_is_received_within_bounds),
        TOLD(an_adjustment_below_what_is_held_is_refused_with_the_shortfall),
        TOLD(a_reservation_is_held_then_sold),
        TOLD(a_reservation_is_held_then_let_go),
        TOLD(nothing_is_sold_that_is_not_there),
        TOLD(reserving_twice_holds_once),
        TOLD(a_repeated_command_is_answered_by_the_first),
        TOLD(a_refused_command_is_remembered_too),
        TOLD(any_inputs_in_any_order_conserve_stock),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
