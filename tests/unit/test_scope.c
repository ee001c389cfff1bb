// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "http/scope.h"

#include <string.h>

static int word(const char *text) {
    return scopes_of_word(text, strlen(text));
}

static int key_word(const char *text) {
    return scopes_of_key_word(text, strlen(text));
}

static void a_word_means_its_scope_and_no_other(void **state) {
    (void)state;
    for (int bit = 0; bit < SCOPE_BITS; bit++) {
        assert_true(strlen(scope_word(bit)) <= SCOPE_WORD_MAX);
        assert_int_equal(word(scope_word(bit)), 1 << bit);
        assert_int_equal(key_word(scope_word(bit)), 1 << bit);
    }
    assert_int_equal(word("orders:read"), SCOPE_ORDERS_READ);
    assert_int_equal(word("ops"), SCOPE_OPS);
}

static void what_is_no_scope_allows_nothing(void **state) {
    (void)state;
    static const char *const words[] = {"",
                                        "o",
                                        "orders",
                                        "orders:",
                                        "orders:rea",
                                        "orders:readx",
                                        "ORDERS:READ",
                                        " ops",
                                        "ops ",
                                        "*",
                                        ":*",
                                        "ops:*",
                                        "order:*",
                                        "s:*",
                                        "orders:**",
                                        "orders:re*",
                                        "orders*",
                                        "root",
                                        "read,write"};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        assert_int_equal(word(words[i]), 0);
        assert_int_equal(key_word(words[i]), 0);
    }
    assert_int_equal(scopes_of_word("ops\0", 4), 0);
}

static void a_star_means_all_of_a_kind(void **state) {
    (void)state;
    assert_int_equal(word("customers:*"), SCOPE_CUSTOMERS_READ | SCOPE_CUSTOMERS_WRITE);
    assert_int_equal(word("orders:*"),
                     SCOPE_ORDERS_READ | SCOPE_ORDERS_WRITE | SCOPE_ORDERS_IMPORT);
    assert_int_equal(word("shipments:*"), SCOPE_SHIPMENTS_WRITE);
}

static void the_words_of_earlier_keys_allow_what_they_did(void **state) {
    (void)state;
    assert_int_equal(key_word("read"), SCOPE_ORDERS_READ | SCOPE_INVENTORY_READ);
    assert_int_equal(key_word("write"), SCOPE_ORDERS_WRITE | SCOPE_CATALOG_WRITE |
                                            SCOPE_INVENTORY_WRITE | SCOPE_SHIPMENTS_WRITE);
    assert_int_equal(key_word("import"), SCOPE_ORDERS_IMPORT);
    assert_int_equal(key_word("all"), SCOPE_ALL);
    // An issuer of tokens may mean anything by these.
    assert_int_equal(word("read") | word("write") | word("import") | word("all"), 0);
}

static void customers_hold_no_scope_of_the_shops(void **state) {
    (void)state;
    assert_int_equal(SCOPES_OF_CUSTOMERS, SCOPE_ORDERS_READ | SCOPE_ORDERS_WRITE |
                                              SCOPE_CUSTOMERS_READ | SCOPE_CUSTOMERS_WRITE);
}

static void all_scopes_fit_into_a_text(void **state) {
    (void)state;
    char text[SCOPES_TEXT_MAX];
    scopes_format(SCOPE_ALL, ", ", text);
    assert_non_null(strstr(text, "orders:read, orders:write"));
    scopes_format(SCOPE_NONE, ", ", text);
    assert_string_equal(text, "");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_word_means_its_scope_and_no_other),
        cmocka_unit_test(what_is_no_scope_allows_nothing),
        cmocka_unit_test(a_star_means_all_of_a_kind),
        cmocka_unit_test(the_words_of_earlier_keys_allow_what_they_did),
        cmocka_unit_test(customers_hold_no_scope_of_the_shops),
        cmocka_unit_test(all_scopes_fit_into_a_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
