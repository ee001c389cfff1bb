// SPDX-License-Identifier: Apache-2.0
//
// Open loop: orders leave at fixed times, one POST each, whether or not earlier ones have been
// answered, and every time is counted from when the order was meant to leave. A system that stalls
// cannot hide it by slowing down the load.
#include "bench_load.h"
#include "bench_watch.h"
#include "cli/http_client.h"
#include "service/clock.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SENDERS = 64, CALL_MS = 10000, LEAD_US = 200000, PATIENCE_US = 60000000 };

struct sample {
    int64_t due_us;
    int64_t sent_us;
    int64_t answered_us; // 0: refused
};

struct run {
    const struct bench_options *options;
    struct sample *samples;
    size_t count;
    _Atomic size_t next;
    _Atomic size_t refused;
};

struct sender {
    struct run *run;
    struct http_client *client;
    pthread_t thread;
};

static void place(struct sender *sender, size_t number) {
    struct run *run = sender->run;
    struct sample *sample = &run->samples[number];
    char body[BENCH_ORDER_MAX];
    char key[BENCH_KEY_MAX];
    (void)bench_key_write(key, run->options->tag, number);
    const struct http_call call = {
        .method = "POST",
        .path = "/v1/orders",
        .idempotency_key = key,
        .content_type = "application/json",
        .body = body,
        .body_len = bench_order_write(body, number, run->options->skus, NULL, NULL),
        .timeout_ms = CALL_MS};
    bench_wait_until(sample->due_us);
    sample->sent_us = clock_monotonic_us();
    struct http_reply reply = {0};
    struct error err = {0};
    const bool answered = http_client_call(sender->client, &call, &reply, &err);
    if (answered && reply.status == 202) {
        sample->answered_us = clock_monotonic_us();
        return;
    }
    if (atomic_fetch_add(&run->refused, 1) == 0)
        (void)fprintf(stderr, "bench_load: an order was not accepted: status %ld, %.300s\n",
                      reply.status, answered ? reply.body : err.msg);
}

static void *send_orders(void *opaque) {
    struct sender *sender = opaque;
    for (size_t i; (i = atomic_fetch_add(&sender->run->next, 1)) < sender->run->count;)
        place(sender, i);
    return NULL;
}

// The times of one kind, from due to `at`, of the orders from `first` on that have it.
static void print_times(const struct run *run, const char *name, size_t first, const int64_t *at,
                        size_t stride) {
    int64_t *us = malloc((run->count - first) * sizeof(*us) + 1);
    if (!us)
        bench_die("out of memory");
    size_t count = 0;
    for (size_t i = first; i < run->count; i++) {
        const int64_t then_us = *(const int64_t *)((const char *)at + i * stride);
        if (then_us)
            us[count++] = then_us - run->samples[i].due_us;
    }
    bench_print_percentiles(name, us, count);
    free(us);
}

static void print_result(const struct run *run, const struct bench_seen *seen, bool good) {
    const size_t first = (size_t)run->options->rate * (size_t)run->options->warmup_seconds;
    const struct {
        const char *name;
        const int64_t *at;
        size_t stride;
    } rows[] = {
        {"sent_late", &run->samples[0].sent_us, sizeof(run->samples[0])},
        {"accepted", &run->samples[0].answered_us, sizeof(run->samples[0])},
        {"placed_in_log", &seen[0].in_log_us[MARK_PLACED], sizeof(seen[0])},
        {"confirmed", &seen[0].in_log_us[MARK_CONFIRMED], sizeof(seen[0])},
        {"booked", &seen[0].in_log_us[MARK_BOOKED], sizeof(seen[0])},
        {"completed", &seen[0].in_log_us[MARK_COMPLETED], sizeof(seen[0])},
        {"visible", &seen[0].in_rows_us[MARK_PLACED], sizeof(seen[0])},
        {"confirmed_visible", &seen[0].in_rows_us[MARK_CONFIRMED], sizeof(seen[0])},
        {"completed_visible", &seen[0].in_rows_us[MARK_COMPLETED], sizeof(seen[0])},
    };
    printf("{\"orders\":%zu,\"rate\":%d,\"refused\":%zu,\"good\":%s", run->count - first,
           run->options->rate, (size_t)run->refused, good ? "true" : "false");
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        printf(",");
        print_times(run, rows[i].name, first, rows[i].at, rows[i].stride);
    }
    printf("}\n");
}

bool bench_latency(const struct bench_options *options) {
    struct run run = {.options = options};
    run.count = (size_t)options->rate * (size_t)(options->warmup_seconds + options->seconds);
    if (run.count == 0)
        bench_die("rate and seconds must be positive");
    struct id *ids = calloc(run.count, sizeof(*ids));
    struct bench_seen *seen = calloc(run.count, sizeof(*seen));
    run.samples = calloc(run.count, sizeof(*run.samples));
    if (!ids || !seen || !run.samples)
        bench_die("out of memory");
    for (size_t i = 0; i < run.count; i++) {
        char key[BENCH_KEY_MAX];
        (void)bench_key_write(key, options->tag, i);
        ids[i] = bench_order_id(key);
    }
    struct sender senders[SENDERS] = {0};
    for (size_t i = 0; i < SENDERS; i++)
        senders[i] = (struct sender){.run = &run,
                                     .client = http_client_new(options->gateway, options->token)};
    struct bench_watch *watch = bench_watch_start(options, ids, seen, run.count);

    const int64_t began_us = clock_monotonic_us() + LEAD_US;
    for (size_t i = 0; i < run.count; i++)
        run.samples[i].due_us = began_us + (int64_t)i * 1000000 / options->rate;
    for (size_t i = 0; i < SENDERS; i++)
        if (pthread_create(&senders[i].thread, NULL, send_orders, &senders[i]) != 0)
            bench_die("no thread");
    bench_wait_until(began_us + (int64_t)options->warmup_seconds * 1000000);
    bench_phase("begin");
    for (size_t i = 0; i < SENDERS; i++)
        (void)pthread_join(senders[i].thread, NULL);
    const bool came = bench_watch_await(watch, clock_monotonic_us() + PATIENCE_US);
    bench_phase("end");
    bench_watch_stop(watch);
    if (!came)
        (void)fprintf(stderr, "bench_load: not every order was completed in time\n");

    const bool good = came && run.refused == 0;
    print_result(&run, seen, good);
    for (size_t i = 0; i < SENDERS; i++)
        http_client_free(senders[i].client);
    free(ids);
    free(seen);
    free(run.samples);
    return good;
}
