// SPDX-License-Identifier: Apache-2.0
//
// How orders that are not closed stand in the read model `orders`: for metrics and `orderlog
// status`. Reads the ends of an index, whatever the number of orders.
#ifndef ORDERLOG_STORE_OPEN_ORDERS_H
#define ORDERLOG_STORE_OPEN_ORDERS_H

#include "store/db.h"

enum { OPEN_ORDERS_COUNT_MAX = 1000 };

struct open_orders {
    bool any; // that neither is closed nor waits for people
    struct id oldest_id;
    int64_t oldest_age_us;
    int64_t needing_attention; // wait for people; counted up to OPEN_ORDERS_COUNT_MAX
};

bool open_orders_measure(struct db *db, struct open_orders *ret, struct error *err);

#endif
