-- SPDX-License-Identifier: Apache-2.0
-- What two generations must agree in: name, rows and a digest of each.

SELECT 'customer_commands', count(*), sum(hashtextextended(t::text, 0)::numeric)
FROM customer_commands t
WHERE occurred_at > now() - interval '6 days'; -- older ones are purged
