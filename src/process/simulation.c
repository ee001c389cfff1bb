// SPDX-License-Identifier: Apache-2.0
#include "simulation.h"

#include "service/log.h"

static const int64_t ledger_retry_us = 100000;

bool simulation_init(struct simulation *simulation, const struct simulation_kind *kind, void *owner,
                     const char *ledger_path, size_t in_flight_max, struct error *err) {
    *simulation = (struct simulation){.kind = kind, .owner = owner};
    if (!pending_init(&simulation->pending, in_flight_max))
        return error_set(err, DISP_FATAL, 0, "out of memory");
    simulation->ledger = ledger_open(ledger_path, kind->words, err);
    return simulation->ledger != NULL;
}

void simulation_done(struct simulation *simulation) {
    simulation->ledger = ledger_free(simulation->ledger);
    pending_done(&simulation->pending);
}

static bool queue_decide(struct simulation *simulation, int64_t now_us, struct error *err) {
    const struct pending *pending = &simulation->pending;
    for (size_t i = 0; i < pending->queue_count; i++) {
        struct ledger_entry entry = {0};
        if (simulation->kind->decide(simulation->owner, pending->queue[i], now_us, &entry) &&
            !ledger_append(simulation->ledger, &entry, err)) {
            ledger_abandon(simulation->ledger);
            return false;
        }
    }
    return ledger_commit(simulation->ledger, err);
}

void simulation_turn(struct simulation *simulation, int64_t now_us) {
    struct pending *pending = &simulation->pending;
    if (pending->queue_count == 0 || now_us < simulation->retry_us)
        return;
    struct error err;
    if (!ledger_begin(simulation->ledger, &err) || !queue_decide(simulation, now_us, &err)) {
        simulation->retry_us = now_us + ledger_retry_us;
        LOG(ERROR, simulation->kind->trouble, F_ERR(&err));
        return;
    }
    for (size_t i = 0; i < pending->queue_count; i++)
        simulation->kind->settle(simulation->owner, pending->queue[i], now_us);
    pending_queue_clear(pending);
}

int64_t simulation_next_due_us(const struct simulation *simulation) {
    int64_t due_us = pending_due_us(&simulation->pending);
    if (simulation->pending.queue_count > 0 && simulation->retry_us < due_us)
        return simulation->retry_us;
    return due_us;
}
