// SPDX-License-Identifier: Apache-2.0
//
// Any Avro schema as a graph of nodes: what another program may have written with. Unlike the
// generator this takes all of Avro, recursive types included, and trusts nothing: the text comes
// from a registry. Inner to the resolution.
#ifndef ORDERLOG_EVENT_AVRO_SCHEMA_H
#define ORDERLOG_EVENT_AVRO_SCHEMA_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "service/error.h"

enum {
    AVRO_SCHEMA_BYTES_MAX = 1 << 18,
    AVRO_NODES_MAX = 4096,
    AVRO_CHILDREN_MAX = 1024, // fields, branches, symbols
    AVRO_NESTING_MAX = 32,    // of the text
};

enum avro_kind {
    AVRO_NULL,
    AVRO_BOOLEAN,
    AVRO_INT,
    AVRO_LONG,
    AVRO_FLOAT,
    AVRO_DOUBLE,
    AVRO_BYTES,
    AVRO_STRING,
    AVRO_FIXED,
    AVRO_ENUM,
    AVRO_ARRAY,
    AVRO_MAP,
    AVRO_UNION,
    AVRO_RECORD,
};

struct avro_node {
    enum avro_kind kind;
    char *full_name;             // owned; of records, enums and fixed
    const char *name;            // its part after the last dot
    const json_t *json;          // borrowed: aliases, default
    size_t count;                // fields, symbols, branches; 1 for arrays and maps
    struct avro_node **children; // owned list: the types of fields, items, values, branches
    const char **names;          // owned list of borrowed: fields and symbols
    const json_t **fields;       // owned list of borrowed: the definitions of fields
    size_t size;                 // of fixed
};

struct avro_schema {
    json_t *json;             // owned
    struct avro_node **nodes; // owned, all of them
    size_t nodes_count;
    struct avro_node *top;
};

// NULL with err (DISP_POISON) saying what is wrong where.
struct avro_schema *avro_schema_read(const char *text, size_t len, struct error *err);
struct avro_schema *avro_schema_free(struct avro_schema *schema); // NULL is fine

const char *avro_kind_name(enum avro_kind kind);

#endif
