-- SPDX-License-Identifier: Apache-2.0
-- topic: orders.events

INSERT INTO order_timeline
SELECT
    order_id, log_partition, log_offset, shop_id, version, type, status, occurred_at, event_id,
    CASE WHEN num_nonnulls(
        reason, detail, note, sku, requested, available, amount_minor, attempt, tracking) > 0
    THEN jsonb_strip_nulls(jsonb_build_object(
        'reason', reason, 'detail', detail, 'note', note,
        'sku', sku, 'requested', requested, 'available', available,
        'amount_minor', amount_minor, 'attempt', attempt, 'tracking', tracking))
    END
FROM event
ORDER BY order_id, log_offset
ON CONFLICT DO NOTHING
;
