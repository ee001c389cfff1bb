// SPDX-License-Identifier: Apache-2.0
//
// A provider in front of another: keeps calls of one order in single file and gives every call a
// deadline. Each order with calls has a lane; its head is with inner or about to be, the others
// wait behind it.
//
//   submit ──▶ waiting ──head of its lane──▶ ready ──inner took it──▶ started ──▶ completed
//                                                                        └──▶ timed out: UNKNOWN
//
// Started calls stand in a list in the order they were started, which is the order of deadlines.
// submit() has no clock: a call's time begins with the first poll after its start.
#include "process/provider.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "lanes.h"

#define NONE UINT32_MAX

enum call_state { CALL_FREE, CALL_WAITING, CALL_READY, CALL_STARTED };

struct call {
    struct provider_call call; // views into the texts below
    char currency[4];
    char method[PROVIDER_METHOD_MAX];
    enum call_state state;
    bool forgotten;      // asked all the same, as it was intended; its answer is dropped
    uint32_t generation; // grows with every use of this place
    int64_t deadline_us; // 0: time has not begun
    uint32_t list_prev;  // of ready or started
    uint32_t list_next;
};

struct list {
    uint32_t first;
    uint32_t last;
};

struct calls {
    struct provider provider; // first: the interface
    struct provider *inner;   // owned
    int64_t timeout_us;
    struct call *calls; // owned
    uint32_t max;
    uint32_t *free; // owned: a stack
    uint32_t free_count;
    struct lanes lanes; // by order
    struct list ready;
    struct list started;
    uint32_t unstamped; // first started call whose time has not begun, or NONE
};

// ---- lists -------------------------------------------------------------------------------------

static void list_append(struct calls *calls, struct list *list, uint32_t at) {
    calls->calls[at].list_prev = list->last;
    calls->calls[at].list_next = NONE;
    if (list->last == NONE)
        list->first = at;
    else
        calls->calls[list->last].list_next = at;
    list->last = at;
}

static void list_remove(struct calls *calls, struct list *list, uint32_t at) {
    const struct call *call = &calls->calls[at];
    if (call->list_prev == NONE)
        list->first = call->list_next;
    else
        calls->calls[call->list_prev].list_next = call->list_next;
    if (call->list_next == NONE)
        list->last = call->list_prev;
    else
        calls->calls[call->list_next].list_prev = call->list_prev;
}

// ---- one call's way ----------------------------------------------------------------------------

static void become_ready(struct calls *calls, uint32_t at) {
    calls->calls[at].state = CALL_READY;
    list_append(calls, &calls->ready, at);
}

static uint64_t inner_token(const struct calls *calls, uint32_t at) {
    return (uint64_t)calls->calls[at].generation << 32 | at;
}

// Hands ready calls to inner, as many as it takes.
static void start_ready(struct calls *calls) {
    while (calls->ready.first != NONE) {
        uint32_t at = calls->ready.first;
        struct call *call = &calls->calls[at];
        struct provider_call submitted = call->call;
        submitted.token = inner_token(calls, at);
        if (!calls->inner->submit(calls->inner, &submitted, NULL))
            return;
        list_remove(calls, &calls->ready, at);
        call->state = CALL_STARTED;
        call->deadline_us = 0;
        list_append(calls, &calls->started, at);
        if (calls->unstamped == NONE)
            calls->unstamped = at;
    }
}

static void stamp_started(struct calls *calls, int64_t now_us) {
    for (; calls->unstamped != NONE; calls->unstamped = calls->calls[calls->unstamped].list_next)
        calls->calls[calls->unstamped].deadline_us = now_us + calls->timeout_us;
}

// A started call is over: its place is free, and the order's next call becomes ready.
static void finish(struct calls *calls, uint32_t at) {
    struct call *call = &calls->calls[at];
    assert(call->state == CALL_STARTED);
    if (calls->unstamped == at)
        calls->unstamped = call->list_next;
    list_remove(calls, &calls->started, at);
    uint32_t next = lanes_leave(&calls->lanes, at);
    call->state = CALL_FREE;
    call->generation++;
    calls->free[calls->free_count++] = at;
    if (next != LANES_NONE)
        become_ready(calls, next);
}

// ---- the interface -----------------------------------------------------------------------------

static struct calls *calls_of(struct provider *provider) {
    return (struct calls *)provider;
}

static bool calls_submit(struct provider *provider, const struct provider_call *call,
                         struct error *err) {
    struct calls *calls = calls_of(provider);
    if (call->method.len > PROVIDER_METHOD_MAX || call->currency.len >= sizeof(call->currency))
        return error_set(err, DISP_POISON, 0, "payment method or currency is too long");
    if (calls->free_count == 0)
        return error_set(err, DISP_RETRY, 0, "as many payment calls as allowed are in flight");

    uint32_t at = calls->free[--calls->free_count];
    struct call *taken = &calls->calls[at];
    taken->call = *call;
    taken->call.currency.ptr = taken->currency;
    taken->call.method.ptr = taken->method;
    if (call->currency.len > 0)
        memcpy(taken->currency, call->currency.ptr, call->currency.len);
    if (call->method.len > 0)
        memcpy(taken->method, call->method.ptr, call->method.len);
    taken->state = CALL_WAITING;
    taken->forgotten = false;
    if (lanes_join(&calls->lanes, at, &call->order_id)) {
        become_ready(calls, at);
        start_ready(calls);
    }
    return true;
}

