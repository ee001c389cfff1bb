// SPDX-License-Identifier: Apache-2.0
//
// The index begins with the shop, so each shop is asked for its oldest one; the shops themselves
// are found by stepping through the index.
#include "store/open_orders.h"

static const char sql[] =
    "WITH RECURSIVE shops AS ("
    "(SELECT shop_id FROM orders ORDER BY shop_id LIMIT 1) "
    "UNION ALL "
    "SELECT (SELECT o.shop_id FROM orders o WHERE o.shop_id > s.shop_id ORDER BY o.shop_id LIMIT "
    "1) "
    "FROM shops s WHERE s.shop_id IS NOT NULL) "
    "SELECT oldest.order_id, "
    "greatest(0, extract(epoch FROM clock_timestamp() - oldest.placed_at) * 1000000)::int8, "
    "(SELECT count(*) FROM (SELECT FROM shops s "
    "JOIN orders o ON o.shop_id = s.shop_id AND o.stage = 'NEEDS_ATTENTION' LIMIT 1000) AS n) "
    "FROM (SELECT) AS one LEFT JOIN LATERAL ("
    "SELECT o.order_id, o.placed_at FROM shops s CROSS JOIN LATERAL ("
    "SELECT order_id, placed_at FROM orders "
    "WHERE shop_id = s.shop_id AND stage = 'OPEN' ORDER BY placed_at LIMIT 1) AS o "
    "ORDER BY o.placed_at LIMIT 1) AS oldest ON true";

bool open_orders_measure(struct db *db, struct open_orders *ret, struct error *err) {
    DB_RESULT result = db_query(db, sql, NULL, err);
    if (!result)
        return false;
    *ret = (struct open_orders){.any = !db_is_null(result, 0, 0),
                                .needing_attention = db_int8(result, 0, 2)};
    if (ret->any) {
        ret->oldest_id = db_uuid(result, 0, 0);
        ret->oldest_age_us = db_int8(result, 0, 1);
    }
    return true;
}
