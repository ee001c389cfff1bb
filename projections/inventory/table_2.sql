-- SPDX-License-Identifier: Apache-2.0
-- What was sold of each SKU, day by day (UTC).

-- A projector of the version before may be at work: what it adds after the copy would be lost.
LOCK TABLE inventory IN ACCESS EXCLUSIVE MODE;

CREATE TABLE sku_days (
    shop_id text NOT NULL,
    sku text NOT NULL,
    day timestamptz NOT NULL,
    sold bigint NOT NULL,
    PRIMARY KEY (shop_id, sku, day)
) WITH (fillfactor = 50);
CREATE INDEX sku_days_by_day ON sku_days (shop_id, day);

-- When what was sold before this table was sold is in the log alone: it counts for the day of the
-- SKU's last change. `orderlog rebuild inventory` puts it where it belongs.
INSERT INTO sku_days
SELECT shop_id, sku, date_trunc('day', updated_at, 'UTC'), sold
FROM inventory
WHERE sold > 0;
