-- SPDX-License-Identifier: Apache-2.0
-- Customers, what is personal sealed with a key that PostgreSQL never has. Whether a customer was erased
-- is decided by the keys: erased_at says so as soon as it is read, and for who asks the table alone.

CREATE TABLE customers (
    shop_id text NOT NULL,
    customer_id text NOT NULL,
    command_id uuid NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    erased_at timestamptz,
    key_id uuid,
    nonce bytea,
    ciphertext bytea,
    log_partition integer NOT NULL,
    log_offset bigint NOT NULL, -- of the record: the version of the row
    PRIMARY KEY (shop_id, customer_id)
) WITH (fillfactor = 70);
-- Sealed bytes cannot be compressed.
ALTER TABLE customers ALTER COLUMN ciphertext SET STORAGE EXTERNAL;
