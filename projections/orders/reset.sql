-- SPDX-License-Identifier: Apache-2.0
-- What `orderlog projection reset orders` empties.
TRUNCATE orders, order_line_sets, order_counts, customer_counts, order_addresses;
