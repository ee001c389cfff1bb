// SPDX-License-Identifier: Apache-2.0
//
// Spans of traces, exported in the background as OTLP/HTTP JSON
// (https://opentelemetry.io/docs/specs/otlp/). Off unless trace.otlp.url is set: then
// spans_are_on() is one relaxed load, and nothing else here is to be called. Memory is bounded:
// what finds the queue full, or cannot be delivered after some tries, is dropped and counted
// (orderlog_spans_total). Nothing ever waits for the collector.
//
// One order is one trace. Where a caller sends a sampled traceparent, that one goes on; of all
// other orders one in trace.sample.every is traced, chosen by its id, under a trace id that is the
// order id: all gateways choose alike.
#ifndef ORDERLOG_SERVICE_SPANS_H
#define ORDERLOG_SERVICE_SPANS_H

#include "service/config.h"
#include "service/error.h"
#include "service/trace.h"

#include <stdatomic.h>

extern _Atomic bool spans_on;

static inline bool spans_are_on(void) {
    return atomic_load_explicit(&spans_on, memory_order_relaxed);
}

enum span_kind {
    SPAN_INTERNAL = 1,
    SPAN_SERVER = 2,
    SPAN_CLIENT = 3,
    SPAN_PRODUCER = 4,
    SPAN_CONSUMER = 5
};

enum { SPAN_NAME_MAX = 64 };

// What is known of it; the rest is left out.
struct span {
    struct trace_context self;
    uint8_t parent[TRACE_SPAN_ID_LEN]; // all zero: none
    enum span_kind kind;
    char name[SPAN_NAME_MAX];
    int64_t start_us; // wall clock
    int64_t end_us;
    bool has_order_id;
    uint8_t order_id[16];
    const char *topic; // a literal; NULL: no message
    int32_t partition;
    int64_t offset;     // -1: not known
    int32_t status;     // HTTP; 0: none
    const char *method; // literals
    const char *route;
    bool failed;
};

// Before and after the parts of a service, in the main thread. Without a URL: nothing happens.
bool spans_start(const struct config *config, const char *role, int slot, struct error *err);
void spans_stop(void); // gives what is left two seconds to leave

// The trace of an order whose caller named none: *ret is set where it is one of those traced.
void spans_of_order(const uint8_t order_id[16], struct trace_context *ret);

// A caller's context as far as it is to be followed (trace.callers).
void spans_of_caller(struct trace_context *trace);

// A span that parent (may be without a span id, not without a trace) causes. Any thread.
void span_begin(struct span *span, const struct trace_context *parent, enum span_kind kind,
                int64_t start_us);

// Queues a copy, if it is sampled.
void spans_add(const struct span *span);

// ---- spans that count only once something has been committed -----------------------------------

enum { SPAN_BATCH_MAX = 4096 };

struct span_batch {
    struct span *items; // owned, made when first needed
    size_t count;
};

// Room for one more, zeroed; NULL: there is none (counted as dropped).
struct span *span_batch_add(struct span_batch *batch);

// They end now. Or never were.
void span_batch_commit(struct span_batch *batch, int64_t end_us);
static inline void span_batch_drop(struct span_batch *batch) {
    batch->count = 0;
}
void span_batch_done(struct span_batch *batch);

#endif
