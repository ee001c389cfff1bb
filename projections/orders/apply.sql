-- SPDX-License-Identifier: Apache-2.0
-- topic: orders.events
-- One write per order and batch, however many of its events are in it: orders placed in this batch are
-- inserted as they end it, and the others are updated where their version is older.

WITH before AS MATERIALIZED (
    SELECT o.order_id, o.status, o.close_reason, o.captured_minor
    FROM latest l
    JOIN orders o USING (order_id, shop_id)
    WHERE o.version < l.version
),
placed AS (
    INSERT INTO orders
    SELECT
        p.order_id, p.shop_id, p.customer_id, p.reference, p.currency,
        l.version, l.status, l.reservation_status, l.payment_status, l.shipment_status,
        p.lines_count,
        p.items_minor, p.discount_minor, p.shipping_minor, p.tax_minor, p.total_minor,
        coalesce(l.order_payment_captured__amount_minor, 0),
        coalesce(l.order_rejected__reason, l.order_cancelled__reason),
        coalesce(l.order_rejected__detail, l.order_cancelled__note),
        l.order_case_opened__reason, l.tracking,
        p.ordered_at, p.occurred_at,
        l.order_confirmed__occurred_at, l.order_dispatched__occurred_at,
        l.order_delivered__occurred_at,
        coalesce(
            l.order_completed__occurred_at, l.order_rejected__occurred_at,
            l.order_cancelled__occurred_at, l.order_expired__occurred_at),
        l.occurred_at
    FROM order_placed p
    JOIN latest l USING (order_id, shop_id)
    ORDER BY p.order_id
    ON CONFLICT (order_id) DO NOTHING
    RETURNING
        order_id, shop_id, customer_id, currency, placed_at, status, close_reason, total_minor,
        captured_minor
),
moved AS (
    UPDATE orders o
    SET
        version = l.version,
        status = l.status,
        reservation_status = l.reservation_status,
        payment_status = l.payment_status,
        shipment_status = l.shipment_status,
        captured_minor = coalesce(l.order_payment_captured__amount_minor, o.captured_minor),
        close_reason = coalesce(l.order_rejected__reason, l.order_cancelled__reason, o.close_reason),
        close_detail = coalesce(l.order_rejected__detail, l.order_cancelled__note, o.close_detail),
        case_reason = coalesce(l.order_case_opened__reason, o.case_reason),
        tracking = coalesce(l.tracking, o.tracking),
        confirmed_at = coalesce(o.confirmed_at, l.order_confirmed__occurred_at),
        dispatched_at = coalesce(o.dispatched_at, l.order_dispatched__occurred_at),
        delivered_at = coalesce(o.delivered_at, l.order_delivered__occurred_at),
        closed_at = coalesce(
            o.closed_at, l.order_completed__occurred_at, l.order_rejected__occurred_at,
            l.order_cancelled__occurred_at, l.order_expired__occurred_at),
        updated_at = l.occurred_at
    FROM latest l
    WHERE o.order_id = l.order_id AND o.shop_id = l.shop_id AND o.version < l.version
    RETURNING
        o.order_id, o.shop_id, o.customer_id, o.currency, o.placed_at, o.status, o.close_reason,
        o.total_minor, o.captured_minor
),
-- What the sums gain and lose: one_more is 1 for how an order stands now, -1 for how it stood.
change AS MATERIALIZED (
    SELECT
        n.shop_id, n.customer_id, n.currency, n.placed_at, l.log_partition, n.status,
        coalesce(n.close_reason, '') AS close_reason, 1 AS one_more, n.total_minor AS total_gain,
        n.captured_minor AS captured_gain
    FROM (
        SELECT
            order_id, shop_id, customer_id, currency, placed_at, status, close_reason, total_minor,
            captured_minor
        FROM placed
        UNION ALL
        SELECT
            order_id, shop_id, customer_id, currency, placed_at, status, close_reason, total_minor,
            captured_minor
        FROM moved
    ) AS n
    JOIN latest l USING (order_id, shop_id)
    UNION ALL
    SELECT
        n.shop_id, n.customer_id, n.currency, n.placed_at, l.log_partition, b.status,
        coalesce(b.close_reason, ''), -1, -n.total_minor, -b.captured_minor
    FROM before b
    JOIN moved n USING (order_id)
    JOIN latest l USING (order_id, shop_id)
),
per_minute AS (
    SELECT
        shop_id, date_bin('1 minute', placed_at, timestamptz '2000-01-01 00:00Z') AS minute, currency,
        status, close_reason, log_partition, sum(one_more) AS one_more, sum(total_gain) AS total_gain,
        sum(captured_gain) AS captured_gain
    FROM change
    GROUP BY 1, 2, 3, 4, 5, 6
),
counted AS (
    INSERT INTO order_counts AS c
    SELECT
        shop_id, unit, date_trunc(unit, minute, 'UTC'), currency, status, close_reason,
        log_partition, sum(one_more), sum(total_gain), sum(captured_gain)
    FROM per_minute
    CROSS JOIN (VALUES ('minute'), ('hour'), ('day')) AS u (unit)
    GROUP BY 1, 2, 3, 4, 5, 6, 7
    HAVING sum(one_more) <> 0 OR sum(captured_gain) <> 0 OR sum(total_gain) <> 0
    ORDER BY 1, 2, 3, 4, 5, 6, 7
    ON CONFLICT (shop_id, unit, bucket, currency, status, close_reason, log_partition) DO UPDATE
    SET
        orders = c.orders + excluded.orders,
        total_minor = c.total_minor + excluded.total_minor,
        captured_minor = c.captured_minor + excluded.captured_minor
)
-- Only when an order begins and when it ends.
INSERT INTO customer_counts AS c
SELECT
    shop_id, customer_id, currency, sum(one_more),
    coalesce(sum(one_more) FILTER (WHERE status = 'COMPLETED'), 0),
    coalesce(sum(one_more) FILTER (WHERE status = 'CANCELLED'), 0),
    coalesce(sum(one_more) FILTER (WHERE status = 'REJECTED'), 0),
    coalesce(sum(one_more) FILTER (WHERE status = 'EXPIRED'), 0),
    sum(total_gain), coalesce(sum(total_gain) FILTER (WHERE status = 'COMPLETED'), 0),
    min(placed_at), max(placed_at)
