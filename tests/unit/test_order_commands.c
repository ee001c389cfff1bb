// SPDX-License-Identifier: Apache-2.0
//
// Commands: what is refused when an order is placed, duplicates and reused keys, other shops.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "order_world.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static struct order_world world;

static int begin(void **state) {
    (void)state;
    order_world_init(&world);
    return 0;
}

static int end(void **state) {
    (void)state;
    order_world_done(&world);
    return 0;
}

// ---- placing -----------------------------------------------------------------------------------

// Each under a key that nothing is remembered of.
static void refuse_placing(const struct place_order *place, const char *detail) {
    world.memory.count = 0;
    world.log_count = 0;
    order_world_give(&world, RECORD_PLACE_ORDER, place);
    assert_string_equal(world.events, "OrderCommandRefused:INVALID_ORDER");
    assert_string_equal(world.messages, "");
    assert_null(world.order);
    const struct order_command_refused *refused =
        order_world_last(&world, RECORD_ORDER_COMMAND_REFUSED);
    if (refused->detail.len != strlen(detail) ||
        memcmp(refused->detail.ptr, detail, refused->detail.len) != 0)
        fail_msg("\"%.*s\" is not \"%s\"", (int)refused->detail.len, refused->detail.ptr, detail);
    struct id event_id = id_derive(&place->command_id, (uint64_t)world.now_us);
    assert_true(id_equal(&refused->event_id, &event_id));
    assert_true(id_equal(&refused->key_id, &place->key_id));
}

static void an_invalid_order_is_refused_with_the_reason_and_the_line(void **state) {
    (void)state;
    const struct order_line good = {.sku = {"A", 1}, .quantity = 1, .unit_price_minor = 5};
    struct order_line lines[2] = {good, good};
    struct place_order place = order_world_place_command("content");
    place.lines = lines;
    place.lines_count = 2;

    lines[1].quantity = 0;
    refuse_placing(&place, "line 2: quantity must be from 1 to 1000000");
    lines[1].quantity = 1000001;
    refuse_placing(&place, "line 2: quantity must be from 1 to 1000000");
    lines[1].quantity = INT64_MIN;
    refuse_placing(&place, "line 2: quantity must be from 1 to 1000000");
    lines[1] = good;
    lines[0].unit_price_minor = -1;
    refuse_placing(&place, "line 1: unit_price_minor must be from 0 to 1000000000000");
    lines[0].unit_price_minor = INT64_MAX;
    refuse_placing(&place, "line 1: unit_price_minor must be from 0 to 1000000000000");
    lines[0] = good;
    lines[0].sku = order_world_view("A/B");
    refuse_placing(&place, "line 1: sku must have 1 to 64 characters, none of them '/' or a "
                           "control character");
    lines[0].sku = order_world_view("");
    refuse_placing(&place, "line 1: sku must have 1 to 64 characters, none of them '/' or a "
                           "control character");
    lines[0] = good;

    place.lines_count = 0;
    refuse_placing(&place, "an order has 1 to 1000 lines");
    place.lines_count = 1001;
    refuse_placing(&place, "an order has 1 to 1000 lines");
    place.lines_count = 2;
    place.currency = order_world_view("eur");
    refuse_placing(&place, "currency must be an ISO 4217 code in use");
    place.currency = order_world_view("EURO");
    refuse_placing(&place, "currency must be an ISO 4217 code in use");
    place.currency = order_world_view("EUR");
    place.customer_id = order_world_view("");
    refuse_placing(&place, "customer_id must have 1 to 64 characters");
    place.customer_id = order_world_view("c");
    place.discount_minor = 11;
    refuse_placing(&place, "the discount is larger than the rest of the order");
    place.discount_minor = -1;
    refuse_placing(&place, "discount_minor is out of range");
    place.discount_minor = 0;
    place.tax_minor = INT64_MAX;
    refuse_placing(&place, "tax_minor is out of range");
    place.tax_minor = place.shipping_minor = INT64_C(9000000000000000);
    refuse_placing(&place, "the total is too large");
}

