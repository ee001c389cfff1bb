// SPDX-License-Identifier: Apache-2.0
//
// The map against a plain array that remembers everything.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "service/strmap.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { KEYS = 500, STEPS = 200000 };

static void it_holds_what_was_put_and_not_what_was_removed(void **state) {
    (void)state;
    unsigned seed = (unsigned)time(NULL);
    print_message("seed %u\n", seed);
    int expected[KEYS] = {0};
    size_t count = 0;
    struct strmap map;
    strmap_init(&map, sizeof(int));
    for (int step = 1; step <= STEPS; step++) {
        int number = rand_r(&seed) % KEYS;
        char key[16];
        size_t length = (size_t)snprintf(key, sizeof(key), "k%d", number);
        int *value = strmap_find(&map, key, length);
        assert_int_equal(value ? *value : 0, expected[number]);
        if (rand_r(&seed) % 2) {
            assert_int_equal(strmap_remove(&map, key, length), expected[number] != 0);
            count -= expected[number] != 0;
            expected[number] = 0;
        } else {
            count += expected[number] == 0;
            value = strmap_put(&map, key, length);
            assert_non_null(value);
            assert_int_equal(*value, expected[number]);
            *value = expected[number] = step;
        }
        assert_int_equal(map.count, count);
    }
    strmap_done(&map);
}

static void an_empty_map_finds_nothing(void **state) {
    (void)state;
    struct strmap map;
    strmap_init(&map, 1);
    assert_null(strmap_find(&map, "a", 1));
    assert_false(strmap_remove(&map, "a", 1));
    assert_non_null(strmap_put(&map, "", 0));
    assert_non_null(strmap_find(&map, "", 0));
    strmap_done(&map);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_holds_what_was_put_and_not_what_was_removed),
        cmocka_unit_test(an_empty_map_finds_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
