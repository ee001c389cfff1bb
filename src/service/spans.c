// SPDX-License-Identifier: Apache-2.0
//
// A ring under a lock, that only sampled spans come to, and a thread that empties it into requests.
#include "service/spans.h"

#include "service/backoff.h"
#include "service/clock.h"
#include "service/log.h"
#include "service/metrics.h"
#include "spans_otlp.h"

#include <assert.h>
#include <curl/curl.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    QUEUE_MAX = 8192,
    REQUEST_MAX = 512, // spans in one
    EVERY_MS = 1000,
    TIMEOUT_MS = 5000,
    TRIES_MAX = 5,
    BACKOFF_BASE_MS = 200,
    BACKOFF_MAX_MS = 5000,
    LEAVE_MS = 2000,
};

enum outcome { SPANS_EXPORTED, SPANS_DROPPED, SPANS_FAILED };

_Atomic bool spans_on;

static struct {
    const struct config *config;
    struct otlp_resource resource;
    uint64_t one_in; // 0: none
    bool callers;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool stopping;
    int64_t leave_by_ms; // once it is stopping
    struct span *queue;  // owned ring of QUEUE_MAX
    size_t head;
    size_t count;
    struct span taken[REQUEST_MAX]; // the thread's
    uint64_t dice;
    bool complained;
} exporter = {.lock = PTHREAD_MUTEX_INITIALIZER};

// ---- making spans ------------------------------------------------------------------------------

static uint64_t roll(void) {
    static _Thread_local uint64_t dice;
    if (!dice)
        dice = backoff_dice();
    return backoff_roll(&dice);
}

void spans_of_order(const uint8_t order_id[16], struct trace_context *ret) {
    *ret = (struct trace_context){0};
    if (!spans_are_on() || exporter.one_in == 0)
        return;
    uint64_t number;
    memcpy(&number, order_id, sizeof(number));
    if (number % exporter.one_in != 0)
        return;
    ret->is_set = true;
    ret->flags = TRACE_SAMPLED;
    memcpy(ret->trace_id, order_id, TRACE_ID_LEN);
}

void spans_of_caller(struct trace_context *trace) {
    if (spans_are_on() && !exporter.callers)
        trace->flags &= (uint8_t)~TRACE_SAMPLED;
}

void span_begin(struct span *span, const struct trace_context *parent, enum span_kind kind,
                int64_t start_us) {
    assert(parent->is_set);
    *span = (struct span){.self = *parent, .kind = kind, .start_us = start_us, .offset = -1};
    memcpy(span->parent, parent->span_id, TRACE_SPAN_ID_LEN);
    uint64_t id = roll() | 1; // never all zero
    memcpy(span->self.span_id, &id, TRACE_SPAN_ID_LEN);
}

void spans_add(const struct span *span) {
    if (!spans_are_on() || !trace_is_sampled(&span->self))
        return;
    (void)pthread_mutex_lock(&exporter.lock);
    bool room = exporter.count < QUEUE_MAX;
    if (room)
        exporter.queue[(exporter.head + exporter.count++) % QUEUE_MAX] = *span;
    if (exporter.count == REQUEST_MAX)
        (void)pthread_cond_signal(&exporter.changed);
    (void)pthread_mutex_unlock(&exporter.lock);
    if (!room)
        metrics_add(METRIC_SPANS, SPANS_DROPPED, 1);
}

struct span *span_batch_add(struct span_batch *batch) {
    if (!batch->items)
        batch->items = calloc(SPAN_BATCH_MAX, sizeof(*batch->items));
    if (!batch->items || batch->count == SPAN_BATCH_MAX) {
        metrics_add(METRIC_SPANS, SPANS_DROPPED, 1);
        return NULL;
    }
    struct span *span = &batch->items[batch->count++];
    *span = (struct span){0};
    return span;
}

void span_batch_commit(struct span_batch *batch, int64_t end_us) {
    for (size_t i = 0; i < batch->count; i++) {
        batch->items[i].end_us = end_us;
        spans_add(&batch->items[i]);
    }
    batch->count = 0;
}

void span_batch_done(struct span_batch *batch) {
    free(batch->items);
    *batch = (struct span_batch){0};
}

// ---- sending them ------------------------------------------------------------------------------

static size_t ignore(char *bytes, size_t size, size_t count, void *state) {
    (void)bytes;
    (void)state;
    return size * count;
}

// Under the lock: false when the time to leave has come.
static bool wait_ms(int64_t ms) {
    struct timespec until;
    int64_t end_ms = clock_monotonic_ms() + ms;
    if (exporter.stopping && end_ms > exporter.leave_by_ms)
        return false;
    until.tv_sec = end_ms / 1000;
    until.tv_nsec = end_ms % 1000 * 1000000;
    bool was_stopping = exporter.stopping;
    while (exporter.stopping == was_stopping &&
           pthread_cond_timedwait(&exporter.changed, &exporter.lock, &until) != ETIMEDOUT)
        if (exporter.count >= REQUEST_MAX)
            break;
    return !exporter.stopping || clock_monotonic_ms() < exporter.leave_by_ms;
}

static void complain(const char *what, long status) {
    if (!exporter.complained)
        LOG(WARN, "spans cannot be delivered, trying again", F_STR("reason", what),
            F_INT("status", status));
    exporter.complained = true;
}

enum sent { SENT, SENT_AGAIN, SENT_REFUSED };

