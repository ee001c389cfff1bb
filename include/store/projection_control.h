// SPDX-License-Identifier: Apache-2.0
//
// What an operator may do to a read model while projectors run: pause it, let it go on, and make it
// forget everything. All of it is in PostgreSQL, so that every projector obeys, wherever it runs.
#ifndef ORDERLOG_STORE_PROJECTION_CONTROL_H
#define ORDERLOG_STORE_PROJECTION_CONTROL_H

#include "store/projection.h"

// Once this has returned, no projector changes the read model (pause), or the projectors take it up
// again within a second. *ret_changed is false when it was so before.
bool projection_control_pause(struct db *db, const char *name, bool pause, bool *ret_changed,
                              struct error *err);

// Empties the read model's tables (its reset.sql) and forgets its positions, in one transaction:
// projectors begin again at offset 0, unless it is paused. DISP_FATAL when it has no reset.sql.
bool projection_control_reset(struct db *db, const struct projection_file *files,
                              size_t files_count, const char *name, struct error *err);

// What has been said about the read models of a set.
struct projection_control {
    uint32_t paused;   // bit i: the set's i-th read model
    int64_t revisions; // grows with everything that is said: then the positions are to be read anew
};

bool projection_control_load(struct db *db, const struct projection_set *set,
                             struct projection_control *ret, struct error *err);

#endif
