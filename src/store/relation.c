// SPDX-License-Identifier: Apache-2.0
//
// Relations and their columns, from descriptors. How values get into them is in relation_rows.c.
#include "relation.h"

#include <assert.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

const char *sql_type_name(enum sql_type type) {
    static const char *const names[] = {
        [SQL_TYPE_BOOL] = "bool",        [SQL_TYPE_INT4] = "int4", [SQL_TYPE_INT8] = "int8",
        [SQL_TYPE_TIME] = "timestamptz", [SQL_TYPE_TEXT] = "text", [SQL_TYPE_BYTES] = "bytea",
        [SQL_TYPE_UUID] = "uuid",        [SQL_TYPE_JSON] = "jsonb"};
    return names[type];
}

enum sql_type relation_sql_type_of(enum field_kind kind) {
    switch (kind) {
    case FIELD_BOOLEAN:
        return SQL_TYPE_BOOL;
    case FIELD_INT:
        return SQL_TYPE_INT4;
    case FIELD_LONG:
        return SQL_TYPE_INT8;
    case FIELD_TIME:
        return SQL_TYPE_TIME;
    case FIELD_BYTES:
        return SQL_TYPE_BYTES;
    case FIELD_UUID:
        return SQL_TYPE_UUID;
    case FIELD_STRING:
    case FIELD_ENUM:
    case FIELD_RECORD: // never a column: see is_column()
        break;
    }
    return SQL_TYPE_TEXT;
}

// A record within a record that is not an array has a relation of its own.
static bool is_column(const struct field_type *field) {
    return !field->is_array && field->kind != FIELD_RECORD;
}

void relation_snake_case(const char *name, char *out, size_t size) {
    size_t n = 0;
    for (const char *c = name; *c && n + 2 < size; c++) {
        if (isupper((unsigned char)*c) && c != name)
            out[n++] = '_';
        out[n++] = (char)tolower((unsigned char)*c);
    }
    out[n] = '\0';
}

struct relation_column *relation_column_add(struct relations *relations, struct relation *relation,
                                            const char *name, enum sql_type type,
                                            enum column_source source) {
    assert(relation->columns_count < RELATION_COLUMNS_MAX);
    struct relation_column *column = &relation->columns[relation->columns_count];
    column->fields = calloc(relations->records, sizeof(*column->fields));
    if (!column->fields) {
        relations->failed = true;
        return NULL;
    }
    snprintf(column->name, sizeof(column->name), "%s", name);
    column->type = type;
    column->source = source;
    relation->columns_count++;
    return column;
}

struct relation_column *relation_column_find(struct relation *relation, const char *name) {
    for (size_t i = 0; i < relation->columns_count; i++)
        if (strcmp(relation->columns[i].name, name) == 0)
            return &relation->columns[i];
    return NULL;
}

static struct relation *add_relation(struct relations *relations, const struct record_type *record,
                                     const struct field_type *array, const char *name) {
    struct relation *relation = &relations->items[relations->count];
    relation->columns = calloc(RELATION_COLUMNS_MAX, sizeof(*relation->columns));
    if (!relation->columns) {
        relations->failed = true;
        return NULL;
    }
    snprintf(relation->name, sizeof(relation->name), "%s", name);
    relation->record = record;
    relation->array = array;
    relations->count++;
    relation_column_add(relations, relation, "log_partition", SQL_TYPE_INT4, COLUMN_PARTITION);
    relation_column_add(relations, relation, "log_offset", SQL_TYPE_INT8, COLUMN_OFFSET);
    relation_column_add(relations, relation, "seq", SQL_TYPE_INT4, COLUMN_SEQ);
    return relation;
}

static void add_count(struct relations *relations, struct relation *relation,
                      const struct field_type *array, size_t index) {
    char name[COLUMN_NAME_MAX];
    snprintf(name, sizeof(name), "%.50s_count", array->name);
    struct relation_column *column =
        relation_column_add(relations, relation, name, SQL_TYPE_INT4, COLUMN_COUNT);
    if (column)
        column->fields[index] = array;
}

static void add_fields(struct relations *relations, struct relation *relation,
                       const struct record_type *record, size_t index) {
    for (size_t i = 0; i < record->fields_count; i++) {
        const struct field_type *field = &record->fields[i];
        if (field->is_array)
            add_count(relations, relation, field, index);
        if (!is_column(field))
            continue;
        struct relation_column *column = relation_column_add(
            relations, relation, field->name, relation_sql_type_of(field->kind), COLUMN_FIELD);
        if (column)
            column->fields[index] = field;
    }
}

static const struct field_type *field_named(const struct record_type *record, const char *name) {
    for (size_t i = 0; i < record->fields_count; i++)
        if (strcmp(record->fields[i].name, name) == 0)
            return &record->fields[i];
    return NULL;
}

// A field of the outer record, if it has one of that name.
static void add_outer(struct relations *relations, struct relation *relation,
                      const struct record_type *record, size_t index, const char *name) {
    const struct field_type *field = field_named(record, name);
    struct relation_column *column =
        field ? relation_column_add(relations, relation, name, relation_sql_type_of(field->kind),
                                    COLUMN_OUTER)
              : NULL;
    if (column)
        column->fields[index] = field;
}

