// SPDX-License-Identifier: Apache-2.0
//
// Reads of many things, page by page. A cursor is the key of the last row, so that pages neither
// skip nor repeat when rows are added: where in the order of the list to go on, nothing more, and
// only the server knows how to read it. Each combination of filters has an index that gives its
// rows in the order of the list: by when an order was placed, which never changes, so that an order
// that is changed between two pages stays where it was.
#include "query_parameters.h"

#include <endian.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "event/types.h"
#include "http/openapi_limits.h"
#include "http/respond.h"
#include "service/jsonout.h"

// What PostgreSQL takes as a time: 4713 BC to 294276 AD, in microseconds since 2000.
#define PG_TIME_US_MIN INT64_C(-211813488000000000)
#define PG_TIME_US_MAX INT64_C(9223371331199999999)

#define SQL_ORDERS(filter)                                                                         \
    "SELECT placed_at, order_id, row_to_json(x)::text FROM ("                                      \
    "SELECT order_id, version, status, customer_id, reference, currency, total_minor, "            \
    "lines_count, placed_at, updated_at FROM orders WHERE shop_id = $1::text "                     \
    "AND placed_at <= $2::timestamptz AND (placed_at < $2::timestamptz OR order_id > "             \
    "$3::uuid) AND placed_at >= $5::timestamptz " filter                                           \
    " ORDER BY placed_at DESC, order_id LIMIT $4::int8) x"

// The same rule as in the table, so that its index serves.
#define SQL_STAGE(status)                                                                          \
    "stage = CASE WHEN " status "::text IN ('CANCELLED', 'COMPLETED', 'EXPIRED', "                 \
    "'NEEDS_ATTENTION', 'REJECTED') THEN " status "::text ELSE 'OPEN' END"

#define SQL_STATUS(status) "AND " SQL_STAGE(status) " AND status = " status "::text "

// By which filters are given.
enum { BY_CUSTOMER = 1, BY_STATUS = 2, BY_REFERENCE = 4, FILTERS = 8 };
static const char *const sql_orders[FILTERS] = {
    [0] = SQL_ORDERS(""),
    [BY_CUSTOMER] = SQL_ORDERS("AND customer_id = $6::text "),
    [BY_STATUS] = SQL_ORDERS(SQL_STATUS("$6")),
    [BY_CUSTOMER | BY_STATUS] = SQL_ORDERS("AND customer_id = $6::text AND status = $7::text "),
    [BY_REFERENCE] = SQL_ORDERS("AND reference = $6::text "),
    [BY_CUSTOMER | BY_REFERENCE] =
        SQL_ORDERS("AND customer_id = $6::text AND reference = $7::text "),
    [BY_STATUS | BY_REFERENCE] = SQL_ORDERS("AND status = $6::text AND reference = $7::text "),
    [BY_CUSTOMER | BY_STATUS | BY_REFERENCE] =
        SQL_ORDERS("AND customer_id = $6::text AND status = $7::text AND reference = $8::text "),
};

const char *query_list_statement(size_t index) {
    return index < FILTERS ? sql_orders[index] : NULL;
}

static const char sql_events[] =
    "SELECT log_offset, row_to_json(x)::text FROM ("
    "SELECT version, type, status, occurred_at, event_id, log_partition, log_offset, "
    "detail "
    "FROM order_timeline WHERE order_id = $1::uuid AND shop_id = $2::text "
    "AND ($3::text IS NULL OR EXISTS (SELECT FROM orders o WHERE o.order_id = $1::uuid "
    "AND o.shop_id = $2::text AND o.customer_id = $3::text)) "
    // Asked by somebody of whom the order must not hear, and who must not hear of it.
    "AND (type <> 'OrderCommandRefused' OR detail->>'reason' <> 'UNKNOWN_ORDER') "
    "AND log_offset > $4::int8 ORDER BY log_offset LIMIT $5::int8) x";

bool query_refuse_cursor(struct http_request *request) {
    respond_refuse(request, PROBLEM_INVALID_PARAMETER,
                   "cursor is what an earlier page gave as next_cursor");
    return false;
}

