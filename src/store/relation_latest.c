// SPDX-License-Identifier: Apache-2.0
//
// `latest`: a batch folded to one row per key before PostgreSQL sees it. Folding there costs twenty
// times as much: every event of an order is a row to unnest, to sort and to aggregate.
//
//   FIELD             its last value that is not NULL
//   RECORD__FIELD     as the key's last record of that type has it; NULL: there is none in the
//   batch;
//                     of an array: RECORD__FIELD_count, RECORD__FIELD_json
//   log_offset        of its last record; first_offset, of its first
//   history           all its records, as text
//
// Records that have no version though others of the topic do, such as a refused command, stand
// outside of what happened to the key: they are in `history` and in the offsets only. So whatever
// the batches are cut into, the same values come out.
#include "relation.h"

#include <endian.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// ---- what there is
// -------------------------------------------------------------------------------

static bool all_have(const struct relations *relations, const struct relation_column *column) {
    for (size_t r = 0; r < relations->records; r++)
        if (strcmp(record_dirs[r], relations->topic) == 0 &&
            (!column->fields[r] || column->fields[r]->is_nullable))
            return false;
    return true;
}

// Another shop's command about an order is refused in that shop's name: it is no event of the
// order.
static const char *const keys_of_order[] = {"order_id", "shop_id", NULL};
static const char *const keys_of_sku[] = {"shop_id", "sku", NULL};

static bool use_keys(struct relations *relations, const char *const *names) {
    relations->keys_count = 0;
    for (; *names; names++) {
        struct relation_column *column = relation_column_find(relations->latest, *names);
        if (!column || !all_have(relations, column))
            return false;
        relations->keys[relations->keys_count++] = column;
    }
    return true;
}

// What is the same in all records of a key, whether they have a version or not.
static void mark_identity(struct relations *relations) {
    static const char *const names[] = {"shop_id", "order_id", "sku"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct relation_column *column = relation_column_find(relations->latest, names[i]);
        if (column && all_have(relations, column))
            column->is_identity = true;
    }
}

void latest_init(struct relations *relations, const struct relation *event) {
    struct relation *latest = &relations->items[relations->count];
    latest->columns = calloc(RELATION_COLUMNS_MAX, sizeof(*latest->columns));
    if (!latest->columns) {
        relations->failed = true;
        return;
    }
    (void)snprintf(latest->name, sizeof(latest->name), "latest");
    relations->latest = latest;
    relations->count++;
    for (size_t i = 0; i < event->columns_count; i++) {
        const struct relation_column *column = &event->columns[i];
        if (column->source == COLUMN_TYPE || column->source == COLUMN_BODY)
            continue;
        struct relation_column *copy =
            relation_column_add(relations, latest, column->name, column->type, column->source);
        if (!copy)
            return;
        memcpy(copy->fields, column->fields, relations->records * sizeof(*column->fields));
    }
    relation_column_add(relations, latest, "first_offset", SQL_TYPE_INT8, COLUMN_FIRST_OFFSET);
    relation_column_add(relations, latest, "history", SQL_TYPE_TEXT, COLUMN_HISTORY);
    relations->version = relation_column_find(latest, "version");
    if (!use_keys(relations, keys_of_order) && !use_keys(relations, keys_of_sku))
        latest->name[0] = '\0'; // nothing can name it
    mark_identity(relations);
}

void latest_done(struct relations *relations) {
    for (size_t i = 0; i < relations->history_count; i++)
        free(relations->history[i].fields);
    jsonout_done(&relations->text);
    free(relations->order);
}

// FIELD, or FIELD_count and FIELD_json of an array. NULL: the record has no such.
static const struct field_type *find_field(const struct record_type *record, const char *name,
                                           enum sql_type *ret_type) {
    for (size_t f = 0; f < record->fields_count; f++) {
        const struct field_type *field = &record->fields[f];
        const size_t length = strlen(field->name);
        if (strncmp(field->name, name, length) != 0)
            continue;
        const char *rest = name + length;
        *ret_type = relation_sql_type_of(field->kind);
        if (!field->is_array && field->kind != FIELD_RECORD && !*rest)
            return field;
        *ret_type = strcmp(rest, "_count") == 0 ? SQL_TYPE_INT4 : SQL_TYPE_TEXT;
        if (field->is_array && (*ret_type == SQL_TYPE_INT4 || strcmp(rest, "_json") == 0))
            return field;
    }
    return NULL;
}

