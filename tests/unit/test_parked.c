// SPDX-License-Identifier: Apache-2.0
//
// The parked set: what waits, in the order of the input, and as it was after an undo.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "stream/parked.h"

#define KEY(text) (text), strlen(text)

static struct parked *parked;

static int setup(void **state) {
    (void)state;
    parked = parked_new(100, 1 << 20);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    parked_free(parked);
    return 0;
}

static struct parked_at at(int64_t offset, int32_t index) {
    return (struct parked_at){.offset = offset, .index = index};
}

static void add(const char *key, int64_t offset, int32_t index) {
    char value[32];
    (void)snprintf(value, sizeof(value), "%s@%d", key, (int)offset);
    parked_add(parked, KEY(key),
               &(struct parked_letter){.at = at(offset, index),
                                       .value = {.ptr = value, .len = (uint32_t)strlen(value)}});
}

static bool holds(const char *key, int64_t offset, int32_t index) {
    return parked_holds(parked, KEY(key), at(offset, index));
}

static void settle(const char *key, int64_t offset, int32_t index) {
    struct parked_letter *letter = parked_find(parked, KEY(key), at(offset, index));
    assert_non_null(letter);
    parked_settle(parked, KEY(key), letter);
}

static void a_parked_key_holds_what_comes_after_and_no_other_key(void **state) {
    (void)state;
    assert_false(holds("a", 5, 3));
    add("a", 5, 2);
    assert_true(holds("a", 5, 3));
    assert_true(holds("a", 6, PARKED_ALONE));
    assert_false(holds("a", 5, 2));
    assert_false(holds("a", 5, 1)); // read again after a crash: it came before
    assert_false(holds("a", 4, PARKED_ALONE));
    assert_false(holds("b", 6, PARKED_ALONE));
}

static void a_deadline_comes_before_the_record_it_did_not_wait_for(void **state) {
    (void)state;
    add("a", 7, PARKED_DEADLINE);
    assert_true(holds("a", 7, PARKED_ALONE));
    assert_true(holds("a", 7, 0));
    assert_false(holds("a", 6, PARKED_ALONE));
}

static void letters_are_kept_whole_and_in_the_order_of_the_input(void **state) {
    (void)state;
    add("a", 9, PARKED_ALONE);
    add("a", 3, 7);
    add("a", 3, 6);
    add("b", 1, 0);
    add("a", 9, PARKED_ALONE); // known
    assert_int_equal(parked_count(parked), 4);
    assert_int_equal(parked_keys(parked), 2);
    assert_int_equal(parked_last(parked)->at.offset, 9);
    static const int64_t offsets[] = {3, 3, 9};
    for (size_t i = 0; i < 3; i++) {
        struct parked_letter *letter = parked_first(parked, KEY("a"));
        assert_int_equal(letter->at.offset, offsets[i]);
        assert_int_equal(letter->value.len, 3);
        assert_null(letter->key.ptr);
        parked_settle(parked, KEY("a"), letter);
    }
    assert_null(parked_first(parked, KEY("a")));
    assert_false(parked_has(parked, KEY("a")));
    parked_commit(parked);
    assert_int_equal(parked_keys(parked), 1);
    assert_int_equal(parked_last(parked)->at.offset, 1);
}

static void settling_the_last_letter_frees_the_key(void **state) {
    (void)state;
    add("a", 1, 0);
    add("a", 2, 0);
    uint64_t before = parked_freed(parked);
    settle("a", 1, 0);
    assert_int_equal(parked_freed(parked), before);
    assert_true(holds("a", 3, 0));
    settle("a", 2, 0);
    assert_int_not_equal(parked_freed(parked), before);
    assert_false(holds("a", 3, 0));
}

static void an_undo_puts_everything_back(void **state) {
    (void)state;
    add("a", 1, 0);
    add("a", 2, 0);
    parked_commit(parked);
    size_t bytes = parked_bytes(parked);
    uint64_t freed = parked_freed(parked);
    settle("a", 1, 0);
    add("b", 3, 0);
    add("a", 4, 0);
    settle("a", 4, 0);
    settle("a", 2, 0);
    parked_undo(parked);
    assert_int_equal(parked_count(parked), 2);
    assert_int_equal(parked_bytes(parked), bytes);
    assert_false(parked_has(parked, KEY("b")));
    assert_int_equal(parked_first(parked, KEY("a"))->at.offset, 1);
    assert_int_not_equal(parked_freed(parked), freed); // b is parked no more
}

