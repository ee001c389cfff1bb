// SPDX-License-Identifier: Apache-2.0
//
// PostgreSQL's side of the comparison: one read-only snapshot, rows fetched in key order, a few
// thousand at a time. Offsets and rows come from the same snapshot, so that the fold up to these
// offsets must be exactly these rows.
#include "verify_model.h"
#include "cli/verify.h"
#include "store/db.h"
#include "store/projection.h"

#include <stdlib.h>
#include <string.h>

enum { PARTITIONS_MAX = 1024 };

static const char *const model_names[] = {"orders", "order_timeline", "inventory", "customers"};
enum { MODELS_COUNT = sizeof(model_names) / sizeof(model_names[0]) };

struct verify_model {
    struct db *db; // owned
    int64_t offsets[MODELS_COUNT][PARTITIONS_MAX];
};

struct db *verify_model_db(struct verify_model *model) {
    return model->db;
}

static bool read_offsets(struct verify_model *model, struct error *err) {
    static const char sql[] = "SELECT projection, partition, next_offset FROM projection_offsets "
                              "WHERE partition < 1024";
    DB_RESULT result = db_query(model->db, sql, NULL, err);
    if (!result)
        return false;
    for (int row = 0; row < PQntuples(result); row++)
        for (int i = 0; i < MODELS_COUNT; i++)
            if (strcmp(PQgetvalue(result, row, 0), model_names[i]) == 0)
                model->offsets[i][db_int4(result, row, 1)] = db_int8(result, row, 2);
    return true;
}