FROM change
GROUP BY shop_id, customer_id, currency
HAVING
    sum(one_more) <> 0
    OR coalesce(sum(one_more) FILTER (WHERE status IN ('COMPLETED', 'CANCELLED')), 0) <> 0
    OR coalesce(sum(one_more) FILTER (WHERE status IN ('REJECTED', 'EXPIRED')), 0) <> 0
ORDER BY shop_id, customer_id, currency
ON CONFLICT (shop_id, customer_id, currency) DO UPDATE
SET
    orders = c.orders + excluded.orders,
    completed = c.completed + excluded.completed,
    cancelled = c.cancelled + excluded.cancelled,
    rejected = c.rejected + excluded.rejected,
    expired = c.expired + excluded.expired,
    total_minor = c.total_minor + excluded.total_minor,
    completed_minor = c.completed_minor + excluded.completed_minor,
    first_placed_at = least(c.first_placed_at, excluded.first_placed_at),
    last_placed_at = greatest(c.last_placed_at, excluded.last_placed_at)
;
INSERT INTO order_line_sets
SELECT p.order_id, l.lines
FROM order_placed p
JOIN (
    SELECT
        event_id,
        array_agg(
            ROW(line_no, sku, quantity, unit_price_minor, price_version)::order_line
            ORDER BY line_no
        ) AS lines
    FROM order_placed_lines
    GROUP BY event_id
) AS l USING (event_id)
ORDER BY p.order_id
ON CONFLICT DO NOTHING
;
INSERT INTO order_addresses
SELECT order_id, shop_id, customer_id, key_id, nonce, ciphertext
FROM order_placed_shipping_address
ORDER BY order_id
ON CONFLICT DO NOTHING
;
