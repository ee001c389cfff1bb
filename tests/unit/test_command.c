// SPDX-License-Identifier: Apache-2.0
//
// From JSON to commands, without a server: keys, ids, prices, and what is refused only here.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "event/message.h"
#include "http/command.h"
#include "service/clock.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static struct schema_ids *ids;
static struct http_caller caller = {.shop_id = "main",
                                    .scopes = SCOPE_ORDERS_WRITE | SCOPE_ORDERS_IMPORT};
static int64_t price_minor = 150;

static bool find_price(void *state, const char *shop, size_t shop_len, const char *sku,
                       size_t sku_len, struct catalogue_price *ret) {
    (void)state;
    assert_int_equal(shop_len, 4);
    assert_memory_equal(shop, "main", 4);
    if (sku_len != 1 || *sku != 'A')
        return false;
    *ret = (struct catalogue_price){price_minor, 7, "EUR"};
    return true;
}

static struct command_prices prices = {.find = find_price, .fresh = true};

static struct command_context context(const char *key) {
    return (struct command_context){.caller = &caller,
                                    .ids = ids,
                                    .prices = &prices,
                                    .idempotency_key = key,
                                    .now_us = 1700000000000000};
}

static const struct jsonin *json(struct arena *arena, const char *text) {
    struct problem problem;
    const struct jsonin *root = NULL;
    arena_init(arena, 0);
    problem_init(&problem);
    assert_true(body_parse(arena, text, strlen(text), &root, &problem));
    return root;
}

// Returns the problem's type; PROBLEM_NONE when it was built.
static enum problem_type place(const char *key, const char *text, struct command *ret) {
    struct problem problem;
    struct command_context with = context(key);
    struct arena arena;
    const struct jsonin *root = json(&arena, text);
    problem_init(&problem);
    if (command_place_order(&with, root, ret, &problem))
        assert_int_equal(problem.type, PROBLEM_NONE);
    arena_done(&arena);
    return problem.type;
}

#define BY_CATALOGUE                                                                               \
    "{\"customer_id\":\"c\",\"currency\":\"EUR\",\"lines\":[{\"sku\":\"A\",\"quantity\":2}]}"

static void a_price_change_does_not_change_the_command(void **state) {
    (void)state;
    struct command before;
    struct command after;
    price_minor = 150;
    assert_int_equal(place("k", BY_CATALOGUE, &before), PROBLEM_NONE);
    price_minor = 151;
    assert_int_equal(place("k", BY_CATALOGUE, &after), PROBLEM_NONE);
    assert_true(id_equal(&before.command_id, &after.command_id));
    assert_true(id_equal(&before.order_id, &after.order_id));
    assert_true(before.length == after.length && memcmp(before.bytes, after.bytes, before.length));
    command_done(&before);
    command_done(&after);
}

static void an_explicit_price_is_part_of_the_content(void **state) {
    (void)state;
    static const char *const texts[] = {
        "{\"customer_id\":\"c\",\"currency\":\"EUR\",\"lines\":[{\"sku\":\"A\",\"quantity\":2,"
        "\"unit_price_minor\":150}]}",
        "{\"customer_id\":\"c\",\"currency\":\"EUR\",\"lines\":[{\"sku\":\"A\",\"quantity\":2,"
        "\"unit_price_minor\":151}]}",
    };
    struct command one;
    struct command other;
    assert_int_equal(place("k", texts[0], &one), PROBLEM_NONE);
    assert_int_equal(place("k", texts[1], &other), PROBLEM_NONE);
    assert_false(id_equal(&one.command_id, &other.command_id));
    assert_true(id_equal(&one.order_id, &other.order_id));
    command_done(&one);
    command_done(&other);
}

static void shops_with_the_same_key_have_different_orders(void **state) {
    (void)state;
    struct command one;
    struct command other;
    assert_int_equal(place("k", BY_CATALOGUE, &one), PROBLEM_NONE);
    static const char explicit[] =
        "{\"customer_id\":\"c\",\"currency\":\"EUR\",\"lines\":[{\"sku\":"
        "\"A\",\"quantity\":2,\"unit_price_minor\":1}]}";
    strcpy(caller.shop_id, "next");
    assert_int_equal(place("k", explicit, &other), PROBLEM_NONE);
    strcpy(caller.shop_id, "main");
    assert_false(id_equal(&one.order_id, &other.order_id));
    command_done(&one);
    command_done(&other);
}

