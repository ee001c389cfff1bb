// SPDX-License-Identifier: Apache-2.0
//
// The inside of a set: what projection_load.c reads from the files and projection_apply.c runs.
#ifndef ORDERLOG_STORE_PROJECTION_SET_H
#define ORDERLOG_STORE_PROJECTION_SET_H

#include "relation.h"
#include "store/projection.h"

enum { STATEMENTS_MAX = 64, STATEMENT_PARAMS_MAX = 512 };

struct projection_statement {
    uint32_t projection;
    char name[16]; // of the prepared statement
    char *sql;     // owned, relations prefixed
    bool is_purge;
    struct relation **relations; // owned array: those it names
    size_t relations_count;
    const struct relation_column **params; // owned array: $1, $2 …
    size_t params_count;
};

struct projection_set {
    const char *topic; // borrowed
    char names[PROJECTIONS_MAX][PROJECTION_NAME_MAX];
    size_t count;
    int32_t generations[PROJECTIONS_MAX]; // as stored, when the positions were loaded
    struct relations relations;
    struct projection_statement statements[STATEMENTS_MAX];
    size_t statements_count;
    uint64_t prepared_generation; // of the connection that knows the statements
};

#endif
