// SPDX-License-Identifier: Apache-2.0
//
// What a processor brings to the transaction loop: its domain functions, its soft state per
// partition, and (for executors of effects) calls that finish later. Everything here is called by
// the loop's one thread.
#ifndef ORDERLOG_STREAM_ROLE_H
#define ORDERLOG_STREAM_ROLE_H

#include "event/message.h"
#include "stream/output.h"
#include "stream/snapshot.h"

// Names one message of one take-over of a partition; a token of an earlier take-over is stale.
struct stream_token {
    int32_t partition;
    uint32_t generation;
    uint64_t ordinal;
};

struct stream_input {
    int32_t partition;
    int64_t now_us;
    enum record_id type;
    const void *body;          // in the batch's arena, until handle() returns
    struct stream_token token; // for executors
};

// A call that has finished; what is the role's own.
struct stream_completion {
    struct stream_token token;
    void *what; // owned by the role until complete() or discard()
};

struct role {
    enum domain domain;
    void *context; // borrowed: handed to every function

    // Soft state of one partition. Folding is done only where fold is set.
    void *(*partition_new)(void *context, int32_t partition);
    void (*partition_free)(void *context, void *state);

    // One event of the domain's own events topic, at take-over. False: the event does not follow
    // from what was folded before; it is named in the log and skipped.
    bool (*fold)(void *context, void *state, enum record_id type, const void *body,
                 struct error *err);

    // Snapshots (stream/snapshot.h), where restore is set. At take-over, every row of the partition
    // is handed to restore, in the log's order; then restored is called, and events after the
    // position are folded. usable false: the rows are not to be trusted; the state is as new, but
    // it is known that those rows are stored, so that the next pass replaces or removes them.
    bool (*restore)(void *context, void *state, const struct snapshot_row *row, struct error *err);
    void (*restored)(void *context, void *state, bool usable);
    // How many rows have changed since they were last written, at most.
    size_t (*changed)(void *context, void *state);
    // A pass begins: all that has changed so far is written, about max rows by each call, as the
    // last thing before a commit. An undo ends the pass; what it wrote is noted again.
    void (*snapshot_begin)(void *context, void *state);
    bool (*snapshot)(void *context, void *state, size_t max, const struct snapshot_sink *sink,
                     bool *ret_done, struct error *err);
    // All rows, in any order: for comparing.
    bool (*rows)(void *context, void *state, const struct snapshot_sink *sink, struct error *err);

    // One message. Appends to output. For executors: submits the call and answers later through
    // completions. False: DISP_POISON sets the message aside (nothing may have been written for
    // it), every other disposition ends the transaction.
    bool (*handle)(void *context, void *state, const struct stream_input *input,
                   struct output *output, struct error *err);

    // The state is final / goes back to what it was at the last commit. May be NULL.
    void (*commit)(void *context, void *state);
    void (*undo)(void *context, void *state);

    // Earliest running deadline (INT64_MAX: none), and turning the passed ones into events; at most
    // max of them, so that a transaction stays bounded. NULL for executors.
    int64_t (*deadline_us)(void *context, void *state);
    bool (*fire)(void *context, void *state, int32_t partition, int64_t now_us, size_t max,
                 struct output *output, struct error *err);

    // Executors only (NULL otherwise): input is taken only while there is room for messages_max
    // more calls; finished calls are polled, written down and answered.
    bool (*has_room)(void *context, size_t messages_max);
    size_t (*poll)(void *context, int64_t now_us, struct stream_completion *out, size_t max);
    bool (*complete)(void *context, const struct stream_completion *completion, int64_t now_us,
                     struct output *output, struct error *err);
    void (*discard)(void *context, const struct stream_completion *completion);
    int64_t (*next_due_us)(void *context); // when poll() will have something, INT64_MAX if unknown
};

#endif
