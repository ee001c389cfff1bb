// SPDX-License-Identifier: Apache-2.0
//
// HTTP threads put jobs into a queue; one thread takes all there are, lets them take effect in one
// turn of the ledger, and moves them to the list of those that wait for their moment. Both are
// bounded by the server's connections: each job is the one open request of its connection.
#include "cli/simulator.h"

#include "cli/random.h"
#include "http/body.h"
#include "service/jsonout.h"
#include "http/respond.h"
#include "http/server.h"
#include "service/clock.h"
#include "service/log.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    CONNECTIONS_MAX = 8192,
    BODY_BYTES_MAX = 4096,
    IDLE_TIMEOUT_MS = 60000,
    READ_TIMEOUT_MS = 15000,
    DRAIN_TIMEOUT_MS = 3000,
};

struct job {
    struct http_request *request;
    struct simulator_call call;
    struct simulator_answer answer;
    int64_t due_us; // monotonic
    struct job *previous;
    struct job *next;
};

struct jobs {
    struct job *first;
    struct job *last;
};

struct simulator {
    const struct simulator_kind *kind;
    const struct simulator_options *options;
    struct http_server *server; // owned
    struct ledger *ledger;      // owned, of the thread
    struct random chance;       // of the thread
    struct jobs waiting;        // of the thread, by due_us
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t more;
    struct jobs queue; // under the lock
    bool stopping;     // under the lock
};

// ---- jobs --------------------------------------------------------------------------------------

static void insert_after(struct jobs *jobs, struct job *place, struct job *job) {
    job->previous = place;
    job->next = place ? place->next : jobs->first;
    if (job->next)
        job->next->previous = job;
    else
        jobs->last = job;
    if (place)
        place->next = job;
    else
        jobs->first = job;
}

static struct job *take_first(struct jobs *jobs) {
    struct job *job = jobs->first;
    jobs->first = job->next;
    if (jobs->first)
        jobs->first->previous = NULL;
    else
        jobs->last = NULL;
    return job;
}

// Delays are mostly alike, so the place is mostly at the end.
static void wait_in_order(struct jobs *waiting, struct job *job) {
    struct job *place = waiting->last;
    while (place && place->due_us > job->due_us)
        place = place->previous;
    insert_after(waiting, place, job);
}

// ---- the answer --------------------------------------------------------------------------------

static void respond_answer(struct simulator *simulator, const struct job *job) {
    const struct simulator_answer *answer = &job->answer;
    struct jsonout out;
    jsonout_init(&out);
    jsonout_object_begin(&out, NULL);
    jsonout_string(&out, simulator->kind->id_name, id_text(&job->call.effect_id).text);
    jsonout_string(&out, "status", answer->say);
    if (answer->reason)
        jsonout_string(&out, "reason", answer->reason);
    if (answer->tracking[0])
        jsonout_string(&out, "tracking", answer->tracking);
    if (answer->reports)
        jsonout_bool(&out, "reports", true);
    if (answer->ask_again_us > 0)
        jsonout_int(&out, "ask_again_ms", (answer->ask_again_us + 999) / 1000);
    jsonout_object_end(&out);
    size_t length = 0;
    char *body = jsonout_take(&out, &length);
    if (body)
        respond_json_take(job->request, answer->status, body, length);
    else
        respond_nothing(job->request);
}

static void finish(struct simulator *simulator, struct job *job) {
    switch (job->answer.manner) {
    case SIMULATOR_ANSWERS:
        respond_answer(simulator, job);
        break;
    case SIMULATOR_LOSES:
    case SIMULATOR_SILENT:
        respond_nothing(job->request);
        break;
    case SIMULATOR_BREAKS:
        respond_refuse(job->request, PROBLEM_INTERNAL, "something broke after it was done");
        break;
    }
    free(job);
}

// Bad luck comes after the effect: the caller cannot know.
static void try_luck(struct simulator *simulator, struct simulator_answer *answer) {
    const struct simulator_options *options = simulator->options;
    if (answer->manner != SIMULATOR_ANSWERS)
        return;
    answer->delay_us += options->delay_us;
    int64_t drawn = (int64_t)random_below(&simulator->chance, 100);
    if (drawn < options->lose_percent)
        answer->manner = SIMULATOR_LOSES;
    else if (drawn < options->lose_percent + options->break_percent)
        answer->manner = SIMULATOR_BREAKS;
}

// ---- effects -----------------------------------------------------------------------------------

