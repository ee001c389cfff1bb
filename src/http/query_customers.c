// SPDX-License-Identifier: Apache-2.0
//
// Reads of what is personal. PostgreSQL holds it sealed; it is opened here, for callers with the
// scope, with keys of which PostgreSQL knows nothing. Whether a customer was erased is said by the
// keys, at once, not by the read model, which is a little behind.
#include "query_state.h"

#include <stdlib.h>
#include <string.h>

#include "event/codec_inline.h"
#include "http/openapi_limits.h"
#include "http/respond.h"
#include "query_order.h"
#include "query_parameters.h"
#include "service/jsonout.h"

enum { COLUMN_OFFSET, COLUMN_HEAD, COLUMN_ID, COLUMN_KEY, COLUMN_NONCE, COLUMN_TEXT };

static const char sql_customer[] =
    "SELECT log_offset, json_build_object('customer_id', customer_id, 'created_at', created_at, "
    "'updated_at', updated_at)::text, customer_id, key_id, nonce, ciphertext FROM customers "
    "WHERE shop_id = $1::text AND ($2::text IS NULL OR customer_id = $2::text) "
    "AND customer_id = $3::text";

static const char sql_customers[] =
    "SELECT log_offset, json_build_object('customer_id', customer_id, 'created_at', created_at, "
    "'updated_at', updated_at)::text, customer_id, key_id, nonce, ciphertext FROM customers "
    "WHERE shop_id = $1::text AND ($2::text IS NULL OR customer_id = $2::text) "
    "AND customer_id > $3::text AND erased_at IS NULL ORDER BY customer_id LIMIT $4::int8";

static struct view cell(const PGresult *result, int row, int column) {
    return (struct view){PQgetvalue(result, row, column),
                         (uint32_t)PQgetlength(result, row, column)};
}

// Columns key, nonce and text, in this order.
static struct personal sealed_of(const PGresult *result, int row, int column) {
    return (struct personal){.key_id = db_uuid(result, row, column),
                             .nonce = cell(result, row, column + 1),
                             .ciphertext = cell(result, row, column + 2)};
}

// One object out of two.
static void write_joined(struct jsonout *out, struct view head, const char *text, size_t length) {
    size_t size = head.len + length;
    char *joined = malloc(size);
    if (!joined) {
        out->failed = true;
        return;
    }
    memcpy(joined, head.ptr, head.len - 1);
    joined[head.len - 1] = ',';
    memcpy(joined + head.len, text + 1, length - 1);
    jsonout_raw(out, NULL, joined, size - 1);
    seal_forget(joined, size);
    free(joined);
}

static enum personal_state open_customer(const struct query *query, const char *shop,
                                         const PGresult *result, int row, struct jsonout *out) {
    char *text = NULL;
    size_t length = 0;
    if (db_is_null(result, row, COLUMN_KEY))
        return PERSONAL_ERASED;
    const struct personal sealed = sealed_of(result, row, COLUMN_KEY);
    enum personal_state state = personal_open(&query->people, shop, cell(result, row, COLUMN_ID),
                                              personal_of_customer, NULL, &sealed, &text, &length);
    if (state != PERSONAL_OPEN)
        return state;
    write_joined(out, cell(result, row, COLUMN_HEAD), text, length);
    seal_forget(text, length);
    free(text);
    return PERSONAL_OPEN;
}

static bool refuse_unavailable(struct http_request *request, const struct query *query) {
    struct problem problem;
    problem_init(&problem);
    problem.retry_after_s = 1;
    (void)problem_set(&problem, PROBLEM_PERSONAL_DATA_UNAVAILABLE,
                      query->people.keys ? "the customer's key cannot be had now"
                                         : "customers.master.key.file is not set here");
    respond_problem(request, &problem);
    return true;
}

static bool keys_are_known(const struct query *query) {
    return query->people.keys &&
           customer_keys_age_ms(query->people.keys) <= query->people.keys_age_ms_max;
}

static bool is_erased(const struct query *query, const char *shop, const char *customer) {
    struct customer_keys_found found;
    enum customer_keys_state state =
        customer_keys_current(query->people.keys, shop, customer, strlen(customer), &found);
    seal_forget(&found, sizeof(found));
    return state == CUSTOMER_KEYS_ERASED;
}

// --- one ---------------------------------------------------------------------------------------

static void answer_customer(struct http_request *request, const struct query *query,
                            const PGresult *result) {
    struct jsonout out;
    jsonout_init(&out);
    enum personal_state state =
        open_customer(query, http_request_caller(request)->shop_id, result, 0, &out);
    if (state == PERSONAL_OPEN && !out.failed)
        query_answer_json(request, out.bytes, out.length, db_int8(result, 0, COLUMN_OFFSET));
    else if (state == PERSONAL_ERASED)
        respond_refuse(request, PROBLEM_CUSTOMER_ERASED, "there is nothing left of it");
    else
        (void)refuse_unavailable(request, query);
    seal_forget(out.bytes, out.length);
    jsonout_done(&out);
}