static enum sent post(CURL *curl, const char *body, size_t length) {
    (void)curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
    (void)curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)length);
    CURLcode code = curl_easy_perform(curl);
    long status = 0;
    (void)curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    if (code == CURLE_OK && status / 100 == 2) {
        if (exporter.complained)
            LOG(INFO, "spans are delivered again");
        exporter.complained = false;
        return SENT;
    }
    complain(code != CURLE_OK ? curl_easy_strerror(code) : "the collector refuses them", status);
    // What the specification calls retryable; the rest would be refused again.
    bool again =
        code != CURLE_OK || status == 429 || status == 502 || status == 503 || status == 504;
    return again ? SENT_AGAIN : SENT_REFUSED;
}

static void send_taken(CURL *curl, size_t count) {
    size_t length = 0;
    char *body = otlp_render(&exporter.resource, exporter.taken, count, &length);
    enum sent sent = SENT_REFUSED;
    for (int tries = 0; body && tries < TRIES_MAX; tries++) {
        sent = post(curl, body, length);
        if (sent != SENT_AGAIN)
            break;
        int64_t pause_us = backoff_us(&exporter.dice, BACKOFF_BASE_MS * 1000,
                                      (int64_t)BACKOFF_MAX_MS * 1000, tries);
        (void)pthread_mutex_lock(&exporter.lock);
        bool stay = wait_ms(pause_us / 1000);
        (void)pthread_mutex_unlock(&exporter.lock);
        if (!stay)
            break;
    }
    free(body);
    metrics_add(METRIC_SPANS, sent == SENT ? SPANS_EXPORTED : SPANS_FAILED, (int64_t)count);
}

static size_t take(void) {
    size_t count = exporter.count < REQUEST_MAX ? exporter.count : REQUEST_MAX;
    for (size_t i = 0; i < count; i++)
        exporter.taken[i] = exporter.queue[(exporter.head + i) % QUEUE_MAX];
    exporter.head = (exporter.head + count) % QUEUE_MAX;
    exporter.count -= count;
    return count;
}

static void *run(void *arg) {
    CURL *curl = arg;
    (void)pthread_mutex_lock(&exporter.lock);
    for (;;) {
        if (exporter.count < REQUEST_MAX && !exporter.stopping)
            (void)wait_ms(EVERY_MS);
        if (exporter.stopping &&
            (exporter.count == 0 || clock_monotonic_ms() >= exporter.leave_by_ms))
            break;
        size_t count = take();
        (void)pthread_mutex_unlock(&exporter.lock);
        if (count > 0)
            send_taken(curl, count);
        (void)pthread_mutex_lock(&exporter.lock);
    }
    if (exporter.count > 0)
        metrics_add(METRIC_SPANS, SPANS_DROPPED, (int64_t)exporter.count);
    (void)pthread_mutex_unlock(&exporter.lock);
    return NULL;
}

// ---- life --------------------------------------------------------------------------------------

static CURL *curl;
static struct curl_slist *headers;

static bool set_up_request(const struct config *config) {
    char authorization[512];
    curl = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK ? curl_easy_init() : NULL;
    headers = curl_slist_append(NULL, "Content-Type: application/json");
    headers = curl_slist_append(headers, "Expect:");
    if (config->trace_otlp_key) {
        (void)snprintf(authorization, sizeof(authorization), "Authorization: Bearer %s",
                       config->trace_otlp_key);
        headers = curl_slist_append(headers, authorization);
    }
    return curl && headers &&
           curl_easy_setopt(curl, CURLOPT_URL, config->trace_otlp_url) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, ignore) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)TIMEOUT_MS) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L) == CURLE_OK;
}

bool spans_start(const struct config *config, const char *role, int slot, struct error *err) {
    if (!config->trace_otlp_url || !config->trace_otlp_url[0])
        return true;
    if (strncmp(config->trace_otlp_url, "http://", 7) != 0 &&
        strncmp(config->trace_otlp_url, "https://", 8) != 0)
        return error_set(err, DISP_FATAL, 0,
                         "trace.otlp.url is to be http://… or https://…, as "
                         "http://127.0.0.1:4318/v1/traces");
    exporter.config = config;
    exporter.resource = (struct otlp_resource){.role = role, .slot = slot};
    exporter.one_in = (uint64_t)config->trace_sample_every;
    exporter.callers = config->trace_callers;
    exporter.dice = backoff_dice();
    exporter.queue = calloc(QUEUE_MAX, sizeof(*exporter.queue));
    static const char *const outcomes[] = {
        [SPANS_EXPORTED] = "exported", [SPANS_DROPPED] = "dropped", [SPANS_FAILED] = "failed"};
    for (int i = 0; i < (int)(sizeof(outcomes) / sizeof(outcomes[0])); i++) {
        metrics_name_series(METRIC_SPANS, i, outcomes[i]);
        metrics_add(METRIC_SPANS, i, 0);
    }
    pthread_condattr_t monotonic;
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&exporter.changed, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
    if (!exporter.queue || !set_up_request(config) ||
        pthread_create(&exporter.thread, NULL, run, curl) != 0)
        return error_set(err, DISP_FATAL, 0, "spans cannot be exported: out of memory or threads");
    atomic_store(&spans_on, true);
    return true;
}

void spans_stop(void) {
    if (!spans_are_on())
        return;
    (void)pthread_mutex_lock(&exporter.lock);
    exporter.stopping = true;
    exporter.leave_by_ms = clock_monotonic_ms() + LEAVE_MS;
    (void)pthread_cond_signal(&exporter.changed);
    (void)pthread_mutex_unlock(&exporter.lock);
    (void)pthread_join(exporter.thread, NULL);
    atomic_store(&spans_on, false);
    curl_slist_free_all(headers);
    curl_easy_cleanup(curl);
    free(exporter.queue);
}
