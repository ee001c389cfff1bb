// SPDX-License-Identifier: Apache-2.0
//
//            assigned                 positions loaded
//   STALE ─────────────▶ (is_stale) ───────────────────▶ READING ── batch applied ──┐
//     ▲                                                   │   ▲                     │
//     └──────── rebalance, lost connection, ──────────────┘   └─────────────────────┘
//               moved offsets, any doubt
//
// In doubt nothing is guessed: the consumer is paused, the positions are read again, and reading
// goes on from there.
#include "store/projector.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "projector_batch.h"
#include "projector_input.h"
#include "service/backoff.h"
#include "service/clock.h"
#include "service/failpoint.h"
#include "service/log.h"
#include "service/metrics.h"
#include "service/service.h"
#include "store/projection_control.h"

enum {
    POLL_MS = 100,
    BACKOFF_FIRST_MS = 20,
    BACKOFF_MAX_MS = 2000,
    TOPIC_ID_TIMEOUT_MS = 5000,
    HOUSEKEEPING_MS = 1000,
    CONTROL_MS = 400, // what an operator says is obeyed within a second
    PURGE_MS = 60000,
    GATHER_MS_MAX = 800,
    FLOOD_RECORDS = 10000,
    MEETING_MAX = 8,
    METRIC_SERIES_MAX = 8,
};

struct projector {
    struct projector_options options;
    pthread_t thread;
    atomic_bool stopping;
    atomic_bool running;
    int series; // of the lag metrics
    struct projection_set *set;
    struct db *db;
    struct projector_input input;
    struct projector_batch batches[2]; // that which is applied, and that which is read ahead of it
    int turn;                          // which is the first
    bool is_ahead;                     // that one is read already
    int64_t gather_until_ms;           // before the next one begins
    uint64_t dice;
    int failures; // in a row
    int64_t resume_at_ms;
    int64_t housekeeping_at_ms;
    int64_t purge_at_ms;
    int64_t control_at_ms;
    int64_t control_revisions; // as last obeyed
};

// Rows and offsets go together, so that a tail lost with the server is applied again. Rows are
// looked up by key, never by reading a table through, whatever a plan made for an empty table says.
// A batch of rows is sorted and hashed in memory.
#define SETTINGS                                                                                   \
    "SET jit = off; SET enable_seqscan = off; SET enable_mergejoin = off; SET work_mem = '64MB'; " \
    "SET temp_buffers = '32MB'; "                                                                  \
    "SET statement_timeout = '60s'; SET lock_timeout = '10s'; "
static const char settings_fast[] = SETTINGS "SET synchronous_commit = off";
static const char settings_durable[] = SETTINGS "SET synchronous_commit = on";

static void back_off(struct projector *projector) {
    projector->resume_at_ms =
        clock_monotonic_ms() + backoff_us(&projector->dice, BACKOFF_FIRST_MS * 1000,
                                          BACKOFF_MAX_MS * 1000, projector->failures++) /
                                   1000;
}

// The one place where an error becomes an action.
static void act_on(struct projector *projector, const struct error *err) {
    const char *topic = projector->options.topic;
    projector_input_pause(&projector->input);
    switch (err->what) {
    case DISP_NONE:
    case DISP_RETRY:
    case DISP_POISON:
        LOG(WARN, "projecting is interrupted, going on from the stored positions",
            F_STR("topic", topic), F_ERR(err));
        break;
    case DISP_ABORT:
        LOG(WARN, "offsets were moved elsewhere, or paused: stepping aside", F_STR("topic", topic),
            F_ERR(err));
        break;
    case DISP_FATAL:
        LOG(ERROR, "projecting does not work, trying again", F_STR("topic", topic), F_ERR(err));
        break;
    }
    metrics_add(METRIC_RETRIES, RETRY_PROJECTION, 1);
    back_off(projector);
}

