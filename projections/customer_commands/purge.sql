-- SPDX-License-Identifier: Apache-2.0
-- Outcomes are kept for a week, well beyond the window in which a command may be sent again. Small
-- steps, so that nobody waits for a long delete.

DELETE FROM customer_commands
WHERE ctid = ANY (ARRAY(
    SELECT ctid
    FROM customer_commands
    WHERE occurred_at < now() - interval '7 days'
    LIMIT 5000
))
