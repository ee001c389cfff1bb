-- SPDX-License-Identifier: Apache-2.0
-- Whose a command was that changed nothing, so that a customer hears of it: there may be no order
-- that says so, or it may be somebody else's. NULL: nobody's but the shop's.

ALTER TABLE order_commands ADD COLUMN customer_id text;
