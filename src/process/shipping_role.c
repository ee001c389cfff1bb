// SPDX-License-Identifier: Apache-2.0
//
// Shipping: the executor (executor_role.h) that calls the carrier. The shipment id is the key.
// Where the carrier reports by itself, shipping asks itself to track: the wait is a committed
// intent too, and survives a crash like any other.
#include "process/roles.h"

#include "domain/executor.h"
#include "executor_role.h"
#include "process/carrier.h"
#include "stream/topics.h"

#include <stddef.h>
#include <string.h>

struct call {
    struct executor_call executor;   // first
    struct request_shipment request; // its text lies below
    char shop[TOPIC_SHOP_MAX];
    struct carrier_completion reply;
};
_Static_assert(offsetof(struct carrier_completion, token) == 0, "a reply begins with its place");

static bool submit(void *outside, const void *request, uint64_t place, void *room,
                   struct error *err) {
    struct carrier *carrier = outside;
    struct call *call = room;
    call->request = *(const struct request_shipment *)request;
    // The address was checked: the shop fits.
    memcpy(call->shop, call->request.shop_id.ptr, call->request.shop_id.len);
    call->request.shop_id.ptr = call->shop;
    const struct carrier_call asked = {
        .token = place,
        .shipment_id = call->request.shipment_id,
        .order_id = call->request.order_id,
        .action = call->request.action,
    };
    return carrier->submit(carrier, &asked, err);
}

static size_t room(void *outside) {
    struct carrier *carrier = outside;
    return carrier->room(carrier);
}

static size_t poll_replies(void *outside, int64_t now_us, void *replies, size_t max) {
    struct carrier *carrier = outside;
    return carrier->poll(carrier, now_us, replies, max);
}

static void decide(struct decision *decision, const void *answered) {
    const struct call *call = answered;
    const struct shipment_reply reply = {
        .result = call->reply.result,
        .tracking = executor_text(call->reply.tracking),
        .reason = executor_text(call->reply.reason),
        .track_ready = call->reply.track_ready,
        .track_delivered = call->reply.track_delivered,
    };
    shipment_decide_reply(decision, &call->request, &reply);
}

static int64_t next_due_us(void *outside) {
    struct carrier *carrier = outside;
    return carrier->next_due_us(carrier);
}

static void free_outside(void *outside) {
    struct carrier *carrier = outside;
    carrier->free(carrier);
}

static const struct executor_kind shipping = {
    .domain = DOMAIN_SHIPPING,
    .request = RECORD_REQUEST_SHIPMENT,
    .call_size = sizeof(struct call),
    .reply_offset = offsetof(struct call, reply),
    .reply_size = sizeof(struct carrier_completion),
    .submit = submit,
    .room = room,
    .poll = poll_replies,
    .decide = decide,
    .next_due_us = next_due_us,
    .free = free_outside,
};

static struct carrier *simulated_new(const struct config *config, struct error *err) {
    const struct carrier_sim_options options = {
        .ledger_path = config->carrier_ledger,
        .automatic = strcmp(config->carrier_mode, "auto") == 0,
        .dispatch_after_us = config->carrier_dispatch_after_ms * 1000,
        .deliver_after_us = config->carrier_deliver_after_ms * 1000,
        .in_flight_max = EXECUTOR_CALLS_MAX,
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
        .in_flight_max = EXECUTOR_CALLS_MAX,
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
    return carrier ? executor_role_new(&shipping, carrier) : NULL;
}