static bool decide(struct simulator *simulator, struct job *job, int64_t now_us,
                   struct error *err) {
    const struct simulator_call *call = &job->call;
    job->answer = (struct simulator_answer){.status = 200};
    simulator->kind->decide(simulator->options, call,
                            ledger_find(simulator->ledger, &call->effect_id), now_us, &job->answer);
    if (!job->answer.recorded)
        return true;
    struct ledger_entry entry = {
        .at_us = now_us,
        .effect_id = call->effect_id,
        .order_id = call->order_id,
        .action = call->action,
        .result = job->answer.result,
        .amount_minor = call->amount_minor,
    };
    memcpy(entry.currency, call->currency, sizeof(entry.currency));
    return ledger_append(simulator->ledger, &entry, err);
}

static bool take_effect(struct simulator *simulator, struct jobs *taken, struct error *err) {
    int64_t now_us = clock_now_us();
    if (!ledger_begin(simulator->ledger, err))
        return false;
    for (struct job *job = taken->first; job; job = job->next) {
        if (!decide(simulator, job, now_us, err)) {
            ledger_abandon(simulator->ledger);
            return false;
        }
    }
    return ledger_commit(simulator->ledger, err);
}

static void work_on(struct simulator *simulator, struct jobs *taken) {
    struct error err;
    bool done = take_effect(simulator, taken, &err);
    if (!done)
        LOG(ERROR, "the ledger failed: nothing has happened, callers are put off", F_ERR(&err));
    int64_t now_us = clock_monotonic_us();
    while (taken->first) {
        struct job *job = take_first(taken);
        if (!done) {
            respond_refuse(job->request, PROBLEM_UNAVAILABLE, "the ledger cannot be written");
            free(job);
            continue;
        }
        try_luck(simulator, &job->answer);
        bool silent = job->answer.manner == SIMULATOR_SILENT;
        job->due_us = now_us + (silent ? simulator->options->silence_us : job->answer.delay_us);
        wait_in_order(&simulator->waiting, job);
    }
}

// Under the lock.
static void wait_for_work(struct simulator *simulator) {
    const struct job *next = simulator->waiting.first;
    if (!next) {
        (void)pthread_cond_wait(&simulator->more, &simulator->lock);
        return;
    }
    const struct timespec until = {.tv_sec = next->due_us / 1000000,
                                   .tv_nsec = next->due_us % 1000000 * 1000};
    (void)pthread_cond_timedwait(&simulator->more, &simulator->lock, &until);
}

static bool is_due(const struct simulator *simulator) {
    const struct job *next = simulator->waiting.first;
    return next && next->due_us <= clock_monotonic_us();
}

// The loop ends when there is nothing left and no more can come.
static void *run(void *state) {
    struct simulator *simulator = state;
    for (;;) {
        (void)pthread_mutex_lock(&simulator->lock);
        while (!simulator->queue.first && !simulator->stopping && !is_due(simulator))
            wait_for_work(simulator);
        struct jobs taken = simulator->queue;
        simulator->queue = (struct jobs){NULL, NULL};
        bool stopping = simulator->stopping;
        (void)pthread_mutex_unlock(&simulator->lock);

        if (taken.first)
            work_on(simulator, &taken);
        while (simulator->waiting.first && (stopping || is_due(simulator)))
            finish(simulator, take_first(&simulator->waiting));
        if (stopping)
            return NULL;
    }
}

// ---- calls coming in ---------------------------------------------------------------------------

// Takes the job over. False: it is too late for it.
static bool put(struct simulator *simulator, struct job *job) {
    (void)pthread_mutex_lock(&simulator->lock);
    bool takes = !simulator->stopping;
    if (takes) {
        http_request_suspend(job->request);
        insert_after(&simulator->queue, simulator->queue.last, job);
        (void)pthread_cond_signal(&simulator->more);
    }
    (void)pthread_mutex_unlock(&simulator->lock);
    return takes;
}

static bool read_body(const struct http_request *request, struct simulator_call *call,
                      struct problem *problem) {
    static const char *const names[] = {"order_id", "amount_minor", "currency", "payment_method",
                                        NULL};
    size_t length = 0;
    const char *text = http_request_body(request, &length);
    const struct jsonin *root = NULL;
    struct arena arena;
    arena_init(&arena, 0);
    struct body_part part;
    const char *order = NULL, *currency = NULL, *method = NULL;
    size_t order_len = 0, currency_len = 0, method_len = 0;
    if (body_parse(&arena, text, length, &root, problem) && body_part_root(&part, root, problem)) {
        body_part_allow(&part, names);
        (void)body_part_int(&part, "amount_minor", false, 0, INT64_MAX, PROBLEM_INVALID_AMOUNT,
                            &call->amount_minor);
        if (body_part_string(&part, "order_id", true, 36, 36, PROBLEM_INVALID_VALUE, &order,
                             &order_len) &&
            !id_parse(order, order_len, &call->order_id))
            body_part_refuse(&part, "order_id", PROBLEM_INVALID_VALUE, "it is to be a UUID");
        if (body_part_string(&part, "currency", false, 3, 3, PROBLEM_UNKNOWN_CURRENCY, &currency,
                             &currency_len))
            memcpy(call->currency, currency, currency_len);
        if (body_part_string(&part, "payment_method", false, 0, SIMULATOR_METHOD_MAX,
                             PROBLEM_INVALID_VALUE, &method, &method_len))
            memcpy(call->method, method, method_len);
    }
    arena_done(&arena);
    return problem->type == PROBLEM_NONE;
}

