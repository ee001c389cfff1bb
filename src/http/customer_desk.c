// SPDX-License-Identifier: Apache-2.0
//
// Jobs are lists of steps; a step sends something or waits for what it sent, and for the fold to
// show it. Jobs belong to the desk's thread; the writer's thread only counts down what is under
// way, the thread that reads the keys only adds jobs and times.
#include "http/customer_desk.h"

#include "command_seal.h"
#include "service/clock.h"
#include "service/strmap.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    JOBS_MAX = 4096,
    LOOK_MS = 100,
    OTHERS_FIRST_MS = 2000, // whoever began an erasure may finish it
    AGAIN_MS = 5000,
    KEYS_MAX = 64, // of one customer destroyed at one go
};

enum job_kind { JOB_MAKE, JOB_ERASE, JOB_SWEEP };

enum job_step {
    STEP_BEGIN,
    STEP_MARKED,  // erase: until the mark is read
    STEP_RECORD,  // erase: until the customer's record is written
    STEP_KEYS,    // erase: until no key is left
    STEP_MADE,    // make: until there is a key
    STEP_CLEANUP, // answered; until nothing is under way
    STEP_OVER,
};

struct job {
    struct job *next;
    struct customer_desk *desk;
    enum job_kind kind;
    enum job_step step;
    char shop[TOPIC_SHOP_MAX + 1];
    char customer[TOPIC_NAME_MAX + 1];
    char name[TOPIC_KEY_MAX]; // SHOP/CUSTOMER
    size_t name_len;
    int64_t begin_ms; // not before
    int64_t deadline_ms;
    struct command record; // erase: bytes owned
    bool has_key;          // make: key_id was sent
    struct id key_id;
    _Atomic int under_way;
    _Atomic int worst;           // enum writer_outcome
    customer_desk_done_fn *done; // NULL: sweeps
    void *state;
};

// When a partition's segment can be closed, and a name whose records lie in the partition.
struct closing {
    int64_t due_ms; // 0: there is nothing to close
    char name[TOPIC_KEY_MAX];
    size_t name_len;
};

struct customer_desk {
    const struct config *config;
    const struct schema_ids *ids;
    struct command_writer *writer;
    struct customer_keys *keys;
    int64_t segment_ms;
    pthread_t thread;
    bool running;
    _Atomic int jobs_count;

    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool poked;
    bool stopping;
    struct job *incoming;     // latest first
    struct closing *closings; // owned, per partition of customers.keys
    int32_t partitions;

    struct job *jobs;    // of the thread
    struct strmap swept; // of the thread: names of customers that a job sweeps
};

static void poke(struct customer_desk *desk) {
    (void)pthread_mutex_lock(&desk->lock);
    desk->poked = true;
    (void)pthread_cond_signal(&desk->changed);
    (void)pthread_mutex_unlock(&desk->lock);
}

// --- jobs --------------------------------------------------------------------------------------

static void job_free(struct job *job) {
    if (job->kind != JOB_SWEEP)
        atomic_fetch_sub(&job->desk->jobs_count, 1);
    command_done(&job->record);
    free(job);
}

// NULL: out of memory, or too many.
static struct job *job_new(struct customer_desk *desk, enum job_kind kind, const char *name,
                           size_t name_len, size_t shop_len) {
    struct job *job = calloc(1, sizeof(*job));
    if (!job)
        return NULL;
    if (kind != JOB_SWEEP)
        atomic_fetch_add(&desk->jobs_count, 1);
    job->desk = desk;
    job->kind = kind;
    job->begin_ms = clock_monotonic_ms();
    memcpy(job->shop, name, shop_len);
    memcpy(job->customer, name + shop_len + 1, name_len - shop_len - 1);
    memcpy(job->name, name, name_len);
    job->name_len = name_len;
    return job;
}

static void submit(struct customer_desk *desk, struct job *job) {
    (void)pthread_mutex_lock(&desk->lock);
    job->next = desk->incoming;
    desk->incoming = job;
    desk->poked = true;
    (void)pthread_cond_signal(&desk->changed);
    (void)pthread_mutex_unlock(&desk->lock);
}

