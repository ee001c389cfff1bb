// SPDX-License-Identifier: Apache-2.0
//
// `orderlog bench`, and what tests/bench shares with it: invented orders, times. Load is an open
// loop: orders leave at fixed times whether or not earlier ones have been answered, and every time
// is counted from when the order was meant to leave, so that a system that stalls cannot hide it by
// slowing the load down.
#ifndef ORDERLOG_CLI_BENCH_H
#define ORDERLOG_CLI_BENCH_H

#include "event/id.h"
#include "service/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

// ---- orders (bench_orders.c) ----

enum {
    BENCH_ORDER_MAX = 1024,
    BENCH_KEY_MAX = 64,
    BENCH_NAME_MAX = 24,
    BENCH_LINES_MAX = 5,
    BENCH_QUANTITY_MAX = 3,
};

struct bench_line {
    uint32_t sku; // BENCH-00000 …
    uint32_t quantity;
};

struct bench_order {
    uint32_t customer;
    uint32_t lines_count; // 3 on average, of distinct SKUs
    struct bench_line lines[BENCH_LINES_MAX];
};

// The same for the same number. skus: at least BENCH_LINES_MAX.
void bench_order_draw(uint64_t number, int skus, struct bench_order *ret);

size_t bench_customer_write(char out[BENCH_NAME_MAX], uint32_t customer);
size_t bench_sku_write(char out[BENCH_NAME_MAX], uint32_t sku);

// As JSON, priced by the catalogue. With key, the key is a member of the object, as in a batch.
// Returns the length; ret_key_at (may be NULL) is where the key stands.
size_t bench_order_write(char out[BENCH_ORDER_MAX], uint64_t number, int skus, const char *key,
                         size_t *ret_key_at);

// Keys of one tag have one length. Returns it.
size_t bench_key_write(char out[BENCH_KEY_MAX], const char *tag, uint64_t number);

// The id that the order of this key gets in the shop `main`.
struct id bench_order_id(const char *key);

// ---- times (bench_times.c) ----

// Until a time of clock_monotonic_us(); returns at once when that has passed.
void bench_wait_until(int64_t us);

struct bench_times {
    size_t count;
    double p50_ms, p90_ms, p99_ms, p999_ms, max_ms; // 0 where there are none
};

// Sorts them.
struct bench_times bench_times_of(int64_t *us, size_t count);

// As a JSON object.
void bench_times_print(FILE *out, const struct bench_times *times);

// ---- the run (bench_run.c, bench_check.c) ----

struct bench_plan {
    const char *gateway_url;
    const char *query_url;
    const char *token;
    int64_t rate; // orders per second
    int64_t seconds;
    int64_t connections; // to the gateway, and as many to the query service
    int64_t skus;
    int64_t batch;  // orders in one request; 0: single POSTs
    int64_t wait_s; // patience with what does not become visible
};

enum bench_outcome {
    BENCH_UNSENT,
    BENCH_ACCEPTED,
    BENCH_REFUSED,    // with a status
    BENCH_UNANSWERED, // whether it was written is not known
};

struct bench_sent {
    _Atomic int outcome; // enum bench_outcome; set last
    int64_t sent_us;
    int64_t answered_us;
    struct id order_id;
    struct id command_id;
};

struct replay;
struct bench_looking;

struct bench_run {
    struct bench_plan plan;
    struct replay *replay; // owned: connections, progress, what first went wrong
    char tag[32];
    int64_t begun_us;        // when order 0 is due
    struct bench_sent *sent; // owned, by number
    size_t count;
    size_t next; // under lock: the next request's first order
    _Atomic size_t accepted, refused, unanswered;
    size_t looked_step;  // each one of so many orders is asked for until it is visible
    int64_t *visible_us; // owned, by number / looked_step; 0: was not
    _Atomic size_t look_next;
    _Atomic bool stopped; // nothing is sent any more
    _Atomic size_t found, missing, different;
};

// When an order of this run is to leave: a batch when its first one is.
int64_t bench_due_us(const struct bench_run *run, size_t number);

// Puts products and stock there, sends, looks for what was accepted. False: no run.
bool bench_run(const struct bench_plan *plan, struct bench_run *ret, struct error *err);
void bench_run_done(struct bench_run *run);

// Threads that ask for the sampled orders as they are accepted. bench_look_end() waits for them.
struct bench_looking *bench_look_begin(struct bench_run *run); // NULL: no memory or thread
void bench_look_end(struct bench_looking *looking);

// Asks for every accepted order and compares it with what was sent.
bool bench_read_back(struct bench_run *run, struct error *err);

// True: at least one order was accepted, and all that were are there with the content sent.
bool bench_report(struct bench_run *run, bool as_json, FILE *out);

#endif
