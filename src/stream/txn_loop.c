// SPDX-License-Identifier: Apache-2.0
//
// Read the file from txn_loop_turn() on: one turn is one transaction. Everything that can go wrong
// with it ends in transaction_settle(), the one switch over what an error asks for.
#include "stream/txn_loop.h"

#include "assignment.h"
#include "causes.h"
#include "park.h"
#include "passes.h"
#include "service/clock.h"
#include "service/failpoint.h"
#include "service/log.h"
#include "service/metrics.h"
#include "service/service.h"
#include "service/uninitialized.h"
#include "service/watchdog.h"
#include "stream/kafka_conf.h"
#include "transaction.h"

#include <assert.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    WATERMARK_TIMEOUT_MS = 2000,
    IDLE_POLL_MS = 200,
    END_QUERY_PAUSE_US = 50000, // between two questions for the end of one partition
    FIRE_MAX = 1000,            // deadlines per partition and transaction
    COMPLETIONS_MAX = 1024,
    LAG_EVERY_MS = 1000,
    SETTLE_EVERY_MS = 250,
    GROUP_MESSAGES_MAX = OUTPUT_GROUP_MESSAGES_MAX,
};

static const char READY_CHECK[] = "partitions";

// ---- one record --------------------------------------------------------------------------------

// Messages of a record are decoded some ahead of the one at hand: state is larger than the
// processor's caches, and what they need of it comes nearer meanwhile.
enum { AHEAD = 8, SOON = 4 };

struct ahead {
    struct message message;
    bool decoded;
    struct error why; // it was not
};

static void look_ahead(struct txn_loop *loop, const struct partition *partition, struct view bytes,
                       struct ahead *ret) {
    ret->decoded =
        input_decode(loop->ids, domains[loop->role->domain].inbox, partition->id,
                     loop->partitions_count, bytes, &loop->arena, &ret->message, &ret->why);
    if (ret->decoded && loop->role->expect)
        loop->role->expect(loop->role->context, partition->state, ret->message.type,
                           ret->message.body, SOFT_SLOT);
}

static bool handle_message(struct txn_loop *loop, struct partition *partition,
                           const struct input_record *record, uint32_t index, uint32_t ordinal,
                           const struct ahead *ahead, struct error *err) {
    loop->messages++;
    bool executor = partition->window.answered;
    if (executor && window_is_answered(&partition->window, ordinal))
        return true;
    bool done = true;
    if (ahead->decoded) {
        const bool traced = spans_are_on();
        if (traced)
            causes_message(loop, record, index, &ahead->message);
        loop->record = record;
        loop->message = &ahead->message;
        bool handled =
            park_or_handle(loop, partition, record, index, &ahead->message, ordinal, &done, err);
        if (handled)
            LOG(DEBUG, "message handled", F_STR("type", record_types[ahead->message.type]->name));
        loop->message = NULL;
        if (traced)
            causes_end(loop);
        if (!handled)
            return false;
    } else if (ahead->why.what != DISP_POISON) {
        *err = ahead->why;
        return false;
    } else if (!park_aside(loop, record, record->is_group ? (int32_t)index : PARKED_ALONE,
                           record->messages[index], &ahead->why, err)) {
        return false;
    }
    if (executor && done)
        window_answer(&partition->window, ordinal);
    return true;
}

static bool handle_messages(struct txn_loop *loop, struct partition *partition,
                            const struct input_record *record, uint32_t first, struct error *err) {
    UNINITIALIZED struct ahead ring[AHEAD];
    const struct role *role = loop->role;
    uint32_t seen = 0;
    for (uint32_t i = 0; i < record->messages_count; i++) {
        for (; seen < record->messages_count && seen < i + AHEAD; seen++)
            look_ahead(loop, partition, record->messages[seen], &ring[seen % AHEAD]);
        const struct ahead *soon = i + SOON < seen ? &ring[(i + SOON) % AHEAD] : NULL;
        if (soon && soon->decoded && role->expect)
            role->expect(role->context, partition->state, soon->message.type, soon->message.body,
                         SOFT_ENTRY);
        if (!handle_message(loop, partition, record, i, first + i, &ring[i % AHEAD], err))
            return false;
    }
    return true;
}

