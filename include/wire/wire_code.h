// SPDX-License-Identifier: Apache-2.0
//
// The error codes of Kafka's protocol that something is done about, and their names.
#ifndef ORDERLOG_WIRE_CODE_H
#define ORDERLOG_WIRE_CODE_H

#include <stdbool.h>

#include "service/error.h"

enum {
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

// Fills err and returns false: DISP_FATAL for what no retry will change, DISP_RETRY otherwise.
// about may be NULL.
bool wire_code_error(int code, const char *request, const char *about, struct error *err);

#endif
