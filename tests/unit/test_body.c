// SPDX-License-Identifier: Apache-2.0
//
// Bodies: each way of being wrong has its own problem, and names the field.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "http/body.h"
#include "service/jsonout.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static void each_malformed_body_has_its_own_problem(void **state) {
    (void)state;
    static const struct {
        const char *text;
        enum problem_type type;
    } cases[] = {
        {"", PROBLEM_MALFORMED_JSON},
        {"{", PROBLEM_MALFORMED_JSON},
        {"{} x", PROBLEM_MALFORMED_JSON},
        {"{\"a\":01}", PROBLEM_MALFORMED_JSON},
        {"{\"a\":99999999999999999999}", PROBLEM_MALFORMED_JSON},
        {"{\"a\":NaN}", PROBLEM_MALFORMED_JSON},
        {"{\"a\":\"\\u0000\"}", PROBLEM_MALFORMED_JSON},
        {"{\"a\":\"\\ud800\"}", PROBLEM_MALFORMED_JSON},
        {"{\"a\":1,\"a\":2}", PROBLEM_DUPLICATE_KEY},
        {"{\"a\":\"\xFF\"}", PROBLEM_INVALID_UTF8},
        {"[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]", PROBLEM_TOO_DEEP},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct problem problem;
        problem_init(&problem);
        const struct jsonin *root = NULL;
        struct arena arena;
        arena_init(&arena, 0);
        if (body_parse(&arena, cases[i].text, strlen(cases[i].text), &root, &problem))
            fail_msg("taken: %s", cases[i].text);
        assert_int_equal(problem.type, cases[i].type);
        assert_true(problem.detail[0]);
        arena_done(&arena);
    }
}

static const struct jsonin *parse(struct arena *arena, const char *text) {
    struct problem problem;
    const struct jsonin *root = NULL;
    arena_init(arena, 0);
    problem_init(&problem);
    assert_true(body_parse(arena, text, strlen(text), &root, &problem));
    return root;
}

// By another reader than ours.
static json_t *parse_rendered(const char *text) {
    json_t *root = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(root);
    return root;
}

static void brackets_in_strings_do_not_count_as_nesting(void **state) {
    (void)state;
    struct arena arena;
    (void)parse(&arena, "{\"a\":\"[[[[[[[[[[[[[[[[[[[[\\\"[[[[\"}");
    arena_done(&arena);
}

static void all_wrong_fields_are_named_at_once(void **state) {
    (void)state;
    struct arena arena;
    const struct jsonin *root =
        parse(&arena, "{\"id\":7,\"odd\":1,\"lines\":[{\"n\":1},{\"n\":0},5,{\"n\":1.5}]}");
    struct problem problem;
    problem_init(&problem);
    struct body_part part;
    assert_true(body_part_root(&part, root, &problem));
    body_part_allow(&part, (const char *const[]){"id", "lines", "name", NULL});
    const char *text = NULL;
    size_t length = 0;
    assert_false(body_part_string(&part, "id", true, 1, 64, PROBLEM_INVALID_VALUE, &text, &length));
    assert_false(
        body_part_string(&part, "name", true, 1, 64, PROBLEM_INVALID_VALUE, &text, &length));
    assert_false(
        body_part_string(&part, "other", false, 1, 64, PROBLEM_INVALID_VALUE, &text, &length));
    const struct jsonin *lines = NULL;
    assert_true(body_part_array(&part, "lines", true, &lines));
    size_t i = 0;
    for (const struct jsonin *item = lines->first; item; item = item->next, i++) {
        struct body_part line;
        int64_t n = 0;
        if (body_part_item(&part, "lines", item, i, &line))
            (void)body_part_int(&line, "n", true, 1, 9, PROBLEM_INVALID_QUANTITY, &n);
    }
    static const struct {
        const char *field;
        enum problem_type type;
    } expected[] = {
        {"odd", PROBLEM_UNKNOWN_FIELD},   {"id", PROBLEM_WRONG_TYPE},
        {"name", PROBLEM_MISSING_FIELD},  {"lines[1].n", PROBLEM_INVALID_QUANTITY},
        {"lines[2]", PROBLEM_WRONG_TYPE}, {"lines[3].n", PROBLEM_WRONG_TYPE},
    };
    assert_int_equal(problem.type, PROBLEM_UNKNOWN_FIELD);
    assert_int_equal(problem.errors_count, 6);
    for (i = 0; i < 6; i++) {
        assert_string_equal(problem.errors[i].field, expected[i].field);
        assert_int_equal(problem.errors[i].type, expected[i].type);
    }
    arena_done(&arena);
}

static void a_problem_renders_as_rfc_9457(void **state) {
    (void)state;
    struct problem problem;
    problem_init(&problem);
    for (int i = 0; i < PROBLEM_ERRORS_MAX + 2; i++)
        (void)problem_add(&problem, PROBLEM_INVALID_QUANTITY, "a\"b", "not %d", i);
    size_t length = 0;
    char *text = problem_render(&problem, "/v1/orders", 0, &length);
    json_t *root = parse_rendered(text);
    assert_string_equal(json_string_value(json_object_get(root, "type")),
                        "urn:orderlog:problem:invalid-quantity");
    assert_int_equal(json_integer_value(json_object_get(root, "status")), 422);
    assert_string_equal(json_string_value(json_object_get(root, "instance")), "/v1/orders");
    assert_int_equal(json_array_size(json_object_get(root, "errors")), PROBLEM_ERRORS_MAX);
    assert_int_equal(json_integer_value(json_object_get(root, "errors_more")), 2);
    json_decref(root);
    free(text);
}

static void what_is_written_is_valid_whatever_the_bytes(void **state) {
    (void)state;
    char every[256];
    for (size_t i = 0; i < sizeof(every); i++)
        every[i] = (char)(i ? i : 1);
    struct jsonout out;
    jsonout_init(&out);
    jsonout_object_begin(&out, NULL);
    jsonout_string_n(&out, "every", every, sizeof(every));
    jsonout_array_begin(&out, "list");
    jsonout_int(&out, NULL, INT64_MIN);
    jsonout_null(&out, NULL);
    jsonout_bool(&out, NULL, true);
    jsonout_array_end(&out);
    jsonout_string(&out, "euro", "\xE2\x82\xAC");
    jsonout_object_end(&out);
    size_t length = 0;
    char *text = jsonout_take(&out, &length);
    assert_non_null(text);
    json_t *root = parse_rendered(text);
    assert_int_equal(json_array_size(json_object_get(root, "list")), 3);
    assert_string_equal(json_string_value(json_object_get(root, "euro")), "\xE2\x82\xAC");
    json_decref(root);
    free(text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_malformed_body_has_its_own_problem),
        cmocka_unit_test(brackets_in_strings_do_not_count_as_nesting),
        cmocka_unit_test(all_wrong_fields_are_named_at_once),
        cmocka_unit_test(a_problem_renders_as_rfc_9457),
        cmocka_unit_test(what_is_written_is_valid_whatever_the_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
