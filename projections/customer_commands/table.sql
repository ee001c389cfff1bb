-- SPDX-License-Identifier: Apache-2.0
-- What became of each command about a customer, and where in the log that is written: whoever waits for a
-- command waits for its row here, and then for the read model to have passed this offset.

CREATE TABLE customer_commands (
    command_id uuid PRIMARY KEY,
    shop_id text NOT NULL,
    customer_id text NOT NULL,
    outcome text NOT NULL, -- applied: there is nothing to refuse
    is_erasure boolean NOT NULL,
    log_partition integer NOT NULL,
    log_offset bigint NOT NULL,
    occurred_at timestamptz NOT NULL
);

CREATE INDEX customer_commands_by_time ON customer_commands USING brin (occurred_at);
