-- SPDX-License-Identifier: Apache-2.0
-- topic: orders.events
-- history: log_offset version type status occurred_at event_id | reason detail note sku requested available amount_minor attempt tracking
-- A part per order and batch. Where some of a batch is stored already, only what comes after it.

INSERT INTO order_timeline_parts (order_id, last_offset, log_partition, shop_id, history)
SELECT
    order_id, log_offset, log_partition, shop_id,
    CASE WHEN stored_offset >= first_offset
    THEN (
        SELECT json_agg(e)::text
        FROM json_array_elements(history::json) AS e
        WHERE (e->>0)::bigint > stored_offset
    )
    ELSE history
    END
FROM (
    SELECT
        order_id, first_offset, log_offset, log_partition, shop_id, history,
        (SELECT max(p.last_offset) FROM order_timeline_parts p WHERE p.order_id = latest.order_id)
            AS stored_offset
    FROM latest
    OFFSET 0 -- looked up once, not wherever it is named
) AS known
WHERE stored_offset IS NULL OR stored_offset < log_offset
;

INSERT INTO order_timeline_news (log_partition, last_offset, shop_id, order_ids)
SELECT log_partition, max(log_offset), shop_id, array_agg(order_id)
FROM latest
GROUP BY log_partition, shop_id
ORDER BY log_partition, shop_id
ON CONFLICT DO NOTHING
;
