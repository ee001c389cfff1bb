// SPDX-License-Identifier: Apache-2.0
//
// GET /v1/orders/{id}/stream: what happens to an order, as server-sent events, from the event after
// the one that the client names (Last-Event-ID, the order's version) and for as long as it listens.
// Every versioned event comes once and in order; commands that were refused are outside of an
// order's versions and do not come.
//
// GET /v1/stream: a sample of what happens in the shop (query_sample.h).
#ifndef ORDERLOG_HTTP_QUERY_STREAMS_H
#define ORDERLOG_HTTP_QUERY_STREAMS_H

#include "query_state.h"

// Streams of callers for whom access holds no longer are ended within a second.
bool query_streams_start(const struct config *config, const struct query_pulse *pulse,
                         struct http_access access, struct query_streams **ret, struct error *err);

// Ends all streams and takes no more. Before the HTTP server drains.
void query_streams_stop(struct query_streams *streams); // NULL is fine

// After the HTTP server has been freed.
void query_streams_free(struct query_streams *streams); // NULL is fine

// Answers the request, with a stream of the order's events after this version, or 503. The order is
// there and the caller's. Any thread.
void query_streams_open(struct query_streams *streams, struct http_request *request,
                        const struct id *order_id, int64_t version);

// The same for a sample of all orders of the caller's shop, at most rate events a second.
void query_streams_open_sample(struct query_streams *streams, struct http_request *request,
                               int64_t rate);

#endif
