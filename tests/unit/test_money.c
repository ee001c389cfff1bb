// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "domain/money.h"

static void sums_stay_in_range(void **state) {
    (void)state;
    int64_t sum = -1;
    assert_true(money_add(MONEY_MINOR_MAX - 1, 1, &sum));
    assert_int_equal(sum, MONEY_MINOR_MAX);
    assert_false(money_add(MONEY_MINOR_MAX, 1, &sum));
    assert_false(money_add(INT64_MAX, INT64_MAX, &sum));
    assert_false(money_add(INT64_MIN, -1, &sum));
    assert_false(money_add(-MONEY_MINOR_MAX, -1, &sum));
    assert_int_equal(sum, MONEY_MINOR_MAX); // set on success only
}

static void products_stay_in_range(void **state) {
    (void)state;
    int64_t product = -1;
    assert_true(money_multiply(9000, INT64_C(1000000000000), &product));
    assert_int_equal(product, MONEY_MINOR_MAX);
    assert_false(money_multiply(9001, INT64_C(1000000000000), &product));
    assert_false(money_multiply(INT64_MAX, 2, &product));
    assert_false(money_multiply(INT64_MIN, -1, &product));
    assert_int_equal(product, MONEY_MINOR_MAX);
}

static void only_currencies_in_use_are_known(void **state) {
    (void)state;
    static const char *const known[] = {"AED", "EUR", "GBP", "JPY", "USD", "XCG", "ZWG", "CHF"};
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        assert_true(money_currency_known(known[i], 3));
    static const char *const unknown[] = {"AAA", "DEM", "eur", "EU ", "ZZZ", "XXX", "USE"};
    for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++)
        assert_false(money_currency_known(unknown[i], 3));
    assert_false(money_currency_known("EU", 2));
    assert_false(money_currency_known("EURO", 4));
    assert_false(money_currency_known("", 0));
}

// Whatever three letters: what the search finds is what a walk through all of them finds.
static void the_list_is_sorted(void **state) {
    (void)state;
    int found = 0;
    char code[3];
    for (code[0] = 'A'; code[0] <= 'Z'; code[0]++)
        for (code[1] = 'A'; code[1] <= 'Z'; code[1]++)
            for (code[2] = 'A'; code[2] <= 'Z'; code[2]++)
                found += money_currency_known(code, 3);
    assert_int_equal(found, 165);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_stay_in_range),
        cmocka_unit_test(products_stay_in_range),
        cmocka_unit_test(only_currencies_in_use_are_known),
        cmocka_unit_test(the_list_is_sorted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
