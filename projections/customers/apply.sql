-- SPDX-License-Identifier: Apache-2.0
-- topic: customers
-- A register: of each customer the last record counts, whatever was there before.

WITH last AS (
    SELECT DISTINCT ON (c.shop_id, c.customer_id)
        c.shop_id, c.customer_id, c.command_id, c.created_at, c.updated_at, c.erased_at,
        p.key_id, p.nonce, p.ciphertext, c.log_partition, c.log_offset
    FROM customer c
    LEFT JOIN customer_personal p
        ON p.log_partition = c.log_partition AND p.log_offset = c.log_offset
    ORDER BY c.shop_id, c.customer_id, c.log_offset DESC
)
INSERT INTO customers
SELECT
    shop_id, customer_id, command_id, created_at, updated_at, erased_at,
    key_id, nonce, ciphertext, log_partition, log_offset
FROM last
ORDER BY shop_id, customer_id
ON CONFLICT (shop_id, customer_id) DO UPDATE
SET
    command_id = excluded.command_id,
    created_at = excluded.created_at,
    updated_at = excluded.updated_at,
    erased_at = excluded.erased_at,
    key_id = excluded.key_id,
    nonce = excluded.nonce,
    ciphertext = excluded.ciphertext,
    log_partition = excluded.log_partition,
    log_offset = excluded.log_offset
WHERE customers.log_offset < excluded.log_offset
;
