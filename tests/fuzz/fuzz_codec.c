// SPDX-License-Identifier: Apache-2.0
//
// Any bytes, decoded as the record that the first byte names. Nothing crashes, memory stays within
// what the length justifies, and whatever is accepted survives being written and read again.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "event/event_json.h"
#include "event/types.h"
#include "unit/codec_cases.h"

enum { ARENA_MAX = 64 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static void require(bool ok) {
    if (!ok)
        abort();
}

// The new encoding may be shorter (redundant zero groups, several blocks), but is then stable.
static void check_accepted(const struct record_type *type, const void *record, size_t len,
                           struct arena *arena) {
    size_t bound = type->size_max(record);
    require(bound < SIZE_MAX);
    uint8_t *first = malloc(bound), *second = malloc(bound);
    void *copy = malloc(type->struct_size);
    require(first && second && copy);
    uint8_t *first_end = type->encode(first, first + bound, record);
    require(first_end != NULL);
    require((size_t)(first_end - first) <= len);
    require(type->decode(first, first_end, arena, copy, NULL));
    require(codec_records_equal(type, record, copy));
    uint8_t *second_end = type->encode(second, second + bound, copy);
    require(second_end - second == first_end - first);
    require(memcmp(first, second, (size_t)(first_end - first)) == 0);
    json_t *json = event_json(type, record);
    require(json != NULL);
    json_decref(json);
    free(first);
    free(second);
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len) {
    if (len == 0)
        return 0;
    const struct record_type *type = record_types[bytes[0] % RECORD_COUNT];
    bytes++;
    len--;
    struct arena arena;
    arena_init(&arena, ARENA_MAX);
    struct error err;
    void *record = malloc(type->struct_size);
    require(record != NULL);
    if (type->decode(bytes, bytes + len, &arena, record, &err))
        check_accepted(type, record, len, &arena);
    else
        require(err.what == DISP_POISON && err.msg[0] != '\0');
    // The largest ratio of item to encoding is a view of nothing: 16 bytes for one, doubled.
    require(arena.bytes_held <= 32 * 1024 + 128 * len);
    free(record);
    arena_done(&arena);
    return 0;
}
