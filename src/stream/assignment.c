// SPDX-License-Identifier: Apache-2.0
//
// Partitions come and go. Called by librdkafka from within the loop's own poll.
#include "assignment.h"

#include "service/clock.h"
#include "service/failpoint.h"
#include "service/log.h"
#include "service/metrics.h"
#include "stream/parked_takeover.h"
#include "stream/takeover.h"
#include "transaction.h"

#include <assert.h>
#include <stdlib.h>

static enum takeover_result restore(const struct takeover *takeover, struct partition **partitions,
                                    size_t count, struct error *err) {
    int64_t begun_us = clock_monotonic_us();
    enum takeover_result result = takeover_run(takeover, partitions, count, err);
    if (result == TAKEOVER_DONE)
        result = parked_takeover_run(takeover, partitions, count, err);
    // A role may look through all that it holds when it is first asked for a deadline.
    for (size_t i = 0; result == TAKEOVER_DONE && takeover->role->deadline_us && i < count; i++)
        (void)takeover->role->deadline_us(takeover->role->context, partitions[i]->state);
    if (result == TAKEOVER_DONE)
        metrics_observe_us(METRIC_TAKEOVER, 0, clock_monotonic_us() - begun_us);
    return result;
}

static bool take_over(struct txn_loop *loop, const rd_kafka_topic_partition_list_t *list) {
    struct partition **partitions = calloc((size_t)list->cnt + 1, sizeof(struct partition *));
    assert(partitions);
    for (int i = 0; i < list->cnt; i++)
        partitions[i] = &loop->partitions[list->elems[i].partition];
    const struct takeover takeover = {.config = loop->config,
                                      .role = loop->role,
                                      .ids = loop->ids,
                                      .consumer = loop->consumer,
                                      .uncommitted = loop->uncommitted};
    struct error err = {0};
    enum takeover_result result;
    int tries = 0;
    int64_t deadline_ms = clock_monotonic_ms() + TXN_LOOP_TAKEOVER_MS_MAX;
    while ((result = restore(&takeover, partitions, (size_t)list->cnt, &err)) == TAKEOVER_RETRY &&
           clock_monotonic_ms() < deadline_ms && !service_stopping()) {
        LOG(INFO, "take-over waits", F_ERR(&err));
        metrics_add(METRIC_RETRIES, RETRY_TAKEOVER, 1);
        txn_loop_back_off(loop, tries++);
    }
    free(partitions);
    if (result == TAKEOVER_DONE)
        return true;
    if (!service_stopping())
        txn_loop_fail(loop,
                      result == TAKEOVER_REFUSED ? EXIT_OFFSETS_DISAGREE
                      : result == TAKEOVER_RETRY ? EXIT_UNAVAILABLE
                                                 : EXIT_INTERNAL,
                      &err);
    loop->done = true;
    return false;
}

static void assigned(struct txn_loop *loop, rd_kafka_topic_partition_list_t *list) {
    atomic_store(&loop->unready, "partitions are being taken over");
    if (loop->done || !take_over(loop, list)) {
        rd_kafka_assign(loop->consumer, NULL);
        return;
    }
    for (int i = 0; i < list->cnt; i++) {
        struct partition *partition = &loop->partitions[list->elems[i].partition];
        partition->assigned = true;
        partition->stopped = partition->full_told = false;
        partition->read_ms = partition->drained_ms = 0;
        list->elems[i].offset = partition->committed_offset;
    }
    rd_kafka_consumer_group_metadata_t *group = rd_kafka_consumer_group_metadata(loop->consumer);
    loop->generation = rd_kafka_consumer_group_metadata_generation_id(group);
    rd_kafka_consumer_group_metadata_destroy(group);
    rd_kafka_assign(loop->consumer, list);
    (void)rd_kafka_resume_partitions(loop->consumer, list); // a pause may outlive an assignment
    loop->paused = false;
    atomic_store(&loop->unready, NULL);
    FAILPOINT(takeover_assigned);
}

// Work of a generation that ends must not be committed in the next: abort, and forget the tokens.
// Restored state is kept: if the partition comes back with our own last commit, it is still right.
static void revoked(struct txn_loop *loop, bool lost) {
    atomic_store(&loop->unready, "the group is being rebalanced");
    if (loop->open) {
        struct error why;
        error_set(&why, DISP_ABORT, 0, "partitions are being revoked");
        (void)transaction_abort(loop, &why, false);
    }
    for (int32_t p = 0; p < loop->partitions_count; p++) {
        struct partition *partition = &loop->partitions[p];
        partition->assigned = false;
        if (lost)
            partition_drop(partition, loop->role);
    }
    rd_kafka_assign(loop->consumer, NULL);
}

void assignment_changed(rd_kafka_t *consumer, rd_kafka_resp_err_t code,
                        rd_kafka_topic_partition_list_t *list, void *opaque) {
    struct txn_loop *loop = opaque;
    if (code == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS) {
        assigned(loop, list);
        return;
    }
    revoked(loop, rd_kafka_assignment_lost(consumer));
}