bool latest_add_column(struct relations *relations, const char *word, size_t length) {
    char name[COLUMN_NAME_MAX];
    if (length >= sizeof(name))
        return false;
    memcpy(name, word, length);
    name[length] = '\0';
    if (relation_column_find(relations->latest, name))
        return true;
    const char *underscores = strstr(name, "__");
    for (size_t r = 0; underscores && r < relations->records; r++) {
        char record[RELATION_NAME_MAX];
        enum sql_type type;
        relation_snake_case(record_types[r]->name, record, sizeof(record));
        if (strcmp(record_dirs[r], relations->topic) != 0 ||
            strlen(record) != (size_t)(underscores - name) ||
            strncmp(record, name, strlen(record)) != 0)
            continue;
        const struct field_type *field = find_field(record_types[r], underscores + 2, &type);
        struct relation_column *column =
            field ? relation_column_add(relations, relations->latest, name, type, COLUMN_OF_RECORD)
                  : NULL;
        if (!column)
            return false;
        column->fields[r] = field;
        return true;
    }
    return false;
}

static bool add_history_field(struct relations *relations, const char *name, size_t length,
                              struct error *err) {
    if (relations->history_count == HISTORY_FIELDS_MAX || length >= COLUMN_NAME_MAX)
        return error_set(err, DISP_FATAL, 0, "history: at most %d names of at most %d characters",
                         HISTORY_FIELDS_MAX, COLUMN_NAME_MAX - 1);
    struct history_field *one = &relations->history[relations->history_count];
    memcpy(one->name, name, length);
    one->name[length] = '\0';
    one->fields = NULL;
    if (strcmp(one->name, "log_offset") != 0 && strcmp(one->name, "type") != 0) {
        const struct relation_column *column = relation_column_find(relations->latest, one->name);
        if (!column || column->source != COLUMN_FIELD)
            return error_set(err, DISP_FATAL, 0, "history: records of %s have no field %s",
                             relations->topic, one->name);
        one->fields = calloc(relations->records, sizeof(const struct field_type *));
        if (!one->fields)
            return error_set(err, DISP_FATAL, 0, "out of memory");
        memcpy(one->fields, column->fields, relations->records * sizeof(*column->fields));
    }
    relations->history_count++;
    return true;
}

bool latest_set_history(struct relations *relations, const char *names, size_t length,
                        struct error *err) {
    const char *end = names + length;
    if (relations->history_count > 0)
        return error_set(err, DISP_FATAL, 0, "one read model of %s has a history already",
                         relations->topic);
    relations->history_head = SIZE_MAX;
    for (const char *at = names; at < end;) {
        size_t space = strspn(at, " \t");
        at += space;
        size_t word = strcspn(at, " \t\r\n");
        if (at + word > end || word == 0)
            break;
        if (word == 1 && *at == '|')
            relations->history_head = relations->history_count;
        else if (!add_history_field(relations, at, word, err))
            return false;
        at += word;
    }
    if (relations->history_head == SIZE_MAX)
        relations->history_head = relations->history_count;
    return true;
}

// ---- what a batch makes of it
// --------------------------------------------------------------------

struct sorting {
    const struct relations *relations;
    const struct projection_record *records;
};

static int compare_field(const struct field_type *f, const void *a, const struct field_type *g,
                         const void *b) {
    const uint8_t *x = (const uint8_t *)a + f->offset;
    const uint8_t *y = (const uint8_t *)b + g->offset;
    if (f->kind == FIELD_UUID)
        return memcmp(x, y, sizeof(struct id));
    const struct view *v = (const struct view *)x;
    const struct view *w = (const struct view *)y;
    const int order = memcmp(v->ptr, w->ptr, v->len < w->len ? v->len : w->len);
    return order ? order : (v->len > w->len) - (v->len < w->len);
}

static int compare_keys(const struct relations *relations, const struct projection_record *a,
                        const struct projection_record *b) {
    int order = 0;
    for (size_t i = 0; i < relations->keys_count && order == 0; i++)
        order = compare_field(relations->keys[i]->fields[a->type], a->value,
                              relations->keys[i]->fields[b->type], b->value);
    return order;
}

static int compare_records(const void *a, const void *b, void *opaque) {
    const struct sorting *sorting = opaque;
    const uint32_t x = ((const struct latest_order *)a)->record;
    const uint32_t y = ((const struct latest_order *)b)->record;
    const int order = compare_keys(sorting->relations, &sorting->records[x], &sorting->records[y]);
    return order ? order : (x > y) - (x < y);
}

static void put_text(struct jsonout *out, const char *name, const char *text, size_t length) {
    // PostgreSQL has no text with a NUL: it shall refuse this one here, as it does in a column.
    if (memchr(text, '\0', length))
        jsonout_raw(out, name, "", 1);
    else
        jsonout_string_n(out, name, text, length);
}

