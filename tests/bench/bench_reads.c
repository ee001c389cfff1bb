// SPDX-License-Identifier: Apache-2.0
//
// Reads of orders, as many as a query service takes over connections that are kept alive.
//
//   bench_reads PORT TOKEN SECONDS CONNECTIONS FILE      FILE: one order id per line
//
// The ids are asked for in the order of the file, again from the start when all have been. Prints
// "begin" and "end" around it and waits for a line of input at each, then prints one line of JSON.
#include "bench_http.h"
#include "service/clock.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { REQUEST_MAX = 512, ID_TEXT_MAX = 64 };

struct reads {
    char (*requests)[REQUEST_MAX]; // owned
    size_t *lengths;               // owned
    size_t count;
    size_t next;
    int64_t until_us;
    uint64_t bytes; // of bodies
};

static void make_requests(struct reads *reads, const char *path, const char *token) {
    FILE *file = fopen(path, "r");
    char id[ID_TEXT_MAX];
    size_t size = 0;
    if (!file)
        bench_http_die("cannot read %s", path);
    while (fscanf(file, "%63s", id) == 1) {
        if (reads->count == size) {
            size = size ? size * 2 : 1024;
            reads->requests = realloc(reads->requests, size * sizeof(*reads->requests));
            reads->lengths = realloc(reads->lengths, size * sizeof(*reads->lengths));
            if (!reads->requests || !reads->lengths)
                bench_http_die("out of memory");
        }
        const int length = snprintf(reads->requests[reads->count], REQUEST_MAX,
                                    "GET /v1/orders/%s HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                                    "Authorization: Bearer %s\r\n\r\n",
                                    id, token);
        reads->lengths[reads->count++] = (size_t)length;
    }
    (void)fclose(file);
    if (reads->count == 0)
        bench_http_die("%s is empty", path);
}

static bool next(void *state, int connection, const char **ret_bytes, size_t *ret_length) {
    struct reads *reads = state;
    (void)connection;
    if (clock_monotonic_us() >= reads->until_us)
        return false;
    const size_t at = reads->next++ % reads->count;
    *ret_bytes = reads->requests[at];
    *ret_length = reads->lengths[at];
    return true;
}

static void answered(void *state, int connection, const char *body, size_t length) {
    (void)connection;
    static const char start[] = "{\"order_id\":\"";
    struct reads *reads = state;
    if (length < sizeof(start) || memcmp(body, start, sizeof(start) - 1) != 0)
        bench_http_die("this is no order: %.*s", (int)length, body);
    reads->bytes += length;
}

static void wait_at(const char *name) {
    printf("%s\n", name);
    (void)fflush(stdout);
    for (int c = getchar(); c != '\n' && c != EOF;)
        c = getchar();
}

int main(int argc, char **argv) {
    if (argc != 6)
        bench_http_die("usage: bench_reads PORT TOKEN SECONDS CONNECTIONS FILE");
    struct reads reads = {.count = 0};
    make_requests(&reads, argv[5], argv[2]);
    const struct bench_http_load load = {.port = atoi(argv[1]),
                                         .connections = atoi(argv[4]),
                                         .status = 200,
                                         .next = next,
                                         .answered = answered,
                                         .state = &reads};
    wait_at("begin");
    const int64_t began_us = clock_monotonic_us();
    reads.until_us = began_us + atoll(argv[3]) * 1000000;
    const uint64_t count = bench_http_run(&load);
    const double seconds = (double)(clock_monotonic_us() - began_us) / 1e6;
    wait_at("end");
    printf("{\"requests\":%" PRIu64 ",\"seconds\":%.6f,\"bytes\":%" PRIu64 "}\n", count, seconds,
           reads.bytes);
    free(reads.requests);
    free(reads.lengths);
    return 0;
}
