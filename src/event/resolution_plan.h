// SPDX-License-Identifier: Apache-2.0
//
// A resolution as a tree of steps: made by resolution_plan.c, carried out by resolution.c.
#ifndef ORDERLOG_EVENT_RESOLUTION_PLAN_H
#define ORDERLOG_EVENT_RESOLUTION_PLAN_H

#include "avro_schema.h"

enum plan_kind {
    PLAN_NULL,
    PLAN_BOOLEAN,
    PLAN_NUMBER, // int or long, as it stands
    PLAN_BYTES,  // bytes or string, as they stand
    PLAN_ENUM,   // by `symbols`
    PLAN_ARRAY,  // items by children[0]
    PLAN_CHOICE, // the writer's union: by the branch's child
    PLAN_INTO,   // `branch` of the reader's union, then children[0]
    PLAN_RECORD, // the reader's fields in order: fields[i] of the writer by children[i]
    PLAN_REFUSE, // this branch cannot be read: `why`
};

// What the reader's field is when the writer has none: its default, encoded.
struct plan_default {
    uint8_t *bytes; // owned
    size_t len;
};

struct plan {
    enum plan_kind kind;
    const struct avro_node *writer; // borrowed
    const struct avro_node *reader; // borrowed
    size_t count;
    struct plan **children;        // owned; NULL in a record: by default
    int32_t *fields;               // owned; PLAN_RECORD: -1: by default
    struct plan_default *defaults; // owned; PLAN_RECORD
    int32_t *symbols;              // owned; PLAN_ENUM: -1: not known to the reader
    uint32_t branch;               // PLAN_INTO
    char *why;                     // owned; PLAN_REFUSE
};

// NULL with err (DISP_POISON).
struct plan *plan_make(const struct avro_schema *writer, const struct avro_schema *reader,
                       struct error *err);
struct plan *plan_free(struct plan *plan); // NULL is fine

// Encodes a default from the schema's JSON. False: it does not fit its type.
bool plan_default_encode(const struct avro_node *node, const json_t *value,
                         struct plan_default *ret);

#endif