static size_t calls_room(struct provider *provider) {
    return calls_of(provider)->free_count;
}

static size_t poll_inner(struct calls *calls, int64_t now_us, struct provider_completion *out,
                         size_t max) {
    size_t count = calls->inner->poll(calls->inner, now_us, out, max);
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        uint32_t at = (uint32_t)out[i].token;
        if (at >= calls->max || calls->calls[at].state != CALL_STARTED ||
            inner_token(calls, at) != out[i].token)
            continue;
        if (!calls->calls[at].forgotten) {
            out[kept] = out[i];
            out[kept++].token = calls->calls[at].call.token;
        }
        finish(calls, at);
    }
    return kept;
}

static size_t time_out(struct calls *calls, int64_t now_us, struct provider_completion *out,
                       size_t max) {
    size_t count = 0;
    for (uint32_t at; count < max && (at = calls->started.first) != NONE;) {
        const struct call *call = &calls->calls[at];
        if (call->deadline_us > now_us)
            break;
        if (!call->forgotten)
            out[count++] = (struct provider_completion){.token = call->call.token,
                                                        .result = PAYMENT_RESULT_UNKNOWN,
                                                        .reason = "no answer in time"};
        calls->inner->forget(calls->inner, inner_token(calls, at));
        finish(calls, at);
    }
    return count;
}

// Twice, so that what the first round's answers let start is answered in the same poll if it can.
static size_t calls_poll(struct provider *provider, int64_t now_us, struct provider_completion *out,
                         size_t max) {
    struct calls *calls = calls_of(provider);
    size_t count = 0;
    for (int round = 0; round < 2 && count < max; round++) {
        start_ready(calls);
        stamp_started(calls, now_us);
        count += poll_inner(calls, now_us, out + count, max - count);
        count += time_out(calls, now_us, out + count, max - count);
    }
    start_ready(calls);
    return count;
}

static int64_t calls_next_due_us(struct provider *provider) {
    struct calls *calls = calls_of(provider);
    if (calls->unstamped != NONE)
        return 0;
    int64_t due_us = calls->inner->next_due_us(calls->inner);
    if (calls->started.first != NONE && calls->calls[calls->started.first].deadline_us < due_us)
        due_us = calls->calls[calls->started.first].deadline_us;
    return due_us;
}

static void calls_forget(struct provider *provider, uint64_t token) {
    struct calls *calls = calls_of(provider);
    for (uint32_t at = 0; at < calls->max; at++)
        if (calls->calls[at].state != CALL_FREE && calls->calls[at].call.token == token)
            calls->calls[at].forgotten = true;
}

static void calls_free(struct provider *provider) {
    struct calls *calls = calls_of(provider);
    if (calls->inner)
        calls->inner->free(calls->inner);
    free(calls->calls);
    free(calls->free);
    lanes_done(&calls->lanes);
    free(calls);
}

static bool allocate(struct calls *calls) {
    calls->calls = calloc(calls->max, sizeof(*calls->calls));
    calls->free = calloc(calls->max, sizeof(*calls->free));
    if (!calls->calls || !calls->free || !lanes_init(&calls->lanes, calls->max))
        return false;
    while (calls->free_count < calls->max) {
        calls->free[calls->free_count] = calls->max - 1 - calls->free_count;
        calls->free_count++;
    }
    return true;
}

struct provider *provider_calls_new(struct provider *inner, int64_t call_timeout_us,
                                    size_t calls_max, struct error *err) {
    assert(calls_max > 0 && calls_max < NONE / 2);
    struct calls *calls = calloc(1, sizeof(*calls));
    if (!calls) {
        inner->free(inner);
        (void)error_set(err, DISP_FATAL, 0, "out of memory");
        return NULL;
    }
    *calls = (struct calls){
        .provider =
            {
                .submit = calls_submit,
                .room = calls_room,
                .poll = calls_poll,
                .next_due_us = calls_next_due_us,
                .forget = calls_forget,
                .free = calls_free,
            },
        .inner = inner,
        .timeout_us = call_timeout_us,
        .max = (uint32_t)calls_max,
        .ready = {NONE, NONE},
        .started = {NONE, NONE},
        .unstamped = NONE,
    };
    if (!allocate(calls)) {
        calls_free(&calls->provider);
        (void)error_set(err, DISP_FATAL, 0, "out of memory");
        return NULL;
    }
    return &calls->provider;
}
