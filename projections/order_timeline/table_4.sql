-- SPDX-License-Identifier: Apache-2.0
-- Which orders the last batches changed, for about a minute: who follows orders looks here and not at
-- every order it follows. Where batches are cut, and so which rows there are, is of no importance:
-- an order that is named without a change is looked at in vain.

CREATE TABLE order_timeline_news (
    log_partition integer NOT NULL,
    last_offset bigint NOT NULL, -- of their events in the batch
    shop_id text NOT NULL,
    order_ids uuid[] NOT NULL,
    noted_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (log_partition, last_offset, shop_id)
);