static void sums_that_overflow_are_refused(void **state) {
    (void)state;
    struct order_line lines[1000];
    for (size_t i = 0; i < 1000; i++)
        lines[i] = (struct order_line){
            .sku = {"A", 1}, .quantity = 1000000, .unit_price_minor = INT64_C(1000000000000)};
    struct place_order place = order_world_place_command("content");
    place.lines = lines;
    place.lines_count = 1000;
    refuse_placing(&place, "line 1: the sum of the lines is too large");
    for (size_t i = 0; i < 1000; i++)
        lines[i].unit_price_minor = 90000000;
    lines[0].unit_price_minor = 0;
    // 999 lines of 90,000,000,000,000 fit only up to the hundredth.
    refuse_placing(&place, "line 102: the sum of the lines is too large");
}

static void a_refused_place_command_keeps_its_outcome_and_its_key(void **state) {
    (void)state;
    struct place_order place = order_world_place_command("bad");
    place.lines_count = 0;
    order_world_give(&world, RECORD_PLACE_ORDER, &place);
    assert_string_equal(world.events, "OrderCommandRefused:INVALID_ORDER");
    order_world_give(&world, RECORD_PLACE_ORDER, &place);
    assert_string_equal(world.events, "");
    order_world_place(&world);
    assert_string_equal(world.events, "OrderCommandRefused:KEY_REUSED");
    assert_null(world.order);
    world.now_us += world.policy.command_window_us + 1;
    order_world_place(&world);
    assert_string_equal(world.events, "OrderPlaced");
    order_world_give(&world, RECORD_PLACE_ORDER, &place);
    assert_string_equal(world.events, "OrderCommandRefused:KEY_REUSED");
}

static void a_free_order_is_an_order(void **state) {
    (void)state;
    struct order_line line = {.sku = {"BANK CHARGES", 12}, .quantity = 1};
    struct place_order place = order_world_place_command("content");
    place.lines = &line;
    place.lines_count = 1;
    order_world_give(&world, RECORD_PLACE_ORDER, &place);
    assert_string_equal(world.events, "OrderPlaced");
    assert_string_equal(world.messages, "RESERVE:BANK CHARGES:1");
}

// ---- large orders ------------------------------------------------------------------------------

enum { LINES = 1000, SKUS = 700 };

static void place_large(char names[LINES][16], struct order_line lines[LINES]) {
    for (int i = 0; i < LINES; i++) {
        int len = snprintf(names[i], 16, "sku-%d", i * 7919 % SKUS);
        lines[i] = (struct order_line){
            .sku = {names[i], (uint32_t)len}, .quantity = i + 1, .unit_price_minor = 1};
    }
    struct place_order place = order_world_place_command("content");
    place.lines = lines;
    place.lines_count = LINES;
    order_world_give(&world, RECORD_PLACE_ORDER, &place);
}

static void repeated_skus_of_a_large_order_are_summed(void **state) {
    (void)state;
    static char names[LINES][16];
    static struct order_line lines[LINES];
    static int64_t expected[SKUS];
    place_large(names, lines);
    for (int i = 0; i < LINES; i++)
        expected[i * 7919 % SKUS] += i + 1;
    assert_int_equal(world.sent_count, SKUS);
    for (uint32_t i = 0; i < world.sent_count; i++) {
        const struct request_stock *request = world.sent[i].body;
        int sku = -1;
        assert_int_equal(sscanf(request->sku.ptr, "sku-%d", &sku), 1);
        assert_int_equal(request->quantity, expected[sku]);
        expected[sku] = -1;
    }
    const struct order_placed *placed = order_world_last(&world, RECORD_ORDER_PLACED);
    assert_int_equal(placed->lines_count, LINES);
    assert_int_equal(placed->items_minor, LINES * (LINES + 1) / 2);
}

static void a_large_order_is_reserved_sku_by_sku(void **state) {
    (void)state;
    static char names[LINES][16];
    static struct order_line lines[LINES];
    place_large(names, lines);
    for (int i = 0; i < SKUS; i++) {
        char sku[16];
        (void)snprintf(sku, sizeof(sku), "sku-%d", i);
        assert_int_equal(order_status(world.order), ORDER_STATUS_PLACED);
        order_world_stock(&world, sku, STOCK_RESULT_RESERVED, 0);
    }
    assert_string_equal(world.messages, "AUTHORIZE");
    order_world_cancel(&world, "c");
    assert_int_equal(world.sent_count, SKUS + 1);
}

