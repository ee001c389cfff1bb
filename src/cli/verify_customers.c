// SPDX-License-Identifier: Apache-2.0
//
// What is sealed: rows of the read models against the log, byte for byte. Nothing is opened here.
#include "cli/verify.h"
#include "verify_model.h"

#include <stdlib.h>
#include <string.h>

enum { ARENA_BYTES_MAX = 16 << 20 };

uint64_t verify_sealed_digest(const struct personal *sealed) {
    const uint64_t cells[] = {verify_hash(sealed->key_id.bytes, sizeof(sealed->key_id.bytes)),
                              verify_hash(sealed->nonce.ptr, sealed->nonce.len),
                              verify_hash(sealed->ciphertext.ptr, sealed->ciphertext.len)};
    return verify_hash(cells, sizeof(cells));
}

// Columns key id, nonce and ciphertext from this one on.
static uint64_t row_digest(const PGresult *result, int row, int column) {
    const struct personal sealed = {
        .key_id = db_uuid(result, row, column),
        .nonce = {PQgetvalue(result, row, column + 1),
                  (uint32_t)PQgetlength(result, row, column + 1)},
        .ciphertext = {PQgetvalue(result, row, column + 2),
                       (uint32_t)PQgetlength(result, row, column + 2)},
    };
    return verify_sealed_digest(&sealed);
}

// ---- addresses of orders ------------------------------------------------------------------------

static void compare_address(struct verify *verify, const PGresult *result, int row) {
    const struct id order_id = db_uuid(result, row, 0);
    const uint32_t number = intern_find(&verify->order_ids, order_id.bytes, sizeof(order_id.bytes));
    verify->report->checked[CHECK_ADDRESS_ROWS]++;
    if (number == INTERN_NONE) {
        verify_violation(verify->report, CHECK_ADDRESS_ROWS,
                         "order_addresses %s: the log knows no such order",
                         id_text(&order_id).text);
        return;
    }
    struct verify_order *order = &verify->orders[number];
    order->address_seen = true;
    if (row_digest(result, row, 3) != order->address_digest ||
        verify_model_text(result, row, 1) != order->texts[ORDER_SHOP_ID] ||
        verify_model_text(result, row, 2) != order->texts[ORDER_CUSTOMER_ID])
        verify_violation(verify->report, CHECK_ADDRESS_ROWS,
                         "order_addresses %s: it is not what was placed at orders.events[%d] "
                         "offset %lld",
                         id_text(&order_id).text, order->partition, (long long)order->offset_first);
}

bool verify_model_addresses(struct verify_model *model, struct verify *verify, struct error *err) {
    static const char sql[] =
        "SELECT order_id, shop_id, customer_id, key_id, nonce, ciphertext FROM order_addresses "
        "WHERE order_id > $1 ORDER BY order_id LIMIT 5000";
    struct id last = {{0}};
    for (;;) {
        struct db_params params = {0};
        db_params_uuid(&params, &last);
        DB_RESULT result = db_query(verify_model_db(model), sql, &params, err);
        if (!result)
            return false;
        const int rows = PQntuples(result);
        for (int row = 0; row < rows; row++)
            compare_address(verify, result, row);
        if (rows == 0)
            return true;
        last = db_uuid(result, rows - 1, 0);
    }
}

// ---- customers ----------------------------------------------------------------------------------

struct kept_customer {
    uint64_t digest; // of what is sealed; 0: nothing
    int64_t updated_at;
    int64_t offset;
    int32_t partition;
    bool row_seen;
};

struct register_fold {
    struct intern names;
    struct kept_customer *customers; // owned
    uint32_t capacity;
};

static struct kept_customer *keep(struct register_fold *fold, const struct customer *record) {
    char name[TOPIC_KEY_MAX];
    if (record->shop_id.len > TOPIC_NAME_MAX || record->customer_id.len > TOPIC_NAME_MAX)
        return NULL;
    const size_t length = topic_sku_key(record->shop_id.ptr, record->shop_id.len,
                                        record->customer_id.ptr, record->customer_id.len, name);
    const uint32_t number = intern_add(&fold->names, name, length);
    if (number == INTERN_NONE)
        return NULL;
    if (number >= fold->capacity) {
        const uint32_t capacity = fold->capacity ? fold->capacity * 2 : 1024;
        struct kept_customer *customers =
            realloc(fold->customers, capacity * sizeof(*fold->customers));
        if (!customers)
            return NULL;
        fold->customers = customers;
        fold->capacity = capacity;
    }
    return &fold->customers[number];
}

