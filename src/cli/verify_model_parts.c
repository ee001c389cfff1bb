// SPDX-License-Identifier: Apache-2.0
//
// Tables with many rows per order are compared by digests: the sum of a hash of each row, which
// does not depend on the order of rows.
#include "verify_model.h"

#include "domain/order.h"

#include <string.h>

// ---- lines --------------------------------------------------------------------------------------

uint64_t verify_line_digest(int64_t line_no, uint64_t sku, int64_t quantity,
                            int64_t unit_price_minor, int64_t price_version) {
    const uint64_t cells[] = {(uint64_t)line_no, sku, (uint64_t)quantity,
                              (uint64_t)unit_price_minor, (uint64_t)price_version};
    return verify_hash(cells, sizeof(cells));
}

// What has been summed up of one order while its rows go by.
struct sum {
    struct id order_id;
    int64_t rows;
    uint64_t digest;
};

static struct verify_order *find(struct verify *verify, const struct id *order_id) {
    const uint32_t number =
        intern_find(&verify->order_ids, order_id->bytes, sizeof(order_id->bytes));
    return number == INTERN_NONE ? NULL : &verify->orders[number];
}

static void compare_lines(struct verify *verify, const struct sum *sum) {
    if (sum->rows == 0)
        return;
    verify->report->checked[CHECK_LINE_ROWS]++;
    struct verify_order *order = find(verify, &sum->order_id);
    if (!order) {
        verify_violation(verify->report, CHECK_LINE_ROWS,
                         "order_lines %s: the log knows no such order",
                         id_text(&sum->order_id).text);
        return;
    }
    order->lines_seen = true;
    if (sum->rows != order->numbers[ORDER_LINES_COUNT] || sum->digest != order->lines_digest)
        verify_violation(verify->report, CHECK_LINE_ROWS,
                         "order_lines %s: %lld rows that are not the %lld lines at "
                         "orders.events[%d] offset %lld",
                         id_text(&sum->order_id).text, (long long)sum->rows,
                         (long long)order->numbers[ORDER_LINES_COUNT], order->partition,
                         (long long)order->offset_first);
}

// Adds a row's digest, closing the sum of the order before.
static void add(struct verify *verify, struct sum *sum, const struct id *order_id, uint64_t digest,
                void (*close)(struct verify *verify, const struct sum *sum)) {
    if (!id_equal(order_id, &sum->order_id)) {
        close(verify, sum);
        *sum = (struct sum){.order_id = *order_id};
    }
    sum->rows++;
    sum->digest += digest;
}

bool verify_model_lines(struct verify_model *model, struct verify *verify, struct error *err) {
    static const char sql[] =
        "SELECT order_id, line_no, sku, quantity, unit_price_minor, price_version FROM order_lines "
        "WHERE order_id >= $1 AND (order_id, line_no) > ($1, $2) ORDER BY order_id, line_no LIMIT "
        "10000";
    struct id last = {{0}};
    int32_t last_line = 0;
    struct sum sum = {.rows = 0};
    for (;;) {
        struct db_params params = {0};
        db_params_uuid(&params, &last);
        db_params_int4(&params, last_line);
        DB_RESULT result = db_query(verify_model_db(model), sql, &params, err);
        if (!result)
            return false;
        const int rows = PQntuples(result);
        for (int row = 0; row < rows; row++) {
            const struct id order_id = db_uuid(result, row, 0);
            const uint64_t digest = verify_line_digest(
                db_int4(result, row, 1), verify_model_text(result, row, 2), db_int8(result, row, 3),
                db_int8(result, row, 4), verify_model_number(result, row, 5));
            add(verify, &sum, &order_id, digest, compare_lines);
        }
        if (rows == 0)
            break;
        last = db_uuid(result, rows - 1, 0);
        last_line = db_int4(result, rows - 1, 1);
    }
    compare_lines(verify, &sum);
    return true;
}

// ---- timeline -----------------------------------------------------------------------------------

// Fields that order_timeline.detail repeats, in the order of the SELECT below.
static const char *const detail_names[] = {"reason",       "detail",    "note",
                                           "sku",          "requested", "available",
                                           "amount_minor", "attempt",   "tracking"};
enum {
    DETAILS_COUNT = sizeof(detail_names) / sizeof(detail_names[0]),
    HEAD_CELLS = 7,
    ROW_CELLS = HEAD_CELLS + DETAILS_COUNT,
};

struct timeline_row {
    struct id event_id;
    uint64_t cells[ROW_CELLS];
};

static uint64_t row_digest(const struct timeline_row *row) {
    return verify_hash(row, sizeof(*row));
}

static const struct field_type *find_field(const struct record_type *type, const char *name) {
    for (size_t i = 0; i < type->fields_count; i++)
        if (strcmp(type->fields[i].name, name) == 0)
            return &type->fields[i];
    return NULL;
}

static uint64_t number_hash(int64_t value) {
    char text[24];
    (void)snprintf(text, sizeof(text), "%lld", (long long)value);
    return verify_hash_text(text);
}