static bool load_positions(struct projector *projector, struct error *err) {
    struct projector_input *input = &projector->input;
    size_t projections = projection_set_count(projector->set);
    char topic_id[TOPIC_ID_MAX];
    struct projection_control control;
    if (!db_connect(projector->db, err) ||
        !projection_control_load(projector->db, projector->set, &control, err))
        return false;
    input->paused = control.paused;
    projector->control_revisions = control.revisions;
    if (!projector_input_topic_id(input, TOPIC_ID_TIMEOUT_MS, topic_id, err))
        return false;
    int32_t partitions[PARTITIONS_MAX];
    for (size_t i = 0; i < input->partitions_count; i++)
        partitions[i] = input->partitions[i].partition;
    struct projection_position *positions =
        calloc(input->partitions_count * projections, sizeof(*positions));
    bool ok = positions
                  ? projection_positions_load(projector->db, projector->set, topic_id, partitions,
                                              input->partitions_count, positions, err)
                  : error_set(err, DISP_RETRY, 0, "out of memory");
    for (size_t i = 0; ok && i < input->partitions_count * projections; i++)
        input->partitions[i / projections].next[positions[i].projection] = positions[i].next_offset;
    free(positions);
    FAILPOINT(project_loaded);
    return ok;
}

// What the input cannot go on after: the process ends, and whoever watches it starts it again.
static void give_up(const struct error *err) {
    switch (err->code) {
    case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET:
        service_fail(EXIT_OFFSETS_DISAGREE, err);
        break;
    case RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID:
        service_fail(EXIT_FENCED, err);
        break;
    default:
        service_fail(EXIT_INTERNAL, err);
    }
}

static bool all_are_paused(const struct projector *projector) {
    return (size_t)__builtin_popcount(projector->input.paused) ==
           projection_set_count(projector->set);
}

// Where an operator has said something about a read model, the positions are read again. A failure
// is no reason to stop: the next batch will tell.
static void heed_control(struct projector *projector) {
    int64_t now_ms = clock_monotonic_ms();
    struct projector_input *input = &projector->input;
    struct projection_control control;
    struct error ignored;
    if (now_ms < projector->control_at_ms)
        return;
    projector->control_at_ms = now_ms + CONTROL_MS;
    if ((!db_is_connected(projector->db) && !all_are_paused(projector)) ||
        !projection_control_load(projector->db, projector->set, &control, &ignored) ||
        control.revisions == projector->control_revisions)
        return;
    LOG(INFO, "an operator has paused, resumed or reset read models",
        F_STR("topic", projector->options.topic),
        F_INT("paused", __builtin_popcount(control.paused)));
    projector_input_pause(input);
    input->paused = control.paused;
    projector->control_revisions = control.revisions;
    projector->resume_at_ms = 0;
}

// Polling goes on meanwhile: it keeps the membership alive and brings new assignments.
static void try_to_resume(struct projector *projector) {
    struct projector_input *input = &projector->input;
    struct error err;
    size_t none;
    projector->is_ahead = false;
    projector_batch_clear(&projector->batches[0]);
    projector_batch_clear(&projector->batches[1]);
    if (!projector_input_poll(input, BACKOFF_FIRST_MS, projector->batches[0].messages, &none,
                              &err)) {
        give_up(&err);
        return;
    }
    if (clock_monotonic_ms() < projector->resume_at_ms || input->partitions_count == 0 ||
        all_are_paused(projector))
        return;
    bool loaded = load_positions(projector, &err);
    if (loaded && all_are_paused(projector))
        return;
    if (!loaded || !projector_input_resume(input, projection_set_count(projector->set), &err)) {
        if (err.what == DISP_FATAL && err.code == PROJECTION_ERROR_RECREATED)
            service_fail(EXIT_OFFSETS_DISAGREE, &err);
        act_on(projector, &err);
        return;
    }
    LOG(INFO, "projecting", F_STR("topic", projector->options.topic),
        F_INT("partitions", input->partitions_count));
}

// A transaction costs about as much as twenty rows, and an order's events that meet in one batch
// cost as much as one of them. The first record after a rest is applied at once; while they keep
// coming, some are left to gather. A database that takes longer for a batch than they may gather is
// busy: it is given fewer and larger ones, but none while as many wait as a batch can take. How
// much fewer is up to the size of the batch: a small one that took long was late, not dear, and
// larger ones would take longer still, until rows come a second late with most of the time spent
// waiting. A batch whose records meet in few rows, such as levels of stock in a flood, counts for
// more: what is gathered for twice as long is written once instead of twice.
static void let_gather(const struct projector *projector) {
    int64_t rest_ms = projector->gather_until_ms - clock_monotonic_ms();
    if (rest_ms > 0)
        (void)poll(NULL, 0, (int)rest_ms);
}

