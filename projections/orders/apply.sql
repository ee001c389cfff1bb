-- SPDX-License-Identifier: Apache-2.0
-- topic: orders.events
-- One write per order and batch, however many of its events are in it: orders placed in this batch are
-- inserted as they end it, and the others are updated where their version is older. Each order is looked
-- up once; what is not there is inserted without asking again, and what is there is updated where it was
-- found, as only who moves the partition's offset writes its orders.

WITH known AS MATERIALIZED (
    -- What is read again and again comes first: a column is found by way of those before it.
    SELECT
        o.ctid AS found_at, o.status AS status_before, o.close_reason AS close_reason_before,
        o.captured_minor AS captured_before, l.order_id, l.log_partition, l.status, l.shop_id,
        coalesce(o.customer_id, l.order_placed__customer_id) AS customer_id,
        coalesce(o.currency, l.order_placed__currency) AS currency,
        coalesce(o.placed_at, l.order_placed__occurred_at) AS placed_at,
        coalesce(o.total_minor, l.order_placed__total_minor) AS total_minor,
        coalesce(l.order_payment_captured__amount_minor, o.captured_minor, 0) AS captured_minor,
        coalesce(l.order_rejected__reason, l.order_cancelled__reason, o.close_reason) AS close_reason,
        l.version, l.reservation_status, l.payment_status, l.shipment_status, l.tracking,
        l.occurred_at, l.order_placed__reference, l.order_placed__lines_count,
        l.order_placed__lines_json, l.order_placed__items_minor, l.order_placed__discount_minor,
        l.order_placed__shipping_minor, l.order_placed__tax_minor, l.order_placed__ordered_at,
        coalesce(l.order_rejected__detail, l.order_cancelled__note) AS close_detail,
        l.order_case_opened__reason AS case_reason,
        l.order_confirmed__occurred_at AS confirmed_at,
        l.order_dispatched__occurred_at AS dispatched_at,
        l.order_delivered__occurred_at AS delivered_at,
        coalesce(
            l.order_completed__occurred_at, l.order_rejected__occurred_at,
            l.order_cancelled__occurred_at, l.order_expired__occurred_at) AS closed_at
    FROM latest l
    LEFT JOIN orders o ON o.order_id = l.order_id
    WHERE CASE WHEN o.order_id IS NULL
        THEN l.order_placed__occurred_at IS NOT NULL
        ELSE o.shop_id = l.shop_id AND o.version < l.version
        END
),
placed AS (
    INSERT INTO orders
    SELECT
        order_id, shop_id, customer_id, order_placed__reference, currency, version, status,
        reservation_status, payment_status, shipment_status, order_placed__lines_count,
        order_placed__items_minor, order_placed__discount_minor, order_placed__shipping_minor,
        order_placed__tax_minor, total_minor, captured_minor, close_reason, close_detail, case_reason,
        tracking, order_placed__ordered_at, placed_at, confirmed_at, dispatched_at, delivered_at,
        closed_at, occurred_at
    FROM known
    WHERE status_before IS NULL
),
lines AS (
    INSERT INTO order_line_sets
    SELECT order_id, order_placed__lines_json
    FROM known
    WHERE status_before IS NULL
),
moved AS (
    UPDATE orders o
    SET
        version = k.version,
        status = k.status,
        reservation_status = k.reservation_status,
        payment_status = k.payment_status,
        shipment_status = k.shipment_status,
        captured_minor = k.captured_minor,
        close_reason = k.close_reason,
        close_detail = coalesce(k.close_detail, o.close_detail),
        case_reason = coalesce(k.case_reason, o.case_reason),
        tracking = coalesce(k.tracking, o.tracking),
        confirmed_at = coalesce(o.confirmed_at, k.confirmed_at),
        dispatched_at = coalesce(o.dispatched_at, k.dispatched_at),
        delivered_at = coalesce(o.delivered_at, k.delivered_at),
        closed_at = coalesce(o.closed_at, k.closed_at),
        updated_at = k.occurred_at
    FROM known k
    WHERE k.status_before IS NOT NULL AND o.ctid = k.found_at AND o.version < k.version
),
-- How many orders came to stand so that stood so before.
gained AS MATERIALIZED (
    SELECT
        shop_id, date_bin('1 minute', placed_at, timestamptz '2000-01-01 00:00Z') AS minute, currency,
        log_partition, status, coalesce(close_reason, '') AS close_reason, status_before,
        coalesce(close_reason_before, '') AS close_reason_before, count(*) AS orders,
        sum(total_minor) AS total_minor, sum(captured_minor) AS captured_minor,
        sum(captured_before) AS captured_before
    FROM known
    GROUP BY 1, 2, 3, 4, 5, 6, 7, 8
),
counted AS (
    INSERT INTO order_counts AS c
    SELECT
        shop_id, unit, date_trunc(unit, minute, 'UTC'), currency, status, close_reason,
        log_partition, sum(orders), sum(total_minor), sum(captured_minor)
    FROM (
        SELECT
            shop_id, minute, currency, log_partition, status, close_reason, orders, total_minor,
            captured_minor
        FROM gained
        UNION ALL
        SELECT
            shop_id, minute, currency, log_partition, status_before, close_reason_before, -orders,
            -total_minor, -captured_before
        FROM gained
        WHERE status_before IS NOT NULL
    ) AS g
    CROSS JOIN (VALUES ('minute'), ('hour'), ('day')) AS u (unit)
    GROUP BY 1, 2, 3, 4, 5, 6, 7
    HAVING sum(orders) <> 0 OR sum(captured_minor) <> 0 OR sum(total_minor) <> 0
    ORDER BY 1, 2, 3, 4, 5, 6, 7
    ON CONFLICT (shop_id, unit, bucket, currency, status, close_reason, log_partition) DO UPDATE
    SET
        orders = c.orders + excluded.orders,
        total_minor = c.total_minor + excluded.total_minor,
        captured_minor = c.captured_minor + excluded.captured_minor
),
-- Only when an order begins and when it ends.
of_customers AS MATERIALIZED (
    SELECT
        shop_id, customer_id, currency,
        count(*) FILTER (WHERE status_before IS NULL) AS orders,
        count(*) FILTER (WHERE status = 'COMPLETED')
            - count(*) FILTER (WHERE status_before = 'COMPLETED') AS completed,
        count(*) FILTER (WHERE status = 'CANCELLED')
            - count(*) FILTER (WHERE status_before = 'CANCELLED') AS cancelled,
        count(*) FILTER (WHERE status = 'REJECTED')
            - count(*) FILTER (WHERE status_before = 'REJECTED') AS rejected,
        count(*) FILTER (WHERE status = 'EXPIRED')
            - count(*) FILTER (WHERE status_before = 'EXPIRED') AS expired,
        coalesce(sum(total_minor) FILTER (WHERE status_before IS NULL), 0) AS total_minor,
        coalesce(sum(total_minor) FILTER (WHERE status = 'COMPLETED'), 0)
            - coalesce(sum(total_minor) FILTER (WHERE status_before = 'COMPLETED'), 0)
            AS completed_minor,
        min(placed_at) AS first_placed_at, max(placed_at) AS last_placed_at
    FROM known
    WHERE status_before IS NULL
        OR (status <> status_before
            AND (status IN ('COMPLETED', 'CANCELLED', 'REJECTED', 'EXPIRED')
                OR status_before IN ('COMPLETED', 'CANCELLED', 'REJECTED', 'EXPIRED')))
    GROUP BY shop_id, customer_id, currency
)
INSERT INTO customer_counts AS c
SELECT
    shop_id, customer_id, currency, orders, completed, cancelled, rejected, expired, total_minor,
    completed_minor, first_placed_at, last_placed_at
FROM of_customers
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
INSERT INTO order_addresses
SELECT order_id, shop_id, customer_id, key_id, nonce, ciphertext
FROM order_placed_shipping_address
ORDER BY order_id
ON CONFLICT DO NOTHING
;
