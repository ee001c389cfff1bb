// SPDX-License-Identifier: Apache-2.0
//
// What a transaction writes. Events go out at once, one keyed record each; messages for other
// inboxes are gathered per partition and leave as one record each when the transaction ends (a
// record costs its reader the same whatever its size).
//
// Everything is addressed to explicit partitions: an event to the partition of the input that
// caused it, a message to murmur2(its key). One thread.
#ifndef ORDERLOG_STREAM_OUTPUT_H
#define ORDERLOG_STREAM_OUTPUT_H

#include "domain/decision.h"
#include "event/schema_ids.h"
#include "service/spans.h"
#include "stream/producer.h"
#include "stream/snapshot.h"

enum {
    OUTPUT_RECORD_BYTES_MAX = 1000000, // what brokers take by default, less what they count to it
    OUTPUT_GROUP_BYTES_MAX = 256 * 1024,
    OUTPUT_GROUP_MESSAGES_MAX = 1024,
};

struct output;

// partitions: by topic. ids and domain are borrowed / kept.
struct output *output_new(enum domain domain, const struct schema_ids *ids,
                          const int32_t partitions[TOPIC_COUNT]);
void output_free(struct output *output);

// From now on everything goes to this producer's open transaction.
void output_begin(struct output *output, struct producer *producer);

// Forgets the groups gathered so far, and spans (the transaction is being aborted).
void output_drop(struct output *output);

// What is written from now on has this cause: events and messages carry it
// (stream/trace_headers.h). Where it is sampled it is a span that begins at start_us and ends with
// the transaction, if that is committed: it is returned for the caller to name. To be called only
// where traces are on.
struct span *output_cause(struct output *output, const struct trace_context *parent,
                          int64_t start_us);
void output_cause_end(struct output *output);

// What is written now carries it.
const struct trace_context *output_trace(const struct output *output);

// The transaction has been committed: spans end. (output_drop() forgets them.)
void output_committed(struct output *output);

// Sends the events of a decision, gathers its messages. False: DISP_POISON when any of it is too
// large or cannot be addressed, and then nothing is written; DISP_ABORT when producing failed.
bool output_decision(struct output *output, int32_t partition, const struct decision *decision,
                     struct error *err);

// One record of a compacted table, keyed like the SKU it is about.
bool output_product(struct output *output, int32_t partition, const struct product *product,
                    struct error *err);

// What could not be handled, whole, with the trace it belongs to. key and value may be NULL.
bool output_dead_letter(struct output *output, int32_t partition, const struct dead_letter *letter,
                        const struct trace_context *trace, struct error *err);

// A letter that waits no more, beside the dead letters.
bool output_letter_settled(struct output *output, int32_t partition,
                           const struct dead_letter_settled *settled, struct error *err);

// The rest of a retry, to our own inbox: as much as one transaction should do has been done.
bool output_retry(struct output *output, int32_t partition, const struct retry_parked *retry,
                  struct error *err);

// One row of D.state.
bool output_snapshot(struct output *output, int32_t partition, const struct snapshot_row *row,
                     struct error *err);

// Sends what was gathered: the last step before the commit.
bool output_flush(struct output *output, struct error *err);

// Events sent to this partition since output_begin().
int64_t output_events_count(const struct output *output, int32_t partition);

#endif
