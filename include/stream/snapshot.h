// SPDX-License-Identifier: Apache-2.0
//
// Snapshots of soft state, so that taking a partition over need not read all its events. They are
// rows in the compacted topic D.state, by key; a row that is gone is a tombstone. A *pass* writes
// what changed since the last one, inside the loop's own transactions, some rows in each, and ends
// with a SnapshotPosition: the offset in D.events at which the pass began. (The very first pass
// begins with one, too: the begin of D.events.) Every row is at least as
// new as the events before the last position, whatever happened to a later pass; so whoever loads
// the rows and folds the events from there on, leaving out of each row what it has seen already,
// holds the fold of all events.
#ifndef ORDERLOG_STREAM_SNAPSHOT_H
#define ORDERLOG_STREAM_SNAPSHOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "event/types.h"
#include "service/error.h"
#include "service/trace.h"

// Raised when a processor folds events otherwise than before: it will not take older snapshots.
enum { SNAPSHOT_FORMAT = 2 };

struct snapshot_row {
    const void *key;
    size_t key_len;
    enum record_id type; // of body
    const void *body;    // NULL: gone
    // Of what the row is about: a header of its record (stream/trace_headers.h), where traces are
    // on. No part of the state, which is the same without.
    struct trace_context trace;
};

// Where rows go.
struct snapshot_sink {
    bool (*put)(void *opaque, const struct snapshot_row *row, struct error *err);
    void *opaque;
};

static inline bool snapshot_put(const struct snapshot_sink *sink, const void *key, size_t key_len,
                                enum record_id type, const void *body, struct error *err) {
    const struct snapshot_row row = {.key = key, .key_len = key_len, .type = type, .body = body};
    return sink->put(sink->opaque, &row, err);
}

// The key of a partition's SnapshotPosition. Keys of ours that are no aggregate's begin with '/'.
#define SNAPSHOT_POSITION_KEY "/position"

#endif