bool query_read_customer(struct http_request *request, struct query *query, struct db *db,
                         struct error *err) {
    struct db_params params = {.count = 0};
    const struct http_caller *caller = http_request_caller(request);
    const char *customer = http_request_param(request, "id");
    if (!http_caller_owns(caller, caller->shop_id, customer)) {
        respond_refuse(request, PROBLEM_NOT_FOUND, "there is no such customer");
        return true;
    }
    if (!keys_are_known(query))
        return refuse_unavailable(request, query);
    query_add_caller(&params, request);
    db_params_text(&params, customer, strlen(customer));
    DB_RESULT result = db_query(db, sql_customer, &params, err);
    if (!result)
        return false;
    if (is_erased(query, caller->shop_id, customer))
        respond_refuse(request, PROBLEM_CUSTOMER_ERASED, "there is nothing left of it");
    else if (PQntuples(result) == 0)
        respond_refuse(request, PROBLEM_NOT_FOUND, "there is no such customer");
    else
        answer_customer(request, query, result);
    return true;
}

// --- many --------------------------------------------------------------------------------------

static void write_customer(struct jsonout *out, const struct query *query, const char *shop,
                           const PGresult *result, int row) {
    static const char unavailable[] = "{\"unavailable\":true}";
    // What is erased is not there, though the read model has not heard of it yet.
    if (open_customer(query, shop, result, row, out) == PERSONAL_UNAVAILABLE)
        write_joined(out, cell(result, row, COLUMN_HEAD), unavailable, sizeof(unavailable) - 1);
}

// What PostgreSQL takes as text.
static bool is_text(const uint8_t *bytes, size_t length) {
    return codec_utf8_is_valid(bytes, length) && !memchr(bytes, '\0', length);
}

bool query_read_customers(struct http_request *request, struct query *query, struct db *db,
                          struct error *err) {
    uint8_t cursor[CUSTOMER_ID_MAX];
    size_t cursor_length = 0;
    int64_t limit = OPENAPI_PAGE_LIMIT_DEFAULT;
    struct db_params params = {.count = 0};
    const char *shop = http_request_caller(request)->shop_id;
    if (!keys_are_known(query))
        return refuse_unavailable(request, query);
    if (!query_parameter_number(request, "limit", OPENAPI_PAGE_LIMIT_MIN, OPENAPI_PAGE_LIMIT_MAX,
                                &limit) ||
        !query_parse_cursor(request, cursor, 1, sizeof(cursor), &cursor_length) ||
        (!is_text(cursor, cursor_length) && !query_refuse_cursor(request)))
        return true;
    query_add_caller(&params, request);
    db_params_text(&params, (const char *)cursor, cursor_length);
    db_params_int8(&params, limit + 1);
    DB_RESULT result = db_query(db, sql_customers, &params, err);
    if (!result)
        return false;
    struct jsonout out;
    jsonout_init(&out);
    jsonout_object_begin(&out, NULL);
    jsonout_array_begin(&out, "customers");
    int rows = PQntuples(result) > limit ? (int)limit : PQntuples(result);
    for (int row = 0; row < rows; row++)
        write_customer(&out, query, shop, result, row);
    jsonout_array_end(&out);
    if (PQntuples(result) > rows)
        query_write_cursor(&out, PQgetvalue(result, rows - 1, COLUMN_ID),
                           (size_t)PQgetlength(result, rows - 1, COLUMN_ID));
    else
        jsonout_null(&out, "next_cursor");
    jsonout_object_end(&out);
    query_answer_list(request, &out);
    return true;
}

// --- addresses of orders -----------------------------------------------------------------------

bool query_shows_addresses(const struct query *query, const struct http_request *request) {
    return query->people.keys && (http_request_caller(request)->scopes & SCOPE_CUSTOMERS_READ);
}

static void write_address(struct jsonout *out, const struct query *query, const struct id *order_id,
                          const PGresult *result, int row) {
    static const char erased[] = "{\"erased\":true}";
    static const char unavailable[] = "{\"unavailable\":true}";
    char *text = NULL;
    size_t length = 0;
    struct view customer;
    struct personal sealed;
    if (!query_order_address(result, row, &customer, &sealed)) {
        jsonout_null(out, "shipping_address");
        return;
    }
    switch (personal_open(&query->people, query_order_shop(result, row), customer,
                          personal_of_order, order_id, &sealed, &text, &length)) {
    case PERSONAL_OPEN:
        jsonout_raw(out, "shipping_address", text, length);
        seal_forget(text, length);
        free(text);
        break;
    case PERSONAL_ERASED:
        jsonout_raw(out, "shipping_address", erased, sizeof(erased) - 1);
        break;
    case PERSONAL_UNAVAILABLE:
        jsonout_raw(out, "shipping_address", unavailable, sizeof(unavailable) - 1);
        break;
    }
}

void query_answer_addressed(struct http_request *request, const struct query *query,
                            const PGresult *result, int row, struct view json) {
    const struct id order_id = query_order_id(result, row);
    struct jsonout address;
    struct jsonout out;
    jsonout_init(&address);
    jsonout_init(&out);
    jsonout_object_begin(&address, NULL);
    write_address(&address, query, &order_id, result, row);
    jsonout_object_end(&address);
    if (!address.failed)
        write_joined(&out, json, address.bytes, address.length);
    if (address.failed || out.failed)
        respond_refuse(request, PROBLEM_UNAVAILABLE, "out of memory");
    else
        query_answer_json(request, out.bytes, out.length, query_order_version(result, row));
    seal_forget(address.bytes, address.length);
    seal_forget(out.bytes, out.length);
    jsonout_done(&address);
    jsonout_done(&out);
}
