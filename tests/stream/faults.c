// SPDX-License-Identifier: Apache-2.0
//
// Linked into orderlog-faulty around the producer's protocol (-Wl,--wrap): the N-th call of a
// function fails, stops or kills the process, as the environment says:
//
//   ORDERLOG_FAULT="commit=done-but-lost@3,produce=fail@10,offsets=kill@7"
//
// and a bug of ours: decisions that lead to this event of this order or SKU cannot be written.
//
//   ORDERLOG_FAULT="undecidable=OrderPlaced:0f3c…"
//
// Each fault is announced on stderr as "fault: commit=done-but-lost@3", so that a test knows
// that it happened. One thread makes all these calls: the transaction loop's.
#include <librdkafka/rdkafka.h>

#include "stream/address.h"
#include "stream/output.h"
#include "wire/wire_code.h"
#include "wire/wire_txn.h"

#include <poll.h>
#include <signal.h>
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

// ---- the calls ---------------------------------------------------------------------------------

static bool made_error(struct error *err, enum disposition what, int code) {
    return error_set(err, what, code, "made by the test");
}

// While the broker is still busy with a predecessor's transaction the call is made again: only the
// first counts.
static bool goes_on(const struct wire_txn *txn, bool set, bool now) {
    static const struct wire_txn *going[4];
    for (size_t i = 0; i < sizeof(going) / sizeof(going[0]); i++)
        if (going[i] == txn || (set && now && !going[i])) {
            bool before = going[i] == txn;
            if (set)
                going[i] = now ? txn : NULL;
            return before;
        }
    return false;
}

bool __real_wire_txn_init(struct wire_txn *txn, int64_t deadline_ms, struct error *err);
bool __wrap_wire_txn_init(struct wire_txn *txn, int64_t deadline_ms, struct error *err);
bool __wrap_wire_txn_init(struct wire_txn *txn, int64_t deadline_ms, struct error *err) {
    if (!goes_on(txn, false, false) && strcmp(action_at(INIT), "fail") == 0)
        return made_error(err, DISP_RETRY, WIRE_COORDINATOR_NOT_AVAILABLE);
    const bool done = __real_wire_txn_init(txn, deadline_ms, err);
    (void)goes_on(txn, true, !done);
    return done;
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

bool __real_wire_txn_offsets(struct wire_txn *txn, const struct wire_group_member *member,
                             const struct wire_offset *offsets, size_t count, int64_t deadline_ms,
                             struct error *err);
bool __wrap_wire_txn_offsets(struct wire_txn *txn, const struct wire_group_member *member,
                             const struct wire_offset *offsets, size_t count, int64_t deadline_ms,
                             struct error *err);
bool __wrap_wire_txn_offsets(struct wire_txn *txn, const struct wire_group_member *member,
                             const struct wire_offset *offsets, size_t count, int64_t deadline_ms,
                             struct error *err) {
    const char *action = action_at(OFFSETS);
    if (strcmp(action, "lost") == 0)
        return made_error(err, DISP_RETRY, 0);
    if (strcmp(action, "refused") == 0)
        return made_error(err, DISP_RETRY, WIRE_COORDINATOR_NOT_AVAILABLE);
    return __real_wire_txn_offsets(txn, member, offsets, count, deadline_ms, err);
}

bool __real_wire_txn_end(struct wire_txn *txn, bool commit, int64_t deadline_ms, struct error *err);
bool __wrap_wire_txn_end(struct wire_txn *txn, bool commit, int64_t deadline_ms, struct error *err);
bool __wrap_wire_txn_end(struct wire_txn *txn, bool commit, int64_t deadline_ms,
                         struct error *err) {
    if (!commit)
        return __real_wire_txn_end(txn, commit, deadline_ms, err);
    const char *action = action_at(COMMIT);
    if (strcmp(action, "fenced") == 0)
        return made_error(err, DISP_RETRY, WIRE_PRODUCER_FENCED);
    if (strcmp(action, "not-done-lost") == 0)
        return made_error(err, DISP_RETRY, 0);
    if (strcmp(action, "not-done-refused") == 0)
        return made_error(err, DISP_RETRY, WIRE_NOT_COORDINATOR);
    if (!__real_wire_txn_end(txn, commit, deadline_ms, err))
        return false;
    if (strcmp(action, "kill-after") == 0)
        (void)raise(SIGKILL);
    return strcmp(action, "done-but-lost") != 0 || made_error(err, DISP_RETRY, 0);
}

bool __real_wire_txn_append(struct wire_txn *txn, size_t topic, int32_t partition,
                            const struct wire_record *record, int64_t now_ms, int64_t deadline_ms,
                            struct error *err);
bool __wrap_wire_txn_append(struct wire_txn *txn, size_t topic, int32_t partition,
                            const struct wire_record *record, int64_t now_ms, int64_t deadline_ms,
                            struct error *err);
bool __wrap_wire_txn_append(struct wire_txn *txn, size_t topic, int32_t partition,
                            const struct wire_record *record, int64_t now_ms, int64_t deadline_ms,
                            struct error *err) {
    enum { MESSAGE_TOO_LARGE = 10 };
    const char *action = action_at(PRODUCE);
    if (strcmp(action, "lost") == 0)
        return made_error(err, DISP_RETRY, 0);
    if (strcmp(action, "fail") == 0)
        return made_error(err, DISP_ABORT, MESSAGE_TOO_LARGE);
    return __real_wire_txn_append(txn, topic, partition, record, now_ms, deadline_ms, err);
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
