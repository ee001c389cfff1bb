// SPDX-License-Identifier: Apache-2.0
//
// The snapshots of partitions, loaded at take-over. Inner to takeover.c.
#ifndef ORDERLOG_STREAM_RESTORE_H
#define ORDERLOG_STREAM_RESTORE_H

#include "stream/takeover.h"

struct restore {
    struct partition *partition; // with an empty state
    int64_t events_low;
    int64_t events_end;
    int64_t state_low; // of D.state, to be set by restore_bounds()
    int64_t state_end;

    // What came of it.
    int64_t events_from; // where folding has to begin
    uint64_t rows;
    bool outdated; // there are rows of an older format
    bool usable;
    struct snapshot_position position; // the last one; events_offset -1: none
};

// The marks up to which snapshots are read; to be asked for before the events' ends are. Nothing
// for roles without snapshots.
enum takeover_result restore_bounds(const struct takeover *takeover, struct restore *restore,
                                    struct error *err);

// Loads them into the partitions' states. Where there are none that can be used, the state is as
// new and all events have to be folded.
enum takeover_result restore_run(const struct takeover *takeover, struct restore *restores,
                                 size_t count, struct error *err);

#endif
