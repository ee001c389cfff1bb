-- SPDX-License-Identifier: Apache-2.0
-- What `orderlog projection reset inventory` empties.
TRUNCATE inventory, sku_days;