static void take(struct register_fold *fold, struct verify *verify, const struct log_record *record,
                 struct arena *arena) {
    struct message message;
    struct error ignored;
    arena_reset(arena);
    verify->records[TOPIC_CUSTOMERS]++;
    if (!record->value ||
        !message_decode(verify->ids, record->value, record->value_len, arena, &message, &ignored) ||
        message.type != RECORD_CUSTOMER) {
        verify->foreign[TOPIC_CUSTOMERS]++;
        return;
    }
    const struct customer *customer = message.body;
    struct kept_customer *kept = keep(fold, customer);
    if (kept)
        *kept = (struct kept_customer){
            .digest = customer->has_personal ? verify_sealed_digest(&customer->personal) : 0,
            .updated_at = customer->updated_at,
            .offset = record->offset,
            .partition = record->partition};
}

static bool fold_register(struct register_fold *fold, struct verify *verify, const int64_t *until,
                          struct error *err) {
    struct log_reader *reader =
        log_reader_open(verify->config, TOPIC_CUSTOMERS, LOG_READER_ALL, err);
    if (!reader)
        return false;
    log_reader_bound(reader, NULL, until);
    struct arena arena;
    arena_init(&arena, ARENA_BYTES_MAX);
    enum log_reader_result result = LOG_READER_RECORD;
    while (result == LOG_READER_RECORD) {
        struct log_record record;
        result = log_reader_next(reader, 0, &record, err);
        if (result == LOG_READER_RECORD)
            take(fold, verify, &record, &arena);
    }
    arena_done(&arena);
    log_reader_close(reader);
    return result == LOG_READER_END;
}

static void compare_customer(struct register_fold *fold, struct verify *verify,
                             const PGresult *result, int row) {
    char name[TOPIC_KEY_MAX + 1];
    const int length = snprintf(name, sizeof(name), "%s/%s", PQgetvalue(result, row, 0),
                                PQgetvalue(result, row, 1));
    const uint32_t number = intern_find(&fold->names, name, (size_t)length);
    verify->report->checked[CHECK_REGISTER_ROWS]++;
    if (number == INTERN_NONE) {
        verify_violation(verify->report, CHECK_REGISTER_ROWS,
                         "customers %s: the register knows no such customer", name);
        return;
    }
    struct kept_customer *kept = &fold->customers[number];
    const uint64_t digest = db_is_null(result, row, 2) ? 0 : row_digest(result, row, 2);
    kept->row_seen = true;
    if (digest != kept->digest || db_time_us(result, row, 5) != kept->updated_at ||
        db_int8(result, row, 6) != kept->offset)
        verify_violation(verify->report, CHECK_REGISTER_ROWS,
                         "customers %s: it is not the record at customers[%d] offset %lld", name,
                         kept->partition, (long long)kept->offset);
}

static bool compare_customers(struct register_fold *fold, struct verify_model *model,
                              struct verify *verify, struct error *err) {
    static const char sql[] =
        "SELECT shop_id, customer_id, key_id, nonce, ciphertext, updated_at, log_offset "
        "FROM customers WHERE (shop_id, customer_id) > ($1, $2) ORDER BY shop_id, customer_id "
        "LIMIT 5000";
    char shop[TOPIC_KEY_MAX + 1] = "";
    char customer[TOPIC_KEY_MAX + 1] = "";
    for (;;) {
        struct db_params params = {0};
        db_params_text(&params, shop, strlen(shop));
        db_params_text(&params, customer, strlen(customer));
        DB_RESULT result = db_query(verify_model_db(model), sql, &params, err);
        if (!result)
            return false;
        const int rows = PQntuples(result);
        for (int row = 0; row < rows; row++)
            compare_customer(fold, verify, result, row);
        if (rows == 0)
            return true;
        (void)snprintf(shop, sizeof(shop), "%s", PQgetvalue(result, rows - 1, 0));
        (void)snprintf(customer, sizeof(customer), "%s", PQgetvalue(result, rows - 1, 1));
    }
}

bool verify_model_customers(struct verify_model *model, struct verify *verify, struct error *err) {
    struct register_fold fold = {0};
    bool ok = fold_register(&fold, verify, verify_model_offsets(model, "customers"), err) &&
              compare_customers(&fold, model, verify, err);
    for (uint32_t i = 0; ok && i < fold.names.count; i++)
        if (!fold.customers[i].row_seen)
            verify_violation(verify->report, CHECK_REGISTER_ROWS, "customers %s: no row",
                             intern_bytes(&fold.names, i, NULL));
    intern_done(&fold.names);
    free(fold.customers);
    return ok;
}
