// SPDX-License-Identifier: Apache-2.0
//
// Shipping: like payment, with a carrier. Where the carrier reports by itself, shipping asks itself
// to track: the wait is a committed intent too, and survives a crash like any other.
#include "process/roles.h"

#include "domain/executor.h"
#include "process/carrier.h"
#include "process/slots.h"
#include "stream/topics.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum {
    CALLS_MAX = 32768,
    POLL_MAX = 256,
    DECISION_BYTES_MAX = 1 << 20,
};

struct shipping_role {
    struct role role;
    struct policy policy;
    struct arena arena;
    struct carrier *carrier; // owned
    struct slots calls;      // struct call
};

struct call {
    struct stream_token token;
    struct request_shipment request; // its text lies below
    char shop[TOPIC_NAME_MAX];
    struct carrier_completion reply;
};

static void *partition_new(void *context, int32_t partition) {
    (void)partition;
    return context; // there is no state
}

static void partition_free(void *context, void *state) {
    (void)context;
    (void)state;
}

static bool handle(void *context, void *state, const struct stream_input *input,
                   struct output *output, struct error *err) {
    (void)state;
    (void)output;
    struct shipping_role *self = context;
    if (input->type != RECORD_REQUEST_SHIPMENT)
        return error_set(err, DISP_POISON, 0, "shipping does not know what to do with a %s",
                         record_types[input->type]->name);
    uint64_t place;
    struct call *call = slots_take(&self->calls, &place);
    call->token = input->token;
    call->request = *(const struct request_shipment *)input->body;
    // The address was checked: the shop fits.
    memcpy(call->shop, call->request.shop_id.ptr, call->request.shop_id.len);
    call->request.shop_id.ptr = call->shop;
    const struct carrier_call asked = {
        .token = place,
        .shipment_id = call->request.shipment_id,
        .order_id = call->request.order_id,
        .action = call->request.action,
    };
    if (self->carrier->submit(self->carrier, &asked, err))
        return true;
    slots_give_back(&self->calls, call);
    return false;
}

static bool has_room(void *context, size_t messages_max) {
    struct shipping_role *self = context;
    return self->calls.free_count >= messages_max &&
           self->carrier->room(self->carrier) >= messages_max;
}

static size_t poll_calls(void *context, int64_t now_us, struct stream_completion *out, size_t max) {
    struct shipping_role *self = context;
    struct carrier_completion done[POLL_MAX];
    size_t count =
        self->carrier->poll(self->carrier, now_us, done, max < POLL_MAX ? max : (size_t)POLL_MAX);
    for (size_t i = 0; i < count; i++) {
        struct call *call = slots_at(&self->calls, done[i].token);
        call->reply = done[i];
        out[i] = (struct stream_completion){.token = call->token, .what = call};
    }
    return count;
}

static void discard(void *context, const struct stream_completion *completion) {
    struct shipping_role *self = context;
    slots_give_back(&self->calls, completion->what);
}

static struct view text_or_null(const char *text) {
    return (struct view){.ptr = text[0] ? text : NULL, .len = (uint32_t)strlen(text)};
}

static bool complete(void *context, const struct stream_completion *completion, int64_t now_us,
                     struct output *output, struct error *err) {
    struct shipping_role *self = context;
    const struct call *call = completion->what;
    const struct shipment_reply reply = {
        .result = call->reply.result,
        .tracking = text_or_null(call->reply.tracking),
        .reason = text_or_null(call->reply.reason),
        .track_ready = call->reply.track_ready,
        .track_delivered = call->reply.track_delivered,
    };
    arena_reset(&self->arena);
    struct decision decision;
    decision_begin(&decision, &self->arena, &self->policy, now_us);
    shipment_decide_reply(&decision, &call->request, &reply);
    bool written = output_decision(output, completion->token.partition, &decision, err);
    discard(context, completion);
    return written;
}

static int64_t next_due_us(void *context) {
    struct shipping_role *self = context;
    return self->carrier->next_due_us(self->carrier);
}

static struct carrier *simulated_new(const struct config *config, struct error *err) {
    const struct carrier_sim_options options = {
        .ledger_path = config->carrier_ledger,
        .automatic = strcmp(config->carrier_mode, "auto") == 0,
        .dispatch_after_us = config->carrier_dispatch_after_ms * 1000,
        .deliver_after_us = config->carrier_deliver_after_ms * 1000,
        .in_flight_max = CALLS_MAX,
    };
    return carrier_sim_new(&options, err);
}

static struct carrier *carrier_new(const struct config *config, struct error *err) {
    if (config->carrier_url[0] == '\0')
        return simulated_new(config, err);
    const struct http_client_options options = {
        .name = "carrier",
        .url = config->carrier_url,
        .bearer = config->carrier_key,
        .in_flight_max = CALLS_MAX,
        .connections_max = (int)config->calls_connections_max,
        .connect_timeout_ms = config->calls_connect_timeout_ms,
        .timeout_ms = config->carrier_timeout_ms,
        .backoff_max_ms = config->calls_backoff_max_ms,
        .breaker_failures = config->calls_breaker_failures,
        .breaker_open_ms = config->calls_breaker_open_ms,
    };
    return carrier_http_new(&options, err);
}

struct role *shipping_role_new(const struct config *config, struct error *err) {
    struct carrier *carrier = carrier_new(config, err);
    if (!carrier)
        return NULL;
    struct shipping_role *self = calloc(1, sizeof(*self));
    assert(self);
    self->carrier = carrier;
    arena_init(&self->arena, DECISION_BYTES_MAX);
    slots_init(&self->calls, CALLS_MAX, sizeof(struct call));
    self->role = (struct role){
        .domain = DOMAIN_SHIPPING,
        .context = self,
        .partition_new = partition_new,
        .partition_free = partition_free,
        .handle = handle,
        .has_room = has_room,
        .poll = poll_calls,
        .complete = complete,
        .discard = discard,
        .next_due_us = next_due_us,
    };
    return &self->role;
}

void shipping_role_free(struct role *role) {
    if (!role)
        return;
    struct shipping_role *self = role->context;
    self->carrier->free(self->carrier);
    slots_done(&self->calls);
    arena_done(&self->arena);
    free(self);
}
