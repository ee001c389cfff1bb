// SPDX-License-Identifier: Apache-2.0
//
// Linked into orderlog-faulty around librdkafka (-Wl,--wrap): the N-th call of a function fails,
// stops or kills the process, as the environment says:
//
//   ORDERLOG_FAULT="commit=done-but-unknown@3,produce=queue-full@10,offsets=kill@7"
//
// and a bug of ours: decisions that lead to this event of this order or SKU cannot be written.
//
//   ORDERLOG_FAULT="undecidable=OrderPlaced:0f3c…"
//
// Each fault is announced on stderr as "fault: commit=done-but-unknown@3", so that a test knows
// that it happened. One thread makes all these calls: the transaction loop's.
#include <librdkafka/rdkafka.h>

#include "stream/address.h"
#include "stream/output.h"

#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// ---- which fault is due ------------------------------------------------------------------------

struct point {
    const char *name;
    unsigned long calls;
};

static struct point points[] = {
    {"init", 0}, {"produce", 0}, {"group", 0}, {"offsets", 0}, {"commit", 0}};
enum { INIT, PRODUCE, GROUP, OFFSETS, COMMIT };

static void announce(const char *text, size_t len) {
    char line[160];
    int used = snprintf(line, sizeof(line), "fault: %.*s\n", (int)len, text);
    if (write(STDERR_FILENO, line, (size_t)used) != used)
        abort();
}

// Counts the call and returns the action that is due at it ("" if none), valid until the next call.
static const char *action_at(int which) {
    static char action[64];
    struct point *point = &points[which];
    char begin[32], end[32];
    (void)snprintf(begin, sizeof(begin), "%s=", point->name);
    (void)snprintf(end, sizeof(end), "@%lu", ++point->calls);
    const char *at = getenv("ORDERLOG_FAULT");
    while (at && *at) {
        size_t len = strcspn(at, ",");
        size_t begin_len = strlen(begin), end_len = strlen(end);
        if (len > begin_len + end_len && strncmp(at, begin, begin_len) == 0 &&
            strncmp(at + len - end_len, end, end_len) == 0) {
            announce(at, len);
            (void)snprintf(action, sizeof(action), "%.*s", (int)(len - begin_len - end_len),
                           at + begin_len);
            if (strcmp(action, "stop") == 0)
                (void)raise(SIGSTOP);
            if (strcmp(action, "kill") == 0)
                (void)raise(SIGKILL);
            while (strcmp(action, "hang") == 0)
                (void)poll(NULL, 0, -1);
            return action;
        }
        at += len + (at[len] == ',');
    }
    return "";
}

// ---- errors of our making ----------------------------------------------------------------------

// Lives until the caller, which is of the same thread, has looked at it; librdkafka's own threads
// destroy errors too.
static _Thread_local const rd_kafka_error_t *made;
static _Thread_local bool made_requires_abort, made_is_retriable;

static rd_kafka_error_t *make_error(rd_kafka_resp_err_t code, const char *how) {
    made_requires_abort = strcmp(how, "abort") == 0;
    made_is_retriable = strcmp(how, "retriable") == 0;
    rd_kafka_error_t *error = rd_kafka_error_new(code, "made by the test: %s", how);
    made = error;
    return error;
}

int __real_rd_kafka_error_txn_requires_abort(const rd_kafka_error_t *error);
int __wrap_rd_kafka_error_txn_requires_abort(const rd_kafka_error_t *error);
int __wrap_rd_kafka_error_txn_requires_abort(const rd_kafka_error_t *error) {
    return error && error == made ? made_requires_abort
                                  : __real_rd_kafka_error_txn_requires_abort(error);
}

int __real_rd_kafka_error_is_retriable(const rd_kafka_error_t *error);
int __wrap_rd_kafka_error_is_retriable(const rd_kafka_error_t *error);
int __wrap_rd_kafka_error_is_retriable(const rd_kafka_error_t *error) {
    return error && error == made ? made_is_retriable : __real_rd_kafka_error_is_retriable(error);
}

