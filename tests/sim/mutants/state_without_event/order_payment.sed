# SPDX-License-Identifier: Apache-2.0
# The state remembers what no event says.
/^void order_capture_again/,/^}/ s/order_request_payment(turn, PAYMENT_ACTION_CAPTURE);/order_opened(turn->order)->attempt++, order_request_payment(turn, PAYMENT_ACTION_CAPTURE);/
