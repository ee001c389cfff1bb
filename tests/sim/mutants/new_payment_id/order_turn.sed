# SPDX-License-Identifier: Apache-2.0
# A retry asks the provider under another id.
s/request->payment_id = order_payment_id(turn->order);/request->payment_id = id_derive(\&turn->order->order_id, 'P' + (uint64_t)open->attempt);/
