// SPDX-License-Identifier: Apache-2.0
#include "wire/wire_code.h"

#include <stddef.h>
#include <stdio.h>

// Those that a processor's requests are answered with; others are shown by their number.
static const struct row {
    int code;
    enum disposition what;
    const char *text;
} rows[] = {
    {-1, DISP_RETRY, "the broker does not say why (UNKNOWN_SERVER_ERROR)"},
    {1, DISP_RETRY, "the log does not reach there (OFFSET_OUT_OF_RANGE)"},
    {WIRE_UNKNOWN_TOPIC_OR_PARTITION, DISP_RETRY,
     "the topic or partition is not there (UNKNOWN_TOPIC_OR_PARTITION)"},
    {5, DISP_RETRY, "the partition has no leader (LEADER_NOT_AVAILABLE)"},
    {6, DISP_RETRY, "the partition has another leader (NOT_LEADER_OR_FOLLOWER)"},
    {7, DISP_RETRY, "the broker has not heard from others in time (REQUEST_TIMED_OUT)"},
    {10, DISP_ABORT, "a record is larger than the topic takes (MESSAGE_TOO_LARGE)"},
    {WIRE_COORDINATOR_LOAD_IN_PROGRESS, DISP_RETRY, "COORDINATOR_LOAD_IN_PROGRESS"},
    {WIRE_COORDINATOR_NOT_AVAILABLE, DISP_RETRY, "COORDINATOR_NOT_AVAILABLE"},
    {WIRE_NOT_COORDINATOR, DISP_RETRY, "NOT_COORDINATOR"},
    {19, DISP_RETRY, "too few replicas are in sync (NOT_ENOUGH_REPLICAS)"},
    {20, DISP_RETRY, "too few replicas are in sync (NOT_ENOUGH_REPLICAS_AFTER_APPEND)"},
    {22, DISP_RETRY, "the group has gone on without us (ILLEGAL_GENERATION)"},
    {25, DISP_RETRY, "the group does not know us any more (UNKNOWN_MEMBER_ID)"},
    {29, DISP_FATAL, "no right to the topic: see `orderlog rights` (TOPIC_AUTHORIZATION_FAILED)"},
    {30, DISP_FATAL, "no right to the group: see `orderlog rights` (GROUP_AUTHORIZATION_FAILED)"},
    {45, DISP_RETRY, "OUT_OF_ORDER_SEQUENCE_NUMBER"},
    {WIRE_INVALID_PRODUCER_EPOCH, DISP_RETRY,
     "another process has this slot, or the transaction took too long (INVALID_PRODUCER_EPOCH)"},
    {48, DISP_RETRY, "INVALID_TXN_STATE"},
    {49, DISP_RETRY, "INVALID_PRODUCER_ID_MAPPING"},
    {50, DISP_FATAL,
     "transaction.timeout.ms is above the broker's transaction.max.timeout.ms "
     "(INVALID_TRANSACTION_TIMEOUT)"},
    {WIRE_CONCURRENT_TRANSACTIONS, DISP_RETRY,
     "the transaction before is still being ended (CONCURRENT_TRANSACTIONS)"},
    {53, DISP_FATAL,
     "no right to the transactional id: see `orderlog rights` "
     "(TRANSACTIONAL_ID_AUTHORIZATION_FAILED)"},
    {56, DISP_RETRY, "the broker's disk fails (KAFKA_STORAGE_ERROR)"},
    {59, DISP_RETRY, "UNKNOWN_PRODUCER_ID"},
    {82, DISP_RETRY, "another process has this slot (FENCED_INSTANCE_ID)"},
    {WIRE_PRODUCER_FENCED, DISP_RETRY,
     "another process has this slot, or the transaction took too long (PRODUCER_FENCED)"},
    {120, DISP_RETRY, "TRANSACTION_ABORTABLE"},
};

bool wire_code_is_fenced(int code) {
    return code == WIRE_PRODUCER_FENCED || code == WIRE_INVALID_PRODUCER_EPOCH;
}

bool wire_code_is_passing(int code) {
    return code == WIRE_CONCURRENT_TRANSACTIONS || code == WIRE_COORDINATOR_LOAD_IN_PROGRESS;
}

// A leader that has lost its post while it waited for its followers answers as one that never had
// it: then the batch is in its log, and perhaps in that of the next.
enum wire_batch_code wire_code_of_batch(int code) {
    switch (code) {
    case 0:
    case 46: // DUPLICATE_SEQUENCE_NUMBER
        return WIRE_BATCH_WRITTEN;
    case 2:  // CORRUPT_MESSAGE
    case 19: // NOT_ENOUGH_REPLICAS
    case 89: // THROTTLING_QUOTA_EXCEEDED
        return WIRE_BATCH_NOT_YET;
    case -1: // UNKNOWN_SERVER_ERROR
    case WIRE_UNKNOWN_TOPIC_OR_PARTITION:
    case 5:  // LEADER_NOT_AVAILABLE
    case 6:  // NOT_LEADER_OR_FOLLOWER
    case 7:  // REQUEST_TIMED_OUT
    case 13: // NETWORK_EXCEPTION
    case 20: // NOT_ENOUGH_REPLICAS_AFTER_APPEND
    case 56: // KAFKA_STORAGE_ERROR
        return WIRE_BATCH_PERHAPS;
    case 45: // OUT_OF_ORDER_SEQUENCE_NUMBER
    case 49: // INVALID_PRODUCER_ID_MAPPING
    case 59: // UNKNOWN_PRODUCER_ID
    case WIRE_INVALID_PRODUCER_EPOCH:
    case WIRE_PRODUCER_FENCED:
        return WIRE_BATCH_OUT_OF_STEP;
    default:
        return WIRE_BATCH_REFUSED;
    }
}

bool wire_code_error(int code, const char *request, const char *about, struct error *err) {
    const char *text = NULL;
    char number[32];
    enum disposition what = DISP_RETRY;
    for (size_t i = 0; !text && i < sizeof(rows) / sizeof(rows[0]); i++)
        if (rows[i].code == code) {
            text = rows[i].text;
            what = rows[i].what;
        }
    if (!text) {
        (void)snprintf(number, sizeof(number), "Kafka's error code %d", code);
        text = number;
    }
    return error_set(err, what, code, "%s%s%s: %s", request, about ? " of " : "",
                     about ? about : "", text);
}
