// SPDX-License-Identifier: Apache-2.0
//
// Sums in PostgreSQL against the rows they are sums of, which are compared with the fold elsewhere;
// and what was sold day by day against what was sold.
#include "cli/verify.h"
#include "store/db.h"
#include "verify_model.h"

// Each gives: how many sums there are, how many differ, and one that does.
static const char sql_counts[] =
    "SELECT count(*)::int8, count(*) FILTER (WHERE differs)::int8, "
    "min(concat_ws(' ', shop_id, unit, bucket, currency, status, close_reason)) "
    "FILTER (WHERE differs) FROM ("
    "SELECT *, (s.orders, s.total_minor, s.captured_minor) IS DISTINCT FROM "
    "(o.orders, o.total_minor, o.captured_minor) AS differs "
    "FROM (SELECT * FROM order_stats "
    "WHERE unit <> 'minute' OR bucket > now() - interval '1 day') s FULL JOIN ("
    "SELECT shop_id, unit, date_trunc(unit, placed_at, 'UTC') AS bucket, currency, status, "
    "COALESCE(close_reason, '') AS close_reason, count(*) AS orders, "
    "sum(total_minor)::int8 AS total_minor, sum(captured_minor)::int8 AS captured_minor "
    "FROM orders CROSS JOIN (VALUES ('minute'), ('hour'), ('day')) u (unit) "
    "WHERE unit <> 'minute' "
    "OR date_trunc(unit, placed_at, 'UTC') > now() - interval '1 day' "
    "GROUP BY 1, 2, 3, 4, 5, 6) o USING (shop_id, unit, bucket, currency, status, close_reason)) x";

static const char sql_customers[] =
    "SELECT count(*)::int8, count(*) FILTER (WHERE differs)::int8, "
    "min(concat_ws(' ', shop_id, customer_id, currency)) FILTER (WHERE differs) FROM ("
    "SELECT *, (c.orders, c.completed, c.cancelled, c.rejected, c.expired, c.total_minor, "
    "c.completed_minor, c.first_placed_at, c.last_placed_at) IS DISTINCT FROM "
    "(o.orders, o.completed, o.cancelled, o.rejected, o.expired, o.total_minor, "
    "o.completed_minor, o.first_placed_at, o.last_placed_at) AS differs "
    "FROM customer_counts c FULL JOIN ("
    "SELECT shop_id, customer_id, currency, count(*) AS orders, "
    "count(*) FILTER (WHERE status = 'COMPLETED') AS completed, "
    "count(*) FILTER (WHERE status = 'CANCELLED') AS cancelled, "
    "count(*) FILTER (WHERE status = 'REJECTED') AS rejected, "
    "count(*) FILTER (WHERE status = 'EXPIRED') AS expired, "
    "sum(total_minor)::int8 AS total_minor, "
    "COALESCE(sum(total_minor) FILTER (WHERE status = 'COMPLETED'), 0)::int8 AS completed_minor, "
    "min(placed_at) AS first_placed_at, max(placed_at) AS last_placed_at "
    "FROM orders GROUP BY 1, 2, 3) o USING (shop_id, customer_id, currency)) x";

static const char sql_sku_days[] =
    "SELECT count(*)::int8, count(*) FILTER (WHERE differs)::int8, "
    "min(concat_ws(' ', shop_id, sku)) FILTER (WHERE differs) FROM ("
    "SELECT *, COALESCE(d.sold, 0) <> COALESCE(i.sold, 0) AS differs "
    "FROM (SELECT shop_id, sku, sum(sold) AS sold FROM sku_days GROUP BY 1, 2) d "
    "FULL JOIN inventory i USING (shop_id, sku)) x";

static bool compare(struct verify_model *model, struct verify_report *report,
                    enum verify_check check, const char *sql, const char *table,
                    struct error *err) {
    DB_RESULT result = db_query(verify_model_db(model), sql, NULL, err);
    if (!result)
        return false;
    const int64_t differing = db_int8(result, 0, 1);
    report->checked[check] += db_int8(result, 0, 0);
    if (differing > 0)
        verify_violation(report, check, "%s: %lld sums differ, one of them of %s", table,
                         (long long)differing, PQgetvalue(result, 0, 2));
    return true;
}

bool verify_model_sums(struct verify_model *model, struct verify *verify, struct error *err) {
    return compare(model, verify->report, CHECK_COUNT_ROWS, sql_counts, "order_stats", err) &&
           compare(model, verify->report, CHECK_CUSTOMER_ROWS, sql_customers, "customer_counts",
                   err) &&
           compare(model, verify->report, CHECK_SKU_DAY_ROWS, sql_sku_days, "sku_days", err);
}