static struct job *ordered(struct customer_desk *desk, enum job_kind kind, const char *shop,
                           const char *customer, customer_desk_done_fn *done, void *state) {
    char name[TOPIC_KEY_MAX];
    size_t shop_len = strlen(shop);
    size_t name_len = topic_sku_key(shop, shop_len, customer, strlen(customer), name);
    struct job *job = atomic_load(&desk->jobs_count) < JOBS_MAX
                          ? job_new(desk, kind, name, name_len, shop_len)
                          : NULL;
    if (!job) {
        done(state, WRITER_NOT_WRITTEN);
        return NULL;
    }
    job->deadline_ms = job->begin_ms + 2 * desk->config->gateway_request_timeout_ms;
    job->done = done;
    job->state = state;
    return job;
}

void customer_desk_make_key(struct customer_desk *desk, const char *shop, const char *customer,
                            customer_desk_done_fn *done, void *state) {
    struct job *job = ordered(desk, JOB_MAKE, shop, customer, done, state);
    if (job)
        submit(desk, job);
}

void customer_desk_erase(struct customer_desk *desk, const char *shop, const char *customer,
                         struct command *record, customer_desk_done_fn *done, void *state) {
    struct job *job = ordered(desk, JOB_ERASE, shop, customer, done, state);
    if (!job) {
        command_done(record);
        return;
    }
    job->record = *record;
    record->bytes = NULL;
    submit(desk, job);
}

// --- what the fold shows -----------------------------------------------------------------------

static void add_sweep(struct customer_desk *desk, const char *name, size_t name_len) {
    const char *slash = memrchr(name, '/', name_len); // a shop may hold one, a customer not
    struct job *job = job_new(desk, JOB_SWEEP, name, name_len, (size_t)(slash - name));
    if (!job)
        return; // what is marked stays marked; another gateway, or the next start, finds it
    job->begin_ms += OTHERS_FIRST_MS;
    job->deadline_ms = INT64_MAX;
    submit(desk, job);
}

static void note_destroyed(struct customer_desk *desk, const char *name, size_t name_len,
                           const struct id *key_id) {
    struct closing *closing = &desk->closings[topic_partition_of(name, name_len, desk->partitions)];
    (void)pthread_mutex_lock(&desk->lock);
    if (id_is_nil(key_id)) {
        closing->due_ms = 0; // written by us or another gateway: the segment is closed
    } else if (closing->due_ms == 0) {
        // Gateways that saw the same do not all do the same at once.
        int64_t spread_ms =
            (int64_t)((uint64_t)clock_monotonic_us() % 1000) * desk->segment_ms / 8000;
        closing->due_ms = clock_monotonic_ms() + desk->segment_ms + spread_ms;
        memcpy(closing->name, name, name_len);
        closing->name_len = name_len;
    }
    (void)pthread_mutex_unlock(&desk->lock);
}

static void on_change(void *state, struct customer_keys *keys, enum customer_keys_change change,
                      const char *customer, size_t customer_len, const struct id *key_id) {
    struct customer_desk *desk = state;
    if (change == CUSTOMER_KEYS_DESTROYED)
        note_destroyed(desk, customer, customer_len, key_id);
    else if (customer_keys_is_erased(keys, customer, customer_len) &&
             customer_keys_list(keys, customer, customer_len, NULL, 0) > 0)
        add_sweep(desk, customer, customer_len);
    poke(desk);
}

// --- sending -----------------------------------------------------------------------------------

static void on_sent(void *state, enum writer_outcome outcome) {
    struct job *job = state;
    struct customer_desk *desk = job->desk;
    if ((int)outcome > atomic_load(&job->worst))
        atomic_store(&job->worst, (int)outcome);
    // The job may be freed as soon as it is counted down; the desk not before the lock is free.
    (void)pthread_mutex_lock(&desk->lock);
    atomic_fetch_sub(&job->under_way, 1);
    desk->poked = true;
    (void)pthread_cond_signal(&desk->changed);
    (void)pthread_mutex_unlock(&desk->lock);
}

static void send_command(struct job *job, struct command *command) {
    atomic_fetch_add(&job->under_way, 1);
    command_writer_send(job->desk->writer, command, /* traceparent= */ NULL, on_sent, job);
}

static struct command key_command(const struct job *job, enum record_id type,
                                  const struct id *key_id) {
    struct command command = {.topic = TOPIC_CUSTOMERS_KEYS, .type = type};
    command.route_len = job->name_len;
    command.key_len = customer_key_name(job->name, job->name_len, key_id, command.key);
    return command;
}