// Placing grows with n log n: a hundred orders of 1,000 lines in far less than a second.
static void large_orders_are_fast(void **state) {
    (void)state;
    static char names[LINES][16];
    static struct order_line lines[LINES];
    for (int i = 0; i < LINES; i++) {
        int len = snprintf(names[i], 16, "%d", i % 500);
        lines[i] = (struct order_line){.sku = {names[i], (uint32_t)len}, .quantity = 1};
    }
    struct place_order place = order_world_place_command("content");
    place.lines = lines;
    place.lines_count = LINES;
    struct arena arena;
    arena_init(&arena, 64 << 20);
    clock_t before = clock();
    for (int i = 0; i < 100; i++) {
        arena_reset(&arena);
        struct decision decision;
        decision_begin(&decision, &arena, &world.policy, world.now_us);
        struct order *order = NULL;
        struct remembered_command remembered = {0};
        order_decide(&decision, &order, &remembered, RECORD_PLACE_ORDER, &place);
        assert_int_equal(decision.messages_count, 500);
    }
    assert_in_range(clock() - before, 0, CLOCKS_PER_SEC);
    arena_done(&arena);
}

// ---- memory runs out ---------------------------------------------------------------------------

enum { TIGHT_BYTES = 1 << 17, GRAIN = 16 };

// An arena that has room for so many grains more.
static void arena_with_room(struct arena *arena, size_t grains_total, size_t grains_left) {
    arena_init(arena, TIGHT_BYTES);
    for (size_t i = grains_left; i < grains_total; i++)
        assert_non_null(arena_alloc(arena, GRAIN));
}

static void a_decision_that_does_not_fit_says_so(void **state) {
    (void)state;
    struct arena arena;
    arena_init(&arena, TIGHT_BYTES);
    size_t grains = 0;
    while (arena_alloc(&arena, GRAIN))
        grains++;
    arena_done(&arena);

    struct place_order place = order_world_place_command("content");
    int whole = 0, thrown_away = 0;
    for (size_t left = 0; left < 200; left++) {
        arena_with_room(&arena, grains, left);
        struct decision decision;
        decision_begin(&decision, &arena, &world.policy, world.now_us);
        struct order *order = NULL;
        struct remembered_command remembered = {0};
        order_decide(&decision, &order, &remembered, RECORD_PLACE_ORDER, &place);
        whole += !decision.out_of_memory;
        thrown_away += decision.out_of_memory;
        if (!decision.out_of_memory)
            assert_int_equal(decision.messages_count, 2);
        arena_done(&arena);
    }
    assert_true(whole > 0 && thrown_away > 40);
}

static void once_memory_is_out_nothing_smaller_slips_in(void **state) {
    (void)state;
    struct arena arena;
    arena_init(&arena, TIGHT_BYTES);
    struct decision decision;
    decision_begin(&decision, &arena, &world.policy, world.now_us);
    assert_null(decision_event(&decision, RECORD_ORDER_PLACED, 2 * TIGHT_BYTES));
    assert_true(decision.out_of_memory);
    assert_null(decision_event(&decision, RECORD_ORDER_EXPIRED, 16));
    assert_null(decision_message(&decision, RECORD_REQUEST_STOCK, 16));
    assert_int_equal(decision.events_count + decision.messages_count, 0);
    arena_done(&arena);
}

// ---- duplicates --------------------------------------------------------------------------------

static void the_first_placing_stands(void **state) {
    (void)state;
    order_world_place(&world);
    order_world_place(&world);
    assert_string_equal(world.events, "");
    struct place_order other = order_world_place_command("other");
    order_world_give(&world, RECORD_PLACE_ORDER, &other);
    assert_string_equal(world.events, "OrderCommandRefused:KEY_REUSED");
    // Long after the window too: that the order exists is remembered for ever.
    world.now_us += 2 * world.policy.command_window_us;
    order_world_place(&world);
    assert_string_equal(world.events, "");
}