#define FOR_NOBODY "{\"currency\":\"EUR\",\"lines\":[{\"sku\":\"A\",\"quantity\":2}]}"

static void a_customer_orders_for_nobody_else(void **state) {
    (void)state;
    struct command named;
    struct command unnamed;
    assert_int_equal(place("k", FOR_NOBODY, &named), PROBLEM_MISSING_FIELD);
    strcpy(caller.customer_id, "c");
    assert_int_equal(place("k", BY_CATALOGUE, &named), PROBLEM_NONE);
    assert_int_equal(place("k", FOR_NOBODY, &unnamed), PROBLEM_NONE);
    assert_true(id_equal(&named.command_id, &unnamed.command_id));
    command_done(&named);
    command_done(&unnamed);
    strcpy(caller.customer_id, "cc");
    assert_int_equal(place("k", BY_CATALOGUE, &named), PROBLEM_FORBIDDEN);
    strcpy(caller.customer_id, "");
}

// So that nobody can take the key that another, or the shop, is about to use.
static void customers_with_the_same_key_have_different_orders(void **state) {
    (void)state;
    static const char *const customers[] = {"", "c1", "c2"};
    struct id orders[3];
    for (size_t i = 0; i < 3; i++) {
        struct command command;
        strcpy(caller.customer_id, customers[i]);
        assert_int_equal(place("k", i ? FOR_NOBODY : BY_CATALOGUE, &command), PROBLEM_NONE);
        orders[i] = command.order_id;
        for (size_t j = 0; j < i; j++)
            assert_false(id_equal(&orders[i], &orders[j]));
        command_done(&command);
    }
    strcpy(caller.customer_id, "");
}

static void cancel(const char *key, struct cancel_order *ret, struct arena *arena) {
    static const char order_id[] = "00000000-0000-8000-8000-00000000000a";
    struct command_context with = context(key);
    struct problem problem;
    struct command command;
    struct message message;
    struct error err = {0};
    problem_init(&problem);
    assert_true(
        command_about_order(&with, RECORD_CANCEL_ORDER, order_id, NULL, &command, &problem));
    assert_true(message_decode(ids, command.bytes, command.length, arena, &message, &err));
    *ret = *(const struct cancel_order *)message.body;
    assert_true(id_equal(&ret->command_id, &command.command_id));
    if (ret->customer_id.ptr) { // it lies in the command's bytes
        char *kept = arena_alloc(arena, ret->customer_id.len);
        assert_non_null(kept);
        ret->customer_id.ptr = memcpy(kept, ret->customer_id.ptr, ret->customer_id.len);
    }
    command_done(&command);
}

static void a_customers_cancellation_says_whose_it_is(void **state) {
    (void)state;
    struct arena arena;
    struct cancel_order of_shop;
    struct cancel_order of_customer;
    arena_init(&arena, 1 << 20);
    cancel("k", &of_shop, &arena);
    assert_null(of_shop.customer_id.ptr);
    strcpy(caller.customer_id, "c1");
    cancel("k", &of_customer, &arena);
    strcpy(caller.customer_id, "");
    assert_int_equal(of_customer.customer_id.len, 2);
    assert_memory_equal(of_customer.customer_id.ptr, "c1", 2);
    assert_false(id_equal(&of_shop.key_id, &of_customer.key_id));
    assert_false(id_equal(&of_shop.command_id, &of_customer.command_id));
    arena_done(&arena);
}

static void a_stale_catalogue_gives_no_prices_and_explicit_ones_need_none(void **state) {
    (void)state;
    struct command command;
    prices.fresh = false;
    assert_int_equal(place("k", BY_CATALOGUE, &command), PROBLEM_CATALOGUE_STALE);
    assert_int_equal(place("k",
                           "{\"customer_id\":\"c\",\"currency\":\"EUR\",\"lines\":[{\"sku\":\"Z\","
                           "\"quantity\":1,\"unit_price_minor\":0}]}",
                           &command),
                     PROBLEM_NONE);
    command_done(&command);
    prices.fresh = true;
}

