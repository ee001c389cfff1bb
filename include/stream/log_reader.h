// SPDX-License-Identifier: Apache-2.0
//
// Reads a topic from its beginning, committed records only, without a group: for tools that look at
// the log. Nothing is committed anywhere. One thread.
#ifndef ORDERLOG_STREAM_LOG_READER_H
#define ORDERLOG_STREAM_LOG_READER_H

#include "service/config.h"
#include "service/error.h"
#include "stream/topics.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct log_reader;

// One record; everything is borrowed until the next call.
struct log_record {
    int32_t partition;
    int64_t offset;
    int64_t timestamp_ms;
    const void *key;
    size_t key_len;
    const void *value; // NULL: a tombstone
    size_t value_len;
};

enum { LOG_READER_ALL = -1 };

// partition: one, or LOG_READER_ALL. NULL: DISP_RETRY when no broker answers, DISP_FATAL when the
// topic is missing.
struct log_reader *log_reader_open(const struct config *config, enum topic_id topic,
                                   int32_t partition, struct error *err);
// The partition that holds this key.
struct log_reader *log_reader_open_key(const struct config *config, enum topic_id topic,
                                       const void *key, size_t key_len, struct error *err);
void log_reader_close(struct log_reader *reader); // NULL is fine

int32_t log_reader_partitions(const struct log_reader *reader);

// Before the first read: begin at from[p] instead of 0, and end before until[p] instead of at the
// end. Either may be NULL. Arrays of log_reader_partitions() are copied.
void log_reader_bound(struct log_reader *reader, const int64_t *from, const int64_t *until);

// LOG_READER_END comes once all partitions have been read up to their last stable offset (or
// until); reading on then waits for new records, and gives LOG_READER_IDLE after timeout_ms without
// any.
enum log_reader_result {
    LOG_READER_RECORD,
    LOG_READER_END,
    LOG_READER_IDLE,
    LOG_READER_FAILED,
};
enum log_reader_result log_reader_next(struct log_reader *reader, int timeout_ms,
                                       struct log_record *ret, struct error *err);

#endif
