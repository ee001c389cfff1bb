// SPDX-License-Identifier: Apache-2.0
//
// Read models as folders of SQL (projections/README.md), and the one transaction by which a batch
// of log records changes them. All read models of one topic form a set; a set belongs to one thread
// and is used with one connection at a time.
//
// projection_set_apply() is all or nothing: rows and offsets commit together, and whoever believes
// in wrong offsets writes nothing. Applying a batch twice changes nothing.
#ifndef ORDERLOG_STORE_PROJECTION_H
#define ORDERLOG_STORE_PROJECTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "event/message.h"
#include "service/error.h"
#include "store/db.h"
#include "store/projection_files.h"

enum {
    PROJECTIONS_MAX = 32, // per topic
    PROJECTION_GENERATION_FIRST = 1,
    PROJECTION_NAME_MAX = 64,
    PROJECTION_ERROR_RECREATED = 1, // struct error's code: the topic was deleted and made anew
};

struct projection_set;

// Reads every NAME/apply.sql (and purge.sql) whose first lines say `-- topic: TOPIC`. files are
// borrowed for the set's life. names (may be NULL: all) ends with NULL. An empty set is fine: it
// means that this topic has no read model. NULL with DISP_FATAL when a file is not understood.
struct projection_set *projection_set_new(const char *topic, const struct projection_file *files,
                                          size_t files_count, const char *const *names,
                                          struct error *err);
void projection_set_free(struct projection_set *set); // NULL is fine

size_t projection_set_count(const struct projection_set *set);
const char *projection_set_name(const struct projection_set *set, size_t index);
const char *projection_set_topic(const struct projection_set *set);

// The index-th statement as PostgreSQL gets it, relations and all; NULL behind the last one. For
// tests, and for who wonders.
const char *projection_set_statement(const struct projection_set *set, size_t index);

// The topic a read model is made from, NULL when there is no such read model.
const char *projection_topic_of(const struct projection_file *files, size_t files_count,
                                const char *name, size_t name_length, size_t *ret_length);

// --- offsets ------------------------------------------------------------------------------------

// What one read model has stored for one partition.
struct projection_position {
    uint32_t projection; // index in the set
    int32_t partition;
    int64_t next_offset;
};

// Reads the positions of all the set's read models for these partitions, creating rows at offset 0
// where there are none: *ret holds partitions_count * projection_set_count() items, by partition,
// then by projection, and room for them is the caller's. DISP_FATAL when a row belongs to another
// topic of the same name: topic_id is the broker's id of the topic as it is now.
bool projection_positions_load(struct db *db, struct projection_set *set, const char *topic_id,
                               const int32_t *partitions, size_t partitions_count,
                               struct projection_position *ret, struct error *err);

// --- a batch ------------------------------------------------------------------------------------

// One decoded record and where it stands in the log.
struct projection_record {
    enum record_id type;
    const void *value; // struct of that record
    int32_t partition;
    int64_t offset;
};

// From where to where one read model moves in one partition.
struct projection_move {
    uint32_t projection;
    int32_t partition;
    int64_t expected;
    int64_t next;
};

// A record that could not be applied. projection NULL: its bytes could not be decoded.
struct projection_skip {
    const char *projection;
    int32_t partition;
    int64_t offset;
    const char *error;
    const void *value;
    size_t value_len;
};

struct projection_batch {
    uint32_t mask; // of projections that apply it
    const struct projection_record *records;
    size_t records_count;
    const struct projection_move *moves; // one per projection in mask and partition
    size_t moves_count;
    const struct projection_skip *skips;
    size_t skips_count;
    uint64_t folded; // what projection_set_fold() said of these records; 0: it was not asked
    // Called when PostgreSQL has all of the batch and works on it; NULL: there is nothing to do
    // meanwhile. It may fold the next one.
    void (*meanwhile)(void *opaque);
    void *opaque;
};

// Makes rows of records ahead of projection_set_apply(), which then has to do it only if others
// were folded since. 0: memory was out.
uint64_t projection_set_fold(struct projection_set *set, const struct projection_record *records,
                             size_t count);

// Keys that the records folded last are about: rows of `latest`. 0 where no read model asks for it.
size_t projection_set_keys(const struct projection_set *set);

// Applies and commits in one round trip. Errors are those of store/db.h; after DISP_RETRY it is not
// known whether the batch was committed: load the positions again. *ret_failed (may be NULL) is the
// index of the read model whose statement failed, -1 when it was none of them.
bool projection_set_apply(struct projection_set *set, struct db *db,
                          const struct projection_batch *batch, int *ret_failed, struct error *err);

// Runs each read model's purge.sql once, each in its own transaction; paused: a bit for each that
// is left alone.
bool projection_set_purge(struct projection_set *set, struct db *db, uint32_t paused,
                          struct error *err);

#endif
