# SPDX-License-Identifier: Apache-2.0
# A cancelled order may still be dispatched.
/ORDER_STATUS_CANCELLED\]/ s/order_refuse_closed, *order_refuse_closed,/order_refuse_closed, order_authorise_dispatch,/
