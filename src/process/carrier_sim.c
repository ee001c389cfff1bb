// SPDX-License-Identifier: Apache-2.0
//
// The simulated carrier: carrier_rules.h decides, simulation.h keeps the turns.
#include "process/carrier.h"

#include <stdlib.h>
#include <string.h>

#include "process/carrier_rules.h"
#include "simulation.h"

struct sim_call {
    struct carrier_call call;
    struct carrier_effect effect; // once it took effect
};

struct sim {
    struct carrier carrier; // first: the interface
    struct carrier_sim_options options;
    struct simulation simulation;
    struct sim_call *calls; // owned, by place
};

// ---- effects -----------------------------------------------------------------------------------

static int64_t delay_us(const struct sim *sim, const struct carrier_call *call) {
    if (call->action == SHIPMENT_ACTION_TRACK_READY)
        return sim->options.dispatch_after_us;
    return call->action == SHIPMENT_ACTION_TRACK_DELIVERED ? sim->options.deliver_after_us : 0;
}

static bool decide(void *owner, uint32_t place, int64_t now_us, struct ledger_entry *ret_entry) {
    struct sim *sim = owner;
    const struct carrier_call *call = &sim->calls[place].call;
    struct carrier_effect effect =
        carrier_rules_decide(call->action, ledger_find(sim->simulation.ledger, &call->shipment_id));
    *ret_entry = (struct ledger_entry){
        .at_us = now_us + delay_us(sim, call),
        .effect_id = call->shipment_id,
        .order_id = call->order_id,
        .action = call->action,
        .result = effect.result,
    };
    sim->calls[place].effect = effect;
    return effect.recorded;
}

static void settle(void *owner, uint32_t place, int64_t now_us) {
    struct sim *sim = owner;
    pending_put_due(&sim->simulation.pending, place,
                    now_us + delay_us(sim, &sim->calls[place].call));
}

static struct carrier_completion completion_of(const struct sim *sim, const struct sim_call *call) {
    struct carrier_effect effect = call->effect;
    struct carrier_completion completion = {.token = call->call.token, .result = effect.result};
    if (effect.reason)
        strncpy(completion.reason, effect.reason, sizeof(completion.reason) - 1);
    if (call->call.action == SHIPMENT_ACTION_BOOK && effect.result == SHIPMENT_RESULT_BOOKED) {
        carrier_rules_tracking(&call->call.shipment_id, completion.tracking);
        completion.track_ready = sim->options.automatic;
    }
    if (call->call.action == SHIPMENT_ACTION_DISPATCH &&
        effect.result == SHIPMENT_RESULT_DISPATCHED)
        completion.track_delivered = sim->options.automatic;
    return completion;
}

// ---- the interface -----------------------------------------------------------------------------

static struct sim *sim_of(struct carrier *carrier) {
    return (struct sim *)carrier;
}

static bool sim_submit(struct carrier *carrier, const struct carrier_call *call,
                       struct error *err) {
    struct sim *sim = sim_of(carrier);
    uint32_t place;
    if (!pending_take(&sim->simulation.pending, &place))
        return error_set(err, DISP_RETRY, 0, "as many carrier calls as allowed are in flight");
    sim->calls[place].call = *call;
    return true;
}

static size_t sim_room(struct carrier *carrier) {
    return sim_of(carrier)->simulation.pending.free_count;
}

static size_t sim_poll(struct carrier *carrier, int64_t now_us, struct carrier_completion *out,
                       size_t max) {
    struct sim *sim = sim_of(carrier);
    struct pending *pending = &sim->simulation.pending;
    simulation_turn(&sim->simulation, now_us);
    size_t count = 0;
    for (uint32_t place; count < max && pending_pop_due(pending, now_us, &place); count++) {
        out[count] = completion_of(sim, &sim->calls[place]);
        pending_release(pending, place);
    }
    return count;
}

static int64_t sim_next_due_us(struct carrier *carrier) {
    return simulation_next_due_us(&sim_of(carrier)->simulation);
}

static void sim_free(struct carrier *carrier) {
    struct sim *sim = sim_of(carrier);
    simulation_done(&sim->simulation);
    free(sim->calls);
    free(sim);
}

struct carrier *carrier_sim_new(const struct carrier_sim_options *options, struct error *err) {
    static const struct simulation_kind kind = {
        .trouble = "the carrier's ledger failed, calls wait",
        .words = &carrier_ledger_words,
        .decide = decide,
        .settle = settle,
    };
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
    if (!sim->calls) {
        (void)error_set(err, DISP_FATAL, 0, "out of memory");
        sim_free(&sim->carrier);
        return NULL;
    }
    if (!simulation_init(&sim->simulation, &kind, sim, options->ledger_path, options->in_flight_max,
                         err)) {
        sim_free(&sim->carrier);
        return NULL;
    }
    return &sim->carrier;
}
