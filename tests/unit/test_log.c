// SPDX-License-Identifier: Apache-2.0
//
// A log line is one line, well-formed whatever is put into it, and bounded.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "service/log.h"

#include <jansson.h>
#include <string.h>

static const char *render(enum log_format format, const char *text, const struct log_field *fields,
                          size_t count) {
    static char line[LOG_LINE_MAX];
    size_t length =
        log_render(line, sizeof(line), format, 1700000000123456, LEVEL_WARN, text, fields, count);
    assert_true(length < sizeof(line));
    assert_int_equal(strlen(line), length);
    assert_null(strchr(line, '\n'));
    return line;
}

static void text_lines_read_like_logfmt(void **state) {
    (void)state;
    log_init(LEVEL_INFO, LOG_FORMAT_TEXT, "order", 2);
    const struct log_field fields[] = {F_STR("topic", "orders.inbox"),
                                       F_INT("partition", -3),
                                       F_STR("why", "a \"b\""),
                                       F_BOOL("ok", true),
                                       F_STR("none", NULL),
                                       F_REAL("s", 0.5)};
    assert_string_equal(render(LOG_FORMAT_TEXT, "rewinding", fields, 6),
                        "2023-11-14T22:13:20.123456Z warn  rewinding role=order slot=2 "
                        "topic=orders.inbox partition=-3 why=\"a \\\"b\\\"\" ok=true s=0.5");
}

static void json_lines_parse_whatever_is_in_them(void **state) {
    (void)state;
    log_init(LEVEL_INFO, LOG_FORMAT_JSON, "order", -1);
    char every[256];
    for (size_t i = 0; i < sizeof(every); i++)
        every[i] = (char)i;
    const struct log_field fields[] = {F_VIEW("bytes", every, sizeof(every)),
                                       F_UINT("n", UINT64_MAX >> 1), F_REAL("bad", 0.0 / 0.0)};
    json_error_t error;
    json_t *line =
        json_loads(render(LOG_FORMAT_JSON, "te\"xt\n", fields, 3), JSON_ALLOW_NUL, &error);
    assert_non_null(line);
    assert_string_equal(json_string_value(json_object_get(line, "text")), "te\"xt\n");
    assert_string_equal(json_string_value(json_object_get(line, "level")), "warn");
    assert_string_equal(json_string_value(json_object_get(line, "role")), "order");
    assert_true(json_is_null(json_object_get(line, "bad")));
    json_decref(line);
}

static void a_line_that_is_too_long_is_cut_and_still_parses(void **state) {
    (void)state;
    static char big[3 * LOG_LINE_MAX];
    for (size_t cut = 0; cut < 64; cut++) {
        memset(big, 'x', cut);
        for (size_t i = cut; i + 2 < sizeof(big); i += 3)
            memcpy(big + i, "\xE2\x82\xAC", 3);
        const struct log_field fields[] = {F_VIEW("big", big, sizeof(big) - 64),
                                           F_STR("after", "left out")};
        json_error_t error;
        json_t *line = json_loads(render(LOG_FORMAT_JSON, "text", fields, 2), 0, &error);
        assert_non_null(line);
        assert_true(json_string_length(json_object_get(line, "big")) > LOG_LINE_MAX / 2);
        assert_null(json_object_get(line, "after"));
        json_decref(line);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_lines_read_like_logfmt),
        cmocka_unit_test(json_lines_parse_whatever_is_in_them),
        cmocka_unit_test(a_line_that_is_too_long_is_cut_and_still_parses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
