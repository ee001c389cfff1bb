-- SPDX-License-Identifier: Apache-2.0
-- How many orders there are, of when, how they stand and what they are worth; and the same per
-- customer. Sums over `orders`, moved by the statement that moves the rows, so that they are never
-- anything else: `order_stats` and `customer_counts` are what a GROUP BY would say.

-- A projector of the version before may be at work: what it adds after the copy would be lost.
LOCK TABLE orders IN ACCESS EXCLUSIVE MODE;

-- By partition, so that projectors of several do not wait for each other; -1: from before this table.
-- A row may be below zero where an order came into being before it; only sums over partitions count.
CREATE TABLE order_counts (
    shop_id text NOT NULL,
    unit text NOT NULL, -- minute, hour, day
    bucket timestamptz NOT NULL, -- of placed_at, in UTC
    currency text NOT NULL,
    status text NOT NULL,
    close_reason text NOT NULL, -- '': none
    log_partition integer NOT NULL,
    orders bigint NOT NULL,
    total_minor bigint NOT NULL,
    captured_minor bigint NOT NULL,
    PRIMARY KEY (shop_id, unit, bucket, currency, status, close_reason, log_partition)
) WITH (fillfactor = 50);

CREATE TABLE customer_counts (
    shop_id text NOT NULL,
    customer_id text NOT NULL,
    currency text NOT NULL,
    orders bigint NOT NULL,
    completed bigint NOT NULL,
    cancelled bigint NOT NULL,
    rejected bigint NOT NULL,
    expired bigint NOT NULL,
    total_minor bigint NOT NULL, -- of all
    completed_minor bigint NOT NULL, -- of those that were completed
    first_placed_at timestamptz NOT NULL,
    last_placed_at timestamptz NOT NULL,
    PRIMARY KEY (shop_id, customer_id, currency)
) WITH (fillfactor = 70);

INSERT INTO order_counts
SELECT
    shop_id, unit, date_trunc(unit, placed_at, 'UTC'), currency, status, coalesce(close_reason, ''),
    -1, count(*), sum(total_minor), sum(captured_minor)
FROM orders
CROSS JOIN (VALUES ('minute'), ('hour'), ('day')) AS u (unit)
GROUP BY 1, 2, 3, 4, 5, 6;

INSERT INTO customer_counts
SELECT
    shop_id, customer_id, currency, count(*),
    count(*) FILTER (WHERE status = 'COMPLETED'), count(*) FILTER (WHERE status = 'CANCELLED'),
    count(*) FILTER (WHERE status = 'REJECTED'), count(*) FILTER (WHERE status = 'EXPIRED'),
    sum(total_minor), coalesce(sum(total_minor) FILTER (WHERE status = 'COMPLETED'), 0),
    min(placed_at), max(placed_at)
FROM orders
GROUP BY 1, 2, 3;

-- The sums. Minutes are kept for two days (purge.sql).
CREATE VIEW order_stats AS
SELECT
    shop_id, unit, bucket, currency, status, close_reason, sum(orders)::bigint AS orders,
    sum(total_minor)::bigint AS total_minor, sum(captured_minor)::bigint AS captured_minor
FROM order_counts
GROUP BY shop_id, unit, bucket, currency, status, close_reason
HAVING sum(orders) <> 0;
