-- SPDX-License-Identifier: Apache-2.0
-- What became of each command about orders, and where in the log that is written: whoever waits for
-- a command waits for its row here, and then for the read model to have passed this offset.

CREATE TABLE order_commands (
    command_id uuid PRIMARY KEY,
    key_id uuid NOT NULL,
    shop_id text NOT NULL,
    order_id uuid NOT NULL,
    outcome text NOT NULL, -- applied, refused
    reason text,
    detail text,
    event_type text NOT NULL,
    version bigint,
    log_partition integer NOT NULL,
    log_offset bigint NOT NULL,
    occurred_at timestamptz NOT NULL
);

CREATE INDEX order_commands_by_time ON order_commands USING brin (occurred_at);
