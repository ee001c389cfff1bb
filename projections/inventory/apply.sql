-- SPDX-License-Identifier: Apache-2.0
-- topic: inventory.events
-- One write per SKU and batch: its events carry absolute levels, so the last one says it all, but
-- for name and price, which the last product event says.

-- Before `inventory` moves on: its version tells which events it has seen.
INSERT INTO sku_days AS d
SELECT e.shop_id, e.sku, date_trunc('day', e.occurred_at, 'UTC'), sum(e.quantity)
FROM stock_sold e
LEFT JOIN inventory i USING (shop_id, sku)
WHERE i.version IS NULL OR i.version < e.version
GROUP BY 1, 2, 3
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
