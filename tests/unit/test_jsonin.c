// SPDX-License-Identifier: Apache-2.0
//
// Our reader of JSON against jansson: what one takes the other takes, and they read the same in it.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "http/jsonin.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MUTATIONS = 300000, TEXT_MAX = 512 };

static const char *const samples[] = {
    "{\"customer_id\":\"c-1\",\"currency\":\"GBP\",\"lines\":[{\"sku\":\"A\",\"quantity\":2},{}]}",
    "[1,-1,0,-0,10,1.5,-0.25,1e5,1E+5,2e-3,9223372036854775807,-9223372036854775808]",
    "[9223372036854775808]",
    "[-9223372036854775809]",
    "[01]",
    "[1.]",
    "[.5]",
    "[+1]",
    "[1e]",
    "[\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0041\\u00e9\\u20ac\\ud83d\\ude00\"]",
    "[\"\\ud83d\"]",
    "[\"\\ude00\\ud83d\"]",
    "[\"\\ud83d\\u0041\"]",
    "[\"\\u00\"]",
    "[\"\\u0000\"]",
    "[\"\\x\"]",
    "[\"\xC3\xA9 \xE2\x82\xAC \xF0\x9F\x98\x80\"]",
    "[\"\xC3\"]",
    "[\"\xC3\\u0041\"]",
    "[\"\xED\xA0\x80\"]",
    "[\"\xC0\x80\"]",
    "[\"a\tb\"]",
    "[\"a",
    "{\"a\":1,\"b\":2,\"\\u0061\":3}",
    "{\"a\":{\"a\":1},\"b\":[{\"a\":1},{\"a\":2}]}",
    "{\"\":0}",
    "{\"a\"}",
    "{\"a\":}",
    "{\"a\":1,}",
    "{,}",
    "[1,]",
    "[,]",
    "[1 2]",
    " \t\r\n[ true , false , null ] \n",
    "[truE]",
    "[nul]",
    "nullx",
    "{} {}",
    "",
    " ",
};
enum { SAMPLES = sizeof(samples) / sizeof(samples[0]) };

static bool same(const struct jsonin *ours, const json_t *theirs);

static bool same_member(const struct jsonin *ours, const json_t *theirs) {
    const json_t *other = json_object_getn(theirs, ours->name, ours->name_length);
    return other && strlen(ours->name) == ours->name_length && same(ours, other);
}

static bool same(const struct jsonin *ours, const json_t *theirs) {
    size_t index = 0;
    switch (ours->kind) {
    case JSONIN_NULL:
        return json_is_null(theirs);
    case JSONIN_FALSE:
        return json_is_false(theirs);
    case JSONIN_TRUE:
        return json_is_true(theirs);
    case JSONIN_INTEGER:
        // 2.0 is whole for us.
        return json_is_real(theirs)
                   ? json_real_value(theirs) == (double)ours->integer
                   : json_is_integer(theirs) && json_integer_value(theirs) == ours->integer;
    case JSONIN_REAL:
        return json_is_real(theirs);
    case JSONIN_STRING:
        return json_is_string(theirs) && json_string_length(theirs) == ours->length &&
               strlen(ours->text) == ours->length &&
               strcmp(json_string_value(theirs), ours->text) == 0;
    case JSONIN_ARRAY:
        if (!json_is_array(theirs) || json_array_size(theirs) != ours->length)
            return false;
        for (const struct jsonin *item = ours->first; item; item = item->next)
            if (!same(item, json_array_get(theirs, index++)))
                return false;
        return index == ours->length;
    case JSONIN_OBJECT:
        if (!json_is_object(theirs) || json_object_size(theirs) != ours->length)
            return false;
        for (const struct jsonin *item = ours->first; item; item = item->next, index++)
            if (!same_member(item, theirs))
                return false;
        return index == ours->length;
    }
    return false;
}

