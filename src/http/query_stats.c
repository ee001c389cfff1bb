// SPDX-License-Identifier: Apache-2.0
//
// Figures: what a shop's orders came to, over time; and what one customer's did. Both are read from
// sums that the projector keeps (projections/orders/table_3.sql), never by going through orders.
#include "query_state.h"

#include <stdlib.h>
#include <string.h>

#include "http/openapi_limits.h"
#include "http/respond.h"
#include "query_parameters.h"
#include "service/clock.h"

enum { BUCKETS_MAX = 1500 };

// $1 shop, $2 unit, $3 from, $4 to, $5 how many SKUs.
static const char sql_stats[] =
    "WITH s AS MATERIALIZED (SELECT bucket, currency, status, close_reason, orders, total_minor, "
    "captured_minor FROM order_stats WHERE shop_id = $1::text AND unit = $2::text "
    "AND bucket >= date_trunc($2::text, $3::timestamptz, 'UTC') AND bucket < $4::timestamptz), "
    "a AS (SELECT COALESCE(sum(orders), 0)::int8 AS orders, "
    "COALESCE(sum(orders) FILTER (WHERE status = 'REJECTED'), 0)::int8 AS rejected, "
    "COALESCE(sum(orders) FILTER (WHERE status = 'REJECTED' "
    "AND close_reason = 'PAYMENT_DECLINED'), 0)::int8 AS declined, "
    "COALESCE(sum(orders) FILTER (WHERE status = 'REJECTED' "
    "AND close_reason = 'OUT_OF_STOCK'), 0)::int8 AS out_of_stock FROM s) "
    "SELECT -1::int8, json_build_object("
    "'unit', $2::text, 'from', date_trunc($2::text, $3::timestamptz, 'UTC'), "
    "'to', $4::timestamptz, 'orders', a.orders, "
    "'by_status', (SELECT COALESCE(json_object_agg(status, n ORDER BY status), '{}') "
    "FROM (SELECT status, sum(orders)::int8 AS n FROM s GROUP BY status) t), "
    "'rejected', a.rejected, 'declined', a.declined, 'out_of_stock', a.out_of_stock, "
    "'decline_rate', COALESCE(round(a.declined::numeric / NULLIF(a.orders, 0), 4), 0), "
    "'out_of_stock_rate', COALESCE(round(a.out_of_stock::numeric / NULLIF(a.orders, 0), 4), 0), "
    "'buckets', (SELECT COALESCE(json_agg(b ORDER BY b.bucket, b.currency), '[]') FROM ("
    "SELECT bucket, currency, sum(n)::int8 AS orders, sum(total)::int8 AS total_minor, "
    "sum(captured)::int8 AS captured_minor, json_object_agg(status, n ORDER BY status) AS "
    "by_status "
    "FROM (SELECT bucket, currency, status, sum(orders)::int8 AS n, sum(total_minor) AS total, "
    "sum(captured_minor) AS captured FROM s GROUP BY bucket, currency, status) t "
    "GROUP BY bucket, currency) b), "
    "'top_skus', (SELECT COALESCE(json_agg(k ORDER BY k.sold DESC, k.sku), '[]') FROM ("
    "SELECT sku, sum(sold)::int8 AS sold FROM sku_days WHERE shop_id = $1::text "
    "AND day >= date_trunc('day', $3::timestamptz, 'UTC') AND day < $4::timestamptz "
    "GROUP BY sku ORDER BY sum(sold) DESC, sku LIMIT $5::int8) k))::text FROM a";

static const char sql_customer[] =
    "SELECT -1::int8, json_build_object("
    "'customer_id', $2::text, 'orders', sum(orders)::int8, "
    "'open', (sum(orders) - sum(completed) - sum(cancelled) - sum(rejected) - sum(expired))::int8, "
    "'completed', sum(completed)::int8, 'cancelled', sum(cancelled)::int8, "
    "'rejected', sum(rejected)::int8, 'expired', sum(expired)::int8, "
    "'first_placed_at', min(first_placed_at), 'last_placed_at', max(last_placed_at), "
    "'amounts', json_agg(json_build_object('currency', currency, 'total_minor', total_minor, "
    "'completed_minor', completed_minor) ORDER BY currency))::text "
    "FROM customer_counts WHERE shop_id = $1::text AND customer_id = $2::text "
    "HAVING count(*) > 0";

