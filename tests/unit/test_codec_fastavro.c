// SPDX-License-Identifier: Apache-2.0
//
// Ours against Python's fastavro, through files: codec_fastavro.py reads and rewrites what we wrote
// and makes values of its own, which we read and rewrite. All bytes must come back unchanged.
// ORDERLOG_PYTHON names a Python with fastavro (compose/deps makes one).
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "codec_cases.h"
#include "event/types.h"

enum { BYTES_MAX = 64 << 20, ROUND_MAX = 5000 };

static struct codec_random test_random;
static char dir[] = "/tmp/orderlog-fastavro.XXXXXX";

static void file_of(const struct record_type *type, const char *kind, char *path, size_t size) {
    int len = snprintf(path, size, "%s/%s.%s", dir, type->name, kind);
    assert_true(len > 0 && (size_t)len < size);
}

static void write_ours(const struct record_type *type, int cases, uint8_t *buffer) {
    char path[256];
    file_of(type, "ours", path, sizeof(path));
    FILE *file = fopen(path, "wb");
    void *record = malloc(type->struct_size);
    assert_true(file && record);
    struct arena arena;
    arena_init(&arena, 0);
    for (int i = 0; i < cases; i++) {
        arena_reset(&arena);
        codec_random_record(&test_random, type, &arena, record);
        const uint8_t *end = type->encode(buffer, buffer + BYTES_MAX, record);
        assert_non_null(end);
        uint32_t len = (uint32_t)(end - buffer);
        assert_int_equal(fwrite(&len, sizeof(len), 1, file), 1);
        assert_int_equal(fwrite(buffer, 1, len, file), len);
    }
    assert_int_equal(fclose(file), 0);
    arena_done(&arena);
    free(record);
}

static void check_theirs(const struct record_type *type, int cases, uint8_t *in, uint8_t *out) {
    char path[256];
    file_of(type, "theirs", path, sizeof(path));
    FILE *file = fopen(path, "rb");
    void *record = malloc(type->struct_size);
    assert_true(file && record);
    struct arena arena;
    arena_init(&arena, 0);
    uint32_t len;
    int count = 0;
    for (; fread(&len, sizeof(len), 1, file) == 1; count++) {
        assert_true(len <= BYTES_MAX);
        assert_int_equal(fread(in, 1, len, file), len);
        arena_reset(&arena);
        struct error err;
        if (!type->decode(in, in + len, &arena, record, &err))
            fail_msg("value %d of %s: %s", count, path, err.msg);
        const uint8_t *end = type->encode(out, out + BYTES_MAX, record);
        if (!end || (size_t)(end - out) != len || memcmp(in, out, len) != 0)
            fail_msg("value %d of %s comes back otherwise", count, path);
    }
    assert_int_equal(count, cases);
    (void)fclose(file);
    arena_done(&arena);
    free(record);
}

static void run_python(int cases) {
    const char *python = getenv("ORDERLOG_PYTHON");
    char seed[32], count[32];
    (void)snprintf(seed, sizeof(seed), "%llu", (unsigned long long)codec_random_next(&test_random));
    (void)snprintf(count, sizeof(count), "%d", cases);
    (void)fflush(stdout);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        python = python ? python : ORDERLOG_PYTHON_DEFAULT;
        (void)execlp(python, python, CODEC_FASTAVRO_PY, SCHEMAS_DIR, dir, seed, count,
                     (char *)NULL);
        perror(python);
        _exit(127);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (status != 0)
        fail_msg("codec_fastavro.py failed; if fastavro is missing, run compose/deps");
}

static void codec_and_fastavro_give_back_each_others_bytes(void **state) {
    (void)state;
    uint8_t *in = malloc(BYTES_MAX), *out = malloc(BYTES_MAX);
    assert_true(in && out);
    // In rounds, so that a long run does not fill the disk.
    for (int left = codec_cases_count(); left > 0; left -= ROUND_MAX) {
        int cases = left < ROUND_MAX ? left : ROUND_MAX;
        for (int i = 0; i < RECORD_COUNT; i++)
            write_ours(record_types[i], cases, out);
        run_python(cases);
        for (int i = 0; i < RECORD_COUNT; i++)
            check_theirs(record_types[i], cases, in, out);
    }
    free(in);
    free(out);
}

static int make_dir(void **state) {
    (void)state;
    return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state) {
    (void)state;
    char path[256];
    for (int i = 0; i < RECORD_COUNT; i++) {
        file_of(record_types[i], "ours", path, sizeof(path));
        (void)unlink(path);
        file_of(record_types[i], "theirs", path, sizeof(path));
        (void)unlink(path);
    }
    return rmdir(dir);
}

int main(void) {
    test_random = codec_random_seed("test_codec_fastavro");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(codec_and_fastavro_give_back_each_others_bytes),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
