-- SPDX-License-Identifier: Apache-2.0
-- What two generations must agree in: name, rows and a digest of each.

SELECT 'inventory', count(*), sum(hashtextextended(t::text, 0)::numeric) FROM inventory t;
SELECT 'sku_days', count(*), sum(hashtextextended(t::text, 0)::numeric) FROM sku_days t;