static void note_age(struct txn_loop *loop, struct partition *partition,
                     const rd_kafka_message_t *raw) {
    int64_t written_ms = rd_kafka_message_timestamp(raw, NULL);
    partition->read_ms = written_ms;
    if (written_ms > 0 && written_ms < loop->oldest_ms)
        loop->oldest_ms = written_ms;
}

static bool handle_record(struct txn_loop *loop, const rd_kafka_message_t *raw, struct error *err) {
    struct partition *partition = &loop->partitions[raw->partition];
    if (!partition->assigned || raw->offset < partition->next_offset)
        return true; // fetched before a rewind or a revocation
    if (park_stops(loop, partition, raw))
        return park_look_ahead(loop, partition, raw, err);
    FAILPOINT(loop_polled);
    if (!transaction_begin(loop, partition, err))
        return false;
    metrics_add(METRIC_RECORDS_IN, 0, 1);
    note_age(loop, partition, raw);

    struct input_record record;
    struct error why;
    bool opened = input_open(loop->ids, raw, &loop->arena, &record, &why);
    if (!opened && why.what != DISP_POISON) {
        *err = why;
        return false;
    }
    if (spans_are_on())
        causes_record(loop, raw, record.is_group);
    bool executor = partition->window.answered;
    uint32_t first = 0;
    if (executor)
        // What is set aside whole counts as one message: read again, it is known to be answered.
        first = window_add(&partition->window, raw->offset, opened ? record.messages_count : 1);
    partition->next_offset = raw->offset + 1;
    if (!opened) {
        loop->messages++;
        if (executor && window_is_answered(&partition->window, first))
            return true;
        if (!park_aside(loop, &record, PARKED_ALONE, record.value, &why, err))
            return false;
        if (executor)
            window_answer(&partition->window, first);
        return true;
    }
    if (!handle_messages(loop, partition, &record, first, err))
        return false;
    metrics_add(METRIC_MESSAGES_IN, 0, record.messages_count);
    return true;
}

// An event of the client instead of a record. False: the process has to end.
static bool client_event(struct txn_loop *loop, const rd_kafka_message_t *raw) {
    if (raw->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
        struct partition *partition = &loop->partitions[raw->partition];
        // Trailing markers have no records: only this moves the position past them.
        if (partition->assigned && !partition->stopped && raw->offset > partition->next_offset)
            partition->next_offset = raw->offset;
        return true;
    }
    struct error err;
    error_set(&err, DISP_FATAL, raw->err, "consuming %s: %s", txn_loop_input_name(loop),
              rd_kafka_message_errstr(raw));
    char reason[256];
    rd_kafka_resp_err_t fatal = rd_kafka_fatal_error(loop->consumer, reason, sizeof(reason));
    if (fatal) {
        error_set(&err, DISP_FATAL, fatal, "%s", reason);
        txn_loop_fail(loop,
                      fatal == RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID ? EXIT_FENCED : EXIT_INTERNAL,
                      &err);
        return false;
    }
    if (raw->err == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET) {
        error_wrap(&err, "the log begins after our committed offset: input was deleted unread");
        txn_loop_fail(loop, EXIT_OFFSETS_DISAGREE, &err);
        return false;
    }
    metrics_add(METRIC_ERRORS, ERROR_CLIENT, 1);
    LOG(WARN, "consumer reports an error, it goes on trying", F_ERR(&err));
    return true;
}

// ---- what finishes by itself: calls and deadlines -----------------------------------------------

static bool take_some(struct txn_loop *loop, size_t *ret_count, struct error *err) {
    struct stream_completion batch[COMPLETIONS_MAX];
    size_t count = loop->role->poll(loop->role->context, clock_now_us(), batch, COMPLETIONS_MAX);
    bool good = true;
    *ret_count = count;
    for (size_t i = 0; i < count; i++) {
        const struct stream_completion *completion = &batch[i];
        struct partition *partition = &loop->partitions[completion->token.partition];
        bool stale = !partition->assigned || partition->generation != completion->token.generation;
        if (good && !stale)
            good = transaction_begin(loop, partition, err);
        if (!good || stale) {
            loop->role->discard(loop->role->context, completion);
            continue;
        }
        uint32_t ordinal = (uint32_t)(completion->token.ordinal - partition->window_base);
        bool done = true;
        if (spans_are_on())
            causes_answer(loop, &completion->token);
        loop->answered = &completion->token;
        good = loop->role->complete(loop->role->context, completion, txn_loop_tick_us(loop),
                                    loop->output, err);
        if (good)
            LOG(DEBUG, "call answered");
        loop->answered = NULL;
        output_cause_end(loop->output);
        if (good && completion->token.parked)
            good = park_answered(loop, partition, &completion->token, &done, err);
        if (good && done)
            window_answer(&partition->window, ordinal);
        FAILPOINT(loop_call_taken);
        loop->messages++;
    }
    return good;
}

