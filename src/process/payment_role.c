// SPDX-License-Identifier: Apache-2.0
//
// Payment: the executor (executor_role.h) that calls the provider. The payment id is the key.
#include "process/roles.h"

#include "domain/executor.h"
#include "executor_role.h"
#include "process/provider.h"
#include "stream/topics.h"

#include <stddef.h>
#include <string.h>

struct call {
    struct executor_call executor;  // first
    struct request_payment request; // its text lies below
    char shop[TOPIC_SHOP_MAX];
    char currency[4];
    char method[PROVIDER_METHOD_MAX];
    struct provider_completion reply;
};
_Static_assert(offsetof(struct provider_completion, token) == 0, "a reply begins with its place");

static bool keep(struct view *view, char *room, size_t size) {
    if (view->len > size)
        return false;
    memcpy(room, view->ptr, view->len);
    view->ptr = room;
    return true;
}

static bool submit(void *outside, const void *request, uint64_t place, void *room,
                   struct error *err) {
    struct provider *provider = outside;
    struct call *call = room;
    call->request = *(const struct request_payment *)request;
    if (!keep(&call->request.shop_id, call->shop, sizeof(call->shop)) ||
        !keep(&call->request.currency, call->currency, sizeof(call->currency)) ||
        !keep(&call->request.payment_method, call->method, sizeof(call->method)))
        return error_set(err, DISP_POISON, 0, "shop, currency or payment method are too long");
    const struct provider_call asked = {
        .token = place,
        .payment_id = call->request.payment_id,
        .order_id = call->request.order_id,
        .action = call->request.action,
        .amount_minor = call->request.amount_minor,
        .currency = call->request.currency,
        .method = call->request.payment_method,
    };
    return provider->submit(provider, &asked, err);
}

static size_t room(void *outside) {
    struct provider *provider = outside;
    return provider->room(provider);
}

static size_t poll_replies(void *outside, int64_t now_us, void *replies, size_t max) {
    struct provider *provider = outside;
    return provider->poll(provider, now_us, replies, max);
}

static void decide(struct decision *decision, const void *answered) {
    const struct call *call = answered;
    const struct payment_reply reply = {
        .result = call->reply.result,
        .reason = executor_text(call->reply.reason),
    };
    payment_decide_reply(decision, &call->request, &reply);
}

static int64_t next_due_us(void *outside) {
    struct provider *provider = outside;
    return provider->next_due_us(provider);
}

static void free_outside(void *outside) {
    struct provider *provider = outside;
    provider->free(provider);
}

static const struct executor_kind payment = {
    .domain = DOMAIN_PAYMENT,
    .request = RECORD_REQUEST_PAYMENT,
    .call_size = sizeof(struct call),
    .reply_offset = offsetof(struct call, reply),
    .reply_size = sizeof(struct provider_completion),
    .submit = submit,
    .room = room,
    .poll = poll_replies,
    .decide = decide,
    .next_due_us = next_due_us,
    .free = free_outside,
};

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
        inner ? provider_calls_new(inner, config->payment_call_timeout_ms * 1000,
                                   EXECUTOR_CALLS_MAX, err)
              : NULL;
    return provider ? executor_role_new(&payment, provider) : NULL;
}
