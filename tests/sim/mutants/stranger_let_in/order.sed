# SPDX-License-Identifier: Apache-2.0
# A customer may cancel the order of another.
/^static bool of_customer/,/^}/ s/if (!customer.ptr)/if (!order->recalled)/