void __real_rd_kafka_error_destroy(rd_kafka_error_t *error);
void __wrap_rd_kafka_error_destroy(rd_kafka_error_t *error);
void __wrap_rd_kafka_error_destroy(rd_kafka_error_t *error) {
    if (error == made)
        made = NULL;
    __real_rd_kafka_error_destroy(error);
}

// ---- the calls ---------------------------------------------------------------------------------

// The call is made again until it is done: only the first of each client counts.
static rd_kafka_t **init_of(const rd_kafka_t *rk) {
    static rd_kafka_t *begun[4];
    for (size_t i = 0; i < sizeof(begun) / sizeof(begun[0]); i++)
        if (begun[i] == rk)
            return &begun[i];
    return NULL;
}

rd_kafka_error_t *__real_rd_kafka_init_transactions(rd_kafka_t *rk, int timeout_ms);
rd_kafka_error_t *__wrap_rd_kafka_init_transactions(rd_kafka_t *rk, int timeout_ms);
rd_kafka_error_t *__wrap_rd_kafka_init_transactions(rd_kafka_t *rk, int timeout_ms) {
    rd_kafka_t **begun = init_of(rk);
    if (!begun && strcmp(action_at(INIT), "fail") == 0)
        return make_error(RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE, "final");
    rd_kafka_error_t *error = __real_rd_kafka_init_transactions(rk, timeout_ms);
    bool goes_on = error && __real_rd_kafka_error_is_retriable(error);
    if (!begun)
        begun = init_of(NULL);
    if (begun)
        *begun = goes_on ? rk : NULL;
    return error;
}

// lost: sleeps, and wakes as a client that the group has thrown out: without a generation.
rd_kafka_consumer_group_metadata_t *__real_rd_kafka_consumer_group_metadata(rd_kafka_t *rk);
rd_kafka_consumer_group_metadata_t *__wrap_rd_kafka_consumer_group_metadata(rd_kafka_t *rk);
rd_kafka_consumer_group_metadata_t *__wrap_rd_kafka_consumer_group_metadata(rd_kafka_t *rk) {
    if (strcmp(action_at(GROUP), "lost") != 0)
        return __real_rd_kafka_consumer_group_metadata(rk);
    (void)raise(SIGSTOP);
    return rd_kafka_consumer_group_metadata_new_with_genid("orderlog.order", -1, "", "order-0");
}

rd_kafka_error_t *__real_rd_kafka_send_offsets_to_transaction(
    rd_kafka_t *rk, const rd_kafka_topic_partition_list_t *offsets,
    const rd_kafka_consumer_group_metadata_t *group, int timeout_ms);
rd_kafka_error_t *__wrap_rd_kafka_send_offsets_to_transaction(
    rd_kafka_t *rk, const rd_kafka_topic_partition_list_t *offsets,
    const rd_kafka_consumer_group_metadata_t *group, int timeout_ms);
rd_kafka_error_t *__wrap_rd_kafka_send_offsets_to_transaction(
    rd_kafka_t *rk, const rd_kafka_topic_partition_list_t *offsets,
    const rd_kafka_consumer_group_metadata_t *group, int timeout_ms) {
    const char *action = action_at(OFFSETS);
    if (strcmp(action, "abort") == 0 || strcmp(action, "final") == 0 ||
        strcmp(action, "retriable") == 0)
        return make_error(RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE, action);
    return __real_rd_kafka_send_offsets_to_transaction(rk, offsets, group, timeout_ms);
}

rd_kafka_error_t *__real_rd_kafka_commit_transaction(rd_kafka_t *rk, int timeout_ms);
rd_kafka_error_t *__wrap_rd_kafka_commit_transaction(rd_kafka_t *rk, int timeout_ms);
rd_kafka_error_t *__wrap_rd_kafka_commit_transaction(rd_kafka_t *rk, int timeout_ms) {
    static const char done[] = "done-but-", not_done[] = "not-done-";
    const char *action = action_at(COMMIT);
    if (strcmp(action, "fenced") == 0)
        return make_error(RD_KAFKA_RESP_ERR__FENCED, "final");
    if (strncmp(action, not_done, strlen(not_done)) == 0)
        return make_error(RD_KAFKA_RESP_ERR__TIMED_OUT, action + strlen(not_done));
    rd_kafka_error_t *failed = __real_rd_kafka_commit_transaction(rk, timeout_ms);
    if (failed)
        return failed;
    if (strcmp(action, "kill-after") == 0)
        (void)raise(SIGKILL);
    if (strncmp(action, done, strlen(done)) == 0)
        return make_error(RD_KAFKA_RESP_ERR__TIMED_OUT, action + strlen(done));
    return NULL;
}