static bool read_alike(const char *text, size_t length) {
    struct arena arena;
    struct jsonin_error ours_error;
    json_error_t error;
    arena_init(&arena, 0);
    const struct jsonin *ours = jsonin_read(&arena, text, length, &ours_error);
    json_t *theirs = json_loadb(text, length, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
    // jansson passes over a NUL behind a number.
    if (memchr(text, '\0', length)) {
        json_decref(theirs);
        arena_done(&arena);
        return !ours;
    }
    // A real that no double holds is none of ours to judge: nobody wants its value.
    bool alike =
        theirs ? ours && same(ours, theirs) : !ours || strstr(error.text, "real number overflow");
    if (ours && !theirs && !alike)
        print_error("taken, but jansson says: %s\n", error.text);
    if (!ours && theirs)
        print_error("refused: %s\n", ours_error.why);
    json_decref(theirs);
    arena_done(&arena);
    return alike;
}

static void what_jansson_takes_is_taken_and_nothing_else(void **state) {
    (void)state;
    for (size_t i = 0; i < SAMPLES; i++)
        if (!read_alike(samples[i], strlen(samples[i])))
            fail_msg("%s", samples[i]);
}

static void mutated_texts_are_read_alike(void **state) {
    (void)state;
    static const char pieces[] = "{}[],:\"\\u019aeE+-.tfn \n\x01\x7F\x80\xC3\xA9\xED\xF4";
    unsigned seed = (unsigned)time(NULL);
    print_message("seed %u\n", seed);
    srand(seed);
    for (int i = 0; i < MUTATIONS; i++) {
        char text[TEXT_MAX];
        size_t length = strlen(samples[(size_t)i % SAMPLES]);
        memcpy(text, samples[(size_t)i % SAMPLES], length);
        for (int changes = rand() % 4; changes >= 0 && length > 0; changes--) {
            size_t at = (size_t)rand() % length;
            text[at] = pieces[(size_t)rand() % sizeof(pieces)]; // a NUL too
            if (rand() % 4 == 0)
                length = at + 1;
        }
        if (!read_alike(text, length))
            fail_msg("%.*s", (int)length, text);
    }
}

static void members_and_nesting_are_bounded(void **state) {
    (void)state;
    struct arena arena;
    struct jsonin_error error;
    arena_init(&arena, 0);
    for (int depth = JSONIN_DEPTH_MAX; depth <= JSONIN_DEPTH_MAX + 1; depth++) {
        char text[64] = "";
        memset(text, '[', (size_t)depth);
        memset(text + depth, ']', (size_t)depth);
        const struct jsonin *root = jsonin_read(&arena, text, 2 * (size_t)depth, &error);
        assert_true(depth == JSONIN_DEPTH_MAX ? root != NULL : root == NULL);
    }
    assert_int_equal(error.fault, JSONIN_TOO_DEEP);
    for (int count = JSONIN_MEMBERS_MAX; count <= JSONIN_MEMBERS_MAX + 1; count++) {
        char text[2048];
        size_t length = 0;
        for (int i = 0; i < count; i++)
            length += (size_t)snprintf(text + length, sizeof(text) - length, "%c\"%d\":0",
                                       i ? ',' : '{', i);
        text[length++] = '}';
        const struct jsonin *root = jsonin_read(&arena, text, length, &error);
        assert_true(count == JSONIN_MEMBERS_MAX ? root != NULL : root == NULL);
    }
    assert_int_equal(error.fault, JSONIN_MALFORMED);
    arena_done(&arena);
}

static void a_fault_is_told_with_its_place(void **state) {
    (void)state;
    struct arena arena;
    struct jsonin_error error;
    static const char text[] = "{\n \"\xC3\xA9\":  x}";
    arena_init(&arena, 0);
    assert_null(jsonin_read(&arena, text, sizeof(text) - 1, &error));
    assert_int_equal(error.line, 2);
    assert_int_equal(error.column, 8);
    arena_done(&arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_jansson_takes_is_taken_and_nothing_else),
        cmocka_unit_test(mutated_texts_are_read_alike),
        cmocka_unit_test(members_and_nesting_are_bounded),
        cmocka_unit_test(a_fault_is_told_with_its_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
