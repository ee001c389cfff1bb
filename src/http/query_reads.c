// SPDX-License-Identifier: Apache-2.0
//
// Reads of one thing: an order, a SKU, a command. PostgreSQL writes the JSON; every query names the
// caller's shop.
#include "query_state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "http/respond.h"

static const char sql_order[] =
    "SELECT version, row_to_json(x)::text FROM ("
    "SELECT order_id, version, status, reservation_status, payment_status, shipment_status, "
    "customer_id, reference, currency, items_minor, discount_minor, shipping_minor, tax_minor, "
    "total_minor, captured_minor, close_reason, close_detail, case_reason, tracking, ordered_at, "
    "placed_at, confirmed_at, dispatched_at, delivered_at, closed_at, updated_at, "
    "(SELECT json_agg(l) FROM (SELECT sku, quantity, unit_price_minor, price_version "
    "FROM order_lines WHERE order_id = o.order_id ORDER BY line_no) l) AS lines "
    "FROM orders o WHERE order_id = $1::uuid AND shop_id = $2::text) x";

static const char sql_inventory[] =
    "SELECT version, row_to_json(x)::text FROM ("
    "SELECT sku, version, name, currency, price_minor, price_version, on_hand, reserved, "
    "on_hand - reserved AS available, sold, updated_at "
    "FROM inventory WHERE shop_id = $1::text AND sku = $2::text) x";

static const char sql_command[] =
    "SELECT -1::int8, row_to_json(x)::text FROM ("
    "SELECT command_id, outcome, reason, detail, event_type, order_id, version, occurred_at "
    "FROM order_commands WHERE command_id = $1::uuid AND shop_id = $2::text) x "
    "UNION ALL "
    "SELECT -1::int8, row_to_json(x)::text FROM ("
    "SELECT command_id, outcome, reason, detail, event_type, sku, version, occurred_at "
    "FROM stock_commands WHERE command_id = $1::uuid AND shop_id = $2::text) x";

// If-None-Match: a list of tags, weak ones too, or a star.
static bool is_known_to_caller(struct http_request *request, const char *tag) {
    const char *header = http_request_header(request, "If-None-Match");
    if (!header)
        return false;
    size_t length = strlen(tag);
    for (const char *at = header; *at;) {
        at += strspn(at, " \t,");
        if (strncmp(at, "W/", 2) == 0)
            at += 2;
        size_t item = strcspn(at, " \t,");
        if ((item == 1 && *at == '*') || (item == length && strncmp(at, tag, length) == 0))
            return true;
        at += item;
    }
    return false;
}

void query_answer_json(struct http_request *request, const char *json, size_t length,
                       int64_t version) {
    char tag[32];
    respond_header(request, "Cache-Control", "private, no-cache");
    if (version >= 0) {
        (void)snprintf(tag, sizeof(tag), "\"%lld\"", (long long)version);
        respond_header(request, "ETag", "%s", tag);
        if (is_known_to_caller(request, tag)) {
            respond_empty(request, 304);
            return;
        }
    }
    char *body = malloc(length + 1);
    if (!body) {
        respond_refuse(request, PROBLEM_UNAVAILABLE, "out of memory");
        return;
    }
    memcpy(body, json, length);
    body[length] = '\n';
    respond_json_take(request, 200, body, length + 1);
}

static bool answer_row(struct http_request *request, struct db *db, const char *sql,
                       const struct db_params *params, const char *what, struct error *err) {
    DB_RESULT result = db_query(db, sql, params, err);
    if (!result)
        return false;
    if (PQntuples(result) == 0)
        respond_refuse(request, PROBLEM_NOT_FOUND, "there is no such %s", what);
    else
        query_answer_json(request, PQgetvalue(result, 0, 1), (size_t)PQgetlength(result, 0, 1),
                          db_int8(result, 0, 0));
    return true;
}

static void add_shop(struct db_params *params, struct http_request *request) {
    const char *shop = http_request_caller(request)->shop_id;
    db_params_text(params, shop, strlen(shop));
}

// What is no id cannot be there.
static bool answer_by_id(struct http_request *request, struct db *db, const char *sql,
                         const char *what, struct error *err) {
    struct id id;
    struct db_params params = {.count = 0};
    const char *text = http_request_param(request, "id");
    if (!id_parse(text, strlen(text), &id)) {
        respond_refuse(request, PROBLEM_NOT_FOUND, "there is no such %s", what);
        return true;
    }
    db_params_uuid(&params, &id);
    add_shop(&params, request);
    return answer_row(request, db, sql, &params, what, err);
}

bool query_read_order(struct http_request *request, struct db *db, struct error *err) {
    return answer_by_id(request, db, sql_order, "order", err);
}

bool query_read_command(struct http_request *request, struct db *db, struct error *err) {
    return answer_by_id(request, db, sql_command, "command, or its outcome is not known yet", err);
}

bool query_read_inventory(struct http_request *request, struct db *db, struct error *err) {
    struct db_params params = {.count = 0};
    const char *sku = http_request_param(request, "sku");
    add_shop(&params, request);
    db_params_text(&params, sku, strlen(sku));
    return answer_row(request, db, sql_inventory, &params, "SKU", err);
}
