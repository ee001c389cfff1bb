// SPDX-License-Identifier: Apache-2.0
//
// Ids are stored for ever and compared between programs: their values are fixed here.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "event/id.h"

static const struct id cause = {{1, 2, 3}};

static void text_and_bytes_are_one_to_one(void **state) {
    (void)state;
    struct id id = cause, parsed;
    for (uint64_t i = 0; i < 10000; i++) {
        id = id_derive(&id, i);
        struct id_text text = id_text(&id);
        assert_true(id_parse(text.text, ID_TEXT_LEN, &parsed));
        assert_true(id_equal(&id, &parsed));
    }
    assert_true(id_parse("00FFabCD-1234-5678-9abc-DEF012345678", ID_TEXT_LEN, &parsed));
    assert_string_equal(id_text(&parsed).text, "00ffabcd-1234-5678-9abc-def012345678");
}

static void what_is_no_uuid_is_refused_and_changes_nothing(void **state) {
    (void)state;
    static const char good[] = "00ffabcd-1234-5678-9abc-def012345678";
    struct id id = cause;
    assert_false(id_parse(good, ID_TEXT_LEN - 1, &id));
    assert_false(id_parse(good, ID_TEXT_LEN + 1, &id));
    for (size_t i = 0; i < ID_TEXT_LEN; i++) {
        static const char wrong[] = {'\0', ' ', '/', ':', '@', 'G', '`', 'g', '\xff', '_'};
        for (size_t j = 0; j < sizeof(wrong); j++) {
            char bad[sizeof(good)];
            memcpy(bad, good, sizeof(good));
            bad[i] = wrong[j];
            assert_false(id_parse(bad, ID_TEXT_LEN, &id));
        }
    }
    assert_false(id_parse("00ffabcd-1234-5678-9abc_def012345678", ID_TEXT_LEN, &id));
    assert_true(id_equal(&id, &cause));
}

static void derived_ids_never_change(void **state) {
    (void)state;
    struct id id = id_derive(&cause, 7);
    assert_string_equal(id_text(&id).text, "3c07acc9-6074-8b4d-8f4a-c23c40e77fb2");
}

// The first half of SHA-256 over 04 00.. "main" 01 00.. "k", as computed by Python's hashlib.
static void hashed_ids_never_change(void **state) {
    (void)state;
    const struct id_part parts[] = {{"main", 4}, {"k", 1}};
    struct id id = id_hash(parts, 2);
    assert_string_equal(id_text(&id).text, "cf41dbe3-b714-85c0-a523-66df34f10e30");
}

static void parts_are_told_apart(void **state) {
    (void)state;
    const struct id_part ab_c[] = {{"ab", 2}, {"c", 1}}, a_bc[] = {{"a", 1}, {"bc", 2}};
    const struct id_part abc[] = {{"abc", 3}}, abc_nothing[] = {{"abc", 3}, {NULL, 0}};
    struct id ids[] = {id_hash(ab_c, 2), id_hash(a_bc, 2), id_hash(abc, 1),
                       id_hash(abc_nothing, 2)};
    for (size_t i = 0; i < 4; i++)
        for (size_t j = 0; j < i; j++)
            assert_false(id_equal(&ids[i], &ids[j]));
}

static void ids_are_version_8(void **state) {
    (void)state;
    for (uint64_t i = 0; i < 1000; i++) {
        const struct id_part part = {&i, sizeof(i)};
        struct id ids[] = {id_derive(&cause, i), id_hash(&part, 1)};
        for (size_t j = 0; j < 2; j++) {
            assert_int_equal(ids[j].bytes[6] >> 4, 8);
            assert_int_equal(ids[j].bytes[8] >> 6, 2);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_and_bytes_are_one_to_one),
        cmocka_unit_test(what_is_no_uuid_is_refused_and_changes_nothing),
        cmocka_unit_test(derived_ids_never_change),
        cmocka_unit_test(hashed_ids_never_change),
        cmocka_unit_test(parts_are_told_apart),
        cmocka_unit_test(ids_are_version_8),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
