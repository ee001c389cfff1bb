// SPDX-License-Identifier: Apache-2.0
//
// The bytes of one fixed value per record are committed in tests/golden: what is in a log for ever
// must not come to mean something else. See tests/golden/README.md for adding a record.
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "codec_cases.h"
#include "event/types.h"

enum { BYTES_MAX = 64 * 1024, BYTES_PER_LINE = 32 };

static void path_of(const struct record_type *type, char *path, size_t size) {
    int len = snprintf(path, size, "%s/%s.hex", GOLDEN_DIR, type->name);
    assert_true(len > 0 && (size_t)len < size);
}

static size_t encode_sample(const struct record_type *type, void *record, struct arena *arena,
                            uint8_t *bytes) {
    codec_sample_record(type, arena, record);
    const uint8_t *end = type->encode(bytes, bytes + BYTES_MAX, record);
    assert_non_null(end);
    return (size_t)(end - bytes);
}

static void write_hex(const char *path, const uint8_t *bytes, size_t len) {
    FILE *file = fopen(path, "wx");
    assert_non_null(file);
    for (size_t i = 0; i < len; i++)
        fprintf(file, "%02x%s", bytes[i],
                i + 1 == len || i % BYTES_PER_LINE == BYTES_PER_LINE - 1 ? "\n" : "");
    assert_int_equal(fclose(file), 0);
}

static size_t read_hex(const char *path, uint8_t *bytes) {
    FILE *file = fopen(path, "r");
    if (!file)
        fail_msg("%s is missing: run test_codec_golden with ORDERLOG_GOLDEN_WRITE=1, look at what "
                 "it wrote and commit it",
                 path);
    size_t len = 0;
    unsigned byte;
    while (fscanf(file, "%2x", &byte) == 1 && len < BYTES_MAX)
        bytes[len++] = (uint8_t)byte;
    assert_true(feof(file));
    (void)fclose(file);
    return len;
}

static void each_record_has_its_golden_bytes(void **state) {
    (void)state;
    static uint8_t ours[BYTES_MAX], golden[BYTES_MAX];
    struct arena arena;
    arena_init(&arena, 0);
    for (int i = 0; i < RECORD_COUNT; i++) {
        const struct record_type *type = record_types[i];
        char path[1024];
        path_of(type, path, sizeof(path));
        void *record = arena_alloc(&arena, type->struct_size);
        void *copy = arena_alloc(&arena, type->struct_size);
        size_t len = encode_sample(type, record, &arena, ours);
        FILE *file = fopen(path, "r");
        if (!file && getenv("ORDERLOG_GOLDEN_WRITE"))
            write_hex(path, ours, len);
        if (file)
            (void)fclose(file);

        size_t golden_len = read_hex(path, golden);
        if (golden_len != len || memcmp(ours, golden, len) != 0)
            fail_msg("%s is written with other bytes than %s: if its schema was meant to change, "
                     "read tests/golden/README.md",
                     type->name, path);
        struct error err;
        if (!type->decode(golden, golden + golden_len, &arena, copy, &err))
            fail_msg("%s: %s", path, err.msg);
        assert_true(codec_records_equal(type, record, copy));
    }
    arena_done(&arena);
}

static void each_golden_file_has_its_record(void **state) {
    (void)state;
    DIR *dir = opendir(GOLDEN_DIR);
    assert_non_null(dir);
    for (struct dirent *entry; (entry = readdir(dir));) {
        char *dot = strstr(entry->d_name, ".hex");
        if (!dot)
            continue;
        *dot = '\0';
        bool found = false;
        for (int i = 0; i < RECORD_COUNT; i++)
            found |= strcmp(record_types[i]->name, entry->d_name) == 0;
        if (!found)
            fail_msg("%s/%s.hex: no schema has that record: events in a log outlive their schema",
                     GOLDEN_DIR, entry->d_name);
    }
    (void)closedir(dir);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_record_has_its_golden_bytes),
        cmocka_unit_test(each_golden_file_has_its_record),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
