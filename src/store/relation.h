// SPDX-License-Identifier: Apache-2.0
//
// What a projection's SQL sees of one topic, made from the record descriptors alone:
//
//   order_placed         one relation per record of the topic: its fields as columns; for an array
//                        field NAME its length as NAME_count
//   order_placed_lines   one per array field: event_id, line_no (1, 2, …), the item's fields, or
//                        `value` where the items are no records
//   order_placed_shipping_address
//                        one per field that is a record itself: event_id, shop_id, order_id,
//                        customer_id where the outer record has them, and the inner record's
//                        fields; a row for each record where it is not NULL
//   event                every record, in log order: the union of all records' fields, NULL where a
//                        record does not have one, and `type` and `body`
//   command_event        those of `event` that a command caused: whose key_id is not NULL
//   latest               one row per key (order, or shop and SKU), in key order: what folding the
//                        batch in SQL would give, at a fraction of its cost; see relation_latest.c
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
#include "service/error.h"
#include "service/jsonout.h"
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
    COLUMN_OUTER, // a field of the record that holds the array or the inner record
    COLUMN_COUNT, // length of an array
    COLUMN_ITEM,  // the array's item itself
    // of `latest` only
    COLUMN_FIRST_OFFSET,
    COLUMN_OF_RECORD, // a field of the key's last record of one type
    COLUMN_HISTORY,   // its records as text: a JSON array of arrays
};

enum { RELATION_NAME_MAX = 128, COLUMN_NAME_MAX = 64, RELATION_COLUMNS_MAX = 128 };

struct relation_column {
    char name[COLUMN_NAME_MAX];
    enum sql_type type;
    enum column_source source;
    bool is_used;
    bool is_identity; // of latest: shop_id, order_id, sku
    // COLUMN_FIELD and COLUMN_OUTER: by record; only the relation's own has one, but for `event`
    // and `latest`
    const struct field_type **fields; // owned

    struct pg_array values; // one element per row
};

struct relation {
    char name[RELATION_NAME_MAX];
    const struct record_type *record;     // NULL for `event`
    const struct field_type *array;       // for child relations
    const struct field_type *inner;       // for those of a record within the record
    const struct relation_column *filter; // rows are records that have this; NULL: all
    bool is_used;
    uint32_t rows;
    struct relation_column *columns; // owned
    size_t columns_count;
};

enum { KEY_FIELDS_MAX = 2, HISTORY_FIELDS_MAX = 32 };

// One item of a record's array in `history`.
struct history_field {
    char name[COLUMN_NAME_MAX];
    const struct field_type **fields; // owned, by record; NULL: log_offset or type
};

struct latest_order {
    uint64_t head; // how the key begins
    uint32_t record;
};

struct relations {
    struct relation *items; // owned
    size_t count;
    const char *topic;
    struct relation *latest; // one of items; NULL: the records have no key
    const struct relation_column *keys[KEY_FIELDS_MAX];
    size_t keys_count;
    const struct relation_column *version; // of latest; NULL: records have none
    struct history_field history[HISTORY_FIELDS_MAX];
    size_t history_count;
    size_t history_head; // so many are items of the array, the others members of an object
    struct jsonout text;
    struct latest_order *order; // owned: the batch's records by key, then as in the log
    size_t order_size;
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

// The same for `latest`, all records of the batch at once. False when memory was out.
bool relations_group(struct relations *relations, const struct projection_record *records,
                     size_t count);

// What relations_init() and relations_done() do about `latest`.
void latest_init(struct relations *relations, const struct relation *event);
void latest_done(struct relations *relations);

// `order_confirmed__occurred_at`: the field of the key's last OrderConfirmed in the batch; of an
// array, such as `order_placed__lines_json`, its items as JSON, or as `…_count` how many they are.
// Adds the column where the word names a record and a field of it; false: it does not.
bool latest_add_column(struct relations *relations, const char *word, size_t length);

// What `history` holds of each record: "log_offset type version | reason amount_minor", names of
// fields, those after the bar as an object of what is not null, left out when it would be empty.
bool latest_set_history(struct relations *relations, const char *names, size_t length,
                        struct error *err);

// One value, or NULL where the record has none.
struct relation_column *relation_column_add(struct relations *relations, struct relation *relation,
                                            const char *name, enum sql_type type,
                                            enum column_source source);
struct relation_column *relation_column_find(struct relation *relation, const char *name);
enum sql_type relation_sql_type_of(enum field_kind kind);
void relation_snake_case(const char *name, char *out, size_t size); // OrderPlaced → order_placed
size_t relation_item_size(const struct field_type *array);
bool relation_field_is_null(const struct field_type *field, const void *record);
void relation_put_field(struct pg_array *values, const struct field_type *field,
                        const void *record);

// Makes the columns ready to be sent. False when memory was out.
bool relations_finish(struct relations *relations);

#endif
