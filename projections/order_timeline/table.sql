-- SPDX-License-Identifier: Apache-2.0
-- What happened to each order, event by event: the page a support desk opens first.

CREATE TABLE order_timeline (
    order_id uuid NOT NULL,
    log_partition integer NOT NULL,
    log_offset bigint NOT NULL,
    shop_id text NOT NULL,
    version bigint, -- NULL: outside the order's versions, such as a refused command
    type text NOT NULL,
    status text,
    occurred_at timestamptz NOT NULL,
    event_id uuid NOT NULL,
    detail jsonb, -- what this kind of event says beyond that, if anything
    PRIMARY KEY (order_id, log_offset)
);
