-- SPDX-License-Identifier: Apache-2.0
-- What two generations must agree in: name, rows and a digest of each.

SELECT 'order_timeline', count(*), sum(hashtextextended(t::text, 0)::numeric) FROM order_timeline t;