// A variadic call cannot be passed on: its arguments are gathered for the array form.
rd_kafka_resp_err_t __wrap_rd_kafka_producev(rd_kafka_t *rk, ...);
rd_kafka_resp_err_t __wrap_rd_kafka_producev(rd_kafka_t *rk, ...) {
    const char *action = action_at(PRODUCE);
    if (strcmp(action, "queue-full") == 0)
        return RD_KAFKA_RESP_ERR__QUEUE_FULL;
    if (strcmp(action, "fail") == 0)
        return RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE;
    rd_kafka_vu_t vus[8];
    size_t count = 0;
    va_list arguments;
    va_start(arguments, rk);
    for (;;) {
        rd_kafka_vtype_t type = va_arg(arguments, rd_kafka_vtype_t);
        if (type == RD_KAFKA_VTYPE_END || count == sizeof(vus) / sizeof(vus[0]))
            break;
        rd_kafka_vu_t *vu = &vus[count++];
        vu->vtype = type;
        switch ((int)type) {
        case RD_KAFKA_VTYPE_RKT:
            vu->u.rkt = va_arg(arguments, rd_kafka_topic_t *);
            break;
        case RD_KAFKA_VTYPE_PARTITION:
            vu->u.i32 = va_arg(arguments, int32_t);
            break;
        case RD_KAFKA_VTYPE_MSGFLAGS:
            vu->u.i = va_arg(arguments, int);
            break;
        case RD_KAFKA_VTYPE_VALUE:
        case RD_KAFKA_VTYPE_KEY:
            vu->u.mem.ptr = va_arg(arguments, void *);
            vu->u.mem.size = va_arg(arguments, size_t);
            break;
        case RD_KAFKA_VTYPE_HEADERS:
            vu->u.headers = va_arg(arguments, rd_kafka_headers_t *);
            break;
        case RD_KAFKA_VTYPE_OPAQUE:
            vu->u.ptr = va_arg(arguments, void *);
            break;
        default:
            abort(); // a new kind of argument: add it above
        }
    }
    va_end(arguments);
    rd_kafka_error_t *failed = rd_kafka_produceva(rk, vus, count);
    rd_kafka_resp_err_t code = failed ? rd_kafka_error_code(failed) : RD_KAFKA_RESP_ERR_NO_ERROR;
    rd_kafka_error_destroy(failed);
    return code;
}

// ---- a bug of ours -----------------------------------------------------------------------------

static bool is_undecidable(const struct decided *event) {
    struct address address;
    struct error err;
    char key[TOPIC_KEY_MAX], fault[sizeof(key) + 96];
    if (!address_of_event(event->type, event->body, &address, &err))
        return false;
    size_t key_len = address_key(&address, key);
    (void)snprintf(fault, sizeof(fault), "undecidable=%s:%.*s", record_types[event->type]->name,
                   (int)key_len, key);
    const char *at = getenv("ORDERLOG_FAULT");
    return at && strstr(at, fault);
}

bool __real_output_decision(struct output *output, int32_t partition,
                            const struct decision *decision, struct error *err);
bool __wrap_output_decision(struct output *output, int32_t partition,
                            const struct decision *decision, struct error *err);
bool __wrap_output_decision(struct output *output, int32_t partition,
                            const struct decision *decision, struct error *err) {
    for (uint32_t i = 0; i < decision->events_count; i++)
        if (is_undecidable(&decision->events[i])) {
            static const char name[] = "undecidable";
            announce(name, sizeof(name) - 1);
            return error_set(err, DISP_POISON, 0, "made by the test: it cannot be decided");
        }
    return __real_output_decision(output, partition, decision, err);
}
