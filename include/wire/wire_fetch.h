// SPDX-License-Identifier: Apache-2.0
//
// Reads parts of a topic's partitions, committed records only, each up to an end that is known
// before: no group, no commits, and as everywhere here nothing is tried again. Whole batches are
// handed over, and the next answer is on its way meanwhile.
//
// A broker sends a reader of committed records what lies before the last stable offset, and with it
// the transactions among that which were aborted (KIP-98, "Consumer"): their batches are left out
// here, and so are the markers that end transactions.
//
// One thread.
#ifndef ORDERLOG_WIRE_FETCH_H
#define ORDERLOG_WIRE_FETCH_H

#include "wire/wire_cluster.h"
#include "wire/wire_records.h"

struct wire_span {
    int32_t partition;
    int64_t from;
    int64_t end; // not included
};

struct wire_fetch;

// settings, topic and the connections' certificates are borrowed; spans are copied. Connects to
// nobody yet. NULL: DISP_FATAL.
struct wire_fetch *wire_fetch_new(const struct wire_settings *settings, const char *topic,
                                  const struct wire_span *spans, size_t count, struct error *err);
void wire_fetch_free(struct wire_fetch *fetch); // NULL is fine

enum wire_fetched {
    WIRE_FETCHED,      // *ret_records, of span *ret_span
    WIRE_FETCH_WAITS,  // an answer has come: ask again. All may have to wait for a last stable
                       // offset
    WIRE_FETCH_ENDED,  // all has been handed over
    WIRE_FETCH_FAILED, // DISP_RETRY, or DISP_FATAL when no broker will have us: only to be freed
};

// The next batch, into records of the caller's, which stay valid whatever comes. Every span's come
// in the log's order, and everything before its end has come when all has ended. Waits until the
// deadline for an answer.
enum wire_fetched wire_fetch_next(struct wire_fetch *fetch, struct wire_records *ret_records,
                                  size_t *ret_span, int64_t deadline_ms, struct error *err);

#endif
