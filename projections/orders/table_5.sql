-- SPDX-License-Identifier: Apache-2.0
-- Where orders go, sealed with the customer's key. PostgreSQL never has that key: once it is destroyed,
-- this row, its dead versions and the WAL say nothing any more.

CREATE TABLE order_addresses (
    order_id uuid PRIMARY KEY,
    shop_id text NOT NULL,
    customer_id text NOT NULL,
    key_id uuid NOT NULL,
    nonce bytea NOT NULL,
    ciphertext bytea NOT NULL
);
-- Sealed bytes cannot be compressed.
ALTER TABLE order_addresses ALTER COLUMN ciphertext SET STORAGE EXTERNAL;
