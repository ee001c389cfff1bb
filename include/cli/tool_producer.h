// SPDX-License-Identifier: Apache-2.0
//
// Writes a tool's few records, acknowledged by all replicas before anything is said to the
// operator. Placed by key, as everybody places them. One thread.
#ifndef ORDERLOG_CLI_TOOL_PRODUCER_H
#define ORDERLOG_CLI_TOOL_PRODUCER_H

#include "event/schema_ids.h"
#include "service/config.h"
#include "stream/topics.h"

struct tool_producer;

struct tool_producer *tool_producer_open(const struct config *config, struct error *err);
void tool_producer_close(struct tool_producer *producer); // NULL is fine

// Everything is copied. value NULL: a tombstone.
bool tool_producer_send(struct tool_producer *producer, enum topic_id topic, enum record_id type,
                        const void *key, size_t key_len, const void *value, size_t value_len,
                        struct error *err);

// The same, into this partition.
bool tool_producer_send_to(struct tool_producer *producer, enum topic_id topic, int32_t partition,
                           enum record_id type, const void *key, size_t key_len, const void *value,
                           size_t value_len, struct error *err);

// Waits until all is acknowledged. False: not all of it is known to be written.
bool tool_producer_flush(struct tool_producer *producer, struct error *err);

#endif