static bool take_completions(struct txn_loop *loop, struct error *err) {
    size_t count = COMPLETIONS_MAX;
    while (loop->role->poll && count == COMPLETIONS_MAX &&
           loop->messages < (size_t)loop->config->commit_records_max)
        if (!take_some(loop, &count, err))
            return false;
    return true;
}

// A deadline counts only when everything that was in the inbox after it has been read: an answer
// that sits there unread must not be overtaken. The end is asked for with read_uncommitted.
static bool caught_up(struct txn_loop *loop, struct partition *partition, int64_t deadline_us) {
    int64_t now_us = clock_now_us();
    if (partition->end_seen_us <= deadline_us &&
        now_us - partition->end_seen_us > END_QUERY_PAUSE_US) {
        int64_t low, high;
        struct error err;
        kafka_hear(loop->uncommitted);
        if (!kafka_bounds(loop->uncommitted, txn_loop_input_name(loop), partition->id,
                          WATERMARK_TIMEOUT_MS, &low, &high, &err))
            return false;
        partition->end_seen = high;
        partition->end_seen_us = now_us;
    }
    return partition->end_seen_us > deadline_us && partition->next_offset >= partition->end_seen;
}

static bool fire(struct txn_loop *loop, struct partition *partition, struct error *err) {
    const struct role *role = loop->role;
    struct stream_deadlines deadlines = {
        .partition = partition->id, .now_us = partition->end_seen_us, .max = FIRE_MAX};
    while (!role->fire(role->context, partition->state, &deadlines, loop->output, err)) {
        const struct error why = *err;
        const struct view key = {.ptr = deadlines.failed_key,
                                 .len = (uint32_t)deadlines.failed_key_len};
        if (why.what != DISP_POISON || !park_deadline(loop, partition, key, &why, err))
            return false;
        if (parked_is_full(partition->parked))
            break;
    }
    return true;
}

static bool fire_deadlines(struct txn_loop *loop, struct error *err) {
    if (!loop->role->deadline_us)
        return true;
    for (int32_t p = 0; p < loop->partitions_count; p++) {
        struct partition *partition = &loop->partitions[p];
        if (!partition->assigned || park_keeps_deadlines(loop, partition))
            continue;
        int64_t deadline_us = loop->role->deadline_us(loop->role->context, partition->state);
        if (deadline_us > clock_now_us() || !caught_up(loop, partition, deadline_us))
            continue;
        // Only deadlines before the end was seen are judged; later ones wait for the next look.
        int64_t begun_us = clock_monotonic_us();
        if (!transaction_begin(loop, partition, err) || !fire(loop, partition, err))
            return false;
        output_cause_end(loop->output);
        metrics_observe_us(METRIC_STEP, STEP_DEADLINES, clock_monotonic_us() - begun_us);
        FAILPOINT(loop_deadline_fired);
    }
    return true;
}

// The position has moved past trailing markers, or past records of aborted transactions: committed
// too, so that whoever compares the committed offset with the end (gateways, lag tools) sees that
// nothing is left.
static bool settle_positions(struct txn_loop *loop, struct error *err) {
    int64_t now_ms = clock_monotonic_ms();
    if (now_ms < loop->settle_due_ms)
        return true;
    loop->settle_due_ms = now_ms + SETTLE_EVERY_MS;
    for (int32_t p = 0; p < loop->partitions_count; p++) {
        struct partition *partition = &loop->partitions[p];
        bool behind = partition->assigned && !partition->touched &&
                      partition->window.records_count == 0 &&
                      partition->next_offset > partition->committed_offset;
        if (behind && !transaction_begin(loop, partition, err))
            return false;
    }
    return true;
}