static void send_tombstone(struct job *job, const struct id *key_id) {
    struct command command = key_command(job, RECORD_CUSTOMER_KEY, key_id);
    send_command(job, &command);
}

static bool encode(const struct job *job, const void *record, struct command *command) {
    const struct command_context context = {.ids = job->desk->ids};
    struct problem problem;
    problem_init(&problem);
    return command_encode(&context, record, command, &problem);
}

static bool send_key(struct job *job) {
    struct customer_keys_made made;
    if (!customer_keys_make(customer_keys_masters(job->desk->keys), command_view(job->shop),
                            command_view(job->customer), clock_now_us(), &made))
        return false;
    struct command command = key_command(job, RECORD_CUSTOMER_KEY, &made.record.key_id);
    if (!encode(job, &made.record, &command))
        return false;
    job->has_key = true;
    job->key_id = made.record.key_id;
    send_command(job, &command);
    return true;
}

static bool send_mark(struct job *job) {
    const struct customer_erased record = {.shop_id = command_view(job->shop),
                                           .customer_id = command_view(job->customer),
                                           .erased_at = clock_now_us()};
    struct command command = {.topic = TOPIC_CUSTOMERS_KEYS, .type = RECORD_CUSTOMER_ERASED};
    memcpy(command.key, job->name, job->name_len);
    command.key_len = job->name_len;
    if (!encode(job, &record, &command))
        return false;
    send_command(job, &command);
    return true;
}

// The caller's record, or one of our own when we finish what another has begun.
static bool send_record(struct job *job) {
    struct http_caller caller = {.scopes = 0};
    struct problem problem;
    problem_init(&problem);
    memcpy(caller.shop_id, job->shop, sizeof(job->shop));
    const struct command_context context = {.caller = &caller,
                                            .ids = job->desk->ids,
                                            .idempotency_key = "erasure",
                                            .now_us = clock_now_us()};
    if (!job->record.bytes &&
        !command_erase_customer(&context, job->customer, &job->record, &problem))
        return false;
    struct command command = job->record;
    job->record.bytes = NULL;
    send_command(job, &command);
    return true;
}

// How many there were.
static size_t send_tombstones(struct job *job) {
    struct id key_ids[KEYS_MAX];
    size_t count = customer_keys_list(job->desk->keys, job->name, job->name_len, key_ids, KEYS_MAX);
    for (size_t i = 0; i < count && i < KEYS_MAX; i++)
        send_tombstone(job, &key_ids[i]);
    return count;
}

// --- steps -------------------------------------------------------------------------------------

static void answer(struct job *job, enum writer_outcome outcome) {
    if (job->done)
        job->done(job->state, outcome);
    job->done = NULL;
    job->step = STEP_CLEANUP;
}

// What is half done is not known to be undone. A sweep has time.
static void fail(struct job *job, enum writer_outcome outcome) {
    if (job->kind == JOB_SWEEP) {
        job->step = STEP_BEGIN;
        job->begin_ms = clock_monotonic_ms() + AGAIN_MS;
        job->deadline_ms = INT64_MAX;
        atomic_store(&job->worst, WRITER_WRITTEN);
        return;
    }
    if (job->kind == JOB_MAKE) // what was asked for was not written, with or without a key
        outcome = WRITER_NOT_WRITTEN;
    else if (job->step > STEP_MARKED)
        outcome = WRITER_UNKNOWN;
    answer(job, outcome);
}

static bool another_makes_it(const struct job *job) {
    for (const struct job *other = job->desk->jobs; other; other = other->next)
        if (other != job && other->kind == JOB_MAKE && other->step == STEP_MADE && other->has_key &&
            other->name_len == job->name_len && memcmp(other->name, job->name, job->name_len) == 0)
            return true;
    return false;
}

static size_t keys_left(const struct job *job) {
    return customer_keys_list(job->desk->keys, job->name, job->name_len, NULL, 0);
}

static bool is_erased(const struct job *job) {
    return customer_keys_is_erased(job->desk->keys, job->name, job->name_len);
}

