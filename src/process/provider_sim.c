// SPDX-License-Identifier: Apache-2.0
//
// The simulated payment provider. submit() only queues; poll() opens one turn of the ledger, lets
// every queued call take effect, commits, and hands out what is due. Killed before the commit,
// nothing has happened; killed after it, the same call asked again finds its effect and answers.
#include "process/provider.h"

#include <stdlib.h>
#include <string.h>

#include "pending.h"
#include "process/provider_rules.h"
#include "service/log.h"

static const int64_t ledger_retry_us = 100000;

struct sim_call {
    uint64_t token;
    struct id payment_id;
    struct id order_id;
    int64_t amount_minor;
    enum payment_action action;
    enum payment_result result; // once it took effect
    const char *reason;         // literal
    char currency[4];
    char method[PROVIDER_METHOD_MAX + 1];
    bool taken;
    bool silent; // never answered
    bool forgotten;
};

struct sim {
    struct provider provider; // first: the interface
    struct ledger *ledger;    // owned
    struct pending pending;
    struct sim_call *calls; // owned, by place
    int64_t retry_us;       // after a failure of the ledger
};

// ---- effects -----------------------------------------------------------------------------------

static bool record(struct sim *sim, const struct sim_call *call, enum payment_result result,
                   int64_t now_us, struct error *err) {
    struct ledger_entry entry = {
        .at_us = now_us,
        .effect_id = call->payment_id,
        .order_id = call->order_id,
        .action = call->action,
        .result = result,
        .amount_minor = call->amount_minor,
    };
    memcpy(entry.currency, call->currency, sizeof(entry.currency));
    return ledger_append(sim->ledger, &entry, err);
}

// Fills in every queued call's answer; nothing of it counts before the commit.
static bool queue_decide(struct sim *sim, struct provider_effect *effects, int64_t now_us,
                         struct error *err) {
    for (size_t i = 0; i < sim->pending.queue_count; i++) {
        const struct sim_call *call = &sim->calls[sim->pending.queue[i]];
        effects[i] = provider_rules_decide(call->action, call->amount_minor, call->method,
                                           ledger_find(sim->ledger, &call->payment_id));
        if (effects[i].recorded && !record(sim, call, effects[i].result, now_us, err)) {
            ledger_abandon(sim->ledger);
            return false;
        }
    }
    return ledger_commit(sim->ledger, err);
}

static void release(struct sim *sim, uint32_t place) {
    sim->calls[place].taken = false;
    pending_release(&sim->pending, place);
}

static bool queue_take_effect(struct sim *sim, int64_t now_us, struct error *err) {
    struct provider_effect *effects = calloc(sim->pending.queue_count, sizeof(*effects));
    if (!effects)
        return error_set(err, DISP_RETRY, 0, "out of memory");
    if (!ledger_begin(sim->ledger, err) || !queue_decide(sim, effects, now_us, err)) {
        free(effects);
        return false;
    }
    for (size_t i = 0; i < sim->pending.queue_count; i++) {
        uint32_t place = sim->pending.queue[i];
        struct sim_call *call = &sim->calls[place];
        call->result = effects[i].result;
        call->reason = effects[i].reason ? effects[i].reason : "";
        if (effects[i].answer == PROVIDER_BREAKS) {
            call->result = PAYMENT_RESULT_UNKNOWN;
            call->reason = "the provider broke down";
        }
        call->silent =
            effects[i].answer == PROVIDER_IS_SILENT || effects[i].answer == PROVIDER_LOSES;
        if (!call->silent)
            pending_put_due(&sim->pending, place, now_us + effects[i].delay_us);
        else if (call->forgotten)
            release(sim, place);
    }
    pending_queue_clear(&sim->pending);
    free(effects);
    return true;
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
    if (!pending_take(&sim->pending, &place))
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
    return sim_of(provider)->pending.free_count;
}

static size_t sim_poll(struct provider *provider, int64_t now_us, struct provider_completion *out,
                       size_t max) {
    struct sim *sim = sim_of(provider);
    struct error err;
    if (sim->pending.queue_count > 0 && now_us >= sim->retry_us &&
        !queue_take_effect(sim, now_us, &err)) {
        sim->retry_us = now_us + ledger_retry_us;
        LOG(ERROR, "the provider's ledger failed, calls wait", F_ERR(&err));
    }
    size_t count = 0;
    for (uint32_t place; count < max && pending_pop_due(&sim->pending, now_us, &place);) {
        const struct sim_call *call = &sim->calls[place];
        if (!call->forgotten) {
            out[count] = (struct provider_completion){.token = call->token, .result = call->result};
            strncpy(out[count].reason, call->reason, sizeof(out[count].reason) - 1);
            count++;
        }
        release(sim, place);
    }
    return count;
}

static int64_t sim_next_due_us(struct provider *provider) {
    const struct sim *sim = sim_of(provider);
    int64_t due_us = pending_due_us(&sim->pending);
    if (sim->pending.queue_count > 0 && sim->retry_us < due_us)
        return sim->retry_us;
    return due_us;
}

static void sim_forget(struct provider *provider, uint64_t token) {
    struct sim *sim = sim_of(provider);
    for (uint32_t place = 0; place < sim->pending.max; place++) {
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
    sim->ledger = ledger_free(sim->ledger);
    pending_done(&sim->pending);
    free(sim->calls);
    free(sim);
}

struct provider *provider_sim_new(const char *ledger_path, size_t in_flight_max,
                                  struct error *err) {
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
    if (!sim->calls || !pending_init(&sim->pending, in_flight_max)) {
        (void)error_set(err, DISP_FATAL, 0, "out of memory");
        sim_free(&sim->provider);
        return NULL;
    }
    sim->ledger = ledger_open(ledger_path, &provider_ledger_words, err);
    if (!sim->ledger) {
        sim_free(&sim->provider);
        return NULL;
    }
    return &sim->provider;
}
