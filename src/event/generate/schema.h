// SPDX-License-Identifier: Apache-2.0
//
// What the generator knows after reading schemas/: every named type once, each before those that
// contain it, and the list of records that are messages. The generator runs for milliseconds at
// build time, so nothing here is ever freed.
#ifndef ORDERLOG_EVENT_GENERATE_SCHEMA_H
#define ORDERLOG_EVENT_GENERATE_SCHEMA_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "event/codec.h"

enum {
    SCHEMA_TYPES_MAX = 1024,
    SCHEMA_FIELDS_MAX = 256, // per record
    SCHEMA_SYMBOLS_MAX = 256,
};

struct schema_field {
    const char *name;
    enum field_kind kind; // of the item for an array
    bool is_array;
    bool is_nullable;
    const struct schema_type *type; // FIELD_RECORD and FIELD_ENUM
};

struct schema_type {
    const char *name;  // OrderPlaced
    const char *snake; // order_placed
    const char *upper; // ORDER_PLACED
    bool is_record;
    json_t *shape; // the definition without docs, nested types by name: equal for equal types

    // records
    struct schema_field *fields;
    size_t fields_count;
    size_t bytes_min; // of the shortest encoding
    bool has_array;   // here or in a nested record
    int depth;        // 1 + that of the deepest nested record

    // enums
    const char **symbols;
    size_t symbols_count;

    // messages only
    const char *dir;
    const char *text; // the .avsc, byte for byte
    size_t text_len;
};

struct schema_tree {
    struct schema_type *types[SCHEMA_TYPES_MAX];
    size_t types_count;
    struct schema_type *messages[SCHEMA_TYPES_MAX]; // sorted by directory, then name
    size_t messages_count;
};

// Reads every DIR/*.avsc under root. Prints what is wrong, with file and field, and exits.
void schema_tree_read(struct schema_tree *tree, const char *root);

// Adds the types of one file; path is for messages only.
void schema_tree_add(struct schema_tree *tree, const char *path, const char *dir, char *text,
                     size_t text_len);

#endif
