// SPDX-License-Identifier: Apache-2.0
//
// Ours against avro-c, the reference implementation in C: for random values of every record both
// write the same bytes, and each reads what the other wrote.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "codec_avroc.h"
#include "codec_cases.h"
#include "event/types.h"

enum { BYTES_MAX = 64 << 20 };

static struct codec_random test_random;

static void check_record(const struct record_type *type, uint8_t *ours, uint8_t *theirs) {
    avro_schema_t schema;
    assert_int_equal(avro_schema_from_json_length(type->schema, type->schema_len, &schema), 0);
    avro_value_iface_t *class = avro_generic_class_from_schema(schema);
    avro_value_t written, read;
    assert_int_equal(avro_generic_value_new(class, &written), 0);
    assert_int_equal(avro_generic_value_new(class, &read), 0);

    struct arena arena;
    arena_init(&arena, 0);
    void *copy = malloc(type->struct_size);
    void *record = malloc(type->struct_size);
    assert_true(copy && record);
    int cases = codec_cases_count();
    for (int i = 0; i < cases; i++) {
        uint64_t state = test_random.state;
        arena_reset(&arena);
        codec_random_record(&test_random, type, &arena, record);

        size_t bound = type->size_max(record);
        assert_true(bound <= BYTES_MAX);
        uint8_t *end = type->encode(ours, ours + bound, record);
        assert_non_null(end);
        size_t len = (size_t)(end - ours);

        codec_avroc_set(type, record, &written);
        avro_writer_t writer = avro_writer_memory((char *)theirs, BYTES_MAX);
        assert_int_equal(avro_value_write(writer, &written), 0);
        size_t theirs_len = (size_t)avro_writer_tell(writer);
        avro_writer_free(writer);
        if (theirs_len != len || memcmp(ours, theirs, len) != 0)
            fail_msg("%s: bytes differ, value from state %llu", type->name,
                     (unsigned long long)state);

        avro_reader_t reader = avro_reader_memory((char *)ours, (int64_t)len);
        avro_value_reset(&read);
        assert_int_equal(avro_value_read(reader, &read), 0);
        avro_reader_free(reader);
        if (!avro_value_equal(&written, &read))
            fail_msg("%s: avro-c reads another value, state %llu", type->name,
                     (unsigned long long)state);

        struct error err;
        if (!type->decode(theirs, theirs + len, &arena, copy, &err))
            fail_msg("%s, state %llu", err.msg, (unsigned long long)state);
        if (!codec_records_equal(type, record, copy))
            fail_msg("%s: we read another value, state %llu", type->name,
                     (unsigned long long)state);
    }
    free(copy);
    free(record);
    arena_done(&arena);
    avro_value_decref(&written);
    avro_value_decref(&read);
    avro_value_iface_decref(class);
    avro_schema_decref(schema);
}

static void codec_and_avroc_write_the_same_bytes_and_read_each_other(void **state) {
    (void)state;
    uint8_t *ours = malloc(BYTES_MAX), *theirs = malloc(BYTES_MAX);
    assert_true(ours && theirs);
    for (int i = 0; i < RECORD_COUNT; i++)
        check_record(record_types[i], ours, theirs);
    free(ours);
    free(theirs);
}

int main(void) {
    test_random = codec_random_seed("test_codec_avroc");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(codec_and_avroc_write_the_same_bytes_and_read_each_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