// ---- the turn ----------------------------------------------------------------------------------

static void pause_input(struct txn_loop *loop, bool pause) {
    if (pause == loop->paused)
        return;
    rd_kafka_topic_partition_list_t *list = NULL;
    if (rd_kafka_assignment(loop->consumer, &list))
        return;
    (void)(pause ? rd_kafka_pause_partitions(loop->consumer, list)
                 : rd_kafka_resume_partitions(loop->consumer, list));
    rd_kafka_topic_partition_list_destroy(list);
    loop->paused = pause;
}

static bool has_room(struct txn_loop *loop) {
    if (!loop->role->has_room)
        return true;
    for (int32_t p = 0; p < loop->partitions_count; p++)
        if (loop->partitions[p].assigned &&
            !window_has_room(&loop->partitions[p].window, GROUP_MESSAGES_MAX))
            return false;
    return loop->role->has_room(loop->role->context, GROUP_MESSAGES_MAX);
}

static int idle_ms(const struct txn_loop *loop) {
    if (passes_running(loop))
        return 1;
    int64_t due_us = INT64_MAX;
    if (loop->role->next_due_us)
        due_us = loop->role->next_due_us(loop->role->context);
    for (int32_t p = 0; loop->role->deadline_us && p < loop->partitions_count; p++)
        if (loop->partitions[p].assigned && !parked_is_full(loop->partitions[p].parked)) {
            int64_t at_us = loop->role->deadline_us(loop->role->context, loop->partitions[p].state);
            if (at_us < due_us)
                due_us = at_us;
        }
    int64_t wait_us = due_us == INT64_MAX ? INT64_MAX : due_us - clock_now_us();
    if (wait_us <= 0)
        return 1;
    return wait_us / 1000 >= IDLE_POLL_MS ? IDLE_POLL_MS : (int)(wait_us / 1000) + 1;
}

// What is unread was written after the record that was read last, and after the moment when nothing
// was unread. What is somebody else's now has no lag here.
static void report_partition_lag(struct txn_loop *loop, struct partition *partition) {
    int64_t low, high; // as seen by the last fetch: no round trip
    int64_t now_ms = clock_now_us() / 1000;
    int64_t records = 0;
    if (partition->assigned &&
        !rd_kafka_get_watermark_offsets(loop->consumer, txn_loop_input_name(loop), partition->id,
                                        &low, &high) &&
        high > partition->next_offset)
        records = high - partition->next_offset;
    if (records == 0)
        partition->drained_ms = now_ms;
    int64_t since_ms =
        partition->read_ms > partition->drained_ms ? partition->read_ms : partition->drained_ms;
    int64_t behind_ms = records > 0 && now_ms > since_ms ? now_ms - since_ms : 0;
    metrics_set(METRIC_LAG_RECORDS, partition->id, records);
    metrics_set(METRIC_LAG, partition->id, behind_ms * 1000);
}

static void report_lag(struct txn_loop *loop) {
    int64_t now_ms = clock_monotonic_ms();
    if (now_ms < loop->lag_due_ms)
        return;
    loop->lag_due_ms = now_ms + LAG_EVERY_MS;
    int64_t assigned = 0;
    for (int32_t p = 0; p < loop->partitions_count; p++) {
        struct partition *partition = &loop->partitions[p];
        assigned += partition->assigned;
        metrics_set(METRIC_PARKED_LETTERS, p,
                    partition->assigned ? (int64_t)parked_count(partition->parked) : 0);
        metrics_set(METRIC_STOPPED, p, partition->assigned && partition->stopped);
        report_partition_lag(loop, partition);
    }
    rd_kafka_queue_t *queue = rd_kafka_queue_get_consumer(loop->consumer);
    metrics_set(METRIC_KAFKA_QUEUE, 0, queue ? (int64_t)rd_kafka_queue_length(queue) : 0);
    if (queue)
        rd_kafka_queue_destroy(queue);
    int64_t sent = 0;
    for (int i = 0; i < PRODUCERS; i++)
        sent += (int64_t)producer_waiting(&loop->producers[i]);
    metrics_set(METRIC_KAFKA_QUEUE, 1, sent);
    metrics_set(METRIC_PARTITIONS, 0, assigned);
    metrics_set(METRIC_PARTITIONS_ALL, 0, loop->partitions_count);
}

