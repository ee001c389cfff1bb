// SPDX-License-Identifier: Apache-2.0
//
// The simulated carrier, built like the simulated provider: calls are queued, take effect in the
// next poll within one turn of the ledger, and are answered when they are due.
#include "process/carrier.h"

#include <stdlib.h>
#include <string.h>

#include "pending.h"
#include "process/carrier_rules.h"
#include "service/log.h"

static const int64_t ledger_retry_us = 100000;

struct sim_call {
    struct carrier_call call;
    struct carrier_completion completion; // once it took effect
};

struct sim {
    struct carrier carrier; // first: the interface
    struct carrier_sim_options options;
    struct ledger *ledger; // owned
    struct pending pending;
    struct sim_call *calls; // owned, by place
    int64_t retry_us;       // after a failure of the ledger
};

// ---- effects -----------------------------------------------------------------------------------

static int64_t delay_us(const struct sim *sim, const struct carrier_call *call) {
    if (call->action == SHIPMENT_ACTION_TRACK_READY)
        return sim->options.dispatch_after_us;
    return call->action == SHIPMENT_ACTION_TRACK_DELIVERED ? sim->options.deliver_after_us : 0;
}

static bool record(struct sim *sim, const struct carrier_call *call, struct carrier_effect effect,
                   int64_t now_us, struct error *err) {
    struct ledger_entry entry = {
        .at_us = now_us + delay_us(sim, call),
        .effect_id = call->shipment_id,
        .order_id = call->order_id,
        .action = call->action,
        .result = effect.result,
    };
    return ledger_append(sim->ledger, &entry, err);
}

static void answer(const struct sim *sim, struct sim_call *call, struct carrier_effect effect) {
    struct carrier_completion *completion = &call->completion;
    *completion = (struct carrier_completion){.token = call->call.token, .result = effect.result};
    if (effect.reason)
        strncpy(completion->reason, effect.reason, sizeof(completion->reason) - 1);
    if (call->call.action == SHIPMENT_ACTION_BOOK && effect.result == SHIPMENT_RESULT_BOOKED) {
        carrier_rules_tracking(&call->call.shipment_id, completion->tracking);
        completion->track_ready = sim->options.automatic;
    }
    if (call->call.action == SHIPMENT_ACTION_DISPATCH &&
        effect.result == SHIPMENT_RESULT_DISPATCHED)
        completion->track_delivered = sim->options.automatic;
}

static bool queue_decide(struct sim *sim, struct carrier_effect *effects, int64_t now_us,
                         struct error *err) {
    for (size_t i = 0; i < sim->pending.queue_count; i++) {
        const struct carrier_call *call = &sim->calls[sim->pending.queue[i]].call;
        effects[i] =
            carrier_rules_decide(call->action, ledger_find(sim->ledger, &call->shipment_id));
        if (effects[i].recorded && !record(sim, call, effects[i], now_us, err)) {
            ledger_abandon(sim->ledger);
            return false;
        }
    }
    return ledger_commit(sim->ledger, err);
}

static bool queue_take_effect(struct sim *sim, int64_t now_us, struct error *err) {
    struct carrier_effect *effects = calloc(sim->pending.queue_count, sizeof(*effects));
    if (!effects)
        return error_set(err, DISP_RETRY, 0, "out of memory");
    if (!ledger_begin(sim->ledger, err) || !queue_decide(sim, effects, now_us, err)) {
        free(effects);
        return false;
    }
    for (size_t i = 0; i < sim->pending.queue_count; i++) {
        uint32_t place = sim->pending.queue[i];
        answer(sim, &sim->calls[place], effects[i]);
        pending_put_due(&sim->pending, place, now_us + delay_us(sim, &sim->calls[place].call));
    }
    pending_queue_clear(&sim->pending);
    free(effects);
    return true;
}

// ---- the interface -----------------------------------------------------------------------------

static struct sim *sim_of(struct carrier *carrier) {
    return (struct sim *)carrier;
}

static bool sim_submit(struct carrier *carrier, const struct carrier_call *call,
                       struct error *err) {
    struct sim *sim = sim_of(carrier);
    uint32_t place;
    if (!pending_take(&sim->pending, &place))
        return error_set(err, DISP_RETRY, 0, "as many carrier calls as allowed are in flight");
    sim->calls[place].call = *call;
    return true;
}

static size_t sim_room(struct carrier *carrier) {
    return sim_of(carrier)->pending.free_count;
}

static size_t sim_poll(struct carrier *carrier, int64_t now_us, struct carrier_completion *out,
                       size_t max) {
    struct sim *sim = sim_of(carrier);
    struct error err;
    if (sim->pending.queue_count > 0 && now_us >= sim->retry_us &&
        !queue_take_effect(sim, now_us, &err)) {
        sim->retry_us = now_us + ledger_retry_us;
        LOG(ERROR, "the carrier's ledger failed, calls wait", F_ERR(&err));
    }
    size_t count = 0;
    for (uint32_t place; count < max && pending_pop_due(&sim->pending, now_us, &place); count++) {
        out[count] = sim->calls[place].completion;
        pending_release(&sim->pending, place);
    }
    return count;
}

static int64_t sim_next_due_us(struct carrier *carrier) {
    const struct sim *sim = sim_of(carrier);
    int64_t due_us = pending_due_us(&sim->pending);
    if (sim->pending.queue_count > 0 && sim->retry_us < due_us)
        return sim->retry_us;
    return due_us;
}

static void sim_free(struct carrier *carrier) {
    struct sim *sim = sim_of(carrier);
    sim->ledger = ledger_free(sim->ledger);
    pending_done(&sim->pending);
    free(sim->calls);
    free(sim);
}

struct carrier *carrier_sim_new(const struct carrier_sim_options *options, struct error *err) {
    struct sim *sim = calloc(1, sizeof(*sim));
    if (!sim) {
        (void)error_set(err, DISP_FATAL, 0, "out of memory");
        return NULL;
    }
    sim->carrier = (struct carrier){
        .submit = sim_submit,
        .room = sim_room,
        .poll = sim_poll,
        .next_due_us = sim_next_due_us,
        .free = sim_free,
    };
    sim->options = *options;
    sim->calls = calloc(options->in_flight_max, sizeof(*sim->calls));
    if (!sim->calls || !pending_init(&sim->pending, options->in_flight_max)) {
        (void)error_set(err, DISP_FATAL, 0, "out of memory");
        sim_free(&sim->carrier);
        return NULL;
    }
    sim->ledger = ledger_open(options->ledger_path, &carrier_ledger_words, err);
    if (!sim->ledger) {
        sim_free(&sim->carrier);
        return NULL;
    }
    return &sim->carrier;
}
