// SPDX-License-Identifier: Apache-2.0
//
// The simulated payment provider: provider_rules.h decides, simulation.h keeps the turns.
#include "process/provider.h"

#include <stdlib.h>
#include <string.h>

#include "process/provider_rules.h"
#include "simulation.h"

struct sim_call {
    uint64_t token;
    struct id payment_id;
    struct id order_id;
    int64_t amount_minor;
    enum payment_action action;
    struct provider_effect effect; // once it took effect
    char currency[4];
    char method[PROVIDER_METHOD_MAX + 1];
    bool taken;
    bool silent; // never answered
    bool forgotten;
};

struct sim {
    struct provider provider; // first: the interface
    struct simulation simulation;
    struct sim_call *calls; // owned, by place
};

// ---- effects -----------------------------------------------------------------------------------

static bool decide(void *owner, uint32_t place, int64_t now_us, struct ledger_entry *ret_entry) {
    struct sim *sim = owner;
    struct sim_call *call = &sim->calls[place];
    call->effect = provider_rules_decide(call->action, call->amount_minor, call->method,
                                         ledger_find(sim->simulation.ledger, &call->payment_id));
    *ret_entry = (struct ledger_entry){
        .at_us = now_us,
        .effect_id = call->payment_id,
        .order_id = call->order_id,
        .action = call->action,
        .result = call->effect.result,
        .amount_minor = call->amount_minor,
    };
    memcpy(ret_entry->currency, call->currency, sizeof(ret_entry->currency));
    return call->effect.recorded;
}

static void release(struct sim *sim, uint32_t place) {
    sim->calls[place].taken = false;
    pending_release(&sim->simulation.pending, place);
}

static void settle(void *owner, uint32_t place, int64_t now_us) {
    struct sim *sim = owner;
    struct sim_call *call = &sim->calls[place];
    enum provider_answer answer = call->effect.answer;
    call->silent = answer == PROVIDER_IS_SILENT || answer == PROVIDER_LOSES;
    if (!call->silent)
        pending_put_due(&sim->simulation.pending, place, now_us + call->effect.delay_us);
    else if (call->forgotten)
        release(sim, place);
}

static struct provider_completion completion_of(const struct sim_call *call) {
    bool breaks = call->effect.answer == PROVIDER_BREAKS;
    struct provider_completion completion = {
        .token = call->token,
        .result = breaks ? PAYMENT_RESULT_UNKNOWN : call->effect.result,
    };
    const char *reason = breaks ? "the provider broke down" : call->effect.reason;
    if (reason)
        strncpy(completion.reason, reason, sizeof(completion.reason) - 1);
    return completion;
}

// ---- the interface -----------------------------------------------------------------------------

static struct sim *sim_of(struct provider *provider) {
    return (struct sim *)provider;
}

static bool sim_submit(struct provider *provider, const struct provider_call *call,
                       struct error *err) {
    struct sim *sim = sim_of(provider);
    if (call->method.len > PROVIDER_METHOD_MAX || call->currency.len > 3)
        return error_set(err, DISP_POISON, 0, "payment method or currency is too long");
    uint32_t place;
    if (!pending_take(&sim->simulation.pending, &place))
        return error_set(err, DISP_RETRY, 0, "as many payment calls as allowed are in flight");
    struct sim_call *taken = &sim->calls[place];
    *taken = (struct sim_call){
        .token = call->token,
        .payment_id = call->payment_id,
        .order_id = call->order_id,
        .amount_minor = call->amount_minor,
        .action = call->action,
        .taken = true,
    };
    if (call->currency.len > 0)
        memcpy(taken->currency, call->currency.ptr, call->currency.len);
    if (call->method.len > 0)
        memcpy(taken->method, call->method.ptr, call->method.len);
    return true;
}

static size_t sim_room(struct provider *provider) {
    return sim_of(provider)->simulation.pending.free_count;
}

static size_t sim_poll(struct provider *provider, int64_t now_us, struct provider_completion *out,
                       size_t max) {
    struct sim *sim = sim_of(provider);
    simulation_turn(&sim->simulation, now_us);
    size_t count = 0;
    for (uint32_t place;
         count < max && pending_pop_due(&sim->simulation.pending, now_us, &place);) {
        const struct sim_call *call = &sim->calls[place];
        if (!call->forgotten)
            out[count++] = completion_of(call);
        release(sim, place);
    }
    return count;
}

static int64_t sim_next_due_us(struct provider *provider) {
    return simulation_next_due_us(&sim_of(provider)->simulation);
}

static void sim_forget(struct provider *provider, uint64_t token) {
    struct sim *sim = sim_of(provider);
    for (uint32_t place = 0; place < sim->simulation.pending.max; place++) {
        struct sim_call *call = &sim->calls[place];
        if (!call->taken || call->token != token)
            continue;
        call->forgotten = true;
        if (call->silent)
            release(sim, place);
        return;
    }
}

static void sim_free(struct provider *provider) {
    struct sim *sim = sim_of(provider);
    simulation_done(&sim->simulation);
    free(sim->calls);
    free(sim);
}

struct provider *provider_sim_new(const char *ledger_path, size_t in_flight_max,
                                  struct error *err) {
    static const struct simulation_kind kind = {
        .trouble = "the provider's ledger failed, calls wait",
        .words = &provider_ledger_words,
        .decide = decide,
        .settle = settle,
    };
    struct sim *sim = calloc(1, sizeof(*sim));
    if (!sim) {
        (void)error_set(err, DISP_FATAL, 0, "out of memory");
        return NULL;
    }
    sim->provider = (struct provider){
        .submit = sim_submit,
        .room = sim_room,
        .poll = sim_poll,
        .next_due_us = sim_next_due_us,
        .forget = sim_forget,
        .free = sim_free,
    };
    sim->calls = calloc(in_flight_max, sizeof(*sim->calls));
    if (!sim->calls) {
        (void)error_set(err, DISP_FATAL, 0, "out of memory");
        sim_free(&sim->provider);
        return NULL;
    }
    if (!simulation_init(&sim->simulation, &kind, sim, ledger_path, in_flight_max, err)) {
        sim_free(&sim->provider);
        return NULL;
    }
    return &sim->provider;
}
