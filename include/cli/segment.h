// SPDX-License-Identifier: Apache-2.0
//
// Segments of a Kafka log as they lie in a broker's files: record batches of format 2 (since Kafka
// 0.11; https://kafka.apache.org/documentation/#messageformat), one after the other. For showing
// what a broker no longer gives to clients but has not removed yet.
#ifndef ORDERLOG_CLI_SEGMENT_H
#define ORDERLOG_CLI_SEGMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct segment_record {
    int64_t offset;
    const uint8_t *key; // NULL: none
    size_t key_len;
    const uint8_t *value; // NULL: a tombstone
    size_t value_len;
};

typedef void segment_visit_fn(void *state, const struct segment_record *record);

struct segment_counts {
    int64_t records;    // seen, control records left out
    int64_t compressed; // batches that nobody has looked into
    size_t unread;      // bytes at the end that are no whole batch; zeros do not count
};

// Calls visit for every record. Any bytes: what is not understood is in `unread`.
void segment_read(const uint8_t *bytes, size_t length, segment_visit_fn *visit, void *state,
                  struct segment_counts *ret);

#endif