static void put_json(struct jsonout *out, const char *name, const struct field_type *field,
                     const void *record) {
    const uint8_t *at = (const uint8_t *)record + field->offset;
    switch (field->kind) {
    case FIELD_BOOLEAN:
        jsonout_bool(out, name, *(const bool *)at);
        return;
    case FIELD_INT:
        jsonout_int(out, name, *(const int32_t *)at);
        return;
    case FIELD_LONG:
    case FIELD_TIME: // microseconds since 1970
        jsonout_int(out, name, *(const int64_t *)at);
        return;
    case FIELD_STRING: {
        const struct view *view = (const struct view *)at;
        put_text(out, name, view->ptr, view->len);
        return;
    }
    case FIELD_UUID: {
        const struct id_text text = id_text((const struct id *)at);
        jsonout_string(out, name, text.text);
        return;
    }
    case FIELD_ENUM:
        jsonout_string(out, name, field->symbols[*(const unsigned int *)at]);
        return;
    case FIELD_BYTES:
    case FIELD_RECORD:
        break;
    }
    jsonout_null(out, name);
}

static const struct field_type *field_of(const struct history_field *one,
                                         const struct projection_record *record) {
    const struct field_type *field = one->fields ? one->fields[record->type] : NULL;
    return field && !relation_field_is_null(field, record->value) ? field : NULL;
}

static void write_item(struct jsonout *out, const struct history_field *one,
                       const struct projection_record *record) {
    const struct field_type *field = field_of(one, record);
    if (field)
        put_json(out, NULL, field, record->value);
    else if (one->fields)
        jsonout_null(out, NULL);
    else if (strcmp(one->name, "type") == 0)
        jsonout_string(out, NULL, record_types[record->type]->name);
    else
        jsonout_int(out, NULL, record->offset);
}

static void write_history(struct relations *relations, const struct projection_record *record) {
    struct jsonout *out = &relations->text;
    bool is_open = false;
    jsonout_array_begin(out, NULL);
    for (size_t i = 0; i < relations->history_head; i++)
        write_item(out, &relations->history[i], record);
    for (size_t i = relations->history_head; i < relations->history_count; i++) {
        const struct history_field *one = &relations->history[i];
        const struct field_type *field = field_of(one, record);
        if (!field)
            continue;
        if (!is_open)
            jsonout_object_begin(out, NULL);
        is_open = true;
        put_json(out, one->name, field, record->value);
    }
    if (is_open)
        jsonout_object_end(out);
    jsonout_array_end(out);
}

// The records of one key, oldest first.
struct run {
    const struct projection_record *records;
    const struct latest_order *order;
    size_t count;
};

static void put_text_of(struct relations *relations, struct pg_array *values) {
    const struct jsonout *out = &relations->text;
    if (out->failed)
        values->failed = true;
    else
        pg_array_add(values, out->bytes, out->length);
}

static void put_history(struct relations *relations, struct pg_array *values,
                        const struct run *run) {
    struct jsonout *out = &relations->text;
    jsonout_reset(out);
    jsonout_array_begin(out, NULL);
    for (size_t i = 0; i < run->count; i++)
        write_history(relations, &run->records[run->order[i].record]);
    jsonout_array_end(out);
    put_text_of(relations, values);
}

static bool is_versioned(const struct relations *relations,
                         const struct projection_record *record) {
    if (!relations->version)
        return true;
    const struct field_type *field = relations->version->fields[record->type];
    return field && !relation_field_is_null(field, record->value);
}

static void put_last(const struct relations *relations, struct relation_column *column,
                     const struct run *run) {
    for (size_t i = run->count; i-- > 0;) {
        const struct projection_record *record = &run->records[run->order[i].record];
        const struct field_type *field = column->fields[record->type];
        if (!field || relation_field_is_null(field, record->value) ||
            (!column->is_identity && !is_versioned(relations, record)))
            continue;
        relation_put_field(&column->values, field, record->value);
        return;
    }
    pg_array_add_null(&column->values);
}

static void put_items(struct jsonout *out, const struct field_type *array, const void *record) {
    const uint8_t *base = record;
    const uint8_t *items = *(const uint8_t *const *)(base + array->offset);
    const uint32_t count = *(const uint32_t *)(base + array->aux_offset);
    jsonout_array_begin(out, NULL);
    for (uint32_t i = 0; i < count; i++, items += relation_item_size(array)) {
        if (array->kind != FIELD_RECORD) {
            put_json(out, NULL, array, items - array->offset);
            continue;
        }
        jsonout_object_begin(out, NULL);
        for (size_t f = 0; f < array->record->fields_count; f++) {
            const struct field_type *field = &array->record->fields[f];
            if (relation_field_is_null(field, items))
                jsonout_null(out, field->name);
            else
                put_json(out, field->name, field, items);
        }
        jsonout_object_end(out);
    }
    jsonout_array_end(out);
}

