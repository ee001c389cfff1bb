# SPDX-License-Identifier: Apache-2.0
# A version is left out when an order is confirmed.
s/head->version = turn->order->version + 1;/head->version = turn->order->version + 1 + (type == RECORD_ORDER_CONFIRMED);/
