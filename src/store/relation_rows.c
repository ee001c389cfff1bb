// SPDX-License-Identifier: Apache-2.0
//
// The hot path of the projector: from decoded structs straight into PostgreSQL's binary arrays.
// Once the buffers have grown to a batch's size nothing is allocated any more.
#include <assert.h>
#include <jansson.h>
#include <string.h>

#include "event/event_json.h"
#include "relation.h"

static enum pg_oid oid_of(enum sql_type type) {
    static const enum pg_oid oids[] = {
        [SQL_TYPE_BOOL] = PG_BOOL,        [SQL_TYPE_INT4] = PG_INT4, [SQL_TYPE_INT8] = PG_INT8,
        [SQL_TYPE_TIME] = PG_TIMESTAMPTZ, [SQL_TYPE_TEXT] = PG_TEXT, [SQL_TYPE_BYTES] = PG_BYTEA,
        [SQL_TYPE_UUID] = PG_UUID,        [SQL_TYPE_JSON] = PG_JSONB};
    return oids[type];
}

static void put_value(struct pg_array *values, const struct field_type *field, const uint8_t *at) {
    switch (field->kind) {
    case FIELD_BOOLEAN: {
        uint8_t byte = *(const bool *)at ? 1 : 0;
        pg_array_add(values, &byte, 1);
        return;
    }
    case FIELD_INT:
        pg_array_add_int4(values, *(const int32_t *)at);
        return;
    case FIELD_LONG:
        pg_array_add_int8(values, *(const int64_t *)at);
        return;
    case FIELD_TIME:
        pg_array_add_time(values, *(const int64_t *)at);
        return;
    case FIELD_STRING:
    case FIELD_BYTES: {
        const struct view *view = (const struct view *)at;
        pg_array_add(values, view->ptr, view->len);
        return;
    }
    case FIELD_UUID:
        pg_array_add(values, at, sizeof(struct id));
        return;
    case FIELD_ENUM: {
        unsigned int symbol = *(const unsigned int *)at;
        assert(symbol < field->symbols_count);
        pg_array_add(values, field->symbols[symbol], strlen(field->symbols[symbol]));
        return;
    }
    case FIELD_RECORD:
        break;
    }
    assert(!"a record is no column");
}

bool relation_field_is_null(const struct field_type *field, const void *record) {
    const uint8_t *base = record;
    if (!field->is_nullable)
        return false;
    if (field->kind == FIELD_STRING || field->kind == FIELD_BYTES)
        return ((const struct view *)(base + field->offset))->ptr == NULL;
    return !*(const bool *)(base + field->aux_offset);
}

void relation_put_field(struct pg_array *values, const struct field_type *field,
                        const void *record) {
    if (!field || relation_field_is_null(field, record))
        pg_array_add_null(values);
    else
        put_value(values, field, (const uint8_t *)record + field->offset);
}

// jsonb in binary: a version byte, then the text.
static void put_body(struct pg_array *values, const struct projection_record *record) {
    json_t *json = event_json(record_types[record->type], record->value);
    size_t length = json ? json_dumpb(json, NULL, 0, JSON_COMPACT) : 0;
    uint8_t *at = length > 0 ? pg_array_extend(values, 1 + length) : NULL;
    if (at) {
        *at = 1;
        json_dumpb(json, (char *)at + 1, length, JSON_COMPACT);
    } else {
        values->failed = true;
    }
    json_decref(json);
}

