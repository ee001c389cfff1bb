// SPDX-License-Identifier: Apache-2.0
#include "cli/order_file.h"

#include "cli/csv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

enum { QUANTITY_MAX = 1000000, LINES_MAX = 1000, ROWS_MAX = 100000000 };

enum column {
    COLUMN_ORDER_ID,
    COLUMN_CUSTOMER_ID,
    COLUMN_ORDERED_AT,
    COLUMN_SKU,
    COLUMN_DESCRIPTION,
    COLUMN_QUANTITY,
    COLUMN_UNIT_PRICE,
    COLUMN_CURRENCY,
    COLUMN_COUNT,
};

static const char *const column_names[COLUMN_COUNT] = {
    "order_id",    "customer_id", "ordered_at",       "sku",
    "description", "quantity",    "unit_price_minor", "currency",
};

struct reading {
    const char *path;
    struct order_file *file;
    uint32_t columns[COLUMN_COUNT];
    uint32_t fields_count;
    uint32_t orders_capacity;
    uint32_t skus_capacity;
    uint32_t lines_capacity;
};

static bool out_of_memory(struct error *err) {
    return error_set(err, DISP_FATAL, ENOMEM, "out of memory");
}

static bool refuse(const struct reading *reading, const struct csv_record *record,
                   enum column column, const char *what, struct error *err) {
    return error_set(err, DISP_POISON, 0, "%s, line %lld: %s %s", reading->path,
                     (long long)record->line, column_names[column], what);
}

static const struct csv_field *field(const struct reading *reading, const struct csv_record *record,
                                     enum column column) {
    return &record->fields[reading->columns[column]];
}

static bool read_header(struct reading *reading, struct csv *csv, struct error *err) {
    struct csv_record header;
    switch (csv_next(csv, &header, err)) {
    case CSV_ERROR:
        return false;
    case CSV_END:
        return error_set(err, DISP_POISON, 0, "%s is empty", reading->path);
    case CSV_RECORD:
        break;
    }
    reading->fields_count = header.count;
    for (int column = 0; column < COLUMN_COUNT; column++) {
        uint32_t at = 0;
        while (at < header.count && strcmp(header.fields[at].ptr, column_names[column]) != 0)
            at++;
        if (at == header.count)
            return error_set(err, DISP_POISON, 0, "%s has no column %s in its first line",
                             reading->path, column_names[column]);
        reading->columns[column] = at;
    }
    return true;
}

// Makes room for one more of size bytes.
static bool grow(void **array, uint32_t count, uint32_t *capacity, size_t size) {
    if (count < *capacity)
        return true;
    const uint32_t wanted = *capacity ? *capacity * 2 : 1024;
    void *grown = realloc(*array, wanted * size);
    if (!grown)
        return false;
    *array = grown;
    *capacity = wanted;
    return true;
}

static bool parse_int(const struct csv_field *text, int64_t *ret) {
    char *end = NULL;
    errno = 0;
    const long long value = strtoll(text->ptr, &end, 10);
    if (text->len == 0 || *end != '\0' || errno != 0)
        return false;
    *ret = value;
    return true;
}

static bool copy(char *out, size_t size, const struct csv_field *text) {
    if (text->len >= size)
        return false;
    memcpy(out, text->ptr, text->len + 1);
    return true;
}

static bool find_order(struct reading *reading, const struct csv_record *record, uint32_t *ret,
                       struct error *err) {
    struct order_file *file = reading->file;
    const struct csv_field *id = field(reading, record, COLUMN_ORDER_ID);
    if (id->len == 0 || id->len > 64)
        return refuse(reading, record, COLUMN_ORDER_ID, "must have 1 to 64 bytes", err);
    const uint32_t known = file->order_ids.count;
    const uint32_t number = intern_add(&file->order_ids, id->ptr, id->len);
    if (number == INTERN_NONE ||
        !grow((void **)&file->orders, number, &reading->orders_capacity, sizeof(*file->orders)))
        return out_of_memory(err);

    const struct csv_field *currency = field(reading, record, COLUMN_CURRENCY);
    if (number == known) {
        struct file_order *order = &file->orders[number];
        *order = (struct file_order){0};
        if (!copy(order->customer, sizeof(order->customer),
                  field(reading, record, COLUMN_CUSTOMER_ID)))
            return refuse(reading, record, COLUMN_CUSTOMER_ID, "is longer than 64 bytes", err);
        if (!copy(order->ordered_at, sizeof(order->ordered_at),
                  field(reading, record, COLUMN_ORDERED_AT)))
            return refuse(reading, record, COLUMN_ORDERED_AT, "is no time", err);
        if (!copy(order->currency, sizeof(order->currency), currency))
            return refuse(reading, record, COLUMN_CURRENCY, "is no currency", err);
    } else if (strcmp(file->orders[number].currency, currency->ptr) != 0) {
        file->orders[number].faults |= FAULT_CURRENCY;
    }
    *ret = number;
    return true;
}