static void what_was_built_decodes_to_what_was_asked(void **state) {
    (void)state;
    struct command command;
    price_minor = 150;
    assert_int_equal(place("key \xC3\xA4", BY_CATALOGUE, &command), PROBLEM_NONE);
    struct arena arena;
    struct message message;
    struct error err = {0};
    arena_init(&arena, 1 << 20);
    assert_true(message_decode(ids, command.bytes, command.length, &arena, &message, &err));
    assert_int_equal(message.type, RECORD_PLACE_ORDER);
    const struct place_order *order = message.body;
    assert_int_equal(order->received_at, 1700000000000000);
    assert_int_equal(order->lines_count, 1);
    assert_int_equal(order->lines[0].unit_price_minor, 150);
    assert_true(order->lines[0].has_price_version);
    assert_true(id_equal(&order->order_id, &order->key_id));
    assert_memory_equal(order->payment_method.ptr, "tok_ok", 6);
    struct id_text text = id_text(&order->order_id);
    assert_int_equal(command.key_len, ID_TEXT_LEN);
    assert_memory_equal(command.key, text.text, ID_TEXT_LEN);
    arena_done(&arena);
    command_done(&command);
}

static void the_largest_order_fits_and_the_next_larger_does_not(void **state) {
    (void)state;
    for (size_t count = COMMAND_LINES_MAX; count <= COMMAND_LINES_MAX + 1; count++) {
        json_t *root = json_loads(BY_CATALOGUE, 0, NULL);
        json_t *lines = json_array();
        char sku[65];
        memset(sku, 'x', 64);
        sku[64] = '\0';
        for (size_t i = 0; i < count; i++)
            (void)json_array_append_new(lines, json_pack("{s:s, s:i, s:I}", "sku", sku, "quantity",
                                                         1000000, "unit_price_minor",
                                                         (json_int_t)1000000));
        (void)json_object_set_new(root, "lines", lines);
        char *text = json_dumps(root, 0);
        struct command command;
        enum problem_type type = place("k", text, &command);
        assert_int_equal(type, count == COMMAND_LINES_MAX ? PROBLEM_NONE : PROBLEM_TOO_MANY_LINES);
        if (type == PROBLEM_NONE)
            command_done(&command);
        free(text);
        json_decref(root);
    }
}

static void idempotency_keys_come_bare_or_quoted(void **state) {
    (void)state;
    static const struct {
        const char *header;
        const char *key; // NULL: refused
    } cases[] = {
        {"abc", "abc"},
        {"\"abc\"", "abc"},
        {"\"a \\\"b\\\\\"", "a \"b\\"},
        {"", NULL},
        {"\"\"", NULL},
        {"\"a", NULL},
        {"a\"", NULL},
        {"a b", NULL},
        {"\"a\"b", NULL},
        {"\"a\\x\"", NULL},
        {"\"a\\", NULL},
        {"\xC3\xA4", NULL},
        {"\"\xC3\xA4\"", NULL},
        {"\"a\tb\"", NULL},
    };
    char key[COMMAND_KEY_MAX + 1];
    struct problem problem;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        problem_init(&problem);
        bool ok = command_key_parse(cases[i].header, key, &problem);
        if (ok != (cases[i].key != NULL))
            fail_msg("%s: %s", cases[i].header, ok ? key : "refused");
        if (ok)
            assert_string_equal(key, cases[i].key);
        else
            assert_int_equal(problem.type, PROBLEM_INVALID_IDEMPOTENCY_KEY);
    }
    char longest[COMMAND_KEY_MAX + 4];
    memset(longest, 'x', sizeof(longest));
    longest[COMMAND_KEY_MAX] = '\0';
    assert_true(command_key_parse(longest, key, &problem));
    longest[COMMAND_KEY_MAX] = 'x';
    longest[COMMAND_KEY_MAX + 1] = '\0';
    assert_false(command_key_parse(longest, key, &problem));
    longest[0] = longest[COMMAND_KEY_MAX + 1] = '"';
    longest[COMMAND_KEY_MAX + 2] = '\0';
    assert_true(command_key_parse(longest, key, &problem));
    char other[COMMAND_KEY_MAX + 1];
    assert_true(command_key_parse(NULL, key, &problem));
    assert_true(command_key_parse(NULL, other, &problem));
    assert_string_not_equal(key, other);
}

