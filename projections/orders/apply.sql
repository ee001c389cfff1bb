-- SPDX-License-Identifier: Apache-2.0
-- topic: orders.events
-- One write per order and batch, however many of its events are in it: first the batch is folded to
-- the last state per order, then orders placed in this batch are inserted as they end it, and the
-- others are updated where their version is older.

WITH last AS (
    SELECT DISTINCT ON (order_id)
        order_id, version, occurred_at,
        status, reservation_status, payment_status, shipment_status
    FROM event
    WHERE version IS NOT NULL
    ORDER BY order_id, version DESC
), facts AS (
    SELECT
        order_id,
        max(amount_minor) FILTER (WHERE type = 'OrderPaymentCaptured') AS captured_minor,
        max(reason) FILTER (WHERE type IN ('OrderRejected', 'OrderCancelled')) AS close_reason,
        max(coalesce(detail, note)) FILTER (WHERE type IN ('OrderRejected', 'OrderCancelled'))
            AS close_detail,
        (array_agg(reason ORDER BY version DESC) FILTER (WHERE type = 'OrderCaseOpened'))[1]
            AS case_reason,
        max(tracking) AS tracking,
        min(occurred_at) FILTER (WHERE type = 'OrderConfirmed') AS confirmed_at,
        min(occurred_at) FILTER (WHERE type = 'OrderDispatched') AS dispatched_at,
        min(occurred_at) FILTER (WHERE type = 'OrderDelivered') AS delivered_at,
        min(occurred_at) FILTER (
            WHERE type IN ('OrderCompleted', 'OrderRejected', 'OrderCancelled', 'OrderExpired')
        ) AS closed_at
    FROM event
    WHERE type IN (
        'OrderPaymentCaptured', 'OrderRejected', 'OrderCancelled', 'OrderCaseOpened',
        'OrderShipmentBooked', 'OrderConfirmed', 'OrderDispatched', 'OrderDelivered',
        'OrderCompleted', 'OrderExpired'
    )
    GROUP BY order_id
), fold AS (
    SELECT
        order_id, version, occurred_at,
        status, reservation_status, payment_status, shipment_status,
        captured_minor, close_reason, close_detail, case_reason, tracking,
        confirmed_at, dispatched_at, delivered_at, closed_at
    FROM last
    LEFT JOIN facts USING (order_id)
), placed AS (
    INSERT INTO orders
    SELECT
        p.order_id, p.shop_id, p.customer_id, p.reference, p.currency,
        f.version, f.status, f.reservation_status, f.payment_status, f.shipment_status,
        p.lines_count,
        p.items_minor, p.discount_minor, p.shipping_minor, p.tax_minor, p.total_minor,
        coalesce(f.captured_minor, 0),
        f.close_reason, f.close_detail, f.case_reason, f.tracking,
        p.ordered_at, p.occurred_at,
        f.confirmed_at, f.dispatched_at, f.delivered_at, f.closed_at, f.occurred_at
    FROM order_placed p
    JOIN fold f USING (order_id)
    ORDER BY p.order_id
    ON CONFLICT (order_id) DO NOTHING
)
UPDATE orders o
SET
    version = f.version,
    status = f.status,
    reservation_status = f.reservation_status,
    payment_status = f.payment_status,
    shipment_status = f.shipment_status,
    captured_minor = coalesce(f.captured_minor, o.captured_minor),
    close_reason = coalesce(f.close_reason, o.close_reason),
    close_detail = coalesce(f.close_detail, o.close_detail),
    case_reason = coalesce(f.case_reason, o.case_reason),
    tracking = coalesce(f.tracking, o.tracking),
    confirmed_at = coalesce(o.confirmed_at, f.confirmed_at),
    dispatched_at = coalesce(o.dispatched_at, f.dispatched_at),
    delivered_at = coalesce(o.delivered_at, f.delivered_at),
    closed_at = coalesce(o.closed_at, f.closed_at),
    updated_at = f.occurred_at
FROM fold f
WHERE o.order_id = f.order_id AND o.version < f.version
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
