// SPDX-License-Identifier: Apache-2.0
//
// GET /v1/orders/{id}/stream: what happens to an order, as server-sent events, from the event after
// the one that the client names (Last-Event-ID, the order's version) and for as long as it listens.
// Every versioned event comes once and in order; commands that were refused are outside of an
// order's versions and do not come.
#ifndef ORDERLOG_HTTP_QUERY_STREAMS_H
#define ORDERLOG_HTTP_QUERY_STREAMS_H

#include "query_state.h"

bool query_streams_start(const struct config *config, struct query_streams **ret,
                         struct error *err);

// Ends all streams and takes no more. Before the HTTP server drains.
void query_streams_stop(struct query_streams *streams); // NULL is fine

// After the HTTP server has been freed.
void query_streams_free(struct query_streams *streams); // NULL is fine

// Answers the request, with a stream of the order's events after this version, or 503. The order is
// there and the caller's. Any thread.
void query_streams_open(struct query_streams *streams, struct http_request *request,
                        const struct id *order_id, int64_t version);

#endif
