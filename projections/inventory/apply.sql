-- SPDX-License-Identifier: Apache-2.0
-- topic: inventory.events
-- One write per SKU and batch: its events carry absolute levels, so the last one says it all, but
-- for name and price, which the last product event says.

-- Before `inventory` moves on: its version tells which events it has seen, none of a SKU's as a rule.
-- Summed before anything is joined or put in order, as doing that with every event would cost more than
-- all the rest.
WITH sold AS MATERIALIZED (
    SELECT
        shop_id, sku, date_bin('1 day', occurred_at, timestamptz '2000-01-01 00:00Z') AS day,
        sum(quantity) AS sold, min(version) AS first_version, max(version) AS last_version
    FROM stock_sold
    GROUP BY 1, 2, 3
)
INSERT INTO sku_days AS d
SELECT
    s.shop_id, s.sku, s.day,
    CASE WHEN i.version >= s.first_version
    THEN (
        SELECT sum(e.quantity)
        FROM stock_sold e
        WHERE e.shop_id = s.shop_id AND e.sku = s.sku AND e.version > i.version
            AND date_bin('1 day', e.occurred_at, timestamptz '2000-01-01 00:00Z') = s.day
    )
    ELSE s.sold
    END
FROM sold s
LEFT JOIN inventory i USING (shop_id, sku)
WHERE i.version IS NULL OR i.version < s.last_version
ORDER BY 1, 2, 3
ON CONFLICT (shop_id, sku, day) DO UPDATE
SET sold = d.sold + excluded.sold
;
WITH created AS (
    INSERT INTO inventory
    SELECT
        shop_id, sku, l.version, l.name, l.currency, l.price_minor, l.price_version,
        l.on_hand, l.reserved, l.sold, l.occurred_at
    FROM product_created
    JOIN latest l USING (shop_id, sku)
    ORDER BY shop_id, sku
    ON CONFLICT (shop_id, sku) DO NOTHING
)
UPDATE inventory i
SET
    version = l.version,
    name = coalesce(l.name, i.name),
    currency = coalesce(l.currency, i.currency),
    price_minor = coalesce(l.price_minor, i.price_minor),
    price_version = coalesce(l.price_version, i.price_version),
    on_hand = l.on_hand,
    reserved = l.reserved,
    sold = l.sold,
    updated_at = l.occurred_at
FROM latest l
WHERE i.shop_id = l.shop_id AND i.sku = l.sku AND i.version < l.version
;
