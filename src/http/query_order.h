// SPDX-License-Identifier: Apache-2.0
//
// An order as the read model has it, as JSON. Rows come as they are stored and are written out
// here: row_to_json() and json_agg() cost PostgreSQL more than finding the rows did.
#ifndef ORDERLOG_HTTP_QUERY_ORDER_H
#define ORDERLOG_HTTP_QUERY_ORDER_H

#include "event/types.h"
#include "service/jsonout.h"
#include "store/db.h"

// Orders by id: $1 is an array of uuid. One row for each that is there, whosever it is.
extern const char query_order_sql[];
extern const char query_order_addressed_sql[]; // with their addresses

struct id query_order_id(const PGresult *result, int row);
int64_t query_order_version(const PGresult *result, int row);
const char *query_order_shop(const PGresult *result, int row);
const char *query_order_customer(const PGresult *result, int row);

// Of a row with its address: whose it is and what is sealed, borrowed. False: it has none.
bool query_order_address(const PGresult *result, int row, struct view *ret_customer,
                         struct personal *ret_sealed);

// The text that row_to_json() would have made.
void query_order_write(struct jsonout *out, const PGresult *result, int row);

#endif
