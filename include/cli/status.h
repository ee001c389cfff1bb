// SPDX-License-Identifier: Apache-2.0
//
// How the system is, seen from outside: what runs, how far everything is behind, which order is the
// oldest, what could not be handled. Gathered once, then shown. One thread.
#ifndef ORDERLOG_CLI_STATUS_H
#define ORDERLOG_CLI_STATUS_H

#include "service/config.h"
#include "store/open_orders.h"
#include "store/projection.h"
#include "stream/topics.h"

#include <stdio.h>

enum { STATUS_READERS_MAX = DOMAIN_COUNT + PROJECTIONS_MAX, STATUS_WORKERS_MAX = 256 };

// A processor of an inbox, or a read model of an events topic.
struct status_reader {
    char name[PROJECTION_NAME_MAX];
    bool is_projection;
    bool paused;
    const char *topic;
    int32_t partitions;
    int64_t behind; // records, or, where they are too many to count, offsets
    bool counted;   // they are records
};

struct status_worker {
    char role[64]; // "order", "project orders.events"
    char instance[64];
    char host[64];
    char partitions[64]; // "0-3 7"
    int32_t partitions_count;
};

struct status_service {
    const char *name;
    const char *url;
    bool ready;
    char reason[160]; // why not
};

struct status {
    struct status_reader readers[STATUS_READERS_MAX];
    size_t readers_count;
    struct status_worker workers[STATUS_WORKERS_MAX];
    size_t workers_count;
    struct status_service services[2]; // gateway, query
    struct open_orders orders;
    int64_t letters_aside, letters_parked, skipped;
};

// Everything; false: what cannot be reached is named.
bool status_gather(const struct config *config, struct status *ret, struct error *err);

void status_print(const struct status *status, FILE *out);
bool status_print_json(const struct status *status, FILE *out); // one line

#endif
