// SPDX-License-Identifier: Apache-2.0
//
// Leaves out ever smaller chunks of orders and trouble for as long as the same promise still
// breaks. A promise is known by the first word of what it says when broken, such as "I7:".
#include "sim/outcome.h"

#include <string.h>

enum { RUNS_MAX = 3000 };

struct shrinking {
    struct sim_request best;
    char promise[16];
    uint32_t runs;
};

static void promise_of(const struct sim_outcome *outcome, char promise[16]) {
    size_t len = strcspn(outcome->failure, " ");
    if (len > 15)
        len = 15;
    memcpy(promise, outcome->failure, len);
    promise[len] = '\0';
}

static bool still_breaks(struct shrinking *shrinking, const struct sim_request *request) {
    struct sim_outcome outcome = {0};
    char promise[16];
    if (shrinking->runs++ >= RUNS_MAX || sim_run(request, &outcome))
        return false;
    promise_of(&outcome, promise);
    return strcmp(promise, shrinking->promise) == 0;
}

static void leave_out(uint64_t *bits, uint32_t from, uint32_t count) {
    for (uint32_t i = from; i < from + count; i++)
        bits[i / 64] |= UINT64_C(1) << i % 64;
}

static bool leave_out_chunks(struct shrinking *shrinking, bool orders, uint32_t count,
                             uint32_t chunk) {
    bool smaller = false;
    for (uint32_t from = 0; from < count; from += chunk) {
        struct sim_request request = shrinking->best;
        uint64_t *bits = orders ? &request.orders_out : request.troubles_out;
        leave_out(bits, from, chunk < count - from ? chunk : count - from);
        if (memcmp(&request, &shrinking->best, sizeof(request)) == 0 ||
            !still_breaks(shrinking, &request))
            continue;
        shrinking->best = request;
        smaller = true;
    }
    return smaller;
}

static uint32_t troubles_of(const struct sim_request *request) {
    struct sim_outcome outcome = {0};
    (void)sim_run(request, &outcome);
    return outcome.troubles < TROUBLES_MASKABLE ? outcome.troubles : TROUBLES_MASKABLE;
}

struct sim_request sim_shrink(const struct sim_request *request) {
    struct shrinking shrinking = {.best = *request};
    struct sim_outcome outcome = {0};
    shrinking.best.tell = NULL;
    if (sim_run(&shrinking.best, &outcome))
        return shrinking.best;
    promise_of(&outcome, shrinking.promise);
    bool smaller = true;
    while (smaller && shrinking.runs < RUNS_MAX) {
        smaller = false;
        for (uint32_t chunk = 32; chunk > 0; chunk /= 2)
            smaller |= leave_out_chunks(&shrinking, true, 64, chunk);
        uint32_t troubles = troubles_of(&shrinking.best);
        for (uint32_t chunk = 256; chunk > 0; chunk /= 2)
            smaller |= leave_out_chunks(&shrinking, false, troubles, chunk);
    }
    return shrinking.best;
}
