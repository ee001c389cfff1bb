// SPDX-License-Identifier: Apache-2.0
//
// Making partitions ours, in the one order that is safe (DESIGN: five steps):
//   1. fetch the committed offsets, which waits until no transaction is pending on them;
//   2. then take the ends of our snapshots and events, uncommitted records included;
//   3. load the snapshots, fold the events after their position, both up to there, read committed,
//      waiting for the last stable offset;
//   4. check that offset and events belong together;
//   5. only then is input taken.
// Blocks; called in the loop's thread.
#ifndef ORDERLOG_STREAM_TAKEOVER_H
#define ORDERLOG_STREAM_TAKEOVER_H

#include <librdkafka/rdkafka.h>

#include "service/config.h"
#include "stream/partition.h"

struct takeover {
    const struct config *config; // borrowed, as everything here
    const struct role *role;
    const struct schema_ids *ids;
    rd_kafka_t *consumer;    // of the input, for committed offsets
    rd_kafka_t *uncommitted; // a client with isolation.level=read_uncommitted
};

enum takeover_result {
    TAKEOVER_DONE,
    TAKEOVER_RETRY,   // brokers do not answer: try again
    TAKEOVER_REFUSED, // offsets and events disagree: people must look, err names the cure
    TAKEOVER_FAILED,
};

// A partition whose state is restored and whose committed metadata is still what we committed last
// keeps its state; all others are folded from the log.
enum takeover_result takeover_run(const struct takeover *takeover, struct partition **partitions,
                                  size_t count, struct error *err);

// Stable committed offsets of the partitions, as the broker has them, without touching state. List
// is in the order of partitions; owned by the caller.
enum takeover_result takeover_committed(const struct takeover *takeover,
                                        struct partition *const *partitions, size_t count,
                                        rd_kafka_topic_partition_list_t **ret, struct error *err);

#endif