static void begin(struct job *job) {
    bool ok = true;
    switch (job->kind) {
    case JOB_MAKE:
        job->step = STEP_MADE;
        if (keys_left(job) == 0 && !is_erased(job) && !another_makes_it(job))
            ok = send_key(job);
        break;
    case JOB_ERASE:
        job->step = STEP_MARKED;
        ok = is_erased(job) || send_mark(job);
        break;
    case JOB_SWEEP:
        job->step = keys_left(job) > 0 ? STEP_MARKED : STEP_CLEANUP;
        job->deadline_ms = clock_monotonic_ms() + 2 * job->desk->config->gateway_request_timeout_ms;
        break;
    }
    if (!ok)
        fail(job, WRITER_NOT_WRITTEN);
}

static void see_made(struct job *job) {
    struct id current;
    size_t count = customer_keys_list(job->desk->keys, job->name, job->name_len, &current, 1);
    if (count == 0 && !is_erased(job))
        return;
    answer(job, WRITER_WRITTEN);
    if (count > 0 && job->has_key && !id_equal(&current, &job->key_id) && !is_erased(job))
        send_tombstone(job, &job->key_id); // another was first; nobody has used ours
}

static void step(struct job *job) {
    switch (job->step) {
    case STEP_BEGIN:
        begin(job);
        break;
    case STEP_MARKED:
        if (!is_erased(job))
            break;
        job->step = STEP_RECORD;
        if (!send_record(job))
            fail(job, WRITER_NOT_WRITTEN);
        break;
    case STEP_RECORD:
        job->step = STEP_KEYS;
        (void)send_tombstones(job);
        break;
    case STEP_KEYS:
        if (keys_left(job) == 0)
            answer(job, WRITER_WRITTEN);
        break;
    case STEP_MADE:
        see_made(job);
        break;
    case STEP_CLEANUP:
        job->step = STEP_OVER;
        break;
    case STEP_OVER:
        break;
    }
}

// As far as it goes.
static void advance(struct job *job, bool stopping) {
    enum job_step before;
    do {
        before = job->step;
        if (atomic_load(&job->under_way) > 0 || clock_monotonic_ms() < job->begin_ms)
            break;
        enum writer_outcome worst = (enum writer_outcome)atomic_load(&job->worst);
        if (worst != WRITER_WRITTEN && job->step != STEP_CLEANUP)
            fail(job, worst);
        else
            step(job);
    } while (job->step != before && job->step != STEP_OVER);
    if (job->step < STEP_CLEANUP && clock_monotonic_ms() >= job->deadline_ms &&
        atomic_load(&job->under_way) == 0)
        fail(job, WRITER_UNKNOWN);
    if (stopping && job->kind == JOB_SWEEP && atomic_load(&job->under_way) == 0)
        job->step = STEP_OVER;
}

static void advance_all(struct customer_desk *desk, bool stopping) {
    for (struct job *job = desk->jobs; job; job = job->next)
        advance(job, stopping);
    for (struct job **at = &desk->jobs; *at;) {
        struct job *job = *at;
        if (job->step != STEP_OVER) {
            at = &job->next;
            continue;
        }
        *at = job->next;
        if (job->kind == JOB_SWEEP)
            (void)strmap_remove(&desk->swept, job->name, job->name_len);
        job_free(job);
    }
}

// --- closing segments --------------------------------------------------------------------------

// Only time tells whether it arrived: what the fold does not show in time is written again.
static void ignore_outcome(void *state, enum writer_outcome outcome) {
    (void)state;
    (void)outcome;
}

static void close_segments(struct customer_desk *desk) {
    for (int32_t p = 0; p < desk->partitions; p++) {
        static const struct id nil;
        struct closing *closing = &desk->closings[p];
        struct command command = {.topic = TOPIC_CUSTOMERS_KEYS, .type = RECORD_CUSTOMER_KEY};
        (void)pthread_mutex_lock(&desk->lock);
        bool is_due = closing->due_ms > 0 && clock_monotonic_ms() >= closing->due_ms;
        if (is_due) {
            closing->due_ms = clock_monotonic_ms() + AGAIN_MS;
            command.route_len = closing->name_len;
            command.key_len =
                customer_key_name(closing->name, closing->name_len, &nil, command.key);
        }
        (void)pthread_mutex_unlock(&desk->lock);
        if (is_due)
            command_writer_send(desk->writer, &command, NULL, ignore_outcome, NULL);
    }
}

// --- the thread --------------------------------------------------------------------------------

