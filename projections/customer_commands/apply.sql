-- SPDX-License-Identifier: Apache-2.0
-- topic: customers
-- The record is the outcome. One that was sent again stands where it stood first.

INSERT INTO customer_commands
SELECT DISTINCT ON (command_id)
    command_id, shop_id, customer_id, 'applied', erased_at IS NOT NULL,
    log_partition, log_offset, updated_at
FROM customer
ORDER BY command_id, log_offset
ON CONFLICT (command_id) DO NOTHING
;
