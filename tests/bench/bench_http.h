// SPDX-License-Identifier: Apache-2.0
//
// A load of HTTP requests over connections that are kept alive, from one thread: each connection
// has one request under way, and sends the next when it has been answered; or, paced, each request
// goes at its time over some connection that is free. It only looks at the status and the length of
// an answer.
#ifndef ORDERLOG_BENCH_HTTP_H
#define ORDERLOG_BENCH_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bench_http_load {
    int port;
    int connections;
    int status; // every answer's; any other ends the program
    // The next request, which must stay as it is until it is answered; false: there are no more.
    bool (*next)(void *state, int connection, const char **ret_bytes, size_t *ret_length);
    // The answer's body; may be NULL.
    void (*answered)(void *state, int connection, const char *body, size_t length);
    // When the next request is to go, of CLOCK_MONOTONIC; NULL: at once.
    int64_t (*due_us)(void *state);
    void *state;
};

// Until there are no more requests and all are answered. Returns their number.
uint64_t bench_http_run(const struct bench_http_load *load);

// Says why, and ends the program.
_Noreturn void bench_http_die(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
