-- SPDX-License-Identifier: Apache-2.0
-- Name, price and stock of every SKU.

CREATE TABLE inventory (
    shop_id text NOT NULL,
    sku text NOT NULL,
    version bigint NOT NULL,
    name text NOT NULL,
    currency text NOT NULL,
    price_minor bigint NOT NULL,
    price_version bigint NOT NULL,
    on_hand bigint NOT NULL,
    reserved bigint NOT NULL,
    sold bigint NOT NULL,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (shop_id, sku)
) WITH (fillfactor = 50);
