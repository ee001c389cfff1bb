# SPDX-License-Identifier: Apache-2.0
# The assertion against it is gone too.
/assert(order && head->version == order->version + 1);/d
