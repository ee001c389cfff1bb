// SPDX-License-Identifier: Apache-2.0
//
// From Kafka messages to transactions. Read models of one topic may stand at different offsets (a
// new one begins at 0): each record goes to those that have not seen it, and records with the same
// takers go together, the laggards' first.
//
// A record that PostgreSQL refuses is found by halving the batch; the read model that refused it
// goes on without it, and it is kept in projection_skipped.
#ifndef ORDERLOG_STORE_PROJECTOR_BATCH_H
#define ORDERLOG_STORE_PROJECTOR_BATCH_H

#include "event/schema_ids.h"
#include "projector_input.h"
#include "service/arena.h"
#include "service/log.h"
#include "service/spans.h"
#include "store/projection.h"

struct batch_entry {
    uint32_t mask;     // of read models that want it; 0 once applied
    int slot;          // of its partition
    const char *error; // NULL: it was decoded
    struct projection_record record;
    const rd_kafka_message_t *message; // as it came, borrowed
};

struct projector_batch {
    struct projection_set *set; // borrowed, like the next two
    struct db *db;
    const struct schema_ids *ids;
    struct arena arena;
    struct batch_entry *entries; // owned, room for entries_max
    struct projection_record *records;
    struct projection_skip *skips;
    const struct batch_entry **group;
    struct projection_move *moves;
    size_t entries_max;
    struct span_batch spans; // of the events in hand, where traces are on
    bool of_events;          // not of a table: the records say which order they are about
    struct log_context log_context;
    const struct batch_entry *told; // by lines of log; NULL: none
};

bool projector_batch_init(struct projector_batch *batch, struct projection_set *set, struct db *db,
                          const struct schema_ids *ids, size_t entries_max);
void projector_batch_done(struct projector_batch *batch);

// Lines of the thread that works on the batch are to have its log_context.
//
// Applies the first count messages of input and moves its partitions' positions. False with the
// error of projection_set_apply (never DISP_POISON): what was committed so far is moved, and after
// it the positions are to be loaded again.
bool projector_batch_apply(struct projector_batch *batch, struct projector_input *input,
                           size_t count, struct error *err);

#endif
