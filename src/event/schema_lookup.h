// SPDX-License-Identifier: Apache-2.0
//
// Many ids asked of a registry at the same time, over a few connections: a role's start waits for
// them. Inner to schema_ids.c.
#ifndef ORDERLOG_EVENT_SCHEMA_LOOKUP_H
#define ORDERLOG_EVENT_SCHEMA_LOOKUP_H

#include "event/registry.h"
#include "event/types.h"

enum { SCHEMA_SUBJECT_SIZE = 400 };

struct schema_lookup {
    size_t topic;
    enum record_id record;
    char subject[SCHEMA_SUBJECT_SIZE];
    int32_t id; // the answer
};

// Fills in the ids. False with the error of one that failed. The registry is not used by others
// meanwhile.
bool schema_lookup_all(struct registry *registry, struct schema_lookup *lookups, size_t count,
                       struct error *err);

#endif
