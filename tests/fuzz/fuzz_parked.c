// SPDX-License-Identifier: Apache-2.0
//
// What is read at a take-over from the dead letters: any records, ours or not. Foreign ones are
// skipped, and of the others a set of parked letters is made that holds together.
//
//   records, each: 2 bytes length, then its bytes
#include "../../src/stream/log_span.h"
#include "fuzz/support/fuzz_ids.h"
#include "service/log.h"
#include "stream/parked_takeover.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { LETTERS_MAX = 100, BYTES_MAX = 1 << 16 };

static struct view records;

// Declared as what they stand for, so that the compiler holds them against it.
__typeof__(log_span_bounds) __wrap_log_span_bounds;
__typeof__(log_span_read) __wrap_log_span_read;

enum takeover_result __wrap_log_span_bounds(const struct takeover *takeover, enum topic_id topic,
                                            int32_t partition, int64_t *ret_low, int64_t *ret_end,
                                            struct error *err) {
    (void)takeover;
    (void)topic;
    (void)partition;
    (void)err;
    *ret_low = 0;
    *ret_end = INT64_MAX;
    return TAKEOVER_DONE;
}

enum takeover_result __wrap_log_span_read(const struct takeover *takeover, enum topic_id topic,
                                          struct log_span *spans, size_t count, log_span_fn *each,
                                          void *context, struct error *err) {
    (void)topic;
    (void)err;
    assert(count == 1);
    struct arena arena;
    arena_init(&arena, 0);
    const uint8_t *at = (const uint8_t *)records.ptr;
    size_t left = records.len;
    for (int64_t offset = 0; left >= 2; offset++) {
        size_t length = (size_t)at[0] << 8 | at[1];
        length = length < left - 2 ? length : left - 2;
        uint8_t *copy = malloc(length + 1);
        assert(copy);
        memcpy(copy, at + 2, length);
        const struct wire_read_record read = {.offset = offset,
                                              .record = {.value = copy, .value_len = length}};
        struct log_span_record record = {.read = &read};
        arena_reset(&arena);
        if (!message_decode(takeover->ids, copy, length, &arena, &record.message, &record.err))
            record.message.body = NULL;
        each(context, spans, &record);
        free(copy);
        at += 2 + length;
        left -= 2 + length;
    }
    arena_done(&arena);
    return TAKEOVER_DONE;
}

static void check_set(const struct parked *parked) {
    assert((parked_count(parked) == 0) == (parked_keys(parked) == 0));
    assert(parked_keys(parked) <= parked_count(parked));
    assert((parked_last(parked) == NULL) == (parked_count(parked) == 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static bool started;
    if (!started)
        log_init(LEVEL_ERROR + 1, LOG_FORMAT_TEXT, "fuzz", 0); // each foreign record is an error
    started = true;
    static const struct config config = {.parked_letters_max = LETTERS_MAX,
                                         .parked_bytes_max = BYTES_MAX};
    const struct role role = {.domain = DOMAIN_ORDER};
    const struct takeover takeover = {.config = &config, .role = &role, .ids = fuzz_ids()};
    struct partition partition;
    struct partition *partitions[] = {&partition};
    struct error err = {0};
    records = (struct view){(const char *)data, (uint32_t)size};
    partition_init(&partition, 0, false);
    partition.committed_offset = INT64_MAX / 2;
    enum takeover_result result = parked_takeover_run(&takeover, partitions, 1, &err);
    if (result == TAKEOVER_DONE)
        check_set(partition.parked);
    else
        assert(result == TAKEOVER_REFUSED && err.msg[0]);
    partition_drop(&partition, &role);
    partition_done(&partition, &role);
    return 0;
}
