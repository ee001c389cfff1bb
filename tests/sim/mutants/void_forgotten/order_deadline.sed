# SPDX-License-Identifier: Apache-2.0
# An order that expires leaves the customer's money held.
/^void order_expire/,/^}/ s/bool voids = .*/bool voids = false;/