static struct timespec in_ms(long ms) {
    struct timespec until;
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += ms / 1000;
    until.tv_nsec += ms % 1000 * 1000000L;
    if (until.tv_nsec >= 1000000000L) {
        until.tv_nsec -= 1000000000L;
        until.tv_sec++;
    }
    return until;
}

// One erasure is swept once, however many of its records were read.
static bool begins_sweep(struct customer_desk *desk, const struct job *job) {
    return !strmap_find(&desk->swept, job->name, job->name_len) &&
           strmap_put(&desk->swept, job->name, job->name_len);
}

static void take_incoming(struct customer_desk *desk, struct job *incoming) {
    while (incoming) {
        struct job *job = incoming;
        incoming = job->next;
        if (job->kind == JOB_SWEEP && !begins_sweep(desk, job)) {
            job_free(job);
            continue;
        }
        job->next = desk->jobs;
        desk->jobs = job;
    }
}

static void *run(void *arg) {
    struct customer_desk *desk = arg;
    bool stopping = false;
    while (!stopping || desk->jobs) {
        const struct timespec until = in_ms(LOOK_MS);
        (void)pthread_mutex_lock(&desk->lock);
        int waited = 0;
        while (!desk->poked && !desk->stopping && waited != ETIMEDOUT)
            waited = pthread_cond_timedwait(&desk->changed, &desk->lock, &until);
        if (desk->stopping && !desk->poked)
            (void)pthread_cond_timedwait(&desk->changed, &desk->lock, &until);
        desk->poked = false;
        stopping = desk->stopping;
        struct job *incoming = desk->incoming;
        desk->incoming = NULL;
        (void)pthread_mutex_unlock(&desk->lock);
        take_incoming(desk, incoming);
        advance_all(desk, stopping);
        close_segments(desk);
    }
    return NULL;
}

// --- start and stop ----------------------------------------------------------------------------

static bool start(struct customer_desk *desk, struct error *err) {
    pthread_condattr_t monotonic;
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_mutex_init(&desk->lock, NULL);
    (void)pthread_cond_init(&desk->changed, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
    desk->partitions = command_writer_partitions(desk->writer, TOPIC_CUSTOMERS_KEYS);
    desk->closings = calloc((size_t)desk->partitions, sizeof(*desk->closings));
    if (!desk->closings)
        return error_set(err, DISP_FATAL, 0, "out of memory");
    const struct customer_keys_watch watch = {.changed = on_change, .state = desk};
    if (!customer_keys_start(desk->config, desk->ids, &watch, &desk->keys, err))
        return false;
    if (pthread_create(&desk->thread, NULL, run, desk) != 0)
        return error_set(err, DISP_FATAL, 0, "cannot start a thread");
    desk->running = true;
    return true;
}

bool customer_desk_start(const struct config *config, const struct schema_ids *ids,
                         struct command_writer *writer, struct customer_desk **ret,
                         struct error *err) {
    struct customer_desk *desk = calloc(1, sizeof(*desk));
    if (!desk)
        return error_set(err, DISP_FATAL, 0, "out of memory");
    desk->config = config;
    desk->ids = ids;
    desk->writer = writer;
    strmap_init(&desk->swept, 1);
    desk->segment_ms = config->customers_erasure_ms / TOPIC_ERASURE_PARTS;
    if (!start(desk, err)) {
        customer_desk_stop(desk);
        return false;
    }
    *ret = desk;
    return true;
}

void customer_desk_stop(struct customer_desk *desk) {
    if (!desk)
        return;
    (void)pthread_mutex_lock(&desk->lock);
    desk->stopping = true;
    (void)pthread_cond_signal(&desk->changed);
    (void)pthread_mutex_unlock(&desk->lock);
    if (desk->running)
        (void)pthread_join(desk->thread, NULL);
    (void)pthread_mutex_lock(&desk->lock); // on_sent() may still be about to leave
    (void)pthread_mutex_unlock(&desk->lock);
    customer_keys_stop(desk->keys); // from here on nothing comes in
    for (struct job *job = desk->incoming, *next; job; job = next) {
        next = job->next;
        job_free(job);
    }
    strmap_done(&desk->swept);
    free(desk->closings);
    (void)pthread_cond_destroy(&desk->changed);
    (void)pthread_mutex_destroy(&desk->lock);
    free(desk);
}

struct customer_keys *customer_desk_keys(struct customer_desk *desk) {
    return desk->keys;
}
