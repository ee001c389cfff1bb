// SPDX-License-Identifier: Apache-2.0
//
// A payment provider behind HTTP. What it answers is believed only when it names this payment and a
// status that fits the action. Anything else leaves the outcome open: asked again under the same
// key, in the end UNKNOWN. Never is DECLINED concluded from a bare status: an earlier try, perhaps
// of a process that has died since, may have charged.
#include "process/provider.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "http_answer.h"
#include "http_calls.h"

#define NONE UINT32_MAX

struct call {
    uint64_t token;
    struct id payment_id;
    struct id order_id;
    enum payment_action action;
    int64_t amount_minor;
    char currency[4];
    char method[PROVIDER_METHOD_MAX + 1];
    struct provider_completion completion;
    uint32_t next; // of the same bucket
};

struct client {
    struct provider provider; // first: the interface
    struct http_calls *http;  // owned
    struct call *calls;       // owned, by place
    uint32_t *buckets;        // owned: places by token
    uint32_t buckets_count;   // a power of two
};

// ---- places by token ---------------------------------------------------------------------------

static uint32_t *bucket_of(const struct client *client, uint64_t token) {
    return &client->buckets[(token * UINT64_C(0x9e3779b97f4a7c15) >> 32) &
                            (client->buckets_count - 1)];
}

static void remember(struct client *client, uint32_t place) {
    uint32_t *bucket = bucket_of(client, client->calls[place].token);
    client->calls[place].next = *bucket;
    *bucket = place;
}

// False: it is not there.
static bool strike_out(struct client *client, uint64_t token, uint32_t *ret_place) {
    uint32_t *link = bucket_of(client, token);
    while (*link != NONE && client->calls[*link].token != token)
        link = &client->calls[*link].next;
    if (*link == NONE)
        return false;
    *ret_place = *link;
    *link = client->calls[*link].next;
    return true;
}

// ---- asking ------------------------------------------------------------------------------------

// out holds 6 bytes for each of text, and one. The text is UTF-8: a codec has read it.
static const char *escape(const char *text, char *out) {
    char *at = out;
    for (; *text; text++) {
        if ((unsigned char)*text < 0x20 || *text == '"' || *text == '\\')
            at += sprintf(at, "\\u%04x", (unsigned char)*text);
        else
            *at++ = *text;
    }
    *at = '\0';
    return out;
}

static void write_request(void *context, uint32_t place, struct wire_request *ret) {
    const struct client *client = context;
    const struct call *call = &client->calls[place];
    struct id_text payment = id_text(&call->payment_id);
    struct id_text order = id_text(&call->order_id);
    *ret = (struct wire_request){0};
    if (call->action == PAYMENT_ACTION_LOOKUP) {
        (void)snprintf(ret->path, sizeof(ret->path), "/v1/payments/%s", payment.text);
        return;
    }
    char action[HTTP_ACTION_MAX];
    char currency[6 * sizeof(call->currency)];
    char method[6 * sizeof(call->method)];
    (void)http_answer_lower(payment_action_names[call->action], action);
    (void)snprintf(ret->path, sizeof(ret->path), "/v1/payments/%s/%s", payment.text, action);
    (void)snprintf(ret->key, sizeof(ret->key), "%s-%s", payment.text, action);
    (void)snprintf(ret->body, sizeof(ret->body),
                   "{\"order_id\":\"%s\",\"amount_minor\":%" PRId64
                   ",\"currency\":\"%s\",\"payment_method\":\"%s\"}",
                   order.text, call->amount_minor, escape(call->currency, currency),
                   escape(call->method, method));
}

// ---- what the answer means ---------------------------------------------------------------------

// What an answer may say to each action.
static const uint32_t fitting[PAYMENT_ACTION_COUNT] = {
    [PAYMENT_ACTION_AUTHORIZE] = 1U << PAYMENT_RESULT_AUTHORIZED | 1U << PAYMENT_RESULT_DECLINED,
    [PAYMENT_ACTION_CAPTURE] = 1U << PAYMENT_RESULT_CAPTURED | 1U << PAYMENT_RESULT_DECLINED,
    [PAYMENT_ACTION_VOID] = 1U << PAYMENT_RESULT_VOIDED | 1U << PAYMENT_RESULT_DECLINED,
    [PAYMENT_ACTION_LOOKUP] = 1U << PAYMENT_RESULT_AUTHORIZED | 1U << PAYMENT_RESULT_DECLINED |
                              1U << PAYMENT_RESULT_CAPTURED | 1U << PAYMENT_RESULT_VOIDED |
                              1U << PAYMENT_RESULT_NOT_FOUND,
};

static bool result_of(const char *word, enum payment_action action, enum payment_result *ret) {
    char lower[HTTP_ACTION_MAX];
    for (uint32_t i = 0; i < PAYMENT_RESULT_COUNT; i++) {
        if (!(fitting[action] & 1U << i) ||
            strcmp(http_answer_lower(payment_result_names[i], lower), word) != 0)
            continue;
        *ret = (enum payment_result)i;
        return true;
    }
    return false;
}

static void complete(struct call *call, enum payment_result result, const char *reason) {
    call->completion = (struct provider_completion){.token = call->token, .result = result};
    (void)snprintf(call->completion.reason, sizeof(call->completion.reason), "%s", reason);
}