static void cancel_with(const char *key, const char *content) {
    struct cancel_order cancel = {
        .command_id = order_world_id(content),
        .key_id = order_world_id(key),
        .shop_id = order_world_view("main"),
        .order_id = order_world_id("the order"),
        .idempotency_key = order_world_view(key),
    };
    order_world_give(&world, RECORD_CANCEL_ORDER, &cancel);
}

static void a_repeated_cancel_is_answered_by_the_first(void **state) {
    (void)state;
    order_world_place(&world);
    cancel_with("k", "one");
    assert_string_equal(world.events, "OrderCancelled");
    cancel_with("k", "one");
    assert_string_equal(world.events, "");
    cancel_with("k", "two");
    assert_string_equal(world.events, "OrderCommandRefused:KEY_REUSED");
    // The key still stands for its first command.
    cancel_with("k", "one");
    assert_string_equal(world.events, "");
}

static void a_key_is_forgotten_after_its_window(void **state) {
    (void)state;
    order_world_place(&world);
    cancel_with("k", "one");
    world.now_us += world.policy.command_window_us;
    cancel_with("k", "one");
    assert_string_equal(world.events, "");
    world.now_us += 1;
    cancel_with("k", "one");
    assert_string_equal(world.events, "OrderCommandRefused:ALREADY_CLOSED");
}

static void refused_commands_do_not_push_out_an_accepted_one(void **state) {
    (void)state;
    order_world_place(&world);
    order_world_stock(&world, "A", STOCK_RESULT_RESERVED, 5);
    order_world_stock(&world, "B", STOCK_RESULT_RESERVED, 5);
    cancel_with("k", "one");
    assert_false(order_is_closed(world.order));
    for (int i = 0; i < 50; i++) {
        char key[16];
        (void)snprintf(key, sizeof(key), "k%d", i);
        cancel_with(key, key);
        assert_string_equal(world.events, "OrderCommandRefused:ALREADY_CLOSED");
        cancel_with(key, key);
        assert_string_equal(world.events, "");
    }
    cancel_with("k", "one");
    assert_string_equal(world.events, "");
    // Closed, it still knows.
    order_world_payment(&world, PAYMENT_ACTION_VOID, PAYMENT_RESULT_VOIDED);
    assert_true(order_is_closed(world.order));
    cancel_with("k", "one");
    assert_string_equal(world.events, "");
}

static void dispatch_with(const char *key) {
    struct dispatch_order dispatch = {
        .command_id = order_world_id(key),
        .key_id = order_world_id(key),
        .shop_id = order_world_view("main"),
        .order_id = order_world_id("the order"),
        .idempotency_key = order_world_view(key),
    };
    order_world_give(&world, RECORD_DISPATCH_ORDER, &dispatch);
}

// However many came after it, and although it would be accepted now.
static void a_refused_command_stays_refused(void **state) {
    (void)state;
    order_world_place(&world);
    for (int i = 0; i < 20; i++) {
        char key[16];
        (void)snprintf(key, sizeof(key), "k%d", i);
        dispatch_with(key);
        assert_string_equal(world.events, "OrderCommandRefused:NOT_READY_TO_SHIP");
    }
    order_world_stock(&world, "A", STOCK_RESULT_RESERVED, 5);
    order_world_stock(&world, "B", STOCK_RESULT_RESERVED, 5);
    order_world_payment(&world, PAYMENT_ACTION_AUTHORIZE, PAYMENT_RESULT_AUTHORIZED);
    order_world_shipment(&world, SHIPMENT_ACTION_BOOK, SHIPMENT_RESULT_BOOKED);
    for (int i = 0; i < 20; i++) {
        char key[16];
        (void)snprintf(key, sizeof(key), "k%d", i);
        dispatch_with(key);
        assert_string_equal(world.events, "");
    }
    dispatch_with("new");
    assert_string_equal(world.events, "OrderDispatchAuthorised");
    dispatch_with("new");
    assert_string_equal(world.events, "");
}

// It came before the order it is about.
static void a_command_to_an_unknown_order_stays_refused(void **state) {
    (void)state;
    cancel_with("k", "one");
    assert_string_equal(world.events, "OrderCommandRefused:UNKNOWN_ORDER");
    order_world_place(&world);
    cancel_with("k", "one");
    assert_string_equal(world.events, "");
    cancel_with("k2", "two");
    assert_string_equal(world.events, "OrderCancelled");
}

