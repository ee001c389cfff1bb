-- SPDX-License-Identifier: Apache-2.0
-- What `orderlog projection reset order_commands` empties.
TRUNCATE order_commands;
