-- SPDX-License-Identifier: Apache-2.0
-- topic: orders.events
-- A part per order and batch. Where some of a batch is stored already, only what comes after it.

WITH part AS (
    SELECT
        order_id, max(log_offset) AS last_offset, min(log_offset) AS first_offset,
        min(log_partition) AS log_partition, min(shop_id) AS shop_id,
        array_agg(entry) AS events
    FROM (
        SELECT
            order_id, log_offset, log_partition, shop_id,
            ROW(
                log_offset, version, type, status, occurred_at, event_id,
                CASE WHEN num_nonnulls(
                    reason, detail, note, sku, requested, available, amount_minor, attempt,
                    tracking) > 0
                THEN jsonb_strip_nulls(jsonb_build_object(
                    'reason', reason, 'detail', detail, 'note', note,
                    'sku', sku, 'requested', requested, 'available', available,
                    'amount_minor', amount_minor, 'attempt', attempt, 'tracking', tracking))
                END
            )::order_timeline_event AS entry
        FROM event
        ORDER BY order_id, log_offset
    ) AS ordered
    GROUP BY order_id
)
INSERT INTO order_timeline_parts
SELECT
    order_id, last_offset, log_partition, shop_id,
    CASE WHEN stored_offset >= first_offset
    THEN (SELECT array_agg(e) FROM unnest(events) AS e WHERE e.log_offset > stored_offset)
    ELSE events
    END
FROM (
    SELECT
        order_id, first_offset, last_offset, log_partition, shop_id, events,
        (SELECT max(p.last_offset) FROM order_timeline_parts p WHERE p.order_id = part.order_id)
            AS stored_offset
    FROM part
    OFFSET 0 -- looked up once, not wherever it is named
) AS known
WHERE stored_offset IS NULL OR stored_offset < last_offset
ORDER BY order_id
;