static void add_inner(struct relations *relations, const struct record_type *record, size_t index,
                      const struct field_type *inner, const char *record_name) {
    static const char *const outer[] = {"event_id", "shop_id", "order_id", "customer_id"};
    char name[RELATION_NAME_MAX];
    snprintf(name, sizeof(name), "%.64s_%.60s", record_name, inner->name);
    struct relation *relation = add_relation(relations, record, NULL, name);
    if (!relation)
        return;
    relation->inner = inner;
    for (size_t i = 0; i < sizeof(outer) / sizeof(outer[0]); i++)
        if (!field_named(inner->record, outer[i]))
            add_outer(relations, relation, record, index, outer[i]);
    add_fields(relations, relation, inner->record, index);
}

static void add_child(struct relations *relations, const struct record_type *record, size_t index,
                      const struct field_type *array, const char *record_name) {
    char name[RELATION_NAME_MAX];
    snprintf(name, sizeof(name), "%.64s_%.60s", record_name, array->name);
    struct relation *relation = add_relation(relations, record, array, name);
    if (!relation)
        return;
    add_outer(relations, relation, record, index, "event_id");
    relation_column_add(relations, relation, "line_no", SQL_TYPE_INT4, COLUMN_LINE_NO);
    if (array->kind == FIELD_RECORD)
        add_fields(relations, relation, array->record, index);
    else
        relation_column_add(relations, relation, "value", relation_sql_type_of(array->kind),
                            COLUMN_ITEM);
}

// One name, two types: marked by giving it no source of its own, removed at the end.
static void join_event_fields(struct relations *relations, struct relation *event,
                              const struct record_type *record, size_t index, bool *clashes) {
    for (size_t i = 0; i < record->fields_count; i++) {
        const struct field_type *field = &record->fields[i];
        if (!is_column(field))
            continue;
        struct relation_column *column = relation_column_find(event, field->name);
        if (!column)
            column = relation_column_add(relations, event, field->name,
                                         relation_sql_type_of(field->kind), COLUMN_FIELD);
        if (!column)
            return;
        if (column->type != relation_sql_type_of(field->kind) || column->source != COLUMN_FIELD)
            clashes[column - event->columns] = true;
        column->fields[index] = field;
    }
}

static void remove_clashes(struct relation *event, const bool *clashes) {
    size_t kept = 0;
    for (size_t i = 0; i < event->columns_count; i++) {
        if (clashes[i] && event->columns[i].source == COLUMN_FIELD) {
            free(event->columns[i].fields);
            continue;
        }
        event->columns[kept++] = event->columns[i];
    }
    event->columns_count = kept;
}

static void copy_columns(struct relations *relations, struct relation *to,
                         const struct relation *from) {
    for (size_t i = to->columns_count; i < from->columns_count; i++) {
        const struct relation_column *column = &from->columns[i];
        struct relation_column *copy =
            relation_column_add(relations, to, column->name, column->type, column->source);
        if (copy)
            memcpy(copy->fields, column->fields, relations->records * sizeof(*column->fields));
    }
}

static void add_command_event(struct relations *relations, struct relation *event) {
    if (!relation_column_find(event, "key_id"))
        return;
    struct relation *relation = add_relation(relations, NULL, NULL, "command_event");
    if (!relation)
        return;
    copy_columns(relations, relation, event);
    relation->filter = relation_column_find(relation, "key_id");
}

bool relations_init(struct relations *relations, const char *topic) {
    *relations = (struct relations){.records = RECORD_COUNT, .topic = topic};
    size_t relations_max = 3;
    for (size_t r = 0; r < RECORD_COUNT; r++)
        relations_max += 1 + record_types[r]->fields_count;
    relations->items = calloc(relations_max, sizeof(*relations->items));
    if (!relations->items)
        return false;

    struct relation *event = add_relation(relations, NULL, NULL, "event");
    bool clashes[RELATION_COLUMNS_MAX] = {false};
    if (event) {
        relation_column_add(relations, event, "type", SQL_TYPE_TEXT, COLUMN_TYPE);
        relation_column_add(relations, event, "body", SQL_TYPE_JSON, COLUMN_BODY);
    }
    for (size_t r = 0; r < RECORD_COUNT && !relations->failed; r++) {
        if (strcmp(record_dirs[r], topic) != 0)
            continue;
        const struct record_type *record = record_types[r];
        char name[RELATION_NAME_MAX];
        relation_snake_case(record->name, name, sizeof(name));
        join_event_fields(relations, event, record, r, clashes);
        struct relation *own = add_relation(relations, record, NULL, name);
        if (own)
            add_fields(relations, own, record, r);
        for (size_t i = 0; i < record->fields_count && !relations->failed; i++) {
            if (record->fields[i].is_array)
                add_child(relations, record, r, &record->fields[i], name);
            else if (record->fields[i].kind == FIELD_RECORD)
                add_inner(relations, record, r, &record->fields[i], name);
        }
    }
    if (relations->failed || relations->count < 2) {
        relations_done(relations);
        return false;
    }
    remove_clashes(event, clashes);
    add_command_event(relations, event);
    latest_init(relations, event);
    if (relations->failed)
        relations_done(relations);
    return !relations->failed;
}

void relations_done(struct relations *relations) {
    for (size_t i = 0; i < relations->count; i++) {
        struct relation *relation = &relations->items[i];
        for (size_t c = 0; c < relation->columns_count; c++) {
            free(relation->columns[c].fields);
            pg_array_done(&relation->columns[c].values);
        }
        free(relation->columns);
    }
    latest_done(relations);
    free(relations->items);
    *relations = (struct relations){0};
}

struct relation *relations_find(struct relations *relations, const char *name, size_t length) {
    for (size_t i = 0; i < relations->count; i++)
        if (strlen(relations->items[i].name) == length &&
            strncasecmp(relations->items[i].name, name, length) == 0)
            return &relations->items[i];
    return NULL;
}
