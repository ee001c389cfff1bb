-- SPDX-License-Identifier: Apache-2.0
-- Minutes are for watching; hours and days stay.

DELETE FROM order_counts
WHERE ctid = ANY (ARRAY(
    SELECT ctid
    FROM order_counts
    WHERE unit = 'minute' AND bucket < now() - interval '2 days'
    LIMIT 5000
))
