// SPDX-License-Identifier: Apache-2.0
//
// Payment: a request read from the inbox is a committed intent. It is handed to the provider, and
// what the provider says is written down and answered to the order. After a crash the same request
// is read again and the provider asked again under the same payment id.
#include "process/roles.h"

#include "domain/executor.h"
#include "process/provider.h"
#include "process/slots.h"
#include "stream/topics.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum {
    CALLS_MAX = 32768, // waiting ones included
    POLL_MAX = 256,
    DECISION_BYTES_MAX = 1 << 20,
};

struct payment_role {
    struct role role;
    struct policy policy;
    struct arena arena;
    struct provider *provider; // owned
    struct slots calls;        // struct call
};

struct call {
    struct stream_token token;
    struct request_payment request; // its text lies below
    char shop[TOPIC_NAME_MAX];
    char currency[4];
    char method[PROVIDER_METHOD_MAX];
    struct provider_completion reply;
};

static void *partition_new(void *context, int32_t partition) {
    (void)partition;
    return context; // there is no state
}

static void partition_free(void *context, void *state) {
    (void)context;
    (void)state;
}

static bool keep(struct view *view, char *room, size_t size) {
    if (view->len > size)
        return false;
    memcpy(room, view->ptr, view->len);
    view->ptr = room;
    return true;
}

static bool handle(void *context, void *state, const struct stream_input *input,
                   struct output *output, struct error *err) {
    (void)state;
    (void)output;
    struct payment_role *self = context;
    if (input->type != RECORD_REQUEST_PAYMENT)
        return error_set(err, DISP_POISON, 0, "payment does not know what to do with a %s",
                         record_types[input->type]->name);
    uint64_t place;
    struct call *call = slots_take(&self->calls, &place);
    call->token = input->token;
    call->request = *(const struct request_payment *)input->body;
    if (!keep(&call->request.shop_id, call->shop, sizeof(call->shop)) ||
        !keep(&call->request.currency, call->currency, sizeof(call->currency)) ||
        !keep(&call->request.payment_method, call->method, sizeof(call->method))) {
        slots_give_back(&self->calls, call);
        return error_set(err, DISP_POISON, 0, "shop, currency or payment method are too long");
    }
    const struct provider_call asked = {
        .token = place,
        .payment_id = call->request.payment_id,
        .order_id = call->request.order_id,
        .action = call->request.action,
        .amount_minor = call->request.amount_minor,
        .currency = call->request.currency,
        .method = call->request.payment_method,
    };
    if (self->provider->submit(self->provider, &asked, err))
        return true;
    slots_give_back(&self->calls, call);
    return false;
}

static bool has_room(void *context, size_t messages_max) {
    struct payment_role *self = context;
    return self->calls.free_count >= messages_max &&
           self->provider->room(self->provider) >= messages_max;
}

static size_t poll_calls(void *context, int64_t now_us, struct stream_completion *out, size_t max) {
    struct payment_role *self = context;
    struct provider_completion done[POLL_MAX];
    size_t count =
        self->provider->poll(self->provider, now_us, done, max < POLL_MAX ? max : (size_t)POLL_MAX);
    for (size_t i = 0; i < count; i++) {
        struct call *call = slots_at(&self->calls, done[i].token);
        call->reply = done[i];
        out[i] = (struct stream_completion){.token = call->token, .what = call};
    }
    return count;
}

static void discard(void *context, const struct stream_completion *completion) {
    struct payment_role *self = context;
    slots_give_back(&self->calls, completion->what);
}

static bool complete(void *context, const struct stream_completion *completion, int64_t now_us,
                     struct output *output, struct error *err) {
    struct payment_role *self = context;
    const struct call *call = completion->what;
    struct payment_reply reply = {.result = call->reply.result};
    if (call->reply.reason[0])
        reply.reason =
            (struct view){.ptr = call->reply.reason, .len = (uint32_t)strlen(call->reply.reason)};
    arena_reset(&self->arena);
    struct decision decision;
    decision_begin(&decision, &self->arena, &self->policy, now_us);
    payment_decide_reply(&decision, &call->request, &reply);
    bool written = output_decision(output, completion->token.partition, &decision, err);
    discard(context, completion);
    return written;
}

static int64_t next_due_us(void *context) {
    struct payment_role *self = context;
    return self->provider->next_due_us(self->provider);
}

static struct provider *provider_new(const struct config *config, struct error *err) {
    size_t in_flight_max = (size_t)config->payment_inflight_max;
    if (config->payment_provider_url[0] == '\0')
        return provider_sim_new(config->payment_ledger, in_flight_max, err);
    const struct http_client_options options = {
        .name = "payment provider",
        .url = config->payment_provider_url,
        .bearer = config->payment_provider_key,
        .in_flight_max = in_flight_max,
        .connections_max = (int)config->calls_connections_max,
        .connect_timeout_ms = config->calls_connect_timeout_ms,
        .timeout_ms = config->payment_provider_timeout_ms,
        .retries_max = config->calls_retries_max,
        .backoff_max_ms = config->calls_backoff_max_ms,
        .breaker_failures = config->calls_breaker_failures,
        .breaker_open_ms = config->calls_breaker_open_ms,
    };
    return provider_http_new(&options, err);
}

struct role *payment_role_new(const struct config *config, struct error *err) {
    struct provider *inner = provider_new(config, err);
    struct provider *provider =
        inner ? provider_calls_new(inner, config->payment_call_timeout_ms * 1000, CALLS_MAX, err)
              : NULL;
    if (!provider)
        return NULL;
    struct payment_role *self = calloc(1, sizeof(*self));
    assert(self);
    self->provider = provider;
    arena_init(&self->arena, DECISION_BYTES_MAX);
    slots_init(&self->calls, CALLS_MAX, sizeof(struct call));
    self->role = (struct role){
        .domain = DOMAIN_PAYMENT,
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

void payment_role_free(struct role *role) {
    if (!role)
        return;
    struct payment_role *self = role->context;
    self->provider->free(self->provider);
    slots_done(&self->calls);
    arena_done(&self->arena);
    free(self);
}