static size_t weight_of(const struct projector *projector, size_t count) {
    // Of the next batch, if that is read already: then nothing is left to gather.
    const size_t keys = projection_set_keys(projector->set);
    size_t meeting = keys > 0 ? count / keys / 2 : 1;
    if (meeting > MEETING_MAX)
        meeting = MEETING_MAX;
    return meeting > 1 ? count * meeting : count;
}

static void plan_gathering(struct projector *projector, int64_t begin_ms, size_t count) {
    const struct config *config = projector->options.config;
    const int64_t interval_ms = config->projector_batch_interval_ms;
    int64_t end_ms = clock_monotonic_ms();
    int64_t more_ms = (end_ms - begin_ms) * 2;
    const size_t weight = weight_of(projector, count);
    if (weight < FLOOD_RECORDS || weight > count)
        more_ms = more_ms * (int64_t)weight / FLOOD_RECORDS;
    if (more_ms > GATHER_MS_MAX)
        more_ms = GATHER_MS_MAX;
    bool busy = interval_ms > 0 && end_ms - begin_ms > interval_ms;
    bool full = count >= (size_t)config->projector_batch_records_max;
    projector->gather_until_ms = busy ? end_ms + more_ms : begin_ms + interval_ms;
    if (full)
        projector->gather_until_ms = 0;
}

// Messages that were applied are given back here and no sooner: while there are more, PostgreSQL
// does not wait for that.
static bool read_batch(struct projector *projector, struct projector_batch *batch, int timeout_ms) {
    struct error err;
    projector_batch_clear(batch);
    if (projector_input_poll(&projector->input, timeout_ms, batch->messages, &batch->count, &err))
        return batch->count > 0;
    give_up(&err);
    return false;
}

// Behind by this much, the next batch is read and folded while PostgreSQL works on this one. At
// other times it is left to gather.
enum { READ_AHEAD_RECORDS = 20000 };

static void look_ahead(void *opaque) {
    struct projector *projector = opaque;
    const struct projector_batch *batch = &projector->batches[projector->turn];
    struct projector_batch *next = &projector->batches[!projector->turn];
    if (projector_input_waiting(&projector->input, batch->messages[batch->count - 1]) >
            READ_AHEAD_RECORDS &&
        read_batch(projector, next, 0)) {
        projector->is_ahead = true;
        projector_batch_prepare(next, &projector->input);
    }
}

static void read_and_apply(struct projector *projector) {
    struct error err;
    struct projector_batch *batch = &projector->batches[projector->turn];
    if (!projector->is_ahead) {
        let_gather(projector);
        if (!read_batch(projector, batch, POLL_MS))
            return;
    }
    projector->is_ahead = false;
    int64_t begin_us = clock_monotonic_us();
    log_context = &batch->log_context;
    bool ok = projector_batch_apply(batch, &projector->input, look_ahead, projector, &err);
    plan_gathering(projector, begin_us / 1000, batch->count);
    projector->turn = !projector->turn;
    if (!ok) {
        act_on(projector, &err);
        return;
    }
    projector->failures = 0;
    metrics_observe_us(METRIC_PROJECT_BATCH, 0, clock_monotonic_us() - begin_us);
}

static void keep_house(struct projector *projector) {
    int64_t now_ms = clock_monotonic_ms();
    if (now_ms < projector->housekeeping_at_ms)
        return;
    projector->housekeeping_at_ms = now_ms + HOUSEKEEPING_MS;
    size_t projections = projection_set_count(projector->set);
    int64_t oldest_ms;
    int64_t lag = projector_input_lag(&projector->input, projections, &oldest_ms);
    metrics_set(METRIC_PROJECTIONS_PAUSED, projector->series,
                __builtin_popcount(projector->input.paused));
    metrics_set(METRIC_PROJECTION_LAG_RECORDS, projector->series, lag);
    metrics_set(METRIC_PROJECTION_LAG, projector->series, oldest_ms * 1000);
    projector_input_commit(&projector->input, projections);
    struct error err;
    if (projector->input.is_stale || now_ms < projector->purge_at_ms)
        return;
    projector->purge_at_ms = now_ms + PURGE_MS;
    if (!projection_set_purge(projector->set, projector->db, projector->input.paused, &err))
        LOG(WARN, "purging old rows failed, trying again in a minute", F_ERR(&err));
}