// The statuses that an answer of the provider itself comes with.
static bool may_carry_answer(long status) {
    return status == 200 || status == 201 || status == 402 || status == 404 || status == 409 ||
           status == 422;
}

static enum http_verdict judge(void *context, uint32_t place, const struct wire_reply *reply,
                               int64_t *ret_again_us, const char **ret_why) {
    (void)ret_again_us;
    struct client *client = context;
    struct call *call = &client->calls[place];
    struct http_answer answer;
    enum payment_result result;
    if (may_carry_answer(reply->status) &&
        http_answer_read(reply, "payment_id", &call->payment_id, &answer) &&
        result_of(answer.status, call->action, &result)) {
        complete(call, result, answer.reason);
        return HTTP_ANSWERED;
    }
    if (http_answer_refuses(reply->status)) {
        char reason[PROVIDER_REASON_MAX];
        (void)snprintf(reason, sizeof(reason), "the provider refused the request: %ld",
                       reply->status);
        complete(call, PAYMENT_RESULT_UNKNOWN, reason);
        return HTTP_ANSWERED;
    }
    *ret_why = reply->status < 300 ? "the provider's answer makes no sense"
                                   : "the provider answered with an error";
    return HTTP_FAILED;
}

static void give_up(void *context, uint32_t place, const char *why) {
    struct client *client = context;
    complete(&client->calls[place], PAYMENT_RESULT_UNKNOWN, why);
}

// ---- the interface -----------------------------------------------------------------------------

static struct client *client_of(struct provider *provider) {
    return (struct client *)provider;
}

static bool client_submit(struct provider *provider, const struct provider_call *call,
                          struct error *err) {
    struct client *client = client_of(provider);
    if (call->method.len > PROVIDER_METHOD_MAX || call->currency.len > 3)
        return error_set(err, DISP_POISON, 0, "payment method or currency is too long");
    uint32_t place;
    if (!http_calls_take(client->http, &place))
        return error_set(err, DISP_RETRY, 0, "as many payment calls as allowed are in flight");
    struct call *taken = &client->calls[place];
    *taken = (struct call){
        .token = call->token,
        .payment_id = call->payment_id,
        .order_id = call->order_id,
        .action = call->action,
        .amount_minor = call->amount_minor,
    };
    if (call->currency.len > 0)
        memcpy(taken->currency, call->currency.ptr, call->currency.len);
    if (call->method.len > 0)
        memcpy(taken->method, call->method.ptr, call->method.len);
    remember(client, place);
    http_calls_ready(client->http, place);
    return true;
}

static size_t client_room(struct provider *provider) {
    return http_calls_room(client_of(provider)->http);
}

static size_t client_poll(struct provider *provider, int64_t now_us,
                          struct provider_completion *out, size_t max) {
    (void)now_us;
    struct client *client = client_of(provider);
    http_calls_poll(client->http);
    size_t count = 0;
    for (uint32_t place; count < max && http_calls_done(client->http, &place);) {
        out[count++] = client->calls[place].completion;
        uint32_t struck = NONE;
        (void)strike_out(client, client->calls[place].token, &struck);
        assert(struck == place);
        http_calls_release(client->http, place);
    }
    return count;
}

static int64_t client_next_due_us(struct provider *provider) {
    return http_calls_next_due_us(client_of(provider)->http);
}

static void client_forget(struct provider *provider, uint64_t token) {
    struct client *client = client_of(provider);
    uint32_t place;
    if (strike_out(client, token, &place))
        http_calls_forget(client->http, place);
}

static void client_free(struct provider *provider) {
    struct client *client = client_of(provider);
    http_calls_free(client->http);
    free(client->calls);
    free(client->buckets);
    free(client);
}

static bool allocate(struct client *client, size_t in_flight_max) {
    client->buckets_count = 1;
    while (client->buckets_count < in_flight_max)
        client->buckets_count *= 2;
    client->calls = calloc(in_flight_max, sizeof(*client->calls));
    client->buckets = calloc(client->buckets_count, sizeof(*client->buckets));
    if (!client->calls || !client->buckets)
        return false;
    for (uint32_t i = 0; i < client->buckets_count; i++)
        client->buckets[i] = NONE;
    return true;
}

struct provider *provider_http_new(const struct http_client_options *options, struct error *err) {
    static const struct http_calls_hooks hooks = {
        .request = write_request,
        .judge = judge,
        .give_up = give_up,
    };
    struct client *client = calloc(1, sizeof(*client));
    if (!client) {
        (void)error_set(err, DISP_FATAL, 0, "out of memory");
        return NULL;
    }
    client->provider = (struct provider){
        .submit = client_submit,
        .room = client_room,
        .poll = client_poll,
        .next_due_us = client_next_due_us,
        .forget = client_forget,
        .free = client_free,
    };
    if (!allocate(client, options->in_flight_max))
        (void)error_set(err, DISP_FATAL, 0, "out of memory");
    else
        client->http = http_calls_new(options, &hooks, client, err);
    if (!client->http) {
        client_free(&client->provider);
        return NULL;
    }
    return &client->provider;
}
