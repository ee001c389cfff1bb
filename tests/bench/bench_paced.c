// SPDX-License-Identifier: Apache-2.0
//
// Reads of orders at fixed times, whether or not earlier ones have been answered; each is counted
// from when it was meant to be sent.
//
//   bench_paced PORT TOKEN RATE SECONDS FILE      FILE: one order id per line, asked for in turn
//
// Prints one line of JSON: how many, and how long they took. One that fails ends it.
#include "bench_http.h"
#include "cli/bench.h"
#include "service/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CONNECTIONS = 64, LEAD_US = 200000, ID_TEXT_MAX = 64, REQUEST_MAX = 512 };

struct run {
    const char *token;
    char (*ids)[ID_TEXT_MAX]; // owned
    size_t ids_count;
    int64_t *took_us; // owned, by number
    size_t count;
    int64_t began_us;
    int64_t rate;
    size_t next;
    size_t under_way[CONNECTIONS]; // numbers
    char requests[CONNECTIONS][REQUEST_MAX];
};

static void read_ids(struct run *run, const char *path) {
    FILE *file = fopen(path, "r");
    char id[ID_TEXT_MAX];
    if (!file)
        bench_http_die("the file of ids cannot be read");
    while (fscanf(file, "%63s", id) == 1) {
        run->ids = realloc(run->ids, (run->ids_count + 1) * sizeof(*run->ids));
        if (!run->ids)
            bench_http_die("out of memory");
        memcpy(run->ids[run->ids_count++], id, sizeof(id));
    }
    (void)fclose(file);
    if (run->ids_count == 0)
        bench_http_die("the file of ids is empty");
}

static int64_t due_of(const struct run *run, size_t number) {
    return run->began_us + (int64_t)number * 1000000 / run->rate;
}

// Once there are no more, what is under way is waited for.
static int64_t due_us(void *opaque) {
    const struct run *run = opaque;
    return due_of(run, run->next);
}

static bool next(void *opaque, int connection, const char **ret_bytes, size_t *ret_length) {
    struct run *run = opaque;
    if (run->next == run->count)
        return false;
    char *request = run->requests[connection];
    const int length = snprintf(request, REQUEST_MAX,
                                "GET /v1/orders/%s HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                                "Authorization: Bearer %s\r\n\r\n",
                                run->ids[run->next % run->ids_count], run->token);
    if (length >= REQUEST_MAX)
        bench_http_die("the token is too long");
    run->under_way[connection] = run->next++;
    *ret_bytes = request;
    *ret_length = (size_t)length;
    return true;
}

static void answered(void *opaque, int connection, const char *body, size_t length) {
    struct run *run = opaque;
    (void)body;
    (void)length;
    const size_t number = run->under_way[connection];
    run->took_us[number] = clock_monotonic_us() - due_of(run, number);
}

int main(int argc, char **argv) {
    if (argc != 6)
        bench_http_die("usage: bench_paced PORT TOKEN RATE SECONDS FILE");
    static struct run run;
    run.token = argv[2];
    run.rate = atoi(argv[3]);
    run.count = (size_t)run.rate * (size_t)atoi(argv[4]);
    run.took_us = calloc(run.count + 1, sizeof(*run.took_us));
    if (run.rate < 1 || !run.took_us)
        bench_http_die("RATE and SECONDS must be positive");
    read_ids(&run, argv[5]);
    run.began_us = clock_monotonic_us() + LEAD_US;
    const struct bench_http_load load = {.port = atoi(argv[1]),
                                         .connections = CONNECTIONS,
                                         .status = 200,
                                         .next = next,
                                         .answered = answered,
                                         .due_us = due_us,
                                         .state = &run};
    (void)bench_http_run(&load);
    const struct bench_times times = bench_times_of(run.took_us, run.count);
    printf("{\"reads\":%zu,\"times\":", run.count);
    bench_times_print(stdout, &times);
    printf("}\n");
    free(run.ids);
    free(run.took_us);
    return 0;
}
