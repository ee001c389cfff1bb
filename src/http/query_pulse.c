// SPDX-License-Identifier: Apache-2.0
//
//   thread         SELECT 1 ─▶ answered: there      not answered in time: away
//   connections    away: what was asked is given up, what is to be asked is refused at once
//
// So that whoever reads is told within query.silence.ms.max and PULSE_EVERY_MS, by any thread, and
// none is held up for longer. Only this thread finds out that the server is back.
#include "query_pulse.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "service/clock.h"
#include "service/log.h"

// A backend that hangs while others answer: longer than the statement_timeout of reads.
enum { PULSE_EVERY_MS = 250, ANSWER_MS_MAX = 6000, AGAIN_MAX = 4 };

struct query_pulse {
    const char *conninfo; // borrowed
    atomic_bool away;
    atomic_bool *ready; // borrowed, may be NULL
    pthread_mutex_t lock;
    pthread_cond_t stopped;
    pthread_t thread;
    bool running;
    bool stopping;
    struct db *db; // the thread's
};

static void feel(struct query_pulse *pulse) {
    static const char sql[] = "SELECT 1";
    struct error err;
    DB_RESULT result = db_query(pulse->db, sql, NULL, &err);
    // A server that ends connections is there as long as it takes new ones.
    for (int i = 0; !result && i < AGAIN_MAX && db_may_retry(pulse->db, &err); i++)
        result = db_query(pulse->db, sql, NULL, &err);
    const bool away = result == NULL;
    if (pulse->ready)
        atomic_store(pulse->ready, !away);
    if (atomic_exchange(&pulse->away, away) == away)
        return;
    if (away)
        LOG(ERROR, "PostgreSQL does not answer: reads are refused", F_ERR(&err));
    else
        LOG(INFO, "PostgreSQL answers again");
}

static void *run(void *arg) {
    struct query_pulse *pulse = arg;
    (void)pthread_mutex_lock(&pulse->lock);
    while (!pulse->stopping) {
        (void)pthread_mutex_unlock(&pulse->lock);
        feel(pulse);
        struct timespec until;
        (void)clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += PULSE_EVERY_MS * 1000000L;
        if (until.tv_nsec >= 1000000000L) {
            until.tv_nsec -= 1000000000L;
            until.tv_sec++;
        }
        (void)pthread_mutex_lock(&pulse->lock);
        int waited = 0;
        while (!pulse->stopping && waited != ETIMEDOUT)
            waited = pthread_cond_timedwait(&pulse->stopped, &pulse->lock, &until);
    }
    (void)pthread_mutex_unlock(&pulse->lock);
    return NULL;
}

struct db *query_pulse_connection(const struct query_pulse *pulse, const char *name,
                                  const char *settings) {
    struct db *db = db_new(pulse->conninfo, name, settings);
    if (db)
        db_be_impatient(db, &pulse->away, ANSWER_MS_MAX);
    return db;
}

bool query_pulse_is_away(const struct query_pulse *pulse) {
    return atomic_load(&((struct query_pulse *)pulse)->away);
}

bool query_pulse_start(const struct config *config, const char *conninfo, atomic_bool *ready,
                       struct query_pulse **ret, struct error *err) {
    struct query_pulse *pulse = calloc(1, sizeof(*pulse));
    pthread_condattr_t monotonic;
    if (!pulse)
        return error_set(err, DISP_FATAL, 0, "out of memory");
    pulse->conninfo = conninfo;
    pulse->ready = ready;
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_mutex_init(&pulse->lock, NULL);
    (void)pthread_cond_init(&pulse->stopped, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
    pulse->db = db_new(conninfo, "orderlog query pulse", query_session_settings);
    if (pulse->db)
        db_be_impatient(pulse->db, NULL, config->query_silence_ms_max);
    pulse->running = pulse->db && pthread_create(&pulse->thread, NULL, run, pulse) == 0;
    if (pulse->running) {
        *ret = pulse;
        return true;
    }
    query_pulse_stop(pulse);
    return error_set(err, DISP_FATAL, 0, "cannot start the thread that feels for PostgreSQL");
}

void query_pulse_stop(struct query_pulse *pulse) {
    if (!pulse)
        return;
    (void)pthread_mutex_lock(&pulse->lock);
    pulse->stopping = true;
    (void)pthread_cond_signal(&pulse->stopped);
    (void)pthread_mutex_unlock(&pulse->lock);
    if (pulse->running)
        (void)pthread_join(pulse->thread, NULL);
    db_free(pulse->db);
    (void)pthread_cond_destroy(&pulse->stopped);
    (void)pthread_mutex_destroy(&pulse->lock);
    free(pulse);
}