static void put_of_record(struct relations *relations, struct relation_column *column,
                          const struct run *run) {
    for (size_t i = run->count; i-- > 0;) {
        const struct projection_record *record = &run->records[run->order[i].record];
        const struct field_type *field = column->fields[record->type];
        if (!field)
            continue;
        if (!field->is_array) {
            relation_put_field(&column->values, field, record->value);
        } else if (column->type == SQL_TYPE_INT4) {
            const uint8_t *base = record->value;
            pg_array_add_int4(&column->values, *(const int32_t *)(base + field->aux_offset));
        } else {
            jsonout_reset(&relations->text);
            put_items(&relations->text, field, record->value);
            put_text_of(relations, &column->values);
        }
        return;
    }
    pg_array_add_null(&column->values);
}

static void add_run(struct relations *relations, const struct run *run) {
    const struct projection_record *first = &run->records[run->order[0].record];
    const struct projection_record *last = &run->records[run->order[run->count - 1].record];
    struct relation *latest = relations->latest;
    latest->rows++;
    for (size_t i = 0; i < latest->columns_count; i++) {
        struct relation_column *column = &latest->columns[i];
        if (!column->is_used)
            continue;
        switch (column->source) {
        case COLUMN_PARTITION:
            pg_array_add_int4(&column->values, last->partition);
            break;
        case COLUMN_OFFSET:
            pg_array_add_int8(&column->values, last->offset);
            break;
        case COLUMN_FIRST_OFFSET:
            pg_array_add_int8(&column->values, first->offset);
            break;
        case COLUMN_SEQ:
            pg_array_add_int4(&column->values, (int32_t)latest->rows);
            break;
        case COLUMN_HISTORY:
            put_history(relations, &column->values, run);
            break;
        case COLUMN_OF_RECORD:
            put_of_record(relations, column, run);
            break;
        default:
            put_last(relations, column, run);
        }
    }
}

// The beginning of a key, as a number of the same order.
static uint64_t head_of(const struct relations *relations, const struct projection_record *record) {
    const struct field_type *field = relations->keys[0]->fields[record->type];
    const uint8_t *at = (const uint8_t *)record->value + field->offset;
    uint8_t bytes[sizeof(uint64_t)] = {0};
    uint64_t head;
    if (field->kind == FIELD_UUID) {
        memcpy(bytes, at, sizeof(bytes));
    } else {
        const struct view *view = (const struct view *)at;
        memcpy(bytes, view->ptr, view->len < sizeof(bytes) ? view->len : sizeof(bytes));
    }
    memcpy(&head, bytes, sizeof(head));
    return be64toh(head);
}

static int compare_heads(const void *a, const void *b) {
    const struct latest_order *x = a;
    const struct latest_order *y = b;
    if (x->head != y->head)
        return x->head < y->head ? -1 : 1;
    return (x->record > y->record) - (x->record < y->record);
}

// The records lie as they were decoded, not by key: each is a miss of the cache unless it is asked
// for in time.
enum { AHEAD = 16 };

static void fetch(const struct relations *relations, const struct projection_record *records,
                  size_t at, size_t count) {
    if (at + AHEAD < count)
        __builtin_prefetch(records[relations->order[at + AHEAD].record].value);
}

// Adds those from begin on whose heads are the same: of one key, but for chance. Returns where they
// end.
static size_t add_alike(struct relations *relations, const struct projection_record *records,
                        size_t begin, size_t count) {
    struct latest_order *order = relations->order;
    struct sorting sorting = {.relations = relations, .records = records};
    bool same = true;
    size_t end = begin + 1;
    fetch(relations, records, begin, count);
    for (; end < count && order[end].head == order[begin].head; end++) {
        fetch(relations, records, end, count);
        same = same && compare_keys(relations, &records[order[begin].record],
                                    &records[order[end].record]) == 0;
    }
    if (!same)
        qsort_r(order + begin, end - begin, sizeof(*order), compare_records, &sorting);
    for (size_t from = begin, to; from < end; from = to) {
        for (to = same ? end : from + 1; to < end; to++)
            if (compare_keys(relations, &records[order[from].record], &records[order[to].record]))
                break;
        const struct run run = {records, order + from, to - from};
        add_run(relations, &run);
    }
    return end;
}

static bool make_room(struct relations *relations, size_t count) {
    if (count <= relations->order_size)
        return true;
    struct latest_order *order = realloc(relations->order, count * sizeof(*order));
    if (!order)
        return false;
    relations->order = order;
    relations->order_size = count;
    return true;
}

bool relations_group(struct relations *relations, const struct projection_record *records,
                     size_t count) {
    if (!relations->latest || !relations->latest->is_used || count == 0)
        return true;
    if (!make_room(relations, count))
        return false;
    struct latest_order *order = relations->order;
    for (size_t i = 0; i < count; i++)
        order[i] = (struct latest_order){head_of(relations, &records[i]), (uint32_t)i};
    qsort(order, count, sizeof(*order), compare_heads);
    for (size_t begin = 0; begin < count;)
        begin = add_alike(relations, records, begin, count);
    return true;
}