static void accepted_commands_name_their_key(void **state) {
    (void)state;
    order_world_place(&world);
    cancel_with("k", "one");
    const struct order_cancelled *cancelled = order_world_last(&world, RECORD_ORDER_CANCELLED);
    struct id key_id = order_world_id("k");
    struct id command_id = order_world_id("one");
    assert_true(cancelled->has_key_id && id_equal(&cancelled->key_id, &key_id));
    assert_true(id_equal(&cancelled->causation_id, &command_id));
    assert_int_equal(cancelled->reason, CANCEL_REASON_CUSTOMER);
}

// ---- shops -------------------------------------------------------------------------------------

static void another_shops_order_is_unknown(void **state) {
    (void)state;
    order_world_place(&world);
    struct cancel_order cancel = {
        .command_id = order_world_id("c"),
        .key_id = order_world_id("c"),
        .shop_id = order_world_view("mai"),
        .order_id = order_world_id("the order"),
        .idempotency_key = order_world_view("c"),
    };
    order_world_give(&world, RECORD_CANCEL_ORDER, &cancel);
    assert_string_equal(world.events, "OrderCommandRefused:UNKNOWN_ORDER");
    cancel.shop_id = order_world_view("main");
    cancel.key_id = cancel.command_id = order_world_id("c2");
    order_world_give(&world, RECORD_CANCEL_ORDER, &cancel);
    assert_string_equal(world.events, "OrderCancelled");
}

static void cancel_expecting(const char *key, int64_t version) {
    struct cancel_order cancel = {
        .command_id = order_world_id(key),
        .key_id = order_world_id(key),
        .shop_id = order_world_view("main"),
        .order_id = order_world_id("the order"),
        .idempotency_key = order_world_view(key),
        .has_expected_version = true,
        .expected_version = version,
    };
    order_world_give(&world, RECORD_CANCEL_ORDER, &cancel);
}

static void assert_refused_at(int64_t expected, int64_t actual) {
    const struct order_command_refused *refused =
        order_world_last(&world, RECORD_ORDER_COMMAND_REFUSED);
    assert_true(refused->has_expected_version && refused->has_actual_version);
    assert_int_equal(refused->expected_version, expected);
    assert_int_equal(refused->actual_version, actual);
}

static void a_command_that_expects_another_version_changes_nothing(void **state) {
    (void)state;
    order_world_place(&world);
    cancel_expecting("early", 2);
    assert_refused_at(2, 1);
    order_world_stock(&world, "A", STOCK_RESULT_RESERVED, 5);
    assert_int_equal(order_version(world.order), 2);
    // Refused stays refused, also at the version it wanted; what expects this one is done, once.
    cancel_expecting("early", 2);
    assert_string_equal(world.events, "");
    cancel_expecting("late", 1);
    assert_refused_at(1, 2);
    cancel_expecting("now", 2);
    assert_string_equal(world.events, "OrderCancelled");
    cancel_expecting("now", 2);
    assert_string_equal(world.events, "");
    // A closed order has its version still.
    assert_true(order_is_closed(world.order));
    cancel_expecting("again", 2);
    assert_refused_at(2, order_version(world.order));
    cancel_expecting("at last", order_version(world.order));
    assert_string_equal(world.events, "OrderCommandRefused:ALREADY_CLOSED");
}

static void dispatch_and_delivery_expect_versions_too(void **state) {
    (void)state;
    order_world_place(&world);
    struct dispatch_order dispatch = {
        .command_id = order_world_id("d"),
        .key_id = order_world_id("d"),
        .shop_id = order_world_view("main"),
        .order_id = order_world_id("the order"),
        .idempotency_key = order_world_view("d"),
        .has_expected_version = true,
        .expected_version = 7,
    };
    order_world_give(&world, RECORD_DISPATCH_ORDER, &dispatch);
    assert_refused_at(7, 1);
    struct deliver_order deliver = {
        .command_id = order_world_id("e"),
        .key_id = order_world_id("e"),
        .shop_id = order_world_view("main"),
        .order_id = order_world_id("the order"),
        .idempotency_key = order_world_view("e"),
        .has_expected_version = true,
        .expected_version = 9,
    };
    order_world_give(&world, RECORD_DELIVER_ORDER, &deliver);
    assert_refused_at(9, 1);
}

