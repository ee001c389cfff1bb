// SPDX-License-Identifier: Apache-2.0
//
// The load generator's parts. It is in C so that it costs little: it shares the machine with what
// it measures.
#ifndef ORDERLOG_BENCH_LOAD_H
#define ORDERLOG_BENCH_LOAD_H

#include "event/id.h"

#include <libpq-fe.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bench_options {
    const char *gateway;   // URL
    const char *token;     // API key with scope write
    const char *postgres;  // conninfo
    const char *bootstrap; // brokers
    const char *tag;       // makes the keys of this run unlike those of another
    int seconds;           // of measured load
    int warmup_seconds;    // of load before, not counted
    int skus;              // BENCH-00000 … are in the catalogue
    int connections;       // throughput: concurrent batches
    int batch;             // throughput: orders per batch
    int window;            // throughput: orders accepted and not yet visible as completed, at most
    int rate;              // latency: orders per second
    int orders;            // place: how many
};

// ---- orders (bench_orders.c)
// ---------------------------------------------------------------------

enum { BENCH_ORDER_MAX = 1024, BENCH_KEY_MAX = 64 };

// One of the orders: 1 to 5 lines, 3 on average, of distinct SKUs, priced by the catalogue, the
// same for the same number. With key, the key is a member of the object, as in a batch. Returns the
// length; ret_key_at (may be NULL) is where the key stands.
size_t bench_order_write(char out[BENCH_ORDER_MAX], uint64_t number, int skus, const char *key,
                         size_t *ret_key_at);

// Keys of one tag have one length. Returns it.
size_t bench_key_write(char out[BENCH_KEY_MAX], const char *tag, uint64_t number);

// The id that the order of this key gets in the shop `main`.
struct id bench_order_id(const char *key);

// ---- the two measurements
// ------------------------------------------------------------------------

// Batches until `orders` of them are accepted; what becomes of them is not waited for.
bool bench_place(const struct bench_options *options);

// Both name their phases (`begin` and `end` stand around what is counted), then print one line of
// JSON. False: something was lost or refused, or did not come to its end in time.
bool bench_throughput(const struct bench_options *options);
bool bench_latency(const struct bench_options *options);

// ---- waiting (bench_load.c)
// ----------------------------------------------------------------------

// Until a time of clock_monotonic_us(); returns at once when that has passed.
void bench_wait_until(int64_t us);

// Says why, and ends the program.
_Noreturn void bench_die(const char *format, ...) __attribute__((format(printf, 1, 2)));

PGconn *bench_connect(const struct bench_options *options);

// Prints `phase NAME` and waits for a line of input: whoever started us looks at processes and
// topics meanwhile.
void bench_phase(const char *name);

// A summary of count times, which it sorts, as a member of a JSON object.
void bench_print_percentiles(const char *name, int64_t *us, size_t count);

#endif