// A transaction costs the broker as much as hundreds of messages: a marker for every partition it
// wrote to. So what comes shortly after a commit is left to gather; what comes after a rest, as at
// low load, is not kept waiting.
static int gather_ms(const struct txn_loop *loop) {
    int64_t left_us = loop->gather_until_us - clock_monotonic_us();
    return left_us <= 0 ? 0 : (int)((left_us + 999) / 1000);
}

// From the first message on.
static int64_t latest_ms(const struct txn_loop *loop) {
    int64_t gather_ms = loop->gather_us / 1000;
    return gather_ms > loop->interval_ms ? gather_ms : loop->interval_ms;
}

// Reads until the input is drained, or the batch is big or old enough.
static bool take_input(struct txn_loop *loop, struct error *err) {
    int wait_ms = idle_ms(loop);
    int64_t until_ms = INT64_MAX;
    while (loop->messages < (size_t)loop->config->commit_records_max) {
        pause_input(loop, !has_room(loop));
        int gather = gather_ms(loop);
        rd_kafka_message_t *raw =
            rd_kafka_consumer_poll(loop->consumer, wait_ms > gather ? wait_ms : gather);
        wait_ms = 0;
        if (!raw)
            return true;
        if (loop->first_us == 0)
            loop->first_us = clock_monotonic_us();
        bool good = true;
        bool alive = true;
        if (raw->err)
            alive = client_event(loop, raw);
        else
            good = handle_record(loop, raw, err);
        FAILPOINT(loop_handled);
        rd_kafka_message_destroy(raw);
        if (!alive)
            return error_set(err, DISP_NONE, 0, "ending");
        if (!good)
            return false;
        int64_t now_ms = clock_monotonic_ms();
        if (until_ms == INT64_MAX)
            until_ms = now_ms + latest_ms(loop);
        if (now_ms >= until_ms) {
            loop->more_waits = true;
            return true;
        }
    }
    loop->more_waits = true;
    return true;
}

// One batch, one transaction.
static void txn_loop_turn(struct txn_loop *loop) {
    struct error err = {0};
    const int failures = loop->failures;
    loop->messages = 0;
    loop->first_us = 0;
    loop->more_waits = false;
    loop->oldest_ms = INT64_MAX;
    arena_reset(&loop->arena);
    if (park_resume(loop, &err) && take_input(loop, &err) && take_completions(loop, &err) &&
        fire_deadlines(loop, &err) && settle_positions(loop, &err) && passes_go_on(loop, &err)) {
        (void)transaction_finish(loop);
    } else if (!loop->done) {
        (void)transaction_settle(loop, &err);
    }
    if (loop->failures > failures && !loop->done) {
        metrics_add(METRIC_RETRIES, RETRY_TRANSACTION, 1);
        txn_loop_back_off(loop, failures);
    }
    report_lag(loop);
    txn_loop_note_stall(loop);
}

// ---- start and stop ----------------------------------------------------------------------------

static bool is_working(void *state, char reason[SERVICE_REASON_MAX]) {
    const char *unready = atomic_load(&((struct txn_loop *)state)->unready);
    if (unready)
        (void)snprintf(reason, SERVICE_REASON_MAX, "%s", unready);
    return !unready;
}

static void *run(void *opaque) {
    struct txn_loop *loop = opaque;
    log_context = &loop->log_context;
    while (!service_stopping() && !loop->done)
        txn_loop_turn(loop);
    // Leaves without a word: a static member that comes back finds its partitions waiting.
    watchdog_enter(loop->watchdog, "closing the consumer", loop->config->watchdog_ms);
    rd_kafka_consumer_close(loop->consumer);
    watchdog_leave(loop->watchdog);
    return NULL;
}

