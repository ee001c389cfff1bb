-- SPDX-License-Identifier: Apache-2.0
-- Shops ask for an order by their own number.

CREATE INDEX orders_by_reference ON orders (shop_id, reference, placed_at DESC, order_id)
WHERE reference IS NOT NULL;
