-- SPDX-License-Identifier: Apache-2.0
-- What two generations must agree in: name, rows and a digest of each.

SELECT 'customers', count(*), sum(hashtextextended(t::text, 0)::numeric) FROM customers t;
