-- SPDX-License-Identifier: Apache-2.0
-- What two generations must agree in: name, rows and a digest of each.

SELECT 'orders', count(*), sum(hashtextextended(t::text, 0)::numeric) FROM orders t;
SELECT 'order_lines', count(*), sum(hashtextextended(t::text, 0)::numeric) FROM order_lines t;
SELECT 'order_stats', count(*), sum(hashtextextended(t::text, 0)::numeric)
FROM order_stats t
WHERE unit <> 'minute' OR bucket > now() - interval '1 day';
SELECT 'customer_counts', count(*), sum(hashtextextended(t::text, 0)::numeric) FROM customer_counts t;
