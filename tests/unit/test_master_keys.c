// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "privacy/master_keys.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define KEY_A "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define KEY_B "A0A1A2A3A4A5A6A7A8A9AAABACADAEAFB0B1B2B3B4B5B6B7B8B9BABBBCBDBEBF"

static bool parse(const char *text, struct master_keys *keys, struct error *err) {
    return master_keys_parse(text, strlen(text), keys, err);
}

static void keys_are_read_in_the_order_of_the_file(void **state) {
    (void)state;
    struct master_keys keys;
    struct error err = {0};
    assert_true(parse("# the one that seals\n" KEY_A "\n\n  " KEY_B " \r\n", &keys, &err));
    assert_int_equal(keys.count, 2);
    assert_int_equal(keys.keys[0].key.bytes[1], 1);
    assert_int_equal(keys.keys[1].key.bytes[0], 0xa0);
    assert_memory_not_equal(keys.keys[0].id, keys.keys[1].id, MASTER_ID_LEN);
    const struct view id = {(const char *)keys.keys[1].id, MASTER_ID_LEN};
    assert_ptr_equal(master_keys_find(&keys, id), &keys.keys[1]);
    assert_null(master_keys_find(&keys, (struct view){"12345678", 8}));
    assert_null(master_keys_find(&keys, (struct view){"1234", 4}));
}

static void what_is_no_key_is_refused_with_its_line(void **state) {
    (void)state;
    static const struct {
        const char *text;
        const char *says;
    } cases[] = {
        {"", "it holds no key"},
        {"# nothing\n", "it holds no key"},
        {"00", "line 1: a key is 64 hex digits"},
        {KEY_A "0", "line 1: a key is 64 hex digits"},
        {KEY_A "\nx" KEY_B, "line 2: a key is 64 hex digits"},
        {KEY_A "\n" KEY_A, "line 2: this key stands there twice"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct master_keys keys;
        struct error err = {0};
        assert_false(parse(cases[i].text, &keys, &err));
        assert_non_null(strstr(err.msg, cases[i].says));
    }
    char many[20 * 66] = "";
    struct master_keys keys;
    struct error err = {0};
    for (int i = 0; i < 17; i++)
        (void)snprintf(many + strlen(many), sizeof(many) - strlen(many), "%064x\n", i);
    assert_false(parse(many, &keys, &err));
    assert_non_null(strstr(err.msg, "at most 16"));
}

static void a_file_that_others_may_read_is_refused(void **state) {
    (void)state;
    char path[] = "/tmp/master_keys_XXXXXX";
    int fd = mkstemp(path);
    struct master_keys keys;
    struct error err = {0};
    assert_true(fd >= 0);
    assert_int_equal(write(fd, KEY_A, 64), 64);
    static const mode_t bad[] = {0640, 0604, 0620, 0666, 0601};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(fchmod(fd, bad[i]), 0);
        assert_false(master_keys_load(path, &keys, &err));
        assert_non_null(strstr(err.msg, "make it 600"));
        assert_int_equal(err.what, DISP_FATAL);
    }
    assert_int_equal(fchmod(fd, 0600), 0);
    assert_true(master_keys_load(path, &keys, &err));
    assert_int_equal(fchmod(fd, 0400), 0);
    assert_true(master_keys_load(path, &keys, &err));
    (void)close(fd);
    (void)unlink(path);
    assert_false(master_keys_load(path, &keys, &err));
    assert_non_null(strstr(err.msg, path));
    assert_false(master_keys_load("/tmp", &keys, &err));
    assert_non_null(strstr(err.msg, "no regular file"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_are_read_in_the_order_of_the_file),
        cmocka_unit_test(what_is_no_key_is_refused_with_its_line),
        cmocka_unit_test(a_file_that_others_may_read_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
