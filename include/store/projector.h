// SPDX-License-Identifier: Apache-2.0
//
// Feeds the read models of one events topic: a thread with its own consumer (read_committed) and
// its own database connection. Any number may run for one topic, in any number of processes; the
// group (orderlog.projector.TOPIC) spreads the partitions.
//
// Where each read model stands is in PostgreSQL and nowhere else; Kafka is told now and then, for
// tools that show lag. Broken connections, restarts of either side and lost partitions all end in
// the same place: read the stored positions again and go on from there. It gives up only what
// cannot be cured by waiting: positions beyond the log, or a topic that was made anew
// (service_fail with EXIT_OFFSETS_DISAGREE).
//
// Bytes that cannot be decoded, and records that the database refuses, stop nothing: they are
// logged, counted and kept in projection_skipped.
#ifndef ORDERLOG_STORE_PROJECTOR_H
#define ORDERLOG_STORE_PROJECTOR_H

#include <stdbool.h>
#include <stddef.h>

#include "event/schema_ids.h"
#include "service/config.h"
#include "service/error.h"
#include "store/projection_files.h"

struct projector;

struct projector_options {
    const struct config *config;  // borrowed for the projector's life, like all of these
    const struct schema_ids *ids; // loaded with the topic's schemas
    const char *topic;
    const char *kafka_name; // what Kafka calls the topic; NULL: the same
    const struct projection_file *files;
    size_t files_count;
    const char *const *names; // NULL: all read models of the topic
    int worker;               // 0, 1, …: with the slot it names the group instance
};

// *ret is NULL when the topic has no read model. False with DISP_FATAL when the SQL or a kafka.*
// setting is not understood; an absent server is no failure.
bool projector_start(const struct projector_options *options, struct projector **ret,
                     struct error *err);

// Finishes the batch in hand. NULL is fine.
void projector_stop(struct projector *projector);

// Applying, or with nothing assigned: false while a server is away or the group is being joined.
// Any thread.
bool projector_is_running(const struct projector *projector);

#endif
