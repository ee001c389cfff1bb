// SPDX-License-Identifier: Apache-2.0
//
// Reads parts of a topic's partitions, committed records only, up to ends that were taken before
// with read_uncommitted: waits until the last stable offset has passed them. For take-overs.
#ifndef ORDERLOG_STREAM_LOG_SPAN_H
#define ORDERLOG_STREAM_LOG_SPAN_H

#include "stream/takeover.h"
#include "wire/wire_records.h"

struct log_span {
    int32_t partition;
    int64_t from;
    int64_t end;
    void *state;  // of the role, for its expect_print(); may be NULL
    void *opaque; // the reader's own
};

// The partition's first and last offset, the latter with uncommitted records. TAKEOVER_RETRY: no
// broker answers.
enum takeover_result log_span_bounds(const struct takeover *takeover, enum topic_id topic,
                                     int32_t partition, int64_t *ret_low, int64_t *ret_end,
                                     struct error *err);

// A record and what it says; body NULL where it has no value, or cannot be decoded.
struct log_span_record {
    const struct wire_read_record *read;
    struct message message;
    struct error err; // set where it cannot be decoded
};

// Whether it says something. False: DISP_POISON, why it does not.
bool log_span_is_message(const struct log_span_record *record, struct error *err);

typedef void log_span_fn(void *context, struct log_span *span,
                         const struct log_span_record *record);

// Hands every record between from and end to `each`, in order per partition. Reads through
// src/wire: one try, DISP_RETRY or DISP_FATAL (TAKEOVER_FAILED).
enum takeover_result log_span_read(const struct takeover *takeover, enum topic_id topic,
                                   struct log_span *spans, size_t count, log_span_fn *each,
                                   void *context, struct error *err);

#endif
