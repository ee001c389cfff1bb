// SPDX-License-Identifier: Apache-2.0
//
// Lengths and numbers are drawn so that each size of encoding, the limits and the empty value come
// often.
#include "codec_cases.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "service/clock.h"

uint64_t codec_random_next(struct codec_random *random) { // SplitMix64
    random->state += 0x9e3779b97f4a7c15;
    uint64_t z = random->state;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

uint64_t codec_random_below(struct codec_random *random, uint64_t bound) {
    return codec_random_next(random) % bound;
}

struct codec_random codec_random_seed(const char *test) {
    const char *text = getenv("ORDERLOG_SEED");
    uint64_t seed = text ? strtoull(text, NULL, 10) : (uint64_t)clock_now_us();
    printf("%s: ORDERLOG_SEED=%llu\n", test, (unsigned long long)seed);
    (void)fflush(stdout);
    return (struct codec_random){seed};
}

int codec_cases_count(void) {
    const char *text = getenv("ORDERLOG_CODEC_CASES");
    if (text)
        return atoi(text);
    return getenv("ORDERLOG_TEST_LONG") ? 100000 : 10000;
}

size_t codec_value_size(const struct field_type *field) {
    switch (field->kind) {
    case FIELD_BOOLEAN:
        return sizeof(bool);
    case FIELD_INT:
        return sizeof(int32_t);
    case FIELD_ENUM:
        return sizeof(unsigned);
    case FIELD_LONG:
    case FIELD_TIME:
        return sizeof(int64_t);
    case FIELD_STRING:
    case FIELD_BYTES:
        return sizeof(struct view);
    case FIELD_UUID:
        return sizeof(struct id);
    case FIELD_RECORD:
        return field->record->struct_size;
    }
    abort();
}

static bool is_view(const struct field_type *field) {
    return field->kind == FIELD_STRING || field->kind == FIELD_BYTES;
}

bool codec_field_is_null(const struct field_type *field, const void *record) {
    const char *base = record;
    if (!field->is_nullable)
        return false;
    if (is_view(field))
        return ((const struct view *)(base + field->offset))->ptr == NULL;
    return !*(const bool *)(base + field->aux_offset);
}

static void *take(struct arena *arena, size_t size) {
    void *memory = arena_alloc(arena, size > 0 ? size : 1);
    assert(memory);
    return memory;
}

// ---- random values ------------------------------------------------------------------------------

static int64_t random_long(struct codec_random *random) {
    static const int64_t edges[] = {
        0, 1, -1, 63, 64, -64, -65, 8191, 8192, INT32_MAX, INT32_MIN, INT64_MAX, INT64_MIN,
    };
    uint64_t bits = codec_random_next(random);
    if (bits % 8 == 0)
        return edges[bits / 8 % (sizeof(edges) / sizeof(edges[0]))];
    return (int64_t)codec_random_next(random) >> (bits / 8 % 64);
}

static size_t random_len(struct codec_random *random) {
    uint64_t bits = codec_random_next(random);
    if (bits % 64 == 0)
        return bits / 64 % 9000;
    return bits / 64 % (bits % 8 == 1 ? 300 : 24);
}

static size_t put_utf8(char *at, uint32_t point) {
    if (point < 0x80) {
        at[0] = (char)point;
        return 1;
    }
    size_t more = point < 0x800 ? 1 : point < 0x10000 ? 2 : 3;
    static const uint8_t leads[] = {0, 0xc0, 0xe0, 0xf0};
    at[0] = (char)(leads[more] | point >> (6 * more));
    for (size_t i = 1; i <= more; i++)
        at[i] = (char)(0x80 | ((point >> (6 * (more - i))) & 0x3f));
    return more + 1;
}

static uint32_t random_point(struct codec_random *random) {
    static const uint32_t edges[] = {0x7f,   0x80,   0x7ff,   0x800,   0xd7ff,
                                     0xe000, 0xffff, 0x10000, 0x10ffff};
    uint64_t bits = codec_random_next(random);
    if (bits % 4 == 0)
        return edges[bits / 4 % (sizeof(edges) / sizeof(edges[0]))];
    uint32_t point = (uint32_t)(bits >> 8) % 0x10f800;
    return point < 0xd800 ? point : point + 0x800; // over the surrogates
}

static struct view random_text(struct codec_random *random, struct arena *arena) {
    size_t len = random_len(random);
    char *text = take(arena, len + 4);
    if (codec_random_below(random, 4) > 0) {
        for (size_t i = 0; i < len; i += 8) {
            uint64_t bits = codec_random_next(random);
            for (size_t j = i; j < len && j < i + 8; j++, bits >>= 8)
                text[j] = (char)(bits & 0x7f);
        }
        return (struct view){text, (uint32_t)len};
    }
    size_t used = 0;
    while (used < len)
        used += put_utf8(text + used, random_point(random));
    return (struct view){text, (uint32_t)used};
}

static struct view random_bytes(struct codec_random *random, struct arena *arena) {
    size_t len = random_len(random);
    uint8_t *bytes = take(arena, len + 8);
    for (size_t i = 0; i < len; i += 8) {
        uint64_t bits = codec_random_next(random);
        memcpy(bytes + i, &bits, sizeof(bits));
    }
    return (struct view){(char *)bytes, (uint32_t)len};
}

static void random_value(struct codec_random *random, const struct field_type *field,
                         struct arena *arena, void *value) {
    switch (field->kind) {
    case FIELD_BOOLEAN:
        *(bool *)value = codec_random_below(random, 2);
        return;
    case FIELD_INT:
        *(int32_t *)value = (int32_t)random_long(random);
        return;
    case FIELD_LONG:
    case FIELD_TIME:
        *(int64_t *)value = random_long(random);
        return;
    case FIELD_STRING:
        *(struct view *)value = random_text(random, arena);
        return;
    case FIELD_BYTES:
        *(struct view *)value = random_bytes(random, arena);
        return;
    case FIELD_UUID: {
        uint64_t halves[2] = {codec_random_next(random), codec_random_next(random)};
        memcpy(value, halves, sizeof(halves));
        return;
    }
    case FIELD_ENUM:
        *(unsigned *)value = (unsigned)codec_random_below(random, field->symbols_count);
        return;
    case FIELD_RECORD:
        codec_random_record(random, field->record, arena, value);
        return;
    }
}

static uint32_t random_count(struct codec_random *random) {
    uint64_t bits = codec_random_next(random);
    if (bits % 512 == 0)
        return (uint32_t)(bits / 512 % 800);
    return (uint32_t)(bits / 512 % 4);
}

void codec_random_record(struct codec_random *random, const struct record_type *type,
                         struct arena *arena, void *record) {
    memset(record, 0, type->struct_size);
    for (size_t i = 0; i < type->fields_count; i++) {
        const struct field_type *field = &type->fields[i];
        char *value = (char *)record + field->offset;
        char *aux = (char *)record + field->aux_offset;
        if (field->is_array) {
            uint32_t count = random_count(random);
            char *items = take(arena, count * codec_value_size(field));
            for (uint32_t j = 0; j < count; j++)
                random_value(random, field, arena, items + j * codec_value_size(field));
            *(char **)value = items;
            *(uint32_t *)aux = count;
            continue;
        }
        if (field->is_nullable && codec_random_below(random, 3) == 0)
            continue;
        random_value(random, field, arena, value);
        if (field->is_nullable && !is_view(field))
            *(bool *)aux = true;
    }
}

// ---- the fixed sample ---------------------------------------------------------------------------

static struct view sample_text(const char *name, uint32_t item, struct arena *arena) {
    size_t size = strlen(name) + 32;
    char *text = take(arena, size);
    int len = snprintf(text, size, "%s \xe2\x82\xac%u", name, item); // with a euro sign
    return (struct view){text, (uint32_t)len};
}

static void sample_value(const struct field_type *field, uint32_t item, struct arena *arena,
                         void *value) {
    uint32_t hash = 2166136261u; // FNV-1a of the name, so that fields differ
    for (const char *at = field->name; *at; at++)
        hash = (hash ^ (uint8_t)*at) * 16777619u;
    hash += item;
    switch (field->kind) {
    case FIELD_BOOLEAN:
        *(bool *)value = true;
        return;
    case FIELD_INT:
        *(int32_t *)value = (int32_t)hash;
        return;
    case FIELD_LONG:
        *(int64_t *)value = (int64_t)hash * (hash % 2 ? 1000003 : -1);
        return;
    case FIELD_TIME:
        *(int64_t *)value = INT64_C(1700000000000000) + hash;
        return;
    case FIELD_STRING:
    case FIELD_BYTES:
        *(struct view *)value = sample_text(field->name, item, arena);
        return;
    case FIELD_UUID:
        for (uint8_t i = 0; i < 16; i++)
            ((struct id *)value)->bytes[i] = (uint8_t)(hash >> (i % 4 * 8)) ^ i;
        return;
    case FIELD_ENUM:
        *(unsigned *)value = hash % field->symbols_count;
        return;
    case FIELD_RECORD:
        codec_sample_record(field->record, arena, value);
        return;
    }
}

void codec_sample_record(const struct record_type *type, struct arena *arena, void *record) {
    memset(record, 0, type->struct_size);
    for (size_t i = 0; i < type->fields_count; i++) {
        const struct field_type *field = &type->fields[i];
        char *value = (char *)record + field->offset;
        char *aux = (char *)record + field->aux_offset;
        if (field->is_array) {
            char *items = take(arena, 2 * codec_value_size(field));
            for (uint32_t j = 0; j < 2; j++)
                sample_value(field, j, arena, items + j * codec_value_size(field));
            *(char **)value = items;
            *(uint32_t *)aux = 2;
            continue;
        }
        if (field->is_nullable && strlen(field->name) % 3 == 0)
            continue;
        sample_value(field, 0, arena, value);
        if (field->is_nullable && !is_view(field))
            *(bool *)aux = true;
    }
}

// ---- equality -----------------------------------------------------------------------------------

static bool values_equal(const struct field_type *field, const void *a, const void *b) {
    if (is_view(field)) {
        const struct view *x = a, *y = b;
        return x->len == y->len && (x->len == 0 || memcmp(x->ptr, y->ptr, x->len) == 0);
    }
    if (field->kind == FIELD_RECORD)
        return codec_records_equal(field->record, a, b);
    return memcmp(a, b, codec_value_size(field)) == 0;
}

bool codec_records_equal(const struct record_type *type, const void *a, const void *b) {
    for (size_t i = 0; i < type->fields_count; i++) {
        const struct field_type *field = &type->fields[i];
        const char *x = (const char *)a + field->offset;
        const char *y = (const char *)b + field->offset;
        if (field->is_array) {
            uint32_t count = *(const uint32_t *)((const char *)a + field->aux_offset);
            if (count != *(const uint32_t *)((const char *)b + field->aux_offset))
                return false;
            size_t size = codec_value_size(field);
            for (uint32_t j = 0; j < count; j++)
                if (!values_equal(field, *(const char *const *)x + j * size,
                                  *(const char *const *)y + j * size))
                    return false;
            continue;
        }
        bool is_null = codec_field_is_null(field, a);
        if (is_null != codec_field_is_null(field, b))
            return false;
        if (!is_null && !values_equal(field, x, y))
            return false;
    }
    return true;
}
