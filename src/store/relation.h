// SPDX-License-Identifier: Apache-2.0
//
// What a projection's SQL sees of one topic, made from the record descriptors alone:
//
//   order_placed         one relation per record of the topic: its fields as columns; for an array
//                        field NAME its length as NAME_count
//   order_placed_lines   one per array field: event_id, line_no (1, 2, …), the item's fields, or
//                        `value` where the items are no records
//   event                every record, in log order: the union of all records' fields, NULL where a
//                        record does not have one, and `type` and `body`
//
// All have log_partition, log_offset and seq (order in the batch) too. Two records may use one name
// for different SQL types: `event` then does without that column.
//
// A column holds its values of the current batch as a PostgreSQL array in binary form, ready to be
// sent; only columns that some statement uses are filled. Memory is kept from batch to batch.
#ifndef ORDERLOG_STORE_RELATION_H
#define ORDERLOG_STORE_RELATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "event/codec.h"
#include "event/message.h"
#include "store/pg_array.h"
#include "store/projection.h"

enum sql_type {
    SQL_TYPE_BOOL,
    SQL_TYPE_INT4,
    SQL_TYPE_INT8,
    SQL_TYPE_TIME,
    SQL_TYPE_TEXT,
    SQL_TYPE_BYTES,
    SQL_TYPE_UUID,
    SQL_TYPE_JSON,
};

const char *sql_type_name(enum sql_type type); // "timestamptz"

enum column_source {
    COLUMN_FIELD,
    COLUMN_PARTITION,
    COLUMN_OFFSET,
    COLUMN_SEQ,
    COLUMN_TYPE,
    COLUMN_BODY,
    COLUMN_LINE_NO,
    COLUMN_EVENT_ID, // of the record that holds the array
    COLUMN_COUNT,    // length of an array
    COLUMN_ITEM,     // the array's item itself
};

enum { RELATION_NAME_MAX = 128, COLUMN_NAME_MAX = 64, RELATION_COLUMNS_MAX = 128 };

struct relation_column {
    char name[COLUMN_NAME_MAX];
    enum sql_type type;
    enum column_source source;
    bool is_used;
    // COLUMN_FIELD and COLUMN_EVENT_ID: by record; only the relation's own has one, but for `event`
    const struct field_type **fields; // owned

    struct pg_array values; // one element per row
};

struct relation {
    char name[RELATION_NAME_MAX];
    const struct record_type *record; // NULL for `event`
    const struct field_type *array;   // for child relations
    bool is_used;
    uint32_t rows;
    struct relation_column *columns; // owned
    size_t columns_count;
};

struct relations {
    struct relation *items; // owned
    size_t count;
    size_t records; // size of the columns' `fields`: RECORD_COUNT
    bool failed;    // memory was out
};

// All relations of a topic. False when memory is out or the topic has no records.
bool relations_init(struct relations *relations, const char *topic);
void relations_done(struct relations *relations);

// NULL when there is none of that name.
struct relation *relations_find(struct relations *relations, const char *name, size_t length);

void relations_clear(struct relations *relations);

// Adds a record's rows to every used relation.
void relations_add(struct relations *relations, const struct projection_record *record,
                   int32_t seq);

// Makes the columns ready to be sent. False when memory was out.
bool relations_finish(struct relations *relations);

#endif
