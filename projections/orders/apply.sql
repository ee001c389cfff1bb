-- SPDX-License-Identifier: Apache-2.0
-- topic: orders.events
-- One write per order and batch, however many of its events are in it: orders placed in this batch are
-- inserted as they end it, and the others are updated where their version is older.

WITH placed AS (
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
    JOIN latest l USING (order_id)
    ORDER BY p.order_id
    ON CONFLICT (order_id) DO NOTHING
)
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
WHERE o.order_id = l.order_id AND o.version < l.version
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