// The key of an effect is its id and action, so that a caller who invents another one per attempt
// is found out.
static bool check_key(const struct simulator *simulator, const struct http_request *request,
                      const struct simulator_call *call, struct problem *problem) {
    char expected[SIMULATOR_KEY_MAX];
    (void)snprintf(expected, sizeof(expected), "%s-%s", id_text(&call->effect_id).text,
                   simulator->kind->words->actions[call->action]);
    const char *key = http_request_header(request, "Idempotency-Key");
    if (key && strcasecmp(key, expected) == 0)
        return true;
    return problem_set(problem, PROBLEM_INVALID_IDEMPOTENCY_KEY, "it is to be %s", expected);
}

void simulator_take(struct simulator *simulator, struct http_request *request, uint32_t action,
                    bool effect) {
    struct problem problem;
    problem_init(&problem);
    struct job *job = calloc(1, sizeof(*job));
    if (!job) {
        respond_refuse(request, PROBLEM_UNAVAILABLE, "out of memory");
        return;
    }
    job->request = request;
    job->call.action = action;
    const char *id = http_request_param(request, "id");
    bool good = id_parse(id, strlen(id), &job->call.effect_id) ||
                problem_set(&problem, PROBLEM_INVALID_PARAMETER, "the id is to be a UUID");
    if (good && effect)
        good = check_key(simulator, request, &job->call, &problem) &&
               read_body(request, &job->call, &problem);
    if (good && !put(simulator, job))
        good = problem_set(&problem, PROBLEM_UNAVAILABLE, "the service is stopping");
    if (good)
        return;
    free(job);
    respond_problem(request, &problem);
}

// ---- life --------------------------------------------------------------------------------------

static bool make_thread(struct simulator *simulator) {
    pthread_condattr_t monotonic;
    return pthread_mutex_init(&simulator->lock, NULL) == 0 &&
           pthread_condattr_init(&monotonic) == 0 &&
           pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC) == 0 &&
           pthread_cond_init(&simulator->more, &monotonic) == 0 &&
           pthread_condattr_destroy(&monotonic) == 0 &&
           pthread_create(&simulator->thread, NULL, run, simulator) == 0;
}

static void end_thread(struct simulator *simulator) {
    (void)pthread_mutex_lock(&simulator->lock);
    simulator->stopping = true;
    (void)pthread_cond_signal(&simulator->more);
    (void)pthread_mutex_unlock(&simulator->lock);
    (void)pthread_join(simulator->thread, NULL);
}

bool simulator_start(const struct simulator_kind *kind, const struct simulator_options *options,
                     struct simulator **ret, struct error *err) {
    struct simulator *simulator = calloc(1, sizeof(*simulator));
    if (!simulator)
        return error_set(err, DISP_FATAL, 0, "out of memory");
    simulator->kind = kind;
    simulator->options = options;
    simulator->chance.state = options->seed;
    simulator->ledger = ledger_open(options->ledger_path, kind->words, err);
    if (!simulator->ledger || !make_thread(simulator)) {
        if (simulator->ledger)
            (void)error_set(err, DISP_FATAL, 0, "cannot start a thread");
        (void)ledger_free(simulator->ledger);
        free(simulator);
        return false;
    }
    const struct http_server_options server = {
        .host = options->host,
        .port = options->port,
        .threads = 1,
        .connections_max = CONNECTIONS_MAX,
        .connections_per_ip_max = CONNECTIONS_MAX,
        .body_bytes_max = BODY_BYTES_MAX,
        .idle_timeout_ms = IDLE_TIMEOUT_MS,
        .read_timeout_ms = READ_TIMEOUT_MS,
        .routes = kind->routes,
        .state = simulator,
    };
    if (!http_server_start(&server, &simulator->server, err)) {
        simulator_stop(simulator);
        return false;
    }
    *ret = simulator;
    return true;
}

// After the thread has ended nothing is suspended, and nothing will be; but until the server has
// ended too, requests come and are told so, under the lock.
void simulator_stop(struct simulator *simulator) {
    end_thread(simulator);
    if (simulator->server) {
        (void)http_server_drain(simulator->server, DRAIN_TIMEOUT_MS);
        http_server_free(simulator->server);
    }
    (void)pthread_cond_destroy(&simulator->more);
    (void)pthread_mutex_destroy(&simulator->lock);
    (void)ledger_free(simulator->ledger);
    free(simulator);
}