static void versions_come_as_tags_tell_them(void **state) {
    (void)state;
    static const struct {
        const char *header;
        int64_t version; // -1: refused
    } cases[] = {
        {NULL, 0},
        {"*", 0},
        {"\"1\"", 1},
        {"\"999999999999999999\"", 999999999999999999},
        {"1", -1},
        {"\"0\"", -1},
        {"\"01\"", -1},
        {"\"-1\"", -1},
        {"W/\"1\"", -1}, // a strong comparison is asked for (RFC 9110, 13.1.1)
        {"\"1\", \"2\"", -1},
        {"\"1", -1},
        {"\"\"", -1},
        {"\"1000000000000000000\"", -1},
        {"", -1},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct problem problem;
        int64_t version;
        problem_init(&problem);
        bool ok = command_version_parse(cases[i].header, &version, &problem);
        assert_int_equal(ok, cases[i].version >= 0);
        if (ok)
            assert_int_equal(version, cases[i].version);
        else
            assert_int_equal(problem.type, PROBLEM_INVALID_PARAMETER);
    }
}

static void an_expected_version_is_part_of_the_content(void **state) {
    (void)state;
    static const enum record_id types[] = {RECORD_CANCEL_ORDER, RECORD_DISPATCH_ORDER,
                                           RECORD_DELIVER_ORDER};
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        struct command commands[3];
        for (int64_t version = 0; version < 3; version++) {
            struct problem problem;
            struct command_context with = context("k");
            with.expected_version = version;
            problem_init(&problem);
            assert_true(command_about_order(&with, types[i], "00000000-0000-8000-8000-000000000001",
                                            NULL, &commands[version], &problem));
        }
        assert_false(id_equal(&commands[0].command_id, &commands[1].command_id));
        assert_false(id_equal(&commands[1].command_id, &commands[2].command_id));
        for (int j = 0; j < 3; j++)
            command_done(&commands[j]);
    }
}

static int start(void **state) {
    (void)state;
    struct error err = {0};
    ids = schema_ids_new(NULL, &clock_system);
    static const enum record_id types[] = {RECORD_PLACE_ORDER, RECORD_CANCEL_ORDER,
                                           RECORD_DISPATCH_ORDER, RECORD_DELIVER_ORDER};
    bool ok = ids != NULL;
    for (int i = 0; ok && i < 4; i++)
        ok = schema_ids_add(ids, TOPIC_ORDERS_INBOX, types[i], 41 + i, &err);
    return ok ? 0 : -1;
}

static int stop(void **state) {
    (void)state;
    ids = schema_ids_free(ids);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_price_change_does_not_change_the_command),
        cmocka_unit_test(an_explicit_price_is_part_of_the_content),
        cmocka_unit_test(shops_with_the_same_key_have_different_orders),
        cmocka_unit_test(a_customer_orders_for_nobody_else),
        cmocka_unit_test(customers_with_the_same_key_have_different_orders),
        cmocka_unit_test(a_customers_cancellation_says_whose_it_is),
        cmocka_unit_test(a_stale_catalogue_gives_no_prices_and_explicit_ones_need_none),
        cmocka_unit_test(what_was_built_decodes_to_what_was_asked),
        cmocka_unit_test(the_largest_order_fits_and_the_next_larger_does_not),
        cmocka_unit_test(idempotency_keys_come_bare_or_quoted),
        cmocka_unit_test(versions_come_as_tags_tell_them),
        cmocka_unit_test(an_expected_version_is_part_of_the_content),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
