// SPDX-License-Identifier: Apache-2.0
//
// What a processor brings to the transaction loop: its domain functions, its soft state per
// partition, and (for executors of effects) calls that finish later. Everything here is called by
// the loop's one thread.
#ifndef ORDERLOG_STREAM_ROLE_H
#define ORDERLOG_STREAM_ROLE_H

#include "event/message.h"
#include "stream/output.h"
#include "stream/parked.h"
#include "stream/snapshot.h"
#include "stream/soft_table.h"

// Why something is done, where traces are on: what an answer's span is made of when it comes.
struct stream_cause {
    struct trace_context parent; // is_set false: not traced, and nothing else counts
    int64_t at_us;
    enum record_id type; // of the message
    int64_t offset;      // of its record
    bool has_order_id;
    struct id order_id;
};

// Names one message of one take-over of a partition; a token of an earlier take-over is stale.
struct stream_token {
    int32_t partition;
    uint32_t generation;
    uint64_t ordinal;
    uint64_t parked; // serial of the parked letter that is tried again; 0: the message itself
    struct stream_cause cause;
};

struct stream_input {
    int32_t partition;
    int64_t now_us;
    enum record_id type;
    const void *body;          // in the batch's arena, until handle() returns
    struct stream_token token; // for executors
};

// Deadlines to be turned into events, all up to now_us but at most max: a transaction stays
// bounded.
struct stream_deadlines {
    int32_t partition;
    int64_t now_us;
    size_t max;
    // Filled with DISP_POISON: the key whose deadline cannot be decided.
    char failed_key[TOPIC_KEY_MAX];
    size_t failed_key_len;
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
    // from what was folded before; it is named in the log and skipped. After the last one commit()
    // comes before anything else.
    bool (*fold)(void *context, void *state, enum record_id type, const void *body, int64_t offset,
                 struct error *err);

    // Where traces are on: the trace that the event carries which is folded next. May be NULL.
    void (*caused)(void *context, void *state, const struct trace_context *trace);

    // Snapshots (stream/snapshot.h), where restore is set. At take-over, every row of the partition
    // is handed to restore, in the log's order (false: DISP_POISON when it is none of ours, and is
    // left out; DISP_ABORT when it is of an older format, and none of them can be used); then
    // restored is called, and events after the position are folded. usable false: the rows are not
    // to be trusted; the state is as new, but it is known that those rows are stored, so that the
    // next pass replaces or removes them.
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

    // A message that handle() will be called for after some others, and again when it is soon: what
    // of the state it will need is brought nearer, a step by each call. May be NULL.
    void (*expect)(void *context, void *state, enum record_id type, const void *body,
                   enum soft_step step);
    // The same for a record that restore() or fold() will be called for: first its key's print
    // (soft_table_print()) is asked for; false: it has none. Both may be NULL.
    bool (*key_print)(const void *key, size_t key_len, uint64_t *ret);
    void (*expect_print)(void *state, uint64_t print, enum soft_step step);

    // One message. Appends to output. For executors: submits the call and answers later through
    // completions. False: DISP_POISON parks the message's key (nothing may have been written for
    // it, nor changed), every other disposition ends the transaction.
    bool (*handle)(void *context, void *state, const struct stream_input *input,
                   struct output *output, struct error *err);

    // Where the events lie that the transaction has written to the state's partition, in the order
    // in which they were: told before its commit, if there are any. May be NULL.
    void (*located)(void *context, void *state, const int64_t *offsets, size_t count);

    // The state is final / goes back to what it was at the last commit. May be NULL.
    void (*commit)(void *context, void *state);
    void (*undo)(void *context, void *state);

    // Deadlines; all NULL for who has none. The set of parked keys is handed over once, borrowed
    // for the state's life: their deadlines do not run.
    void (*watch_parked)(void *context, void *state, const struct parked *parked);
    // The earliest running one, INT64_MAX if there is none.
    int64_t (*deadline_us)(void *context, void *state);
    // False: as for handle().
    bool (*fire)(void *context, void *state, struct stream_deadlines *deadlines,
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