static rd_kafka_t *consumer_new(struct txn_loop *loop, const char *isolation, bool input,
                                struct error *err) {
    const char *role = domains[loop->role->domain].name;
    char group[64], session_ms[32], heartbeat_ms[32];
    (void)snprintf(group, sizeof(group), "orderlog.%s", role);
    (void)snprintf(loop->instance, sizeof(loop->instance), "%s-%lld", role,
                   (long long)loop->config->slot);
    (void)snprintf(session_ms, sizeof(session_ms), "%lld",
                   (long long)loop->config->session_timeout_ms);
    (void)snprintf(heartbeat_ms, sizeof(heartbeat_ms), "%lld",
                   (long long)(loop->config->session_timeout_ms / 4));
    rd_kafka_conf_t *conf = kafka_conf_new(loop->config, loop->instance, err);
    if (!conf)
        return NULL;
    const struct kafka_setting common[] = {{"group.id", group},
                                           {"isolation.level", isolation},
                                           {"enable.auto.commit", "false"},
                                           {"enable.auto.offset.store", "false"},
                                           {"auto.offset.reset", "error"},
                                           {"check.crcs", "true"},
                                           {NULL, NULL}};
    const struct kafka_setting reading[] = {
        {"group.instance.id", loop->instance},   {"session.timeout.ms", session_ms},
        {"heartbeat.interval.ms", heartbeat_ms}, {"partition.assignment.strategy", "range"},
        {"enable.partition.eof", "true"},        {NULL, NULL}};
    // The default stalls a full queue for a second.
    const struct kafka_setting tuning[] = {
        {"fetch.queue.backoff.ms", "5"}, {"queued.max.messages.kbytes", "4096"}, {NULL, NULL}};
    if (!kafka_conf_set(conf, common, err) ||
        (input && (!kafka_conf_set(conf, reading, err) ||
                   !kafka_conf_suggest(conf, loop->config, tuning, err)))) {
        rd_kafka_conf_destroy(conf);
        return NULL;
    }
    if (input) {
        rd_kafka_conf_set_rebalance_cb(conf, assignment_changed);
        rd_kafka_conf_set_opaque(conf, loop);
    }
    rd_kafka_t *consumer = kafka_client_new(RD_KAFKA_CONSUMER, conf, err);
    if (consumer && input)
        rd_kafka_poll_set_consumer(consumer);
    return consumer;
}

static bool open_producers(struct txn_loop *loop, const int32_t partitions[TOPIC_COUNT],
                           struct error *err) {
    const struct domain_topics *domain = &domains[loop->role->domain];
    char ids[PRODUCERS][128];
    struct producer_settings settings[PRODUCERS];
    for (int i = 0; i < PRODUCERS; i++) {
        (void)snprintf(ids[i], sizeof(ids[i]), "orderlog.%s.%lld.%c", domain->name,
                       (long long)loop->config->slot, 'a' + i);
        settings[i] = (struct producer_settings){
            .config = loop->config,
            .transactional_id = ids[i],
            .domain = loop->role->domain,
            .events_partitions = partitions[domain->events],
            .watchdog = loop->watchdog,
        };
    }
    return producers_open(loop->producers, settings, PRODUCERS, err);
}

static bool subscribe(struct txn_loop *loop, struct error *err) {
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, txn_loop_input_name(loop), RD_KAFKA_PARTITION_UA);
    rd_kafka_resp_err_t code = rd_kafka_subscribe(loop->consumer, list);
    rd_kafka_topic_partition_list_destroy(list);
    return !code || error_set(err, DISP_FATAL, code, "subscribe to %s: %s",
                              txn_loop_input_name(loop), rd_kafka_err2str(code));
}

static void loop_free(struct txn_loop *loop) {
    for (int32_t p = 0; p < loop->partitions_count; p++)
        partition_done(&loop->partitions[p], loop->role);
    free(loop->partitions);
    free(loop->offsets);
    free(loop->offset_texts);
    for (int i = 0; i < PRODUCERS; i++)
        producer_close(&loop->producers[i]);
    if (loop->consumer)
        kafka_client_free(loop->consumer);
    if (loop->uncommitted)
        kafka_client_free(loop->uncommitted);
    output_free(loop->output);
    arena_done(&loop->arena);
    watchdog_unregister(loop->watchdog);
    free(loop);
}

