// SPDX-License-Identifier: Apache-2.0
//
// The load generator of tests/bench/run: `bench_load throughput|latency|place NAME=VALUE...`. What
// it needs to know comes from there; its last line of output is JSON.
#include "bench_load.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void bench_die(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    (void)fputs("bench_load: ", stderr);
    (void)vfprintf(stderr, format, arguments);
    (void)fputc('\n', stderr);
    va_end(arguments);
    exit(1);
}

PGconn *bench_connect(const struct bench_options *options) {
    PGconn *db = PQconnectdb(options->postgres);
    if (PQstatus(db) != CONNECTION_OK)
        bench_die("PostgreSQL: %s", PQerrorMessage(db));
    return db;
}

void bench_phase(const char *name) {
    printf("phase %s\n", name);
    (void)fflush(stdout);
    for (int c = getchar(); c != '\n' && c != EOF;)
        c = getchar();
}

void bench_print_percentiles(const char *name, int64_t *us, size_t count) {
    const struct bench_times times = bench_times_of(us, count);
    printf("\"%s\":", name);
    bench_times_print(stdout, &times);
}

static void set_option(struct bench_options *options, const char *argument) {
    const struct {
        const char *name;
        const char **text;
        int *number;
    } rows[] = {
        {"gateway", &options->gateway, NULL},
        {"token", &options->token, NULL},
        {"postgres", &options->postgres, NULL},
        {"bootstrap", &options->bootstrap, NULL},
        {"tag", &options->tag, NULL},
        {"seconds", NULL, &options->seconds},
        {"warmup", NULL, &options->warmup_seconds},
        {"skus", NULL, &options->skus},
        {"connections", NULL, &options->connections},
        {"batch", NULL, &options->batch},
        {"window", NULL, &options->window},
        {"rate", NULL, &options->rate},
        {"paced", NULL, &options->paced},
        {"orders", NULL, &options->orders},
    };
    const char *equals = strchr(argument, '=');
    for (size_t i = 0; equals && i < sizeof(rows) / sizeof(rows[0]); i++) {
        const size_t len = strlen(rows[i].name);
        if ((size_t)(equals - argument) != len || strncmp(argument, rows[i].name, len) != 0)
            continue;
        if (rows[i].text)
            *rows[i].text = equals + 1;
        else if ((*rows[i].number = atoi(equals + 1)) < 0)
            bench_die("%s cannot be negative", rows[i].name);
        return;
    }
    bench_die("unknown argument %s", argument);
}

int main(int argc, char **argv) {
    struct bench_options options = {.gateway = "http://127.0.0.1:8080",
                                    .token = "",
                                    .postgres = "dbname=orderlog",
                                    .bootstrap = "127.0.0.1:9092",
                                    .tag = "bench",
                                    .seconds = 60,
                                    .warmup_seconds = 30,
                                    .skus = 1000,
                                    .connections = 2,
                                    .batch = 1000,
                                    .window = 20000,
                                    .rate = 500};
    for (int i = 2; i < argc; i++)
        set_option(&options, argv[i]);
    if (argc >= 2 && strcmp(argv[1], "throughput") == 0)
        return bench_throughput(&options) ? 0 : 1;
    if (argc >= 2 && strcmp(argv[1], "latency") == 0)
        return bench_latency(&options) ? 0 : 1;
    if (argc >= 2 && strcmp(argv[1], "place") == 0)
        return bench_place(&options) ? 0 : 1;
    bench_die("usage: bench_load throughput|latency|place NAME=VALUE...");
}