static bool find_sku(struct reading *reading, const struct csv_record *record, int64_t price_minor,
                     uint32_t *ret, struct error *err) {
    struct order_file *file = reading->file;
    const struct csv_field *code = field(reading, record, COLUMN_SKU);
    if (code->len == 0 || code->len > 64 || strchr(code->ptr, '/'))
        return refuse(reading, record, COLUMN_SKU, "must have 1 to 64 bytes and no '/'", err);
    const uint32_t known = file->sku_codes.count;
    const uint32_t number = intern_add(&file->sku_codes, code->ptr, code->len);
    if (number == INTERN_NONE ||
        !grow((void **)&file->skus, number, &reading->skus_capacity, sizeof(*file->skus)))
        return out_of_memory(err);

    struct file_sku *sku = &file->skus[number];
    if (number == known) {
        *sku = (struct file_sku){.name = INTERN_NONE};
        if (!copy(sku->currency, sizeof(sku->currency), field(reading, record, COLUMN_CURRENCY)))
            return refuse(reading, record, COLUMN_CURRENCY, "is no currency", err);
    }
    const struct csv_field *name = field(reading, record, COLUMN_DESCRIPTION);
    if (sku->name == INTERN_NONE && name->len > 0 && price_minor > 0) {
        // A positive price tells a product's name from a clerk's remark.
        sku->name = intern_add(&file->names, name->ptr, name->len);
        if (sku->name == INTERN_NONE)
            return out_of_memory(err);
    }
    if (sku->price_minor == 0 && price_minor > 0)
        sku->price_minor = price_minor;
    *ret = number;
    return true;
}

static bool read_row(struct reading *reading, const struct csv_record *record, struct error *err) {
    struct order_file *file = reading->file;
    if (record->count != reading->fields_count)
        return error_set(err, DISP_POISON, 0, "%s, line %lld: %u fields instead of %u",
                         reading->path, (long long)record->line, record->count,
                         reading->fields_count);
    if (file->lines_count == ROWS_MAX)
        return error_set(err, DISP_POISON, 0, "%s has more than %d rows", reading->path, ROWS_MAX);

    struct file_line line;
    if (!parse_int(field(reading, record, COLUMN_QUANTITY), &line.quantity))
        return refuse(reading, record, COLUMN_QUANTITY, "is no whole number", err);
    if (!parse_int(field(reading, record, COLUMN_UNIT_PRICE), &line.unit_price_minor))
        return refuse(reading, record, COLUMN_UNIT_PRICE, "is no whole number", err);
    if (!find_order(reading, record, &line.order, err) ||
        !find_sku(reading, record, line.unit_price_minor, &line.sku, err))
        return false;

    struct file_order *order = &file->orders[line.order];
    int64_t line_total_minor = 0;
    if (__builtin_mul_overflow(line.quantity, line.unit_price_minor, &line_total_minor) ||
        __builtin_add_overflow(order->total_minor, line_total_minor, &order->total_minor) ||
        __builtin_add_overflow(file->total_minor, line_total_minor, &file->total_minor))
        return refuse(reading, record, COLUMN_QUANTITY, "times price is out of range", err);
    if (line.quantity < 1 || line.quantity > QUANTITY_MAX)
        order->faults |= FAULT_QUANTITY;
    if (line.unit_price_minor < 0)
        order->faults |= FAULT_PRICE;
    if (++order->lines_count > LINES_MAX)
        order->faults |= FAULT_LINES;

    if (!grow((void **)&file->lines, file->lines_count, &reading->lines_capacity,
              sizeof(*file->lines)))
        return out_of_memory(err);
    file->lines[file->lines_count++] = line;
    for (uint32_t i = 0; i < record->count; i++)
        file->fingerprint =
            XXH3_64bits_withSeed(record->fields[i].ptr, record->fields[i].len, file->fingerprint);
    return true;
}

// Sorts the lines by order, keeping the file's order within, and sums up the stock they need.
static bool group(struct order_file *file, struct error *err) {
    struct file_line *sorted = calloc(file->lines_count + 1, sizeof(*sorted));
    if (!sorted)
        return out_of_memory(err);
    uint32_t next = 0;
    for (uint32_t i = 0; i < file->order_ids.count; i++) {
        file->orders[i].lines_first = next;
        next += file->orders[i].lines_count;
        file->orders[i].lines_count = 0;
    }
    for (uint32_t i = 0; i < file->lines_count; i++) {
        const struct file_line *line = &file->lines[i];
        struct file_order *order = &file->orders[line->order];
        sorted[order->lines_first + order->lines_count++] = *line;
        if (!order->faults)
            file->skus[line->sku].quantity += line->quantity;
    }
    free(file->lines);
    file->lines = sorted;
    return true;
}

bool order_file_read(const char *path, struct order_file *ret, struct error *err) {
    *ret = (struct order_file){0};
    struct reading reading = {.path = path, .file = ret};
    struct csv *csv = csv_open(path, err);
    if (!csv)
        return false;

    bool ok = read_header(&reading, csv, err);
    while (ok) {
        struct csv_record record;
        const enum csv_result result = csv_next(csv, &record, err);
        if (result == CSV_END)
            break;
        ok = result == CSV_RECORD && read_row(&reading, &record, err);
    }
    csv_close(csv);
    if (ok)
        ok = group(ret, err);
    if (!ok)
        order_file_done(ret);
    return ok;
}

void order_file_done(struct order_file *file) {
    intern_done(&file->order_ids);
    intern_done(&file->sku_codes);
    intern_done(&file->names);
    free(file->orders);
    free(file->skus);
    free(file->lines);
    *file = (struct order_file){0};
}
