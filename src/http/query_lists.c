// SPDX-License-Identifier: Apache-2.0
//
// Reads of many things, page by page. A cursor is the key of the last row, so that pages neither
// skip nor repeat when rows are added: where in the order of the list to go on, nothing more, and
// only the server knows how to read it. Each combination of filters has its own index.
#include "query_state.h"

#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "event/types.h"
#include "http/body.h"
#include "http/openapi_limits.h"
#include "http/respond.h"
#include "service/jsonout.h"

enum { CURSOR_TEXT_LEN = 48 };

// What PostgreSQL takes as a time: 4713 BC to 294276 AD, in microseconds since 2000.
#define PG_TIME_US_MIN INT64_C(-211813488000000000)
#define PG_TIME_US_MAX INT64_C(9223371331199999999)

#define SQL_ORDERS(filter)                                                                         \
    "SELECT placed_at, order_id, row_to_json(x)::text FROM ("                                      \
    "SELECT order_id, version, status, customer_id, reference, currency, total_minor, "            \
    "lines_count, placed_at, updated_at FROM orders WHERE shop_id = $1::text "                     \
    "AND placed_at <= $2::timestamptz AND (placed_at < $2::timestamptz OR order_id > "             \
    "$3::uuid) " filter " ORDER BY placed_at DESC, order_id LIMIT $4::int8) x"

// The same rule as in the table, so that its index serves.
#define SQL_STAGE(status)                                                                          \
    "stage = CASE WHEN " status "::text IN ('CANCELLED', 'COMPLETED', 'EXPIRED', "                 \
    "'NEEDS_ATTENTION', 'REJECTED') THEN " status "::text ELSE 'OPEN' END"

static const char *const sql_orders[] = {
    SQL_ORDERS(""),
    SQL_ORDERS("AND customer_id = $5::text"),
    SQL_ORDERS("AND " SQL_STAGE("$5") " AND status = $5::text"),
    SQL_ORDERS("AND customer_id = $5::text AND status = $6::text"),
};

static const char sql_events[] =
    "SELECT log_offset, row_to_json(x)::text FROM ("
    "SELECT version, type, status, occurred_at, event_id, log_partition, log_offset, "
    "detail "
    "FROM order_timeline WHERE order_id = $1::uuid AND shop_id = $2::text "
    "AND log_offset > $3::int8 ORDER BY log_offset LIMIT $4::int8) x";

static bool parse_limit(struct http_request *request, int64_t *ret) {
    const char *text = http_request_query(request, "limit");
    *ret = OPENAPI_PAGE_LIMIT_DEFAULT;
    if (!text)
        return true;
    char *end;
    errno = 0;
    long long limit = strtoll(text, &end, 10);
    if (!errno && *text >= '0' && *text <= '9' && *end == '\0' && limit >= OPENAPI_PAGE_LIMIT_MIN &&
        limit <= OPENAPI_PAGE_LIMIT_MAX) {
        *ret = limit;
        return true;
    }
    respond_refuse(request, PROBLEM_INVALID_PARAMETER, "limit is a number from %d to %d",
                   OPENAPI_PAGE_LIMIT_MIN, OPENAPI_PAGE_LIMIT_MAX);
    return false;
}

static bool refuse_cursor(struct http_request *request) {
    respond_refuse(request, PROBLEM_INVALID_PARAMETER,
                   "cursor is what an earlier page gave as next_cursor");
    return false;
}