struct verify_model *verify_model_open(const struct config *config, struct error *err) {
    struct verify_model *model = calloc(1, sizeof(*model));
    if (!model)
        return NULL;
    model->db = db_new(config->postgres_dsn, "orderlog verify", NULL);
    if (!model->db || !db_connect(model->db, err) ||
        !db_exec(model->db, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", err) ||
        !read_offsets(model, err)) {
        verify_model_close(model);
        return NULL;
    }
    return model;
}

void verify_model_close(struct verify_model *model) {
    if (!model)
        return;
    db_free(model->db);
    free(model);
}

const int64_t *verify_model_offsets(const struct verify_model *model, const char *projection) {
    for (int i = 0; i < MODELS_COUNT; i++)
        if (strcmp(model_names[i], projection) == 0)
            return model->offsets[i];
    return NULL;
}

uint64_t verify_model_text(const PGresult *result, int row, int column) {
    if (db_is_null(result, row, column))
        return 0;
    return verify_hash(PQgetvalue(result, row, column), (size_t)PQgetlength(result, row, column));
}

int64_t verify_model_number(const PGresult *result, int row, int column) {
    return db_is_null(result, row, column) ? VERIFY_NULL : db_int8(result, row, column);
}

int64_t verify_model_time(const PGresult *result, int row, int column) {
    return db_is_null(result, row, column) ? VERIFY_NULL : db_time_us(result, row, column);
}

// ---- rows of orders and inventory ---------------------------------------------------------------

#define COLUMN_NAME(id, name) #name,
#define TEXT_SQL(id, name) ", " #name "::text"
#define NUMBER_SQL(id, name) ", " #name "::bigint"
#define TIME_SQL(id, name) ", " #name

// A table whose rows are compared column by column: texts first, then numbers, then times, after
// key_columns columns of key.
struct row_shape {
    const char *table;
    enum verify_check check;
    int key_columns;
    const char *const *text_names;
    int texts_count;
    const char *const *number_names; // times at the end
    int numbers_count;
    int times_count;
};

static void describe(char *out, size_t size, int64_t value) {
    if (value == VERIFY_NULL)
        (void)snprintf(out, size, "null");
    else
        (void)snprintf(out, size, "%lld", (long long)value);
}

// Says the first column that differs.
static void compare_row(struct verify_report *report, const struct row_shape *shape,
                        const char *key, const PGresult *result, int row, const uint64_t *texts,
                        const int64_t *numbers, int32_t partition, int64_t offset) {
    for (int i = 0; i < shape->texts_count; i++) {
        const int column = shape->key_columns + i;
        if (verify_model_text(result, row, column) == texts[i])
            continue;
        verify_violation(report, shape->check,
                         "%s %s: %s is %.60s, the log says otherwise (up to partition %d offset "
                         "%lld)",
                         shape->table, key, shape->text_names[i],
                         db_is_null(result, row, column) ? "null" : PQgetvalue(result, row, column),
                         partition, (long long)offset);
        return;
    }
    for (int i = 0; i < shape->numbers_count; i++) {
        const int column = shape->key_columns + shape->texts_count + i;
        const bool is_time = i >= shape->numbers_count - shape->times_count;
        const int64_t value = is_time ? verify_model_time(result, row, column)
                                      : verify_model_number(result, row, column);
        if (value == numbers[i])
            continue;
        char is[24];
        char should[24];
        describe(is, sizeof(is), value);
        describe(should, sizeof(should), numbers[i]);
        verify_violation(
            report, shape->check, "%s %s: %s is %s, by the log %s (up to partition %d offset %lld)",
            shape->table, key, shape->number_names[i], is, should, partition, (long long)offset);
        return;
    }
}

static const char *const order_text_names[] = {ORDER_TEXTS(COLUMN_NAME)};
static const char *const order_number_names[] = {ORDER_NUMBERS(COLUMN_NAME)
                                                     ORDER_TIMES(COLUMN_NAME)};
static const struct row_shape order_shape = {
    .table = "orders",
    .check = CHECK_ORDER_ROWS,
    .key_columns = 1,
    .text_names = order_text_names,
    .texts_count = ORDER_TEXTS_COUNT,
    .number_names = order_number_names,
    .numbers_count = ORDER_NUMBERS_COUNT,
    .times_count = ORDER_NUMBERS_COUNT - ORDER_ORDERED_AT,
};

static void compare_order(struct verify *verify, const PGresult *result, int row) {
    const struct id order_id = db_uuid(result, row, 0);
    verify->report->checked[CHECK_ORDER_ROWS]++;
    const uint32_t number = intern_find(&verify->order_ids, order_id.bytes, sizeof(order_id.bytes));
    if (number == INTERN_NONE || verify->orders[number].numbers[ORDER_VERSION] == 0) {
        verify_violation(verify->report, CHECK_ORDER_ROWS, "orders %s: the log knows no such order",
                         id_text(&order_id).text);
        return;
    }
    struct verify_order *order = &verify->orders[number];
    order->row_seen = true;
    compare_row(verify->report, &order_shape, id_text(&order_id).text, result, row, order->texts,
                order->numbers, order->partition, order->offset_last);
}

static bool fetch_orders(struct verify_model *model, struct verify *verify, struct error *err) {
    static const char sql[] = "SELECT order_id" ORDER_TEXTS(TEXT_SQL) ORDER_NUMBERS(NUMBER_SQL)
        ORDER_TIMES(TIME_SQL) " FROM orders WHERE order_id > $1 ORDER BY order_id LIMIT 5000";
    struct id last = {{0}};
    for (;;) {
        struct db_params params = {0};
        db_params_uuid(&params, &last);
        DB_RESULT result = db_query(model->db, sql, &params, err);
        if (!result)
            return false;
        const int rows = PQntuples(result);
        for (int row = 0; row < rows; row++)
            compare_order(verify, result, row);
        if (rows == 0)
            return true;
        last = db_uuid(result, rows - 1, 0);
    }
}

bool verify_model_orders(struct verify_model *model, struct verify *verify, struct error *err) {
    if (!fetch_orders(model, verify, err) || !verify_model_lines(model, verify, err) ||
        !verify_model_addresses(model, verify, err))
        return false;
    for (uint32_t i = 0; i < verify->order_ids.count; i++) {
        const struct verify_order *order = &verify->orders[i];
        if (order->numbers[ORDER_VERSION] == 0)
            continue;
        if (!order->row_seen)
            verify_violation(verify->report, CHECK_ORDER_ROWS,
                             "orders %s: no row, though it was placed at orders.events[%d] offset "
                             "%lld, which is projected",
                             id_text(&order->id).text, order->partition,
                             (long long)order->offset_first);
        if (!order->address_seen && order->address_digest)
            verify_violation(verify->report, CHECK_ADDRESS_ROWS, "order_addresses %s: no row",
                             id_text(&order->id).text);
        if (!order->lines_seen && order->numbers[ORDER_LINES_COUNT] > 0)
            verify_violation(verify->report, CHECK_LINE_ROWS, "order_lines %s: no rows",
                             id_text(&order->id).text);
    }
    return true;
}

static const char *const sku_text_names[] = {SKU_TEXTS(COLUMN_NAME)};
static const char *const sku_number_names[] = {SKU_NUMBERS(COLUMN_NAME) SKU_TIMES(COLUMN_NAME)};
static const struct row_shape sku_shape = {
    .table = "inventory",
    .check = CHECK_INVENTORY_ROWS,
    .key_columns = 2,
    .text_names = sku_text_names,
    .texts_count = SKU_TEXTS_COUNT,
    .number_names = sku_number_names,
    .numbers_count = SKU_NUMBERS_COUNT,
    .times_count = SKU_NUMBERS_COUNT - SKU_UPDATED_AT,
};

static void compare_sku(struct verify *verify, const PGresult *result, int row) {
    verify->report->checked[CHECK_INVENTORY_ROWS]++;
    char key[TOPIC_KEY_MAX + 1];
    (void)snprintf(key, sizeof(key), "%s/%s", PQgetvalue(result, row, 0),
                   PQgetvalue(result, row, 1));
    const uint32_t number = intern_find(&verify->sku_keys, key, strlen(key));
    if (number == INTERN_NONE || verify->skus[number].numbers[SKU_VERSION] == 0) {
        verify_violation(verify->report, CHECK_INVENTORY_ROWS,
                         "inventory %s: the log knows no such SKU", key);
        return;
    }
    struct verify_sku *sku = &verify->skus[number];
    sku->row_seen = true;
    compare_row(verify->report, &sku_shape, key, result, row, sku->texts, sku->numbers,
                sku->partition, sku->offset_last);
}

bool verify_model_inventory(struct verify_model *model, struct verify *verify, struct error *err) {
    static const char sql[] = "SELECT shop_id, sku" SKU_TEXTS(TEXT_SQL) SKU_NUMBERS(NUMBER_SQL)
        SKU_TIMES(TIME_SQL) " FROM inventory WHERE (shop_id, sku) > ($1, $2) ORDER BY shop_id, sku "
                            "LIMIT 5000";
    char shop_id[TOPIC_KEY_MAX + 1] = "";
    char sku_code[TOPIC_KEY_MAX + 1] = "";
    for (;;) {
        struct db_params params = {0};
        db_params_text(&params, shop_id, strlen(shop_id));
        db_params_text(&params, sku_code, strlen(sku_code));
        DB_RESULT result = db_query(model->db, sql, &params, err);
        if (!result)
            return false;
        const int rows = PQntuples(result);
        for (int row = 0; row < rows; row++)
            compare_sku(verify, result, row);
        if (rows == 0)
            break;
        (void)snprintf(shop_id, sizeof(shop_id), "%s", PQgetvalue(result, rows - 1, 0));
        (void)snprintf(sku_code, sizeof(sku_code), "%s", PQgetvalue(result, rows - 1, 1));
    }
    for (uint32_t i = 0; i < verify->sku_keys.count; i++)
        if (verify->skus[i].numbers[SKU_VERSION] > 0 && !verify->skus[i].row_seen)
            verify_violation(verify->report, CHECK_INVENTORY_ROWS, "inventory %s: no row",
                             intern_bytes(&verify->sku_keys, i, NULL));
    return true;
}
