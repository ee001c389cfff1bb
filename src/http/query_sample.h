// SPDX-License-Identifier: Apache-2.0
//
// A sample of what happens in a shop, for dashboards: of the orders that change, as many a second
// as the client asks for, chosen evenly, as they are when they are read; and once a second how many
// changed in all. Of the thread of streams, under its lock where not said otherwise.
#ifndef ORDERLOG_HTTP_QUERY_SAMPLE_H
#define ORDERLOG_HTTP_QUERY_SAMPLE_H

#include "query_state.h"
#include "store/pg_array.h"

enum { SAMPLE_RATE_MAX = 100 };

struct event_stream;

struct query_sample {
    int32_t number; // no other one's
    char shop[HTTP_SHOP_MAX];
    int64_t rate; // a second
    int64_t told_us;
    int64_t changes; // since told
    int64_t shown;   // likewise; never more than rate
    int64_t offered; // in this look
    uint64_t dice;
    size_t count;
    struct id chosen[SAMPLE_RATE_MAX];
};

// Before a look.
void query_sample_begin(struct query_sample *sample);

// An order has changed.
void query_sample_offer(struct query_sample *sample, const struct id *order_id);

// After a look: adds those that are to be read, with the sample's number.
void query_sample_want(const struct query_sample *sample, struct pg_array *ids,
                       struct pg_array *shops, struct pg_array *numbers);

// One of them, as JSON.
void query_sample_show(struct query_sample *sample, struct event_stream *out, const char *json,
                       size_t length);

// Once a second: how many changed, and how many of them were shown.
void query_sample_tell(struct query_sample *sample, struct event_stream *out, int64_t now_us);

#endif
