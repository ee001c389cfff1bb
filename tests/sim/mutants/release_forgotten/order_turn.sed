# SPDX-License-Identifier: Apache-2.0
# Only what was confirmed as reserved is released, not what is still on its way.
s/if (items\[i\].state > ORDER_ITEM_RESERVED)/if (items[i].state > ORDER_ITEM_RESERVED || (action == STOCK_ACTION_RELEASE \&\& items[i].state == ORDER_ITEM_PENDING))/
