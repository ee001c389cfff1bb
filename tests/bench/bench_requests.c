// SPDX-License-Identifier: Apache-2.0
//
// Requests for a server on this machine, as many as it takes.
//
//   bench_requests post PORT TOKEN SECONDS CONNECTIONS SKUS TAG      single orders
//   bench_requests batch PORT TOKEN COUNT CONNECTIONS SKUS TAG LINES orders in batches, made before
//   bench_requests get PORT TOKEN SECONDS CONNECTIONS FILE           FILE: "path etag" per line
//
// Prints "begin" and waits for a line of input, measures, prints "end" and waits again, so that
// whoever started it can look at the server's CPU; then one line of JSON.
#include "bench_http.h"
#include "bench_load.h"
#include "service/clock.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { REQUEST_MAX = 2048, CONNECTIONS_MAX = 1024, LINE_BYTES = BENCH_ORDER_MAX + 1 };

struct requests {
    const char *token;
    const char *tag;
    int skus;
    int64_t until_us; // 0: as many as were made
    uint64_t number;
    uint64_t lines;
    uint64_t accepted;          // lines of batches
    char (*slots)[REQUEST_MAX]; // of the connections
    struct {
        char *bytes;
        size_t length;
    } * made; // batches, or reads
    size_t made_count;
};

static void wait_at(const char *name) {
    printf("%s\n", name);
    (void)fflush(stdout);
    for (int c = getchar(); c != '\n' && c != EOF;)
        c = getchar();
}

static bool over(const struct requests *requests) {
    return requests->until_us > 0 && clock_monotonic_us() >= requests->until_us;
}

// ---- single orders
// ---------------------------------------------------------------------------------

static bool next_post(void *state, int connection, const char **ret_bytes, size_t *ret_length) {
    struct requests *requests = state;
    char *out = requests->slots[connection];
    char key[BENCH_KEY_MAX];
    char body[BENCH_ORDER_MAX];
    if (over(requests))
        return false;
    const uint64_t number = requests->number++;
    (void)bench_key_write(key, requests->tag, number);
    const size_t length = bench_order_write(body, number, requests->skus, NULL, NULL);
    const int head = snprintf(out, REQUEST_MAX,
                              "POST /v1/orders HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                              "Authorization: Bearer %s\r\nContent-Type: application/json\r\n"
                              "Idempotency-Key: %s\r\nContent-Length: %zu\r\n\r\n",
                              requests->token, key, length);
    memcpy(out + head, body, length);
    *ret_bytes = out;
    *ret_length = (size_t)head + length;
    return true;
}

// ---- what was made before
// --------------------------------------------------------------------------

static void make_batches(struct requests *requests, uint64_t count, uint64_t lines) {
    requests->made_count = (count + lines - 1) / lines;
    requests->made = calloc(requests->made_count, sizeof(*requests->made));
    if (!requests->made)
        bench_http_die("out of memory");
    char *body = malloc(lines * LINE_BYTES);
    for (size_t batch = 0; body && batch < requests->made_count; batch++) {
        size_t length = 0;
        for (uint64_t line = 0; line < lines; line++) {
            char key[BENCH_KEY_MAX];
            (void)bench_key_write(key, requests->tag, requests->number);
            length +=
                bench_order_write(body + length, requests->number++, requests->skus, key, NULL);
            body[length++] = '\n';
        }
        char *bytes = malloc(REQUEST_MAX + length);
        if (!bytes)
            bench_http_die("out of memory");
        const int head = snprintf(bytes, REQUEST_MAX,
                                  "POST /v1/orders:batch HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                                  "Authorization: Bearer %s\r\n"
                                  "Content-Type: application/x-ndjson\r\n"
                                  "Content-Length: %zu\r\n\r\n",
                                  requests->token, length);
        memcpy(bytes + head, body, length);
        requests->made[batch].bytes = bytes;
        requests->made[batch].length = (size_t)head + length;
    }
    free(body);
    requests->lines = requests->number;
    requests->number = 0;
}

static void make_reads(struct requests *requests, const char *path) {
    FILE *file = fopen(path, "r");
    char name[128], etag[64];
    if (!file)
        bench_http_die("cannot read %s", path);
    while (fscanf(file, "%127s %63s", name, etag) == 2) {
        requests->made =
            realloc(requests->made, (requests->made_count + 1) * sizeof(*requests->made));
        char *bytes = requests->made ? malloc(REQUEST_MAX) : NULL;
        if (!bytes)
            bench_http_die("out of memory");
        const int length = snprintf(bytes, REQUEST_MAX,
                                    "GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                                    "Authorization: Bearer %s\r\nIf-None-Match: %s\r\n\r\n",
                                    name, requests->token, etag);
        requests->made[requests->made_count].bytes = bytes;
        requests->made[requests->made_count++].length = (size_t)length;
    }
    (void)fclose(file);
}

static bool next_made(void *state, int connection, const char **ret_bytes, size_t *ret_length) {
    struct requests *requests = state;
    (void)connection;
    if (over(requests) || (requests->until_us == 0 && requests->number == requests->made_count))
        return false;
    const size_t at = requests->number++ % requests->made_count;
    *ret_bytes = requests->made[at].bytes;
    *ret_length = requests->made[at].length;
    return true;
}

static void count_accepted(void *state, int connection, const char *body, size_t length) {
    (void)connection;
    static const char accepted[] = "\"status\":202";
    struct requests *requests = state;
    const char *end = body + length;
    while ((body = memmem(body, (size_t)(end - body), accepted, sizeof(accepted) - 1))) {
        requests->accepted++;
        body += sizeof(accepted) - 1;
    }
}

int main(int argc, char **argv) {
    if (argc < 7)
        return 2;
    const char *kind = argv[1];
    struct requests requests = {.token = argv[3]};
    struct bench_http_load load = {
        .port = atoi(argv[2]), .connections = atoi(argv[5]), .state = &requests};
    const int64_t time_us = atoll(argv[4]) * 1000000;
    if (load.connections < 1 || load.connections > CONNECTIONS_MAX)
        return 2;
    if (strcmp(kind, "post") == 0 && argc == 8) {
        requests.slots = calloc((size_t)load.connections, sizeof(*requests.slots));
        requests.skus = atoi(argv[6]);
        requests.tag = argv[7];
        load.next = next_post;
        load.status = 202;
    } else if (strcmp(kind, "batch") == 0 && argc == 9) {
        requests.skus = atoi(argv[6]);
        requests.tag = argv[7];
        make_batches(&requests, (uint64_t)atoll(argv[4]), (uint64_t)atoll(argv[8]));
        load.next = next_made;
        load.answered = count_accepted;
        load.status = 200;
    } else if (strcmp(kind, "get") == 0 && argc == 7) {
        make_reads(&requests, argv[6]);
        load.next = next_made;
        load.status = 304;
    } else {
        return 2;
    }
    wait_at("begin");
    const int64_t began_us = clock_monotonic_us();
    requests.until_us = strcmp(kind, "batch") == 0 ? 0 : began_us + time_us;
    const uint64_t count = bench_http_run(&load);
    const double seconds = (double)(clock_monotonic_us() - began_us) / 1e6;
    wait_at("end");
    if (requests.accepted != requests.lines)
        bench_http_die("%" PRIu64 " lines of %" PRIu64 " were accepted", requests.accepted,
                       requests.lines);
    printf("{\"requests\":%" PRIu64 ",\"records\":%" PRIu64 ",\"seconds\":%.6f}\n", count,
           requests.lines, seconds);
    return 0;
}
