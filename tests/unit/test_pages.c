// SPDX-License-Identifier: Apache-2.0
//
// What a table is made of is zero, whatever was there before, and whatever pages it lies in.
#include <limits.h>
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "service/pages.h"

enum { ROUNDS = 3 };

static void all_is_zero_also_where_memory_is_used_again(void **state) {
    (void)state;
    // What is freed stays with the process.
    assert_true(mallopt(M_MMAP_MAX, 0) && mallopt(M_TRIM_THRESHOLD, INT_MAX));
    static const size_t counts[] = {1, 1000, (2 << 20) / 8 - 1, (2 << 20) / 8, (5 << 20) / 8 + 1};
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        for (int round = 0; round < ROUNDS; round++) {
            uint64_t *words = pages_zeroed(counts[i], sizeof(*words));
            assert_non_null(words);
            for (size_t at = 0; at < counts[i]; at++)
                assert_int_equal(words[at], 0);
            memset(words, 0xff, counts[i] * sizeof(*words));
            free(words);
        }
    }
}

static void what_no_memory_has_room_for_is_null(void **state) {
    (void)state;
    assert_null(pages_zeroed(SIZE_MAX, 2));
    assert_null(pages_zeroed(SIZE_MAX / 2, 2));
    assert_null(pages_zeroed(1, SIZE_MAX));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_is_zero_also_where_memory_is_used_again),
        cmocka_unit_test(what_no_memory_has_room_for_is_null),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