static bool loop_open(struct txn_loop *loop, struct error *err) {
    if (!(loop->uncommitted = consumer_new(loop, "read_uncommitted", false, err)))
        return false;
    int32_t partitions[TOPIC_COUNT] = {0}; // of what does not concern us: we may not even ask
    for (int i = 0; i < TOPIC_COUNT; i++)
        if (topic_concerns((enum topic_id)i, loop->role->domain) &&
            !kafka_partitions(loop->uncommitted, topics[i].name, TXN_LOOP_CALL_TIMEOUT_MS,
                              &partitions[i], err))
            return false;
    const struct domain_topics *domain = &domains[loop->role->domain];
    loop->partitions_count = partitions[domain->inbox];
    const enum topic_id written[] = {domain->events, domain->deadletters};
    for (size_t i = 0; i < sizeof(written) / sizeof(written[0]); i++)
        if (partitions[written[i]] != loop->partitions_count)
            return error_set(err, DISP_FATAL, 0,
                             "%s has %d partitions and %s %d: what an order leads to must lie in "
                             "the partition of its input; partition counts cannot be changed",
                             topics[domain->inbox].name, partitions[domain->inbox],
                             topics[written[i]].name, partitions[written[i]]);
    loop->partitions = calloc((size_t)loop->partitions_count, sizeof(*loop->partitions));
    loop->offsets = calloc((size_t)loop->partitions_count, sizeof(*loop->offsets));
    loop->offset_texts = calloc((size_t)loop->partitions_count, sizeof(*loop->offset_texts));
    assert(loop->partitions && loop->offsets && loop->offset_texts);
    for (int32_t p = 0; p < loop->partitions_count; p++)
        partition_init(&loop->partitions[p], p, loop->role->poll != NULL);
    loop->output = output_new(loop->role->domain, loop->ids, partitions);
    // The consumer finds its brokers meanwhile, but joins its group only after the producers have
    // fenced whoever held this slot before, and ended its open transaction.
    return (loop->consumer = consumer_new(loop, "read_committed", true, err)) &&
           open_producers(loop, partitions, err) && subscribe(loop, err);
}

struct txn_loop *txn_loop_start(const struct config *config, const struct role *role,
                                const struct schema_ids *ids, struct error *err) {
    struct txn_loop *loop = calloc(1, sizeof(*loop));
    assert(loop);
    loop->config = config;
    loop->role = role;
    loop->ids = ids;
    loop->dice = backoff_dice();
    loop->interval_ms = config->commit_interval_ms;
    loop->watchdog = watchdog_register("transaction-loop");
    loop->turn_started_ms = clock_monotonic_ms();
    atomic_store(&loop->unready, "not yet let into its group");
    loop->by = (uint32_t)(clock_now_us() ^ (int64_t)getpid() << 20) | 1;
    arena_init(&loop->arena, 1U << 30);
    loop->log_context = (struct log_context){.tell = causes_tell, .opaque = loop};
    metrics_name_series(METRIC_KAFKA_QUEUE, 0, "fetched");
    metrics_name_series(METRIC_KAFKA_QUEUE, 1, "sent");
    metrics_name_series(METRIC_TRANSACTIONS, 0, "committed");
    metrics_name_series(METRIC_TRANSACTIONS, 1, "aborted");
    metrics_name_series(METRIC_TRANSACTIONS, 2, "unknown");
    // What an alert watches is there from the start: a series that begins with 1 shows no increase.
    for (int outcome = 0; outcome < 3; outcome++)
        metrics_add(METRIC_TRANSACTIONS, outcome, 0);
    metrics_add(METRIC_DEAD_LETTERS, 0, 0);
    metrics_name_series(METRIC_TAKEOVER_RECORDS, 0, "snapshots");
    metrics_name_series(METRIC_TAKEOVER_RECORDS, 1, "events");
    if (loop_open(loop, err) && pthread_create(&loop->thread, NULL, run, loop) == 0) {
        service_check_add(READY_CHECK, is_working, loop);
        return loop;
    }
    loop_free(loop);
    return NULL;
}

void txn_loop_stop(struct txn_loop *loop) {
    if (!loop)
        return;
    service_check_remove(READY_CHECK);
    (void)pthread_join(loop->thread, NULL);
    loop_free(loop);
}
