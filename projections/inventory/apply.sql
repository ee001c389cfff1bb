-- SPDX-License-Identifier: Apache-2.0
-- topic: inventory.events
-- One write per SKU and batch: its events carry absolute levels, so the last one says it all, but
-- for name and price, which the last product event says.

WITH last AS (
    SELECT DISTINCT ON (shop_id, sku)
        shop_id, sku, version, occurred_at, on_hand, reserved, sold
    FROM event
    WHERE version IS NOT NULL
    ORDER BY shop_id, sku, version DESC
), product AS (
    SELECT DISTINCT ON (shop_id, sku)
        shop_id, sku, name, currency, price_minor, price_version
    FROM event
    WHERE price_version IS NOT NULL
    ORDER BY shop_id, sku, version DESC
), fold AS (
    SELECT
        shop_id, sku, version, occurred_at, on_hand, reserved, sold,
        name, currency, price_minor, price_version
    FROM last
    LEFT JOIN product USING (shop_id, sku)
), created AS (
    INSERT INTO inventory
    SELECT
        c.shop_id, c.sku, f.version, f.name, f.currency, f.price_minor, f.price_version,
        f.on_hand, f.reserved, f.sold, f.occurred_at
    FROM product_created c
    JOIN fold f USING (shop_id, sku)
    ORDER BY c.shop_id, c.sku
    ON CONFLICT (shop_id, sku) DO NOTHING
)
UPDATE inventory i
SET
    version = f.version,
    name = coalesce(f.name, i.name),
    currency = coalesce(f.currency, i.currency),
    price_minor = coalesce(f.price_minor, i.price_minor),
    price_version = coalesce(f.price_version, i.price_version),
    on_hand = f.on_hand,
    reserved = f.reserved,
    sold = f.sold,
    updated_at = f.occurred_at
FROM fold f
WHERE i.shop_id = f.shop_id AND i.sku = f.sku AND i.version < f.version
;