struct unit {
    const char *name;
    int64_t length_us;
    int64_t shown; // of them, when nothing else is asked for
};

static const struct unit units[] = {
    {"minute", INT64_C(60000000), 60},
    {"hour", INT64_C(3600000000), 24},
    {"day", INT64_C(86400000000), 30},
};

static const struct unit *parse_unit(struct http_request *request) {
    const char *name = http_request_query(request, "unit");
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
        if (strcmp(units[i].name, name ? name : "hour") == 0)
            return &units[i];
    respond_refuse(request, PROBLEM_INVALID_PARAMETER, "unit is minute, hour or day");
    return NULL;
}

static bool parse_span(struct http_request *request, const struct unit *unit, int64_t *ret_from_us,
                       int64_t *ret_to_us) {
    *ret_to_us = clock_now_us();
    if (!query_parameter_time(request, "to", ret_to_us))
        return false;
    *ret_from_us = *ret_to_us - unit->shown * unit->length_us;
    if (!query_parameter_time(request, "from", ret_from_us))
        return false;
    if (*ret_from_us < *ret_to_us &&
        (*ret_to_us - *ret_from_us) / unit->length_us <= (int64_t)BUCKETS_MAX)
        return true;
    respond_refuse(request, PROBLEM_INVALID_PARAMETER,
                   "from is before to, by %d %ss at most: a larger unit shows more", BUCKETS_MAX,
                   unit->name);
    return false;
}

bool query_read_stats(struct http_request *request, struct query *query, struct db *db,
                      struct error *err) {
    (void)query;
    int64_t from_us, to_us, top = OPENAPI_TOP_SKUS_DEFAULT;
    const char *shop = http_request_caller(request)->shop_id;
    const struct unit *unit = parse_unit(request);
    if (!unit || !parse_span(request, unit, &from_us, &to_us) ||
        !query_parameter_number(request, "top", OPENAPI_TOP_SKUS_MIN, OPENAPI_TOP_SKUS_MAX, &top))
        return true;
    struct db_params params = {.count = 0};
    db_params_text(&params, shop, strlen(shop));
    db_params_text(&params, unit->name, strlen(unit->name));
    db_params_int8(&params, from_us - DB_EPOCH_US);
    db_params_int8(&params, to_us - DB_EPOCH_US);
    db_params_int8(&params, top);
    DB_RESULT result = db_query(db, sql_stats, &params, err);
    if (!result)
        return false;
    query_answer_json(request, PQgetvalue(result, 0, 1), (size_t)PQgetlength(result, 0, 1), -1);
    return true;
}

bool query_read_customer_summary(struct http_request *request, struct query *query, struct db *db,
                                 struct error *err) {
    (void)query;
    const char *shop = http_request_caller(request)->shop_id;
    const char *customer = http_request_param(request, "id");
    struct db_params params = {.count = 0};
    if (!http_caller_owns(http_request_caller(request), shop, customer)) {
        respond_refuse(request, PROBLEM_NOT_FOUND, "no order of such a customer is known");
        return true;
    }
    db_params_text(&params, shop, strlen(shop));
    db_params_text(&params, customer, strlen(customer));
    DB_RESULT result = db_query(db, sql_customer, &params, err);
    if (!result)
        return false;
    if (PQntuples(result) == 0)
        respond_refuse(request, PROBLEM_NOT_FOUND, "no order of such a customer is known");
    else
        query_answer_json(request, PQgetvalue(result, 0, 1), (size_t)PQgetlength(result, 0, 1), -1);
    return true;
}
