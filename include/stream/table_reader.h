// SPDX-License-Identifier: Apache-2.0
//
// Folds a compacted topic into memory and keeps up with it: a thread reads all partitions from the
// beginning, committed records only, without a group, and hands every record to `apply`. Once a
// second it asks the brokers for the end; the table's age is the time since it was last known to
// have reached such an end.
#ifndef ORDERLOG_STREAM_TABLE_READER_H
#define ORDERLOG_STREAM_TABLE_READER_H

#include "service/config.h"
#include "service/error.h"
#include "stream/topics.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct table_reader;

// In the reader's thread. value NULL: a tombstone. Everything is borrowed for the call.
typedef void table_apply_fn(void *state, const void *key, size_t key_len, const void *value,
                            size_t value_len);

// config is borrowed for the reader's life. False: DISP_RETRY when no broker answers, DISP_FATAL
// when the topic is missing.
bool table_reader_start(const struct config *config, enum topic_id topic, table_apply_fn *apply,
                        void *state, struct table_reader **ret, struct error *err);

// NULL is fine. After it, apply is not called any more.
void table_reader_stop(struct table_reader *reader);

// Milliseconds; INT64_MAX when the end has never been reached. Any thread, no lock.
int64_t table_reader_age_ms(const struct table_reader *reader);

// Waits until the end has been reached for the first time, a stop is asked for
// (service_stopping()), or the time is over. True: reached.
bool table_reader_wait(const struct table_reader *reader, int timeout_ms);

#endif