static int hex_digit(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool query_parse_cursor(struct http_request *request, uint8_t *bytes, size_t min, size_t max,
                        size_t *ret_length) {
    const char *text = http_request_query(request, "cursor");
    const size_t length = text ? strlen(text) / 2 : 0;
    *ret_length = length;
    if (!text)
        return true;
    if (length < min || length > max || strlen(text) != 2 * length)
        return query_refuse_cursor(request);
    for (size_t i = 0; i < length; i++) {
        int high = hex_digit(text[2 * i]);
        int low = hex_digit(text[2 * i + 1]);
        if (high < 0 || low < 0)
            return query_refuse_cursor(request);
        bytes[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

// Absent: false for "begin at the start" is told from a bad one by *ret_given.
static bool parse_cursor(struct http_request *request, uint8_t *bytes, size_t length,
                         bool *ret_given) {
    size_t given;
    bool ok = query_parse_cursor(request, bytes, length, length, &given);
    *ret_given = given > 0;
    return ok;
}

void query_write_cursor(struct jsonout *out, const void *bytes, size_t length) {
    char text[2 * QUERY_CURSOR_MAX + 1];
    for (size_t i = 0; i < length; i++)
        (void)snprintf(text + 2 * i, 3, "%02x", ((const uint8_t *)bytes)[i]);
    jsonout_string_n(out, "next_cursor", text, 2 * length);
}

static void add_text(struct db_params *params, const char *text) {
    db_params_text(params, text, strlen(text));
}

static bool check_status(struct http_request *request, const char *status) {
    if (!status)
        return true;
    for (int i = 0; i < ORDER_STATUS_COUNT; i++)
        if (strcmp(order_status_names[i], status) == 0)
            return true;
    respond_refuse(request, PROBLEM_INVALID_PARAMETER,
                   "status is one of PLACED, AWAITING_PAYMENT, CONFIRMED … as orders show it");
    return false;
}

void query_answer_list(struct http_request *request, struct jsonout *out) {
    size_t length;
    char *body = jsonout_take(out, &length);
    jsonout_done(out);
    if (!body) {
        respond_refuse(request, PROBLEM_UNAVAILABLE, "out of memory");
        return;
    }
    respond_header_text(request, "Cache-Control", "private, no-cache");
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

// What a list of orders is asked for.
struct orders_wanted {
    int64_t limit;
    int64_t from_us;        // placed from then on
    int64_t to_us;          // placed before
    const char *customer;   // NULL: any
    const char *status;     // likewise
    const char *reference;  // likewise
    uint8_t cursor[8 + 16]; // time as PostgreSQL sends it, and the order id: what comes after
};

// Times that PostgreSQL does not take, which no page of ours has given, are before or after all.
static int64_t within_range(int64_t time_us) {
    if (time_us >= PG_TIME_US_MIN && time_us <= PG_TIME_US_MAX)
        return time_us;
    return time_us > 0 ? INT64_MAX : INT64_MIN;
}

static bool parse_orders_cursor(struct http_request *request, struct orders_wanted *wanted) {
    bool has_cursor;
    int64_t time = INT64_MAX;
    _Static_assert(sizeof(struct id) == 16, "the cursor has room for it");
    if (!parse_cursor(request, wanted->cursor, sizeof(wanted->cursor), &has_cursor))
        return false;
    if (has_cursor) {
        memcpy(&time, wanted->cursor, sizeof(time));
        time = within_range((int64_t)be64toh((uint64_t)time));
        memcpy(wanted->cursor, &(uint64_t){htobe64((uint64_t)time)}, sizeof(time));
    }
    const int64_t before = wanted->to_us == INT64_MAX ? INT64_MAX : wanted->to_us - DB_EPOCH_US;
    if (has_cursor && time < before)
        return true;
    // No order of that time comes after the highest id there is.
    memcpy(wanted->cursor, &(uint64_t){htobe64((uint64_t)before)}, 8);
    memset(wanted->cursor + 8, 0xff, sizeof(struct id));
    return true;
}

static bool parse_orders_wanted(struct http_request *request, struct orders_wanted *wanted) {
    *wanted = (struct orders_wanted){
        .limit = OPENAPI_PAGE_LIMIT_DEFAULT, .from_us = INT64_MIN, .to_us = INT64_MAX};
    wanted->status = http_request_query(request, "status");
    return query_parameter_number(request, "limit", OPENAPI_PAGE_LIMIT_MIN, OPENAPI_PAGE_LIMIT_MAX,
                                  &wanted->limit) &&
           query_parameter_time(request, "placed_from", &wanted->from_us) &&
           query_parameter_time(request, "placed_to", &wanted->to_us) &&
           query_parameter_text(request, "customer", OPENAPI_NAME_LENGTH_MAX, &wanted->customer) &&
           query_parameter_text(request, "reference", OPENAPI_NAME_LENGTH_MAX,
                                &wanted->reference) &&
           check_status(request, wanted->status) && parse_orders_cursor(request, wanted);
}

static PGresult *find_orders(struct db *db, const char *shop, const struct orders_wanted *wanted,
                             struct error *err) {
    const char *const filters[] = {wanted->customer, wanted->status, wanted->reference};
    size_t combination = 0;
    struct db_params params = {.count = 0};
    add_text(&params, shop);
    db_params_bytes(&params, wanted->cursor, 8);
    db_params_bytes(&params, wanted->cursor + 8, sizeof(struct id));
    db_params_int8(&params, wanted->limit + 1);
    db_params_int8(&params,
                   wanted->from_us == INT64_MIN ? INT64_MIN : wanted->from_us - DB_EPOCH_US);
    for (size_t i = 0; i < sizeof(filters) / sizeof(filters[0]); i++) {
        if (!filters[i])
            continue;
        add_text(&params, filters[i]);
        combination |= (size_t)1 << i;
    }
    return db_query(db, sql_orders[combination], &params, err);
}

static void answer_no_orders(struct http_request *request) {
    struct jsonout out;
    jsonout_init(&out);
    jsonout_object_begin(&out, NULL);
    jsonout_array_begin(&out, "orders");
    jsonout_array_end(&out);
    jsonout_null(&out, "next_cursor");
    jsonout_object_end(&out);
    query_answer_list(request, &out);
}

bool query_read_orders(struct http_request *request, struct query *query, struct db *db,
                       struct error *err) {
    (void)query;
    struct orders_wanted wanted;
    const struct http_caller *caller = http_request_caller(request);
    if (!parse_orders_wanted(request, &wanted))
        return true;
    if (wanted.customer && !http_caller_owns(caller, caller->shop_id, wanted.customer)) {
        answer_no_orders(request);
        return true;
    }
    if (http_caller_is_customer(caller))
        wanted.customer = caller->customer_id;
    DB_RESULT result = find_orders(db, caller->shop_id, &wanted, err);
    if (!result)
        return false;
    struct jsonout out;
    jsonout_init(&out);
    jsonout_object_begin(&out, NULL);
    int rows = write_rows(&out, "orders", result, 2, wanted.limit);
    if (PQntuples(result) > rows) {
        memcpy(wanted.cursor, PQgetvalue(result, rows - 1, 0), 8);
        memcpy(wanted.cursor + 8, PQgetvalue(result, rows - 1, 1), sizeof(struct id));
        query_write_cursor(&out, wanted.cursor, sizeof(wanted.cursor));
    } else {
        jsonout_null(&out, "next_cursor");
    }
    jsonout_object_end(&out);
    query_answer_list(request, &out);
    return true;
}

bool query_read_order_events(struct http_request *request, struct query *query, struct db *db,
                             struct error *err) {
    (void)query;
    uint8_t cursor[8];
    bool has_cursor;
    int64_t limit = OPENAPI_PAGE_LIMIT_DEFAULT;
    struct id order_id;
    const char *text = http_request_param(request, "id");
    if (!query_parameter_number(request, "limit", OPENAPI_PAGE_LIMIT_MIN, OPENAPI_PAGE_LIMIT_MAX,
                                &limit) ||
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
    query_add_caller(&params, request);
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
        query_write_cursor(&out, PQgetvalue(result, rows - 1, 0), sizeof(cursor));
    else
        jsonout_null(&out, "next_cursor");
    jsonout_object_end(&out);
    query_answer_list(request, &out);
    return true;
}
