// SPDX-License-Identifier: Apache-2.0
//
// The error codes of Kafka's protocol that something is done about, and their names.
#ifndef ORDERLOG_WIRE_CODE_H
#define ORDERLOG_WIRE_CODE_H

#include <stdbool.h>

#include "service/error.h"

enum {
    WIRE_UNKNOWN_TOPIC_OR_PARTITION = 3,
    WIRE_COORDINATOR_LOAD_IN_PROGRESS = 14,
    WIRE_COORDINATOR_NOT_AVAILABLE = 15,
    WIRE_NOT_COORDINATOR = 16,
    WIRE_INVALID_PRODUCER_EPOCH = 47,
    WIRE_CONCURRENT_TRANSACTIONS = 51,
    WIRE_PRODUCER_FENCED = 90,
};

// Somebody else has our transactional id, or our transaction has timed out.
bool wire_code_is_fenced(int code);

// The same request may succeed in a moment.
bool wire_code_is_passing(int code);

// What an answer says of one batch of an idempotent producer.
enum wire_batch_code {
    WIRE_BATCH_WRITTEN,     // now or before
    WIRE_BATCH_NOT_YET,     // refused before anything was written; a retry may succeed
    WIRE_BATCH_PERHAPS,     // not acknowledged, but perhaps in the log; a retry may tell
    WIRE_BATCH_OUT_OF_STEP, // the broker and we do not agree about what came before
    WIRE_BATCH_REFUSED,     // this batch will never be written
};
enum wire_batch_code wire_code_of_batch(int code);

// Fills err and returns false: DISP_FATAL for what no retry will change, DISP_RETRY otherwise.
// about may be NULL.
bool wire_code_error(int code, const char *request, const char *about, struct error *err);

#endif