// ---- customers ---------------------------------------------------------------------------------

static void cancel_as(const char *customer, const char *name) {
    struct cancel_order cancel = {
        .command_id = order_world_id(name),
        .key_id = order_world_id(name),
        .shop_id = order_world_view("main"),
        .order_id = order_world_id("the order"),
        .idempotency_key = order_world_view(name),
        .customer_id = order_world_view(customer),
    };
    order_world_give(&world, RECORD_CANCEL_ORDER, &cancel);
}

// Nothing in the refusal tells that there is an order, and it says whose command it was.
static void assert_unknown_to(const char *customer, const char *name) {
    const struct id command_id = order_world_id(name);
    assert_string_equal(world.events, "OrderCommandRefused:UNKNOWN_ORDER");
    assert_string_equal(world.messages, "");
    const struct order_command_refused *refused =
        order_world_last(&world, RECORD_ORDER_COMMAND_REFUSED);
    assert_true(id_equal(&refused->correlation_id, &command_id));
    assert_int_equal(refused->customer_id.len, strlen(customer));
    assert_memory_equal(refused->customer_id.ptr, customer, strlen(customer));
}

static void another_customers_order_is_unknown(void **state) {
    (void)state;
    static const char *const others[] = {"c-1", "c-18", "c-171", "C-17", ""};
    order_world_place(&world); // for c-17
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        char name[16];
        (void)snprintf(name, sizeof(name), "o%zu", i);
        cancel_as(others[i], name);
        assert_unknown_to(others[i], name);
        cancel_as(others[i], name); // it stays so
        assert_string_equal(world.events, "");
    }
    cancel_as("c-17", "own");
    assert_string_equal(world.events, "OrderCancelled");
}

static void another_customers_closed_order_is_unknown(void **state) {
    (void)state;
    order_world_place(&world);
    cancel_as("c-17", "own");
    assert_true(order_is_closed(world.order));
    cancel_as("c-18", "other");
    assert_unknown_to("c-18", "other");
    cancel_as("c-17", "again");
    assert_string_equal(world.events, "OrderCommandRefused:ALREADY_CLOSED");
    order_world_cancel(&world, "shop");
    assert_string_equal(world.events, "OrderCommandRefused:ALREADY_CLOSED");
}

static void the_shop_cancels_any_customers_order(void **state) {
    (void)state;
    order_world_place(&world);
    cancel_as("c-18", "other");
    assert_string_equal(world.events, "OrderCommandRefused:UNKNOWN_ORDER");
    order_world_cancel(&world, "shop");
    assert_string_equal(world.events, "OrderCancelled");
}

#define TOLD(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void) {
    const struct CMUnitTest tests[] = {
        TOLD(an_invalid_order_is_refused_with_the_reason_and_the_line),
        TOLD(sums_that_overflow_are_refused),
        TOLD(a_refused_place_command_keeps_its_outcome_and_its_key),
        TOLD(a_free_order_is_an_order),
        TOLD(repeated_skus_of_a_large_order_are_summed),
        TOLD(a_large_order_is_reserved_sku_by_sku),
        TOLD(large_orders_are_fast),
        TOLD(a_decision_that_does_not_fit_says_so),
        TOLD(once_memory_is_out_nothing_smaller_slips_in),
        TOLD(the_first_placing_stands),
        TOLD(a_repeated_cancel_is_answered_by_the_first),
        TOLD(a_key_is_forgotten_after_its_window),
        TOLD(refused_commands_do_not_push_out_an_accepted_one),
        TOLD(a_refused_command_stays_refused),
        TOLD(a_command_to_an_unknown_order_stays_refused),
        TOLD(accepted_commands_name_their_key),
        TOLD(another_shops_order_is_unknown),
        TOLD(a_command_that_expects_another_version_changes_nothing),
        TOLD(dispatch_and_delivery_expect_versions_too),
        TOLD(another_customers_order_is_unknown),
        TOLD(another_customers_closed_order_is_unknown),
        TOLD(the_shop_cancels_any_customers_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
