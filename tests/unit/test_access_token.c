// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cli/access_key.h"

#include <string.h>

static void a_new_token_is_read_back_as_it_was_made(void **state) {
    (void)state;
    struct error err = {0};
    struct access_token made;
    struct access_token other;
    struct access_token parsed;
    char text[ACCESS_TOKEN_MAX + 1];
    assert_true(access_token_make(&made, &err));
    assert_true(access_token_make(&other, &err));
    assert_string_not_equal(made.secret, other.secret);
    assert_string_not_equal(made.id, other.id);
    assert_int_equal(strlen(made.secret), 64); // 256 bits
    access_token_format(&made, text);
    assert_true(access_token_parse(text, &parsed));
    assert_string_equal(parsed.id, made.id);
    assert_string_equal(parsed.secret, made.secret);
}

static void what_is_no_token_is_refused(void **state) {
    (void)state;
    static const char *const bad[] = {
        "",
        "ol_",
        "ol_dev",
        "ol_dev_",
        "ol_dev_short",
        "ol__0123456789abcdef",
        "xx_dev_0123456789abcdef",
        "ol_dev_0123456789abcde!",
        "ol_d v_0123456789abcdef",
        "ol_dev_0123456789abcdef_more",
        "ol_0123456789012345678901234567890123_0123456789abcdef",
    };
    struct access_token parsed;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(access_token_parse(bad[i], &parsed));
    assert_true(access_token_parse("ol_dev-1_0123456789abcdef", &parsed));
    assert_string_equal(parsed.id, "dev-1");
}

static void only_known_scopes_are_granted(void **state) {
    (void)state;
    struct access_grant grant = {0};
    const char *unknown = NULL;
    char good[] = "read,import";
    assert_true(access_scopes_parse(good, &grant, &unknown));
    assert_int_equal(grant.scopes_count, 3);
    assert_string_equal(grant.scopes[0], "orders:read");
    assert_string_equal(grant.scopes[1], "orders:import");
    assert_string_equal(grant.scopes[2], "inventory:read");
    char group[] = "customers:*,customers:read";
    assert_true(access_scopes_parse(group, &grant, &unknown));
    assert_int_equal(grant.scopes_count, 2);
    char all[] = "all";
    assert_true(access_scopes_parse(all, &grant, &unknown));
    assert_int_equal(grant.scopes_count, SCOPE_BITS);
    char bad[] = "read,root";
    assert_false(access_scopes_parse(bad, &grant, &unknown));
    assert_string_equal(unknown, "root");
    char none[] = "";
    assert_false(access_scopes_parse(none, &grant, &unknown));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_token_is_read_back_as_it_was_made),
        cmocka_unit_test(what_is_no_token_is_refused),
        cmocka_unit_test(only_known_scopes_are_granted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
