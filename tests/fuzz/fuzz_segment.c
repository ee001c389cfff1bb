// SPDX-License-Identifier: Apache-2.0
//
// Any bytes as a broker's segment, and as a file of master keys.
#include "cli/segment.h"
#include "privacy/master_keys.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct range {
    const uint8_t *bytes;
    size_t length;
    int64_t records;
};

static void check(void *state, const struct segment_record *record) {
    struct range *range = state;
    const uint8_t *end = range->bytes + range->length;
    range->records++;
    assert(!record->key || (record->key >= range->bytes && record->key + record->key_len <= end));
    assert(!record->value ||
           (record->value >= range->bytes && record->value + record->value_len <= end));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct range range = {.bytes = malloc(size + 1), .length = size};
    struct segment_counts counts;
    struct master_keys keys;
    struct error err = {0};
    assert(range.bytes);
    memcpy((void *)(uintptr_t)range.bytes, data, size);
    segment_read(range.bytes, size, check, &range, &counts);
    assert(counts.unread <= size && counts.records <= range.records);
    if (master_keys_parse((const char *)range.bytes, size, &keys, &err))
        assert(keys.count >= 1 && keys.count <= MASTER_KEYS_MAX);
    else
        assert(err.msg[0]);
    free((void *)(uintptr_t)range.bytes);
    return 0;
}
