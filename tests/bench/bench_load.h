// SPDX-License-Identifier: Apache-2.0
//
// The load generator's parts. It is in C so that it costs little: it shares the machine with what
// it measures.
#ifndef ORDERLOG_BENCH_LOAD_H
#define ORDERLOG_BENCH_LOAD_H

#include "cli/bench.h"

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
    int paced;             // throughput: orders per second at most; 0: as many as go
    int orders;            // place: how many
};

// ---- the two measurements
// ------------------------------------------------------------------------

// Batches until `orders` of them are accepted; what becomes of them is not waited for.
bool bench_place(const struct bench_options *options);

// Both name their phases (`begin` and `end` stand around what is counted), then print one line of
// JSON. False: something was lost or refused, or did not come to its end in time.
bool bench_throughput(const struct bench_options *options);
bool bench_latency(const struct bench_options *options);

// ---- ending (bench_load.c)
// -----------------------------------------------------------------------

// Says why, and ends the program.
_Noreturn void bench_die(const char *format, ...) __attribute__((format(printf, 1, 2)));

PGconn *bench_connect(const struct bench_options *options);

// Prints `phase NAME` and waits for a line of input: whoever started us looks at processes and
// topics meanwhile.
void bench_phase(const char *name);

// A summary of count times, which it sorts, as a member of a JSON object.
void bench_print_percentiles(const char *name, int64_t *us, size_t count);

#endif
