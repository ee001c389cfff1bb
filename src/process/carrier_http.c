// SPDX-License-Identifier: Apache-2.0
//
// A carrier behind HTTP. There is no "unknown" with a carrier: a call is asked again, under the
// same key, until there is an answer that names this shipment and fits the action. Calls about one
// shipment go one after the other; tracking is asking again when the carrier said to, and holds up
// nothing.
#include "process/carrier.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "http_answer.h"
#include "http_calls.h"
#include "lanes.h"

static const int64_t ask_again_ms_min = 10;
static const int64_t ask_again_ms_max = 60000;

struct call {
    struct carrier_call call;
    struct carrier_completion completion;
};

struct client {
    struct carrier carrier;  // first: the interface
    struct http_calls *http; // owned
    struct call *calls;      // owned, by place
    struct lanes lanes;      // by shipment
};

static bool is_tracking(enum shipment_action action) {
    return action == SHIPMENT_ACTION_TRACK_READY || action == SHIPMENT_ACTION_TRACK_DELIVERED;
}

// ---- asking ------------------------------------------------------------------------------------

static void write_request(void *context, uint32_t place, struct wire_request *ret) {
    const struct client *client = context;
    const struct carrier_call *call = &client->calls[place].call;
    struct id_text shipment = id_text(&call->shipment_id);
    struct id_text order = id_text(&call->order_id);
    *ret = (struct wire_request){0};
    if (is_tracking(call->action)) {
        (void)snprintf(ret->path, sizeof(ret->path), "/v1/shipments/%s/status?until=%s",
                       shipment.text,
                       call->action == SHIPMENT_ACTION_TRACK_READY ? "ready" : "delivered");
        return;
    }
    char action[HTTP_ACTION_MAX];
    (void)http_answer_lower(shipment_action_names[call->action], action);
    (void)snprintf(ret->path, sizeof(ret->path), "/v1/shipments/%s/%s", shipment.text, action);
    (void)snprintf(ret->key, sizeof(ret->key), "%s-%s", shipment.text, action);
    (void)snprintf(ret->body, sizeof(ret->body), "{\"order_id\":\"%s\"}", order.text);
}

// ---- what the answer means ---------------------------------------------------------------------

#define SAYS(result) (1U << SHIPMENT_RESULT_##result)
// What an answer may say to each action: that the shipment was cancelled, to any.
static const uint32_t fitting[SHIPMENT_ACTION_COUNT] = {
    [SHIPMENT_ACTION_BOOK] = SAYS(BOOKED) | SAYS(BOOKING_FAILED) | SAYS(CANCELLED),
    [SHIPMENT_ACTION_CANCEL] = SAYS(DISPATCHED) | SAYS(CANCELLED),
    [SHIPMENT_ACTION_DISPATCH] = SAYS(DISPATCHED) | SAYS(CANCELLED),
    [SHIPMENT_ACTION_TRACK_READY] = SAYS(READY) | SAYS(CANCELLED),
    [SHIPMENT_ACTION_TRACK_DELIVERED] = SAYS(DELIVERED) | SAYS(CANCELLED),
};
#undef SAYS

static bool result_of(const char *word, enum shipment_action action, enum shipment_result *ret) {
    char lower[HTTP_ACTION_MAX];
    for (uint32_t i = 0; i < SHIPMENT_RESULT_COUNT; i++) {
        if (!(fitting[action] & 1U << i) ||
            strcmp(http_answer_lower(shipment_result_names[i], lower), word) != 0)
            continue;
        *ret = (enum shipment_result)i;
        return true;
    }
    return false;
}

static void complete(struct call *call, enum shipment_result result,
                     const struct http_answer *answer) {
    struct carrier_completion *completion = &call->completion;
    *completion = (struct carrier_completion){.token = call->call.token, .result = result};
    memcpy(completion->reason, answer->reason, sizeof(completion->reason));
    memcpy(completion->tracking, answer->tracking, sizeof(completion->tracking));
    completion->track_ready = answer->reports && result == SHIPMENT_RESULT_BOOKED;
    completion->track_delivered = answer->reports &&
                                  call->call.action == SHIPMENT_ACTION_DISPATCH &&
                                  result == SHIPMENT_RESULT_DISPATCHED;
}

_Static_assert(sizeof(((struct carrier_completion *)0)->reason) ==
                       sizeof(((struct http_answer *)0)->reason) &&
                   sizeof(((struct carrier_completion *)0)->tracking) ==
                       sizeof(((struct http_answer *)0)->tracking),
               "texts are copied whole");

static bool may_carry_answer(long status) {
    return status == 200 || status == 201 || status == 404 || status == 409 || status == 422;
}