static void a_called_letter_holds_nobody_but_is_not_settled(void **state) {
    (void)state;
    add("a", 1, 0);
    add("a", 2, 0);
    parked_commit(parked);
    struct parked_letter *first = parked_first(parked, KEY("a"));
    parked_call(parked, KEY("a"), first, 40, &(struct id){{7}});
    assert_int_equal(parked_first(parked, KEY("a"))->at.offset, 2);
    assert_true(holds("a", 3, 0));
    parked_call(parked, KEY("a"), parked_first(parked, KEY("a")), 41, &(struct id){{8}});
    assert_false(holds("a", 3, 0)); // it may be called behind them
    assert_true(parked_has(parked, KEY("a")));
    assert_true(parked_is_calling(parked, 40));
    struct view key;
    assert_ptr_equal(parked_called(parked, first->serial, &key), first);
    assert_int_equal(key.len, 1);
    assert_int_equal(first->retry_id.bytes[0], 7);
    parked_settle(parked, KEY("a"), first);
    assert_false(parked_is_calling(parked, 40));
    assert_true(parked_is_calling(parked, 41));
    parked_undo(parked);
    assert_false(parked_is_calling(parked, 41));
    assert_int_equal(parked_first(parked, KEY("a"))->at.offset, 1);
    assert_true(holds("a", 3, 0));
}

static void the_set_is_full_by_count_or_by_bytes(void **state) {
    (void)state;
    for (int i = 0; i < 100; i++) {
        assert_false(parked_is_full(parked));
        add("a", i, 0);
    }
    assert_true(parked_is_full(parked));
    settle("a", 7, 0);
    assert_false(parked_is_full(parked));
    static char large[1 << 20];
    parked_add(parked, KEY("b"),
               &(struct parked_letter){.at = at(200, 0), .value = {large, sizeof(large)}});
    assert_true(parked_is_full(parked));
}

// Against a model that is a plain list: adding, settling, commits and undos in any order.
static void a_random_history_agrees_with_a_plain_list(void **state) {
    (void)state;
    enum { KEYS = 4, PLACES = 25 };
    const char *given = getenv("ORDERLOG_TEST_SEED");
    unsigned seed = given ? (unsigned)strtoul(given, NULL, 10) : (unsigned)time(NULL);
    printf("seed: ORDERLOG_TEST_SEED=%u\n", seed);
    srandom(seed);
    bool now[KEYS][PLACES] = {{0}}, committed[KEYS][PLACES] = {{0}};
    static const char *const names[KEYS] = {"a", "b", "c", "d"};
    for (int step = 0; step < 20000; step++) {
        int k = (int)(random() % KEYS), p = (int)(random() % PLACES);
        switch (random() % 16) {
        case 0:
            parked_commit(parked);
            memcpy(committed, now, sizeof(now));
            break;
        case 1:
            parked_undo(parked);
            memcpy(now, committed, sizeof(now));
            break;
        default:
            if (now[k][p])
                settle(names[k], p, 0);
            else
                add(names[k], p, 0);
            now[k][p] = !now[k][p];
        }
        size_t count = 0;
        for (k = 0; k < KEYS; k++) {
            const struct parked_letter *first = parked_first(parked, KEY(names[k]));
            for (p = 0; p < PLACES && !now[k][p]; p++)
                ;
            assert_int_equal(first ? first->at.offset : PLACES, p);
            for (p = 0; p < PLACES; p++) {
                count += now[k][p];
                assert_int_equal(parked_find(parked, KEY(names[k]), at(p, 0)) != NULL, now[k][p]);
            }
        }
        assert_int_equal(parked_count(parked), count);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_parked_key_holds_what_comes_after_and_no_other_key, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_deadline_comes_before_the_record_it_did_not_wait_for,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(letters_are_kept_whole_and_in_the_order_of_the_input, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(settling_the_last_letter_frees_the_key, setup, teardown),
        cmocka_unit_test_setup_teardown(an_undo_puts_everything_back, setup, teardown),
        cmocka_unit_test_setup_teardown(a_called_letter_holds_nobody_but_is_not_settled, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(the_set_is_full_by_count_or_by_bytes, setup, teardown),
        cmocka_unit_test_setup_teardown(a_random_history_agrees_with_a_plain_list, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
