// SPDX-License-Identifier: Apache-2.0
//
// One input partition in the hands of this worker: where it stands, what is committed, its soft
// state. Owned by the loop's one thread.
#ifndef ORDERLOG_STREAM_PARTITION_H
#define ORDERLOG_STREAM_PARTITION_H

#include "stream/offset_metadata.h"
#include "stream/parked.h"
#include "stream/role.h"
#include "stream/window.h"

struct partition {
    int32_t id;
    bool assigned;         // we take its input
    bool restored;         // state is the fold up to the committed transaction
    uint32_t generation;   // grows with every restore and rewind: tokens of before are stale
    void *state;           // the role's; NULL while not restored
    struct parked *parked; // owned; made at take-over, goes with the state
    bool stopped;          // as much is parked as may be: input is looked at, not taken
    bool full_told;        // that so much is parked has been said

    int64_t next_offset; // of the input: everything before has been read
    int64_t read_ms;     // when the record read last was written; 0: none yet
    int64_t drained_ms;  // when nothing was unread, as far as known: what is now came later

    // As committed last.
    int64_t committed_offset;
    struct offset_metadata committed;
    char committed_answered[WINDOW_TEXT_MAX]; // committed.answered points here

    // The open transaction.
    bool touched;
    int64_t staged_offset;
    struct offset_metadata staged;
    char staged_answered[WINDOW_TEXT_MAX]; // staged.answered points here

    // Executors: what is read but not answered; ordinals of tokens count from window_base.
    struct window window;
    uint64_t window_base;

    // The pass of snapshots under way, or the next one.
    struct {
        bool running;
        int64_t events_offset; // at which it began
        int64_t first_from;    // where our events begin, while no pass has ever ended; else -1
        size_t rows_max;       // in one transaction
        int64_t begun_us;
        int64_t due_us; // monotonic
    } pass;

    // Deadlines are judged when the input has been read up to an end seen after them.
    int64_t end_seen;
    int64_t end_seen_us;
};

void partition_init(struct partition *partition, int32_t id, bool executor);
void partition_done(struct partition *partition, const struct role *role);

// Takes over what was committed: offset, metadata, and the window's bits.
bool partition_set_committed(struct partition *partition, int64_t offset, const char *metadata,
                             size_t metadata_len);

// Back to the committed offset: stale tokens, the window as committed, nothing touched.
void partition_rewind(struct partition *partition);

// Prepares what the open transaction commits for this partition.
void partition_stage(struct partition *partition, int64_t events_new, uint32_t by);

// The open transaction has been committed; events_next: end of our events partition as delivered,
// 0 if nothing was sent.
void partition_commit_staged(struct partition *partition, int64_t events_next);

// Drops the soft state (it is not to be trusted, or somebody else's now).
void partition_drop(struct partition *partition, const struct role *role);

#endif
