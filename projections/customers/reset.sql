-- SPDX-License-Identifier: Apache-2.0
-- What `orderlog projection reset customers` empties.
TRUNCATE customers;
