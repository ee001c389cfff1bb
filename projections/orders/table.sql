-- SPDX-License-Identifier: Apache-2.0
-- Every order as its events left it, for front ends and support desks.

CREATE TABLE orders (
    order_id uuid PRIMARY KEY,
    shop_id text NOT NULL,
    customer_id text NOT NULL,
    reference text,
    currency text NOT NULL,
    version bigint NOT NULL,
    status text NOT NULL,
    reservation_status text NOT NULL,
    payment_status text NOT NULL,
    shipment_status text NOT NULL,
    lines_count integer NOT NULL,
    items_minor bigint NOT NULL,
    discount_minor bigint NOT NULL,
    shipping_minor bigint NOT NULL,
    tax_minor bigint NOT NULL,
    total_minor bigint NOT NULL,
    captured_minor bigint NOT NULL,
    close_reason text, -- why it was rejected or cancelled
    close_detail text,
    case_reason text, -- why people were asked to look at it, the last time
    tracking text,
    ordered_at timestamptz, -- by the customer, where an import says so
    placed_at timestamptz NOT NULL,
    confirmed_at timestamptz,
    dispatched_at timestamptz,
    delivered_at timestamptz,
    closed_at timestamptz,
    updated_at timestamptz NOT NULL,
    -- What lists by status go by. An order in flight changes its status at every step, and an index
    -- on it would have to be rewritten each time; this changes once or twice.
    stage text NOT NULL GENERATED ALWAYS AS (
        CASE WHEN status IN ('CANCELLED', 'COMPLETED', 'EXPIRED', 'NEEDS_ATTENTION', 'REJECTED')
        THEN status ELSE 'OPEN' END
    ) STORED
) WITH (fillfactor = 70);

CREATE INDEX orders_by_customer ON orders (shop_id, customer_id, placed_at DESC, order_id);
CREATE INDEX orders_by_stage ON orders (shop_id, stage, placed_at DESC, order_id);
CREATE INDEX orders_by_time ON orders (shop_id, placed_at DESC, order_id);

CREATE TABLE order_lines (
    order_id uuid NOT NULL,
    line_no integer NOT NULL, -- 1, 2, 3 … as ordered
    sku text NOT NULL,
    quantity bigint NOT NULL,
    unit_price_minor bigint NOT NULL,
    price_version bigint, -- of the catalogue; NULL for an explicit price
    PRIMARY KEY (order_id, line_no)
);
