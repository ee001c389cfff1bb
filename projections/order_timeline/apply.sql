-- SPDX-License-Identifier: Apache-2.0
-- topic: orders.events
-- history: log_offset version type status occurred_at event_id | reason detail note sku requested available amount_minor attempt tracking
-- A part per order and batch. Where some of a batch is stored already, only what comes after it. Of what
-- lies behind all that is stored of the partition nothing can be: no order of it is looked up.

WITH stored AS MATERIALIZED (
    SELECT
        log_partition,
        (SELECT max(n.last_offset) FROM order_timeline_news n WHERE n.log_partition = l.log_partition)
            AS last_offset
    FROM (SELECT DISTINCT log_partition FROM latest) AS l
)
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
        l.order_id, l.first_offset, l.log_offset, l.log_partition, l.shop_id, l.history,
        CASE WHEN l.first_offset > s.last_offset
        THEN NULL
        ELSE (SELECT max(p.last_offset) FROM order_timeline_parts p WHERE p.order_id = l.order_id)
        END AS stored_offset
    FROM latest l
    JOIN stored s ON s.log_partition = l.log_partition
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
