// SPDX-License-Identifier: Apache-2.0
#include "span_feed.h"

#include "service/clock.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

enum { BATCHES = 8 };

// batches[taken % BATCHES] is the reader's, the next put - taken - 1 wait, the others are the
// thread's, which fills one of them.
struct span_feed {
    struct wire_fetch *fetch;     // owned, the thread's
    const struct schema_ids *ids; // borrowed
    pthread_t thread;
    _Atomic bool stopping;

    pthread_mutex_t lock; // of what follows
    pthread_cond_t changed;
    struct span_feed_batch batches[BATCHES];
    size_t put;
    size_t taken;
    bool is_lent;              // the reader looks at the one that it took last
    enum wire_fetched outcome; // WIRE_FETCHED while it goes on
    struct error err;
};

// NULL: it is to stop.
static struct span_feed_batch *free_batch(struct span_feed *feed) {
    pthread_mutex_lock(&feed->lock);
    while (!feed->stopping && feed->put - feed->taken + feed->is_lent >= BATCHES)
        pthread_cond_wait(&feed->changed, &feed->lock);
    struct span_feed_batch *batch = feed->stopping ? NULL : &feed->batches[feed->put % BATCHES];
    pthread_mutex_unlock(&feed->lock);
    return batch;
}

static void tell(struct span_feed *feed, enum wire_fetched outcome, const struct error *err) {
    pthread_mutex_lock(&feed->lock);
    if (outcome == WIRE_FETCHED)
        feed->put++;
    else
        feed->err = *err;
    feed->outcome = outcome;
    pthread_cond_signal(&feed->changed);
    pthread_mutex_unlock(&feed->lock);
}

// What cannot be decoded is left to who folds, to say what is wrong with it.
static void decode(const struct schema_ids *ids, struct span_feed_batch *batch) {
    const size_t count = batch->records.count;
    if (count > batch->messages_capacity) {
        free(batch->messages);
        batch->messages = malloc(count * sizeof(*batch->messages));
        assert(batch->messages && "out of memory for messages");
        batch->messages_capacity = count;
    }
    arena_reset(&batch->arena);
    for (size_t i = 0; i < count; i++) {
        const struct wire_record *record = &batch->records.items[i].record;
        struct message *message = &batch->messages[i];
        struct error ignored;
        if (!record->value || !message_decode(ids, record->value, record->value_len, &batch->arena,
                                              message, &ignored))
            *message = (struct message){.type = RECORD_COUNT};
    }
}

static void *run(void *opaque) {
    struct span_feed *feed = opaque;
    struct span_feed_batch *batch = NULL;
    while (!feed->stopping) {
        if (!batch && !(batch = free_batch(feed)))
            break;
        struct error err = {0};
        const enum wire_fetched found =
            wire_fetch_next(feed->fetch, &batch->records, &batch->span,
                            clock_monotonic_ms() + SPAN_FEED_ANSWER_MS, &err);
        if (found == WIRE_FETCH_WAITS)
            continue;
        if (found == WIRE_FETCHED)
            decode(feed->ids, batch);
        tell(feed, found, &err);
        if (found != WIRE_FETCHED)
            break;
        batch = NULL;
    }
    return NULL;
}

struct span_feed *span_feed_new(struct wire_fetch *fetch, const struct schema_ids *ids,
                                struct error *err) {
    struct span_feed *feed = calloc(1, sizeof(*feed));
    assert(feed);
    feed->fetch = fetch;
    feed->ids = ids;
    for (size_t i = 0; i < BATCHES; i++)
        arena_init(&feed->batches[i].arena, 0);
    feed->outcome = WIRE_FETCHED;
    pthread_condattr_t monotonic;
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&feed->changed, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
    (void)pthread_mutex_init(&feed->lock, NULL);
    const int code = pthread_create(&feed->thread, NULL, run, feed);
    if (!code)
        return feed;
    (void)error_set(err, DISP_RETRY, code, "no thread to read with");
    (void)pthread_cond_destroy(&feed->changed);
    (void)pthread_mutex_destroy(&feed->lock);
    wire_fetch_free(fetch);
    free(feed);
    return NULL;
}

void span_feed_free(struct span_feed *feed) {
    if (!feed)
        return;
    pthread_mutex_lock(&feed->lock);
    feed->stopping = true;
    pthread_cond_signal(&feed->changed);
    pthread_mutex_unlock(&feed->lock);
    (void)pthread_join(feed->thread, NULL);
    wire_fetch_free(feed->fetch);
    for (size_t i = 0; i < BATCHES; i++) {
        wire_records_done(&feed->batches[i].records);
        arena_done(&feed->batches[i].arena);
        free(feed->batches[i].messages);
    }
    (void)pthread_cond_destroy(&feed->changed);
    (void)pthread_mutex_destroy(&feed->lock);
    free(feed);
}

static struct timespec in_ms(int ms) {
    struct timespec at;
    (void)clock_gettime(CLOCK_MONOTONIC, &at);
    at.tv_sec += ms / 1000;
    at.tv_nsec += (long)(ms % 1000) * 1000000;
    if (at.tv_nsec >= 1000000000) {
        at.tv_sec++;
        at.tv_nsec -= 1000000000;
    }
    return at;
}

enum wire_fetched span_feed_next(struct span_feed *feed, int timeout_ms,
                                 const struct span_feed_batch **ret, struct error *err) {
    const struct timespec until = in_ms(timeout_ms);
    pthread_mutex_lock(&feed->lock);
    feed->is_lent = false;
    pthread_cond_signal(&feed->changed);
    int code = 0;
    while (!code && feed->put == feed->taken && feed->outcome == WIRE_FETCHED)
        code = pthread_cond_timedwait(&feed->changed, &feed->lock, &until);
    enum wire_fetched found = WIRE_FETCHED;
    if (feed->put > feed->taken) {
        *ret = &feed->batches[feed->taken++ % BATCHES];
        feed->is_lent = true;
    } else if (feed->outcome == WIRE_FETCHED) {
        found = WIRE_FETCH_WAITS;
    } else {
        found = feed->outcome;
        *err = feed->err;
    }
    pthread_mutex_unlock(&feed->lock);
    return found;
}
