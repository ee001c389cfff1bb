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
    rd_kafka_message_t **messages; // owned, as they are: `count` of them, with room for entries_max
    size_t count;
    size_t from;                     // so many of them are decoded
    size_t entries_count;            // of those, to be applied
    uint64_t folded;                 // records of all entries, ahead; 0: they are not
    void (*meanwhile)(void *opaque); // of projector_batch_apply(); NULL: it was called
    void *opaque;
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

// Decodes and folds its messages ahead of projector_batch_apply(). What does not work is left to
// that.
void projector_batch_prepare(struct projector_batch *batch, struct projector_input *input);

// Lines of the thread that works on the batch are to have its log_context.
//
// Applies its messages and moves the input's partitions' positions. False with the error of
// projection_set_apply (never DISP_POISON): what was committed so far is moved, and after it the
// positions are to be loaded again. meanwhile: see struct projection_batch; it may change the
// input's assignment.
bool projector_batch_apply(struct projector_batch *batch, struct projector_input *input,
                           void (*meanwhile)(void *opaque), void *opaque, struct error *err);

// Gives its messages back.
void projector_batch_clear(struct projector_batch *batch);

#endif
