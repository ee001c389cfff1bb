// SPDX-License-Identifier: Apache-2.0
//
// The query service is the one that knows the read models' tables: it tells the metrics how the
// orders stand in them.
#include "query_pulse.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "service/metrics.h"
#include "store/open_orders.h"

enum { EVERY_S = 10 };

struct query_watch {
    pthread_mutex_t lock;
    pthread_cond_t stopped;
    pthread_t thread;
    bool stopping;
    struct db *db; // the thread's
};

// What cannot be read is not made up: the metrics stay as they were, and the service's errors tell.
static void measure(struct db *db) {
    struct open_orders found;
    struct error ignored;
    if (!db_connect(db, &ignored) || !open_orders_measure(db, &found, &ignored))
        return;
    metrics_set(METRIC_OLDEST_OPEN_ORDER, 0, found.any ? found.oldest_age_us : 0);
    metrics_set(METRIC_ORDERS_NEEDING_ATTENTION, 0, found.needing_attention);
}

static void *run(void *arg) {
    struct query_watch *watch = arg;
    (void)pthread_mutex_lock(&watch->lock);
    while (!watch->stopping) {
        (void)pthread_mutex_unlock(&watch->lock);
        measure(watch->db);
        struct timespec until;
        (void)clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec += EVERY_S;
        (void)pthread_mutex_lock(&watch->lock);
        int waited = 0;
        while (!watch->stopping && waited != ETIMEDOUT)
            waited = pthread_cond_timedwait(&watch->stopped, &watch->lock, &until);
    }
    (void)pthread_mutex_unlock(&watch->lock);
    return NULL;
}

bool query_watch_start(const struct query_pulse *pulse, struct query_watch **ret,
                       struct error *err) {
    struct query_watch *watch = calloc(1, sizeof(*watch));
    if (!watch)
        return error_set(err, DISP_FATAL, 0, "out of memory");
    pthread_condattr_t monotonic;
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_mutex_init(&watch->lock, NULL);
    (void)pthread_cond_init(&watch->stopped, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
    watch->db = query_pulse_connection(pulse, "orderlog query watching", query_session_settings);
    if (watch->db && pthread_create(&watch->thread, NULL, run, watch) == 0) {
        *ret = watch;
        return true;
    }
    db_free(watch->db);
    free(watch);
    return error_set(err, DISP_FATAL, 0, "cannot start the watching thread");
}

void query_watch_stop(struct query_watch *watch) {
    if (!watch)
        return;
    (void)pthread_mutex_lock(&watch->lock);
    watch->stopping = true;
    (void)pthread_cond_signal(&watch->stopped);
    (void)pthread_mutex_unlock(&watch->lock);
    (void)pthread_join(watch->thread, NULL);
    db_free(watch->db);
    free(watch);
}