static void *run(void *arg) {
    struct projector *projector = arg;
    log_context = &projector->batches[0].log_context;
    while (!atomic_load(&projector->stopping)) {
        heed_control(projector);
        if (projector->input.is_stale)
            try_to_resume(projector);
        else
            read_and_apply(projector);
        const struct projector_input *input = &projector->input;
        atomic_store(&projector->running,
                     !input->is_stale || (input->is_member && (input->partitions_count == 0 ||
                                                               all_are_paused(projector))));
        keep_house(projector);
    }
    projector_input_commit(&projector->input, projection_set_count(projector->set));
    return NULL;
}

static void destroy(struct projector *projector) {
    projector_batch_done(&projector->batches[0]);
    projector_batch_done(&projector->batches[1]);
    projector_input_close(&projector->input);
    projection_set_free(projector->set);
    db_free(projector->db);
    free(projector);
}

static bool prepare(struct projector *projector, struct error *err) {
    const struct projector_options *options = &projector->options;
    const struct config *config = options->config;
    char name[64];
    snprintf(name, sizeof(name), "orderlog project %s", options->topic);
    projector->db = db_new(config->postgres_dsn, name,
                           config->projector_synchronous_commit ? settings_durable : settings_fast);
    bool ok = projector->db != NULL;
    for (int i = 0; i < 2 && ok; i++)
        ok = projector_batch_init(&projector->batches[i], projector->set, projector->db,
                                  options->ids, (size_t)config->projector_batch_records_max);
    if (!ok)
        return error_set(err, DISP_FATAL, 0, "out of memory");
    const char *kafka_name = options->kafka_name ? options->kafka_name : options->topic;
    return projector_input_open(&projector->input, config, kafka_name, options->worker, err);
}

// Series of one topic are shared by its workers: the last one to look wins.
static int series_of(const char *topic) {
    static const char *const names[METRIC_SERIES_MAX] = {
        "orders.events", "inventory.events", "payments.events", "shipping.events", "customers"};
    int series = 0;
    while (series < METRIC_SERIES_MAX - 1 && names[series] && strcmp(names[series], topic) != 0)
        series++;
    const char *name = names[series] ? names[series] : "other";
    metrics_name_series(METRIC_PROJECTION_LAG_RECORDS, series, name);
    metrics_name_series(METRIC_PROJECTION_LAG, series, name);
    metrics_name_series(METRIC_PROJECTIONS_PAUSED, series, name);
    return series;
}

bool projector_start(const struct projector_options *options, struct projector **ret,
                     struct error *err) {
    struct projector *projector = calloc(1, sizeof(*projector));
    if (!projector)
        return error_set(err, DISP_FATAL, 0, "out of memory");
    projector->options = *options;
    projector->dice = backoff_dice();
    metrics_add(METRIC_DEAD_LETTERS, 0, 0);
    projector->series = series_of(options->topic);
    projector->set = projection_set_new(options->topic, options->files, options->files_count,
                                        options->names, err);
    if (!projector->set) {
        free(projector);
        return false;
    }
    if (projection_set_count(projector->set) == 0) {
        projection_set_free(projector->set);
        free(projector);
        *ret = NULL;
        return true;
    }
    if (!prepare(projector, err)) {
        destroy(projector);
        return false;
    }
    if (pthread_create(&projector->thread, NULL, run, projector) != 0) {
        destroy(projector);
        return error_set(err, DISP_FATAL, 0, "cannot start a thread");
    }
    *ret = projector;
    return true;
}

void projector_stop(struct projector *projector) {
    if (!projector)
        return;
    atomic_store(&projector->stopping, true);
    pthread_join(projector->thread, NULL);
    destroy(projector);
}

bool projector_is_running(const struct projector *projector) {
    return atomic_load(&((struct projector *)projector)->running);
}
