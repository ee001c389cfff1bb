-- SPDX-License-Identifier: Apache-2.0
-- What `orderlog projection reset stock_commands` empties.
TRUNCATE stock_commands;
