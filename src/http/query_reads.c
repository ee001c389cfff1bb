// SPDX-License-Identifier: Apache-2.0
//
// Reads of one thing: an order, a SKU, a command. PostgreSQL writes the JSON; every query names the
// caller's shop, and customer if the caller is one.
#include "query_state.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "http/respond.h"

static const char sql_inventory[] =
    "SELECT version, row_to_json(x)::text FROM ("
    "SELECT sku, version, name, currency, price_minor, price_version, on_hand, reserved, "
    "on_hand - reserved AS available, sold, updated_at "
    "FROM inventory WHERE shop_id = $1::text AND sku = $2::text) x";

static const char sql_command[] =
    "SELECT -1::int8, row_to_json(x)::text FROM ("
    "SELECT command_id, outcome, reason, detail, event_type, order_id, version, occurred_at "
    "FROM order_commands c WHERE $4::bool AND command_id = $1::uuid AND shop_id = $2::text "
    "AND ($3::text IS NULL OR customer_id = $3::text OR EXISTS (SELECT FROM orders o "
    "WHERE o.order_id = c.order_id AND o.shop_id = $2::text AND o.customer_id = $3::text))) x "
    "UNION ALL "
    "SELECT -1::int8, row_to_json(x)::text FROM ("
    "SELECT command_id, outcome, reason, detail, event_type, sku, version, occurred_at "
    "FROM stock_commands WHERE $5::bool AND $3::text IS NULL "
    "AND command_id = $1::uuid AND shop_id = $2::text) x "
    "UNION ALL "
    "SELECT -1::int8, row_to_json(x)::text FROM ("
    "SELECT command_id, outcome, NULL::text AS reason, NULL::text AS detail, "
    "CASE WHEN is_erasure THEN 'CustomerErased' ELSE 'Customer' END AS event_type, customer_id, "
    "NULL::int8 AS version, occurred_at "
    "FROM customer_commands WHERE $6::bool AND command_id = $1::uuid AND shop_id = $2::text "
    "AND ($3::text IS NULL OR customer_id = $3::text)) x";

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

static void add_headers(struct http_request *request, int64_t version) {
    respond_header_text(request, "Cache-Control", "private, no-cache");
    if (version >= 0)
        respond_header(request, "ETag", "\"%lld\"", (long long)version);
}

static void answer_not_modified(struct http_request *request, int64_t version) {
    add_headers(request, version);
    respond_empty(request, 304);
}

void query_answer_json(struct http_request *request, const char *json, size_t length,
                       int64_t version) {
    char tag[32];
    (void)snprintf(tag, sizeof(tag), "\"%lld\"", (long long)version);
    if (version >= 0 && is_known_to_caller(request, tag)) {
        answer_not_modified(request, version);
        return;
    }
    add_headers(request, version);
    char *body = malloc(length + 1);
    if (!body) {
        respond_refuse(request, PROBLEM_UNAVAILABLE, "out of memory");
        return;
    }
    memcpy(body, json, length);
    body[length] = '\n';
    respond_json_take(request, 200, body, length + 1);
}

// The row's version and JSON, or 404. The request is gone afterwards.
static void answer_found(struct http_request *request, const PGresult *result, const char *what) {
    if (PQntuples(result) == 0)
        respond_refuse(request, PROBLEM_NOT_FOUND, "there is no such %s", what);
    else
        query_answer_json(request, PQgetvalue(result, 0, 1), (size_t)PQgetlength(result, 0, 1),
                          db_int8(result, 0, 0));
}

void query_add_caller(struct db_params *params, const struct http_request *request) {
    const struct http_caller *caller = http_request_caller(request);
    db_params_text(params, caller->shop_id, strlen(caller->shop_id));
    if (http_caller_is_customer(caller))
        db_params_text(params, caller->customer_id, strlen(caller->customer_id));
    else
        db_params_null(params);
}

// What is no id cannot be there.
static bool parse_id(struct http_request *request, struct id *ret) {
    const char *text = http_request_param(request, "id");
    return id_parse(text, strlen(text), ret);
}

bool query_read_order(struct http_request *request, struct query *query, struct db *db,
                      struct error *err) {
    (void)db;
    (void)err;
    query_lookup_order(request, query);
    return true;
}

// One strong or weak tag, as this service gives them; a list is for PostgreSQL.
static bool parse_tag(const char *header, int64_t *ret_version) {
    const char *at = header + (strncmp(header, "W/", 2) == 0 ? 2 : 0);
    char *end;
    if (at[0] != '"' || at[1] < '1' || at[1] > '9')
        return false;
    errno = 0;
    *ret_version = strtoll(at + 1, &end, 10);
    return !errno && end[0] == '"' && end[1] == '\0';
}

bool query_answer_unchanged(struct http_request *request, struct query *query) {
    struct id id;
    int64_t version;
    const char *header = http_request_header(request, "If-None-Match");
    if (!header || !parse_tag(header, &version) || !parse_id(request, &id) ||
        !query_versions_is(query->versions, &id, http_request_caller(request), version))
        return false;
    answer_not_modified(request, version);
    return true;
}

bool query_read_command(struct http_request *request, struct query *query, struct db *db,
                        struct error *err) {
    (void)query;
    static const char what[] = "command, or its outcome is not known yet";
    static const char bools[] = {false, true}; // as PostgreSQL takes them
    const int scopes = http_request_caller(request)->scopes;
    struct id id;
    struct db_params params = {.count = 0};
    // What is no id cannot be there.
    if (!parse_id(request, &id)) {
        respond_refuse(request, PROBLEM_NOT_FOUND, "there is no such %s", what);
        return true;
    }
    db_params_uuid(&params, &id);
    query_add_caller(&params, request);
    db_params_bytes(&params, &bools[(scopes & QUERY_SCOPES_ORDERS) != 0], 1);
    db_params_bytes(&params, &bools[(scopes & QUERY_SCOPES_STOCK) != 0], 1);
    db_params_bytes(&params, &bools[(scopes & QUERY_SCOPES_CUSTOMERS) != 0], 1);
    DB_RESULT result = db_query(db, sql_command, &params, err);
    if (!result)
        return false;
    answer_found(request, result, what);
    return true;
}

bool query_read_inventory(struct http_request *request, struct query *query, struct db *db,
                          struct error *err) {
    (void)query;
    struct db_params params = {.count = 0};
    const char *shop = http_request_caller(request)->shop_id;
    const char *sku = http_request_param(request, "sku");
    db_params_text(&params, shop, strlen(shop));
    db_params_text(&params, sku, strlen(sku));
    DB_RESULT result = db_query(db, sql_inventory, &params, err);
    if (!result)
        return false;
    answer_found(request, result, "SKU");
    return true;
}