// The field as the text that jsonb's ->> gives.
static uint64_t field_hash(const struct field_type *field, const void *body) {
    const char *value = (const char *)body + field->offset;
    if (field->is_nullable && field->kind != FIELD_STRING && field->kind != FIELD_BYTES &&
        !*((const bool *)((const char *)body + field->aux_offset)))
        return 0;
    switch (field->kind) {
    case FIELD_STRING:
        return verify_hash_view(*(const struct view *)value);
    case FIELD_ENUM:
        return verify_hash_text(field->symbols[*(const unsigned *)value]);
    case FIELD_INT:
        return number_hash(*(const int32_t *)value);
    case FIELD_LONG:
        return number_hash(*(const int64_t *)value);
    default:
        return 0;
    }
}

uint64_t verify_timeline_digest(const struct message *message, const struct log_record *record) {
    const struct record_type *type = record_types[message->type];
    const bool is_refusal = message->type == RECORD_ORDER_COMMAND_REFUSED;
    const struct order_head *head = message->body;
    const struct order_command_refused *refused = message->body;
    struct timeline_row row = {.event_id = head->event_id};
    const int64_t occurred_at = is_refusal ? refused->occurred_at : head->occurred_at;
    const uint64_t cells[] = {
        (uint64_t)record->partition,
        (uint64_t)record->offset,
        verify_hash_view(head->shop_id),
        (uint64_t)(is_refusal ? VERIFY_NULL : head->version),
        verify_hash_text(type->name),
        is_refusal ? 0 : verify_hash_text(order_status_names[head->status]),
        (uint64_t)occurred_at,
    };
    memcpy(row.cells, cells, sizeof(cells));
    for (int i = 0; i < DETAILS_COUNT; i++) {
        const struct field_type *field = find_field(type, detail_names[i]);
        row.cells[HEAD_CELLS + i] = field ? field_hash(field, message->body) : 0;
    }
    return row_digest(&row);
}

static uint64_t result_digest(const PGresult *result, int at) {
    struct timeline_row row = {.event_id = db_uuid(result, at, 8)};
    const uint64_t cells[] = {
        (uint64_t)db_int4(result, at, 1),    (uint64_t)db_int8(result, at, 2),
        verify_model_text(result, at, 3),    (uint64_t)verify_model_number(result, at, 4),
        verify_model_text(result, at, 5),    verify_model_text(result, at, 6),
        (uint64_t)db_time_us(result, at, 7),
    };
    memcpy(row.cells, cells, sizeof(cells));
    for (int i = 0; i < DETAILS_COUNT; i++)
        row.cells[HEAD_CELLS + i] = verify_model_text(result, at, 9 + i);
    return row_digest(&row);
}

static void compare_timeline(struct verify *verify, const struct sum *sum) {
    if (sum->rows == 0)
        return;
    verify->report->checked[CHECK_TIMELINE_ROWS]++;
    struct verify_order *order = find(verify, &sum->order_id);
    if (order)
        order->timeline_seen = true;
    if (!order || sum->rows != order->timeline_count || sum->digest != order->timeline_digest)
        verify_violation(
            verify->report, CHECK_TIMELINE_ROWS,
            "order_timeline %s: %lld rows, by the log %lld (up to the stored offset)%s",
            id_text(&sum->order_id).text, (long long)sum->rows,
            (long long)(order ? order->timeline_count : 0),
            order && sum->rows == order->timeline_count ? ": one of them differs" : "");
}

bool verify_model_timeline(struct verify_model *model, struct verify *verify, struct error *err) {
    static const char sql[] =
        "SELECT order_id, log_partition, log_offset, shop_id, version, type, status, occurred_at, "
        "event_id, detail->>'reason', detail->>'detail', detail->>'note', detail->>'sku', "
        "detail->>'requested', detail->>'available', detail->>'amount_minor', detail->>'attempt', "
        "detail->>'tracking' FROM order_timeline "
        "WHERE order_id >= $1 AND (order_id, log_offset) > ($1, $2) "
        "ORDER BY order_id, log_offset LIMIT 10000";
    struct id last = {{0}};
    int64_t last_offset = -1;
    struct sum sum = {.rows = 0};
    for (;;) {
        struct db_params params = {0};
        db_params_uuid(&params, &last);
        db_params_int8(&params, last_offset);
        DB_RESULT result = db_query(verify_model_db(model), sql, &params, err);
        if (!result)
            return false;
        const int rows = PQntuples(result);
        for (int row = 0; row < rows; row++) {
            const struct id order_id = db_uuid(result, row, 0);
            add(verify, &sum, &order_id, result_digest(result, row), compare_timeline);
        }
        if (rows == 0)
            break;
        last = db_uuid(result, rows - 1, 0);
        last_offset = db_int8(result, rows - 1, 2);
    }
    compare_timeline(verify, &sum);

    for (uint32_t i = 0; i < verify->order_ids.count; i++) {
        const struct verify_order *order = &verify->orders[i];
        if (order->timeline_count > 0 && !order->timeline_seen)
            verify_violation(verify->report, CHECK_TIMELINE_ROWS,
                             "order_timeline %s: no rows, by the log %lld",
                             id_text(&order->id).text, (long long)order->timeline_count);
    }
    return true;
}
