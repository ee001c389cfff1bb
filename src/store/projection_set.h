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
    char name[16];       // of the prepared statement
    char *sql;           // owned, relations prefixed: parameters unnested
    char *sql_of_copies; // owned; likewise, tables that hold a batch
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
    uint64_t folds;  // so many times were they filled
    uint64_t folded; // which of these they hold; 0: none
    struct projection_statement statements[STATEMENTS_MAX];
    size_t statements_count;
    uint64_t prepared_generation; // of the connection that knows the statements
    bool may_copy;                // that connection has tables to hold a batch
};

// Tables of this connection's own, one per relation, that hold the rows of a large batch until its
// statements have run. False with a lost connection; set->may_copy tells whether they are there.
bool projection_copy_prepare(struct projection_set *set, struct db *db, struct error *err);

// Puts the rows of the batch there, in its transaction: of relations that statements of these read
// models name.
bool projection_copy_rows(const struct projection_set *set, struct db *db, uint32_t mask,
                          struct error *err);

// "pg_temp.\"batch_latest\"", in SQL.
enum { COPY_TABLE_MAX = RELATION_NAME_MAX + 32 };
void projection_copy_table(const struct relation *relation, char ret[COPY_TABLE_MAX]);

#endif