// item: of an array, or the inner record; NULL outside child relations.
static void add_row(struct relation *relation, const struct projection_record *record, int32_t seq,
                    const uint8_t *item, uint32_t line_no) {
    const char *name = record_types[record->type]->name;
    const uint8_t *base = item ? item : record->value;
    relation->rows++;
    for (size_t i = 0; i < relation->columns_count; i++) {
        struct relation_column *column = &relation->columns[i];
        struct pg_array *values = &column->values;
        if (!column->is_used)
            continue;
        switch (column->source) {
        case COLUMN_FIELD:
            relation_put_field(values, column->fields[record->type], base);
            break;
        case COLUMN_OUTER:
            relation_put_field(values, column->fields[record->type], record->value);
            break;
        case COLUMN_COUNT:
            pg_array_add_int4(values,
                              *(const int32_t *)(base + column->fields[record->type]->aux_offset));
            break;
        case COLUMN_ITEM:
            put_value(values, relation->array, item);
            break;
        case COLUMN_PARTITION:
            pg_array_add_int4(values, record->partition);
            break;
        case COLUMN_OFFSET:
            pg_array_add_int8(values, record->offset);
            break;
        case COLUMN_SEQ:
            pg_array_add_int4(values, seq);
            break;
        case COLUMN_LINE_NO:
            pg_array_add_int4(values, (int32_t)line_no);
            break;
        case COLUMN_TYPE:
            pg_array_add(values, name, strlen(name));
            break;
        case COLUMN_BODY:
            put_body(values, record);
            break;
        case COLUMN_FIRST_OFFSET:
        case COLUMN_OF_RECORD:
        case COLUMN_HISTORY:
            assert(!"a column of latest");
            break;
        }
    }
}

size_t relation_item_size(const struct field_type *array) {
    switch (array->kind) {
    case FIELD_BOOLEAN:
        return sizeof(bool);
    case FIELD_INT:
        return sizeof(int32_t);
    case FIELD_LONG:
    case FIELD_TIME:
        return sizeof(int64_t);
    case FIELD_STRING:
    case FIELD_BYTES:
        return sizeof(struct view);
    case FIELD_UUID:
        return sizeof(struct id);
    case FIELD_ENUM:
        return sizeof(int);
    case FIELD_RECORD:
        break;
    }
    return array->record->struct_size;
}

static void add_items(struct relation *relation, const struct projection_record *record,
                      int32_t seq) {
    const uint8_t *base = record->value;
    const uint8_t *items = *(const uint8_t *const *)(base + relation->array->offset);
    uint32_t count = *(const uint32_t *)(base + relation->array->aux_offset);
    size_t size = relation_item_size(relation->array);
    for (uint32_t i = 0; i < count; i++)
        add_row(relation, record, seq, items + i * size, i + 1);
}

static void add_inner(struct relation *relation, const struct projection_record *record,
                      int32_t seq) {
    if (!relation_field_is_null(relation->inner, record->value))
        add_row(relation, record, seq, (const uint8_t *)record->value + relation->inner->offset, 0);
}

static bool passes(const struct relation_column *filter, const struct projection_record *record) {
    if (!filter)
        return true;
    const struct field_type *field = filter->fields[record->type];
    return field && !relation_field_is_null(field, record->value);
}

void relations_add(struct relations *relations, const struct projection_record *record,
                   int32_t seq) {
    for (size_t i = 0; i < relations->count; i++) {
        struct relation *relation = &relations->items[i];
        if (!relation->is_used)
            continue;
        if (relation->record && relation->record != record_types[record->type])
            continue;
        if (relation == relations->latest || !passes(relation->filter, record))
            continue;
        if (relation->array)
            add_items(relation, record, seq);
        else if (relation->inner)
            add_inner(relation, record, seq);
        else
            add_row(relation, record, seq, NULL, 0);
    }
}

void relations_clear(struct relations *relations) {
    for (size_t i = 0; i < relations->count; i++) {
        relations->items[i].rows = 0;
        for (size_t c = 0; c < relations->items[i].columns_count; c++)
            pg_array_clear(&relations->items[i].columns[c].values);
    }
}

bool relations_finish(struct relations *relations) {
    bool complete = true;
    for (size_t i = 0; i < relations->count; i++) {
        struct relation *relation = &relations->items[i];
        for (size_t c = 0; c < relation->columns_count; c++) {
            struct relation_column *column = &relation->columns[c];
            if (column->is_used)
                complete = pg_array_finish(&column->values, oid_of(column->type)) && complete;
        }
    }
    return complete;
}
