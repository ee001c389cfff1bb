// SPDX-License-Identifier: Apache-2.0
//
// A projector's consumer. The group says which partitions; PostgreSQL says from where. So an
// assignment is first only noted (is_stale), and taken up by projector_input_resume() once the
// stored positions are known. The same way leads back from every trouble: projector_input_pause(),
// later resume from what is stored.
#ifndef ORDERLOG_STORE_PROJECTOR_INPUT_H
#define ORDERLOG_STORE_PROJECTOR_INPUT_H

#include <librdkafka/rdkafka.h>

#include "service/config.h"
#include "store/projection.h"

enum { PARTITIONS_MAX = 1024, TOPIC_ID_MAX = 40 };

struct projector_partition {
    int32_t partition;
    int64_t next[PROJECTIONS_MAX]; // by read model: as stored
    int64_t seen;                  // the log has been read up to here, markers included
    int64_t committed;             // what Kafka was told
    int64_t last_timestamp_ms;     // of the last record applied
    int64_t drained_ms;            // when nothing was left to apply, as far as known
};

struct projector_input {
    const char *topic;
    rd_kafka_t *consumer;
    rd_kafka_queue_t *queue;
    bool is_member;                         // the group has said what is ours
    bool is_stale;                          // positions must be loaded before anything is read
    uint32_t paused;                        // by read model: it takes nothing
    struct projector_partition *partitions; // owned
    size_t partitions_count;
    int slot_of[PARTITIONS_MAX]; // partition → index, -1: not ours
    size_t messages_max;
};

bool projector_input_open(struct projector_input *input, const struct config *config,
                          const char *topic, int worker, struct error *err);
void projector_input_close(struct projector_input *input);

// NULL when the partition is not ours.
struct projector_partition *projector_input_find(struct projector_input *input, int32_t partition);

// The lowest position of a partition over all read models that are not paused; INT64_MAX where all
// are.
int64_t projector_input_min(const struct projector_input *input,
                            const struct projector_partition *partition, size_t projections);

// The broker's id of the topic. Waits at most timeout_ms.
bool projector_input_topic_id(struct projector_input *input, int timeout_ms, char ret[TOPIC_ID_MAX],
                              struct error *err);

// Reads on from the partitions' positions.
bool projector_input_resume(struct projector_input *input, size_t projections, struct error *err);

// Stops reading and forgets what was read ahead; membership in the group stays.
void projector_input_pause(struct projector_input *input);

// Up to messages_max records, waiting at most timeout_ms for the first one; there is room for so
// many. To be called at least every few seconds, as it is what keeps the membership alive; it may
// change the assignment. False with DISP_FATAL: a position is outside the log.
bool projector_input_poll(struct projector_input *input, int timeout_ms,
                          rd_kafka_message_t **messages, size_t *ret_count, struct error *err);

// How much is in the log behind this record, as far as known.
int64_t projector_input_waiting(const struct projector_input *input,
                                const rd_kafka_message_t *last);

// Tells Kafka the positions, for tools that show lag; failures do not matter.
void projector_input_commit(struct projector_input *input, size_t projections);

// Records between the positions and the end of the log, as far as known, and how long the oldest of
// them has waited, at most.
int64_t projector_input_lag(struct projector_input *input, size_t projections,
                            int64_t *ret_oldest_ms);

#endif
