// SPDX-License-Identifier: Apache-2.0
//
// Schema JSON of any writer, and what such a writer may send. It is understood or refused with a
// reason; a message is turned into bytes that the reader's decoder takes or calls poison.
//
//   first byte   the reader: one of our records
//   then         the writer's schema, up to a zero byte; the reader's schema, up to a zero byte
//                (empty: that record's); the message
#include "event/resolution.h"
#include "event/types.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// Up to the next zero byte, or to the end.
static struct view take_text(const uint8_t **at, const uint8_t *end) {
    const uint8_t *zero = memchr(*at, '\0', (size_t)(end - *at));
    struct view text = {(const char *)*at, (uint32_t)((zero ? zero : end) - *at)};
    *at = zero ? zero + 1 : end;
    return text;
}

static void read_turned(const struct record_type *type, const uint8_t *at, const uint8_t *end) {
    struct arena arena;
    struct error err = {0};
    void *record = malloc(type->struct_size);
    assert(record);
    arena_init(&arena, 64 << 20);
    if (!type->decode(at, end, &arena, record, &err))
        assert(err.msg[0]);
    arena_done(&arena);
    free(record);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0)
        return 0;
    const uint8_t *at = data + 1;
    const uint8_t *end = data + size;
    const struct record_type *type = record_types[data[0] % RECORD_COUNT];
    struct view writer = take_text(&at, end);
    struct view reader = take_text(&at, end);
    bool is_ours = reader.len == 0;
    if (is_ours)
        reader = (struct view){type->schema, (uint32_t)type->schema_len};
    struct error err = {0};
    struct resolution *resolution =
        resolution_new(writer.ptr, writer.len, reader.ptr, reader.len, &err);
    if (!resolution) {
        assert(err.msg[0] && err.what == DISP_POISON);
        return 0;
    }
    struct arena arena;
    const uint8_t *turned;
    const uint8_t *turned_end;
    arena_init(&arena, 16 << 20);
    if (!resolution_apply(resolution, at, end, &arena, &turned, &turned_end, &err))
        assert(err.msg[0]);
    else if (is_ours)
        read_turned(type, turned, turned_end);
    arena_done(&arena);
    (void)resolution_free(resolution);
    return 0;
}
