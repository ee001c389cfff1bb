-- SPDX-License-Identifier: Apache-2.0
-- What `orderlog projection reset customer_commands` empties.
TRUNCATE customer_commands;
