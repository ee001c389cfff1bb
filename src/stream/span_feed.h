// SPDX-License-Identifier: Apache-2.0
//
// A thread that fetches, checks, decompresses and decodes what another one folds: whole batches of
// records, of which a few wait. Inner to log_span.c.
#ifndef ORDERLOG_STREAM_SPAN_FEED_H
#define ORDERLOG_STREAM_SPAN_FEED_H

#include "event/message.h"
#include "service/arena.h"
#include "service/error.h"
#include "wire/wire_fetch.h"

struct span_feed;

struct span_feed_batch {
    struct wire_records records;
    struct message *messages; // owned: a record's each; body NULL: it has no value, or cannot be
    size_t messages_capacity; // decoded
    struct arena arena;       // what they lie in
    size_t span;
};

// Takes the fetch over, to free it. ids is borrowed, and looked into by the thread. NULL:
// DISP_RETRY.
struct span_feed *span_feed_new(struct wire_fetch *fetch, const struct schema_ids *ids,
                                struct error *err);

// Ends the thread, which may still wait for a broker's answer, for SPAN_FEED_ANSWER_MS at most.
void span_feed_free(struct span_feed *feed); // NULL is fine

enum { SPAN_FEED_ANSWER_MS = 10000 };

// The next batch, valid until the next call; WIRE_FETCH_WAITS when there is none for so long.
enum wire_fetched span_feed_next(struct span_feed *feed, int timeout_ms,
                                 const struct span_feed_batch **ret, struct error *err);

#endif
