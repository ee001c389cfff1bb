// SPDX-License-Identifier: Apache-2.0
//
// Reads of orders at fixed times, whether or not earlier ones have been answered; each is counted
// from when it was meant to be sent.
//
//   bench_paced URL TOKEN RATE SECONDS FILE      FILE: one order id per line, asked for in turn
//
// Prints one line of JSON: how many, how many failed, and how long they took.
#include "cli/bench.h"
#include "cli/http_client.h"
#include "service/clock.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { READERS = 64, CALL_MS = 10000, LEAD_US = 200000, ID_TEXT_MAX = 64 };

struct run {
    char (*ids)[ID_TEXT_MAX]; // owned
    size_t ids_count;
    int64_t *took_us; // owned, by number
    size_t count;
    int64_t began_us;
    int rate;
    _Atomic size_t next;
    _Atomic size_t failed;
};

struct reader {
    struct run *run;
    struct http_client *client;
    pthread_t thread;
};

static _Noreturn void die(const char *text) {
    (void)fprintf(stderr, "bench_paced: %s\n", text);
    exit(1);
}

static void read_ids(struct run *run, const char *path) {
    FILE *file = fopen(path, "r");
    char id[ID_TEXT_MAX];
    if (!file)
        die("the file of ids cannot be read");
    while (fscanf(file, "%63s", id) == 1) {
        run->ids = realloc(run->ids, (run->ids_count + 1) * sizeof(*run->ids));
        if (!run->ids)
            die("out of memory");
        memcpy(run->ids[run->ids_count++], id, sizeof(id));
    }
    (void)fclose(file);
    if (run->ids_count == 0)
        die("the file of ids is empty");
}

static void *read_orders(void *opaque) {
    struct reader *reader = opaque;
    struct run *run = reader->run;
    for (size_t i; (i = atomic_fetch_add(&run->next, 1)) < run->count;) {
        char path[ID_TEXT_MAX + 16];
        (void)snprintf(path, sizeof(path), "/v1/orders/%s", run->ids[i % run->ids_count]);
        const struct http_call call = {.method = "GET", .path = path, .timeout_ms = CALL_MS};
        const int64_t due_us = run->began_us + (int64_t)i * 1000000 / run->rate;
        bench_wait_until(due_us);
        struct http_reply reply = {0};
        struct error err = {0};
        const bool answered = http_client_call(reader->client, &call, &reply, &err);
        run->took_us[i] = clock_monotonic_us() - due_us;
        if ((!answered || reply.status != 200) && atomic_fetch_add(&run->failed, 1) == 0)
            (void)fprintf(stderr, "bench_paced: status %ld, %.300s\n", reply.status,
                          answered ? reply.body : err.msg);
    }
    return NULL;
}

int main(int argc, char **argv) {
    if (argc != 6)
        die("usage: bench_paced URL TOKEN RATE SECONDS FILE");
    struct run run = {.rate = atoi(argv[3])};
    run.count = (size_t)run.rate * (size_t)atoi(argv[4]);
    run.took_us = calloc(run.count + 1, sizeof(*run.took_us));
    if (run.rate < 1 || !run.took_us)
        die("RATE and SECONDS must be positive");
    read_ids(&run, argv[5]);
    struct reader readers[READERS];
    for (size_t i = 0; i < READERS; i++) {
        readers[i] = (struct reader){.run = &run, .client = http_client_new(argv[1], argv[2])};
        if (!readers[i].client)
            die("out of memory");
    }
    run.began_us = clock_monotonic_us() + LEAD_US;
    for (size_t i = 0; i < READERS; i++)
        if (pthread_create(&readers[i].thread, NULL, read_orders, &readers[i]) != 0)
            die("no thread");
    for (size_t i = 0; i < READERS; i++) {
        (void)pthread_join(readers[i].thread, NULL);
        http_client_free(readers[i].client);
    }
    const struct bench_times times = bench_times_of(run.took_us, run.count);
    printf("{\"reads\":%zu,\"failed\":%zu,\"times\":", run.count, (size_t)run.failed);
    bench_times_print(stdout, &times);
    printf("}\n");
    free(run.ids);
    free(run.took_us);
    return 0;
}