static int hex_digit(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

// Absent: false for "begin at the start" is told from a bad one by *ret_given.
static bool parse_cursor(struct http_request *request, uint8_t *bytes, size_t length,
                         bool *ret_given) {
    const char *text = http_request_query(request, "cursor");
    *ret_given = text != NULL;
    if (!text)
        return true;
    if (strlen(text) != 2 * length)
        return refuse_cursor(request);
    for (size_t i = 0; i < length; i++) {
        int high = hex_digit(text[2 * i]);
        int low = hex_digit(text[2 * i + 1]);
        if (high < 0 || low < 0)
            return refuse_cursor(request);
        bytes[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

static void write_cursor(struct jsonout *out, const uint8_t *bytes, size_t length) {
    char text[CURSOR_TEXT_LEN + 1];
    for (size_t i = 0; i < length; i++)
        (void)snprintf(text + 2 * i, 3, "%02x", bytes[i]);
    jsonout_string_n(out, "next_cursor", text, 2 * length);
}

static void add_text(struct db_params *params, const char *text) {
    db_params_text(params, text, strlen(text));
}

static bool check_filters(struct http_request *request, const char *customer, const char *status) {
    size_t length =
        customer ? body_characters(customer, strlen(customer)) : OPENAPI_NAME_LENGTH_MIN;
    if (length < OPENAPI_NAME_LENGTH_MIN || length > OPENAPI_NAME_LENGTH_MAX) {
        respond_refuse(request, PROBLEM_INVALID_PARAMETER, "customer has from %d to %d characters",
                       OPENAPI_NAME_LENGTH_MIN, OPENAPI_NAME_LENGTH_MAX);
        return false;
    }
    if (!status)
        return true;
    for (int i = 0; i < ORDER_STATUS_COUNT; i++)
        if (strcmp(order_status_names[i], status) == 0)
            return true;
    respond_refuse(request, PROBLEM_INVALID_PARAMETER,
                   "status is one of PLACED, AWAITING_PAYMENT, CONFIRMED … as orders show it");
    return false;
}

static void answer_rows(struct http_request *request, struct jsonout *out) {
    size_t length;
    char *body = jsonout_take(out, &length);
    jsonout_done(out);
    if (!body) {
        respond_refuse(request, PROBLEM_UNAVAILABLE, "out of memory");
        return;
    }
    respond_header(request, "Cache-Control", "private, no-cache");
    respond_json_take(request, 200, body, length);
}

static int write_rows(struct jsonout *out, const char *name, const PGresult *result, int column,
                      int64_t limit) {
    int rows = PQntuples(result) > limit ? (int)limit : PQntuples(result);
    jsonout_array_begin(out, name);
    for (int row = 0; row < rows; row++)
        jsonout_raw(out, NULL, PQgetvalue(result, row, column),
                    (size_t)PQgetlength(result, row, column));
    jsonout_array_end(out);
    return rows;
}

// Times that PostgreSQL does not take, which no page of ours has given, are before or after all.
static void keep_time_in_range(uint8_t bytes[8]) {
    uint64_t big_endian;
    memcpy(&big_endian, bytes, sizeof(big_endian));
    int64_t time_us = (int64_t)be64toh(big_endian);
    if (time_us >= PG_TIME_US_MIN && time_us <= PG_TIME_US_MAX)
        return;
    int64_t infinity = time_us > 0 ? INT64_MAX : INT64_MIN;
    memcpy(bytes, &(uint64_t){htobe64((uint64_t)infinity)}, sizeof(uint64_t));
}

bool query_read_orders(struct http_request *request, struct query *query, struct db *db,
                       struct error *err) {
    (void)query;
    // 8 bytes of time as PostgreSQL sends it, and the order id.
    uint8_t cursor[8 + sizeof(struct id)];
    bool has_cursor;
    int64_t limit;
    const char *customer = http_request_query(request, "customer");
    const char *status = http_request_query(request, "status");
    const char *shop = http_request_caller(request)->shop_id;
    if (!parse_limit(request, &limit) ||
        !parse_cursor(request, cursor, sizeof(cursor), &has_cursor) ||
        !check_filters(request, customer, status))
        return true;
    if (!has_cursor) { // later than all
        memset(cursor, 0, sizeof(cursor));
        memset(cursor, 0x7f, 1);
    }
    keep_time_in_range(cursor);
    struct db_params params = {.count = 0};
    add_text(&params, shop);
    db_params_bytes(&params, cursor, 8);
    db_params_bytes(&params, cursor + 8, sizeof(struct id));
    db_params_int8(&params, limit + 1);
    if (customer)
        add_text(&params, customer);
    if (status)
        add_text(&params, status);
    DB_RESULT result =
        db_query(db, sql_orders[(customer ? 1 : 0) | (status ? 2 : 0)], &params, err);
    if (!result)
        return false;
    struct jsonout out;
    jsonout_init(&out);
    jsonout_object_begin(&out, NULL);
    int rows = write_rows(&out, "orders", result, 2, limit);
    if (PQntuples(result) > rows) {
        memcpy(cursor, PQgetvalue(result, rows - 1, 0), 8);
        memcpy(cursor + 8, PQgetvalue(result, rows - 1, 1), sizeof(struct id));
        write_cursor(&out, cursor, sizeof(cursor));
    } else {
        jsonout_null(&out, "next_cursor");
    }
    jsonout_object_end(&out);
    answer_rows(request, &out);
    return true;
}

bool query_read_order_events(struct http_request *request, struct query *query, struct db *db,
                             struct error *err) {
    (void)query;
    uint8_t cursor[8];
    bool has_cursor;
    int64_t limit;
    struct id order_id;
    const char *text = http_request_param(request, "id");
    if (!parse_limit(request, &limit) ||
        !parse_cursor(request, cursor, sizeof(cursor), &has_cursor))
        return true;
    if (!id_parse(text, strlen(text), &order_id)) {
        respond_refuse(request, PROBLEM_NOT_FOUND, "there is no such order");
        return true;
    }
    if (!has_cursor)
        memset(cursor, 0xff, sizeof(cursor)); // -1: before the first offset
    struct db_params params = {.count = 0};
    db_params_uuid(&params, &order_id);
    add_text(&params, http_request_caller(request)->shop_id);
    db_params_bytes(&params, cursor, sizeof(cursor));
    db_params_int8(&params, limit + 1);
    DB_RESULT result = db_query(db, sql_events, &params, err);
    if (!result)
        return false;
    if (PQntuples(result) == 0 && !has_cursor) {
        respond_refuse(request, PROBLEM_NOT_FOUND, "there is no such order");
        return true;
    }
    struct jsonout out;
    jsonout_init(&out);
    jsonout_object_begin(&out, NULL);
    jsonout_string_n(&out, "order_id", id_text(&order_id).text, ID_TEXT_LEN);
    int rows = write_rows(&out, "events", result, 1, limit);
    if (PQntuples(result) > rows)
        write_cursor(&out, (const uint8_t *)PQgetvalue(result, rows - 1, 0), sizeof(cursor));
    else
        jsonout_null(&out, "next_cursor");
    jsonout_object_end(&out);
    answer_rows(request, &out);
    return true;
}