// It will never be done: to book is refused, anything else is for people to look at.
static enum http_verdict refused(struct call *call, const char *reason) {
    struct http_answer answer = {0};
    (void)snprintf(answer.reason, sizeof(answer.reason), "%s", reason);
    complete(call, SHIPMENT_RESULT_BOOKING_FAILED, &answer);
    return HTTP_ANSWERED;
}

static enum http_verdict judge(void *context, uint32_t place, const struct wire_reply *reply,
                               int64_t *ret_again_us, const char **ret_why) {
    struct client *client = context;
    struct call *call = &client->calls[place];
    struct http_answer answer = {0};
    enum shipment_result result;
    bool readable = may_carry_answer(reply->status) &&
                    http_answer_read(reply, "shipment_id", &call->call.shipment_id, &answer);
    if (readable && result_of(answer.status, call->call.action, &result)) {
        complete(call, result, &answer);
        return HTTP_ANSWERED;
    }
    if (readable && is_tracking(call->call.action) && strcmp(answer.status, "waiting") == 0) {
        int64_t ms = answer.ask_again_ms;
        ms = ms < ask_again_ms_min ? ask_again_ms_min : ms;
        *ret_again_us = (ms > ask_again_ms_max ? ask_again_ms_max : ms) * 1000;
        return HTTP_ASK_LATER;
    }
    if (readable && strcmp(answer.status, "unknown") == 0)
        return refused(call, "the carrier does not know the shipment");
    if (http_answer_refuses(reply->status)) {
        char reason[CARRIER_REASON_MAX];
        (void)snprintf(reason, sizeof(reason), "the carrier refused the request: %ld",
                       reply->status);
        return refused(call, reason);
    }
    *ret_why = reply->status < 300 ? "the carrier's answer makes no sense"
                                   : "the carrier answered with an error";
    return HTTP_FAILED;
}

// ---- the interface -----------------------------------------------------------------------------

static struct client *client_of(struct carrier *carrier) {
    return (struct client *)carrier;
}

static bool client_submit(struct carrier *carrier, const struct carrier_call *call,
                          struct error *err) {
    struct client *client = client_of(carrier);
    uint32_t place;
    if (!http_calls_take(client->http, &place))
        return error_set(err, DISP_RETRY, 0, "as many carrier calls as allowed are in flight");
    client->calls[place].call = *call;
    if (is_tracking(call->action) || lanes_join(&client->lanes, place, &call->shipment_id))
        http_calls_ready(client->http, place);
    return true;
}

static size_t client_room(struct carrier *carrier) {
    return http_calls_room(client_of(carrier)->http);
}

static size_t client_poll(struct carrier *carrier, int64_t now_us, struct carrier_completion *out,
                          size_t max) {
    (void)now_us;
    struct client *client = client_of(carrier);
    http_calls_poll(client->http);
    size_t count = 0;
    for (uint32_t place; count < max && http_calls_done(client->http, &place);) {
        const struct call *call = &client->calls[place];
        out[count++] = call->completion;
        if (!is_tracking(call->call.action)) {
            uint32_t next = lanes_leave(&client->lanes, place);
            if (next != LANES_NONE)
                http_calls_ready(client->http, next);
        }
        http_calls_release(client->http, place);
    }
    return count;
}

static int64_t client_next_due_us(struct carrier *carrier) {
    return http_calls_next_due_us(client_of(carrier)->http);
}

static void client_free(struct carrier *carrier) {
    struct client *client = client_of(carrier);
    http_calls_free(client->http);
    lanes_done(&client->lanes);
    free(client->calls);
    free(client);
}

struct carrier *carrier_http_new(const struct http_client_options *options, struct error *err) {
    static const struct http_calls_hooks hooks = {.request = write_request, .judge = judge};
    struct client *client = calloc(1, sizeof(*client));
    if (!client) {
        (void)error_set(err, DISP_FATAL, 0, "out of memory");
        return NULL;
    }
    client->carrier = (struct carrier){
        .submit = client_submit,
        .room = client_room,
        .poll = client_poll,
        .next_due_us = client_next_due_us,
        .free = client_free,
    };
    client->calls = calloc(options->in_flight_max, sizeof(*client->calls));
    if (!client->calls || !lanes_init(&client->lanes, (uint32_t)options->in_flight_max))
        (void)error_set(err, DISP_FATAL, 0, "out of memory");
    else
        client->http = http_calls_new(options, &hooks, client, err);
    if (!client->http) {
        client_free(&client->carrier);
        return NULL;
    }
    return &client->carrier;
}
