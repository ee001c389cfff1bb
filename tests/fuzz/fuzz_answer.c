// SPDX-License-Identifier: Apache-2.0
//
// What a payment provider and a carrier answer. It settles the call or it does not; what it settles
// fits the action, and its texts may go into an event.
//
//   first byte   who is asked, and for what
//   second       the answer's status
//   then         its body; an id of thirty-six X in it stands for the one that was asked about
#include "../../src/process/http_calls.h"
#include "event/codec.h"
#include "event/id.h"
#include "process/carrier.h"
#include "process/provider.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// The calls' queue is played: one call, answered at once.
struct http_calls *__wrap_http_calls_new(const struct http_client_options *options,
                                         const struct http_calls_hooks *hooks, void *context,
                                         struct error *err);
void __wrap_http_calls_free(struct http_calls *calls);
bool __wrap_http_calls_take(struct http_calls *calls, uint32_t *ret_place);
void __wrap_http_calls_ready(struct http_calls *calls, uint32_t place);
void __wrap_http_calls_poll(struct http_calls *calls);
bool __wrap_http_calls_done(struct http_calls *calls, uint32_t *ret_place);
void __wrap_http_calls_release(struct http_calls *calls, uint32_t place);

static struct {
    const struct http_calls_hooks *hooks;
    void *context;
    struct wire_reply reply;
    enum http_verdict verdict;
} played;

struct http_calls *__wrap_http_calls_new(const struct http_client_options *options,
                                         const struct http_calls_hooks *hooks, void *context,
                                         struct error *err) {
    (void)options;
    (void)err;
    played.hooks = hooks;
    played.context = context;
    return (struct http_calls *)&played;
}

void __wrap_http_calls_free(struct http_calls *calls) {
    (void)calls;
}

bool __wrap_http_calls_take(struct http_calls *calls, uint32_t *ret_place) {
    (void)calls;
    *ret_place = 0;
    return true;
}

void __wrap_http_calls_ready(struct http_calls *calls, uint32_t place) {
    (void)calls;
    struct wire_request request;
    played.hooks->request(played.context, place, &request);
    assert(request.path[0] == '/');
}

void __wrap_http_calls_poll(struct http_calls *calls) {
    (void)calls;
    int64_t again_us = 0;
    const char *why = NULL;
    played.verdict = played.hooks->judge(played.context, 0, &played.reply, &again_us, &why);
    assert(played.verdict != HTTP_FAILED || why);
    assert(again_us >= 0 && again_us <= INT64_C(3600) * 1000000);
}

bool __wrap_http_calls_done(struct http_calls *calls, uint32_t *ret_place) {
    (void)calls;
    *ret_place = 0;
    bool done = played.verdict == HTTP_ANSWERED;
    played.verdict = HTTP_FAILED;
    return done;
}

void __wrap_http_calls_release(struct http_calls *calls, uint32_t place) {
    (void)calls;
    (void)place;
}

static void check_text(const char *text, size_t size) {
    size_t length = strnlen(text, size);
    assert(length < size && codec_text_is_valid(text, length));
    for (size_t i = 0; i < length; i++)
        assert((unsigned char)text[i] >= 0x20 && text[i] != 0x7F);
}

static void ask_provider(uint8_t choice, const struct id *id) {
    static const struct http_client_options options = {.in_flight_max = 1};
    struct error err;
    struct provider *provider = provider_http_new(&options, &err);
    assert(provider);
    const struct provider_call call = {
        .token = 9,
        .payment_id = *id,
        .order_id = *id,
        .action = (enum payment_action)(choice % PAYMENT_ACTION_COUNT),
        .amount_minor = INT64_MAX,
        .currency = {"EUR", 3},
        .method = {"\"\\\n\x01", 4},
    };
    bool taken = provider->submit(provider, &call, &err);
    assert(taken);
    struct provider_completion out;
    if (provider->poll(provider, 0, &out, 1) == 1) {
        assert(out.token == call.token && (unsigned)out.result < PAYMENT_RESULT_COUNT);
        // A bare status never says that nothing was charged.
        assert(played.reply.length > 0 || out.result == PAYMENT_RESULT_UNKNOWN);
        check_text(out.reason, sizeof(out.reason));
    }
    provider->free(provider);
}

static void ask_carrier(uint8_t choice, const struct id *id) {
    static const struct http_client_options options = {.in_flight_max = 1};
    struct error err;
    struct carrier *carrier = carrier_http_new(&options, &err);
    assert(carrier);
    const struct carrier_call call = {
        .token = 9,
        .shipment_id = *id,
        .order_id = *id,
        .action = (enum shipment_action)(choice % SHIPMENT_ACTION_COUNT),
    };
    bool taken = carrier->submit(carrier, &call, &err);
    assert(taken);
    struct carrier_completion out;
    if (carrier->poll(carrier, 0, &out, 1) == 1) {
        assert(out.token == call.token && (unsigned)out.result < SHIPMENT_RESULT_COUNT);
        check_text(out.reason, sizeof(out.reason));
        check_text(out.tracking, sizeof(out.tracking));
    }
    carrier->free(carrier);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const long statuses[] = {200, 201, 400, 402, 404, 409, 422, 500};
    static const char blank[] = "XXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXX";
    if (size < 2 || size - 2 > WIRE_REPLY_MAX)
        return 0;
    struct id id;
    memset(id.bytes, 0xAB, sizeof(id.bytes));
    size_t length = size - 2;
    char *body = malloc(length + 1);
    assert(body);
    memcpy(body, data + 2, length);
    char *place = memmem(body, length, blank, ID_TEXT_LEN);
    if (place)
        memcpy(place, id_text(&id).text, ID_TEXT_LEN);
    body = realloc(body, length ? length : 1); // a reader that goes too far is seen
    assert(body);
    played.reply = (struct wire_reply){
        .status = statuses[data[1] % (sizeof(statuses) / sizeof(statuses[0]))],
        .body = body,
        .length = length,
    };
    if (data[0] & 0x80)
        ask_carrier(data[0] & 0x7F, &id);
    else
        ask_provider(data[0], &id);
    free(body);
    return 0;
}
