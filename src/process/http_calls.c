// SPDX-License-Identifier: Apache-2.0
//
// Time in here is monotonic; only http_calls_next_due_us() speaks of the wall clock. While requests
// are on the wire the caller is asked to poll soon, the less often the longer nothing has come.
#include "http_calls.h"

#include <assert.h>
#include <stdlib.h>

#include "breaker.h"
#include "pending.h"
#include "service/backoff.h"
#include "service/clock.h"
#include "service/log.h"
#include "service/metrics.h"

static const int64_t backoff_base_us = 50000;
static const int64_t retry_after_us_max = 30000000;
static const int64_t poll_pause_us_max = 8000;

#define NONE UINT32_MAX

enum place_state { PLACE_FREE, PLACE_TAKEN, PLACE_READY, PLACE_OPEN, PLACE_RESTING, PLACE_DONE };

struct place {
    enum place_state state;
    bool forgotten; // while resting
    bool is_probe;
    int tries;    // that failed
    int exchange; // while open
    uint32_t list_previous;
    uint32_t list_next;
};

struct list {
    uint32_t first;
    uint32_t last;
};

struct http_calls {
    const char *name;
    struct http_calls_hooks hooks;
    void *context;
    struct http_wire *wire; // owned
    struct breaker breaker;
    int64_t retries_max;
    int64_t backoff_max_us;
    struct pending pending; // free places, and when those at rest are due
    struct place *places;   // owned
    struct list ready;
    struct list done;
    int64_t now_us;   // of this poll
    int64_t moved_us; // when something last came or went
};

// ---- lists -------------------------------------------------------------------------------------

static void append(struct http_calls *calls, struct list *list, uint32_t at) {
    calls->places[at].list_previous = list->last;
    calls->places[at].list_next = NONE;
    if (list->last == NONE)
        list->first = at;
    else
        calls->places[list->last].list_next = at;
    list->last = at;
}

static void take_out(struct http_calls *calls, struct list *list, uint32_t at) {
    const struct place *place = &calls->places[at];
    if (place->list_previous == NONE)
        list->first = place->list_next;
    else
        calls->places[place->list_previous].list_next = place->list_next;
    if (place->list_next == NONE)
        list->last = place->list_previous;
    else
        calls->places[place->list_next].list_previous = place->list_previous;
}

// ---- a place's way -----------------------------------------------------------------------------

size_t http_calls_room(const struct http_calls *calls) {
    return calls->pending.free_count;
}

bool http_calls_take(struct http_calls *calls, uint32_t *ret_place) {
    if (!pending_take(&calls->pending, ret_place))
        return false;
    pending_queue_clear(&calls->pending); // the order is that of `ready` here
    calls->places[*ret_place] = (struct place){.state = PLACE_TAKEN};
    return true;
}

void http_calls_release(struct http_calls *calls, uint32_t place) {
    calls->places[place].state = PLACE_FREE;
    pending_release(&calls->pending, place);
}

void http_calls_ready(struct http_calls *calls, uint32_t place) {
    calls->places[place].state = PLACE_READY;
    append(calls, &calls->ready, place);
}

static void rest(struct http_calls *calls, uint32_t place, int64_t for_us) {
    calls->places[place].state = PLACE_RESTING;
    pending_put_due(&calls->pending, place, calls->now_us + for_us);
}

static void finish(struct http_calls *calls, uint32_t place) {
    calls->places[place].state = PLACE_DONE;
    append(calls, &calls->done, place);
}

bool http_calls_done(struct http_calls *calls, uint32_t *ret_place) {
    uint32_t place = calls->done.first;
    if (place == NONE)
        return false;
    take_out(calls, &calls->done, place);
    *ret_place = place;
    return true;
}

void http_calls_forget(struct http_calls *calls, uint32_t at) {
    struct place *place = &calls->places[at];
    switch (place->state) {
    case PLACE_FREE:
        return;
    case PLACE_RESTING:
        place->forgotten = true; // until it is due
        return;
    case PLACE_TAKEN:
        break;
    case PLACE_READY:
        take_out(calls, &calls->ready, at);
        break;
    case PLACE_OPEN:
        http_wire_cancel(calls->wire, place->exchange);
        // A call that ran into its time-out is a failure, whoever measured the time.
        if (breaker_failed(&calls->breaker, place->is_probe, clock_monotonic_us()))
            LOG(WARN, "no answers in time: calls wait, and are probed", F_STR("to", calls->name));
        break;
    case PLACE_DONE:
        take_out(calls, &calls->done, at);
        break;
    }
    http_calls_release(calls, at);
}

// ---- outcomes ----------------------------------------------------------------------------------

static void is_well(struct http_calls *calls, uint32_t at) {
    if (breaker_succeeded(&calls->breaker, calls->places[at].is_probe))
        LOG(INFO, "answers again: calls go on", F_STR("to", calls->name));
}

static void fail(struct http_calls *calls, uint32_t at, const struct wire_reply *reply,
                 const char *why) {
    struct place *place = &calls->places[at];
    LOG(DEBUG, "a try failed", F_STR("to", calls->name), F_STR("reason", why),
        F_INT("status", reply->status));
    if (breaker_failed(&calls->breaker, place->is_probe, calls->now_us))
        LOG(WARN, "fails: calls wait, and it is probed", F_STR("to", calls->name),
            F_STR("reason", why), F_INT("status", reply->status));
    bool spent = calls->hooks.give_up && reply->status != 0 && place->tries >= calls->retries_max;
    if (spent) {
        calls->hooks.give_up(calls->context, at, why);
        finish(calls, at);
        return;
    }
    metrics_add(METRIC_RETRIES, RETRY_OUTSIDE, 1);
    int64_t pause_us =
        backoff_us(&calls->breaker.dice, backoff_base_us, calls->backoff_max_us, place->tries++);
    int64_t asked_us =
        reply->retry_after_us < retry_after_us_max ? reply->retry_after_us : retry_after_us_max;
    rest(calls, at, pause_us > asked_us ? pause_us : asked_us);
}

static void on_end(void *context, const struct wire_reply *reply) {
    struct http_calls *calls = context;
    uint32_t at = reply->tag;
    assert(calls->places[at].state == PLACE_OPEN);
    int64_t again_us = 0;
    const char *why = reply->failure;
    enum http_verdict verdict = HTTP_FAILED;
    if (reply->status != 0)
        verdict = calls->hooks.judge(calls->context, at, reply, &again_us, &why);
    metrics_add(METRIC_OUTSIDE_TRIES, (int)verdict, 1);
    switch (verdict) {
    case HTTP_ANSWERED:
        is_well(calls, at);
        finish(calls, at);
        break;
    case HTTP_ASK_LATER:
        is_well(calls, at);
        calls->places[at].tries = 0;
        rest(calls, at, again_us);
        break;
    case HTTP_FAILED:
        metrics_add(METRIC_ERRORS, ERROR_OUTSIDE, 1);
        fail(calls, at, reply, why);
        break;
    }
}

// ---- moving on ---------------------------------------------------------------------------------

static void wake_rested(struct http_calls *calls) {
    for (uint32_t at; pending_pop_due(&calls->pending, calls->now_us, &at);) {
        if (calls->places[at].forgotten)
            http_calls_release(calls, at);
        else
            http_calls_ready(calls, at);
    }
}

static bool send_ready(struct http_calls *calls) {
    bool sent = false;
    while (calls->ready.first != NONE && http_wire_room(calls->wire) > 0 &&
           breaker_allows(&calls->breaker, calls->now_us)) {
        uint32_t at = calls->ready.first;
        struct place *place = &calls->places[at];
        struct wire_request request;
        calls->hooks.request(calls->context, at, &request);
        int exchange = http_wire_send(calls->wire, at, &request);
        if (exchange < 0)
            break; // out of memory: next time, perhaps
        take_out(calls, &calls->ready, at);
        place->is_probe = breaker_send(&calls->breaker, calls->now_us);
        place->state = PLACE_OPEN;
        place->exchange = exchange;
        sent = true;
    }
    return sent;
}

void http_calls_poll(struct http_calls *calls) {
    calls->now_us = clock_monotonic_us();
    wake_rested(calls);
    bool moved = send_ready(calls);
    if (http_wire_poll(calls->wire, on_end, calls) > 0) {
        moved = true;
        if (send_ready(calls)) // onto the connections that have become free
            (void)http_wire_poll(calls->wire, on_end, calls);
    }
    if (moved)
        calls->moved_us = calls->now_us;
    metrics_set(METRIC_OUTSIDE_OPEN, 0, http_wire_open(calls->wire));
    metrics_set(METRIC_OUTSIDE_BREAKER, 0, calls->breaker.state != BREAKER_CLOSED);
}

static int64_t due_us(const struct http_calls *calls, int64_t now_us) {
    int64_t due = pending_due_us(&calls->pending);
    if (calls->done.first != NONE)
        return now_us;
    if (http_wire_open(calls->wire) > 0) {
        int64_t pause_us = (now_us - calls->moved_us) / 16;
        if (pause_us > poll_pause_us_max)
            pause_us = poll_pause_us_max;
        if (now_us + pause_us < due)
            due = now_us + pause_us;
    }
    if (calls->ready.first != NONE && http_wire_room(calls->wire) > 0) {
        int64_t open_us = breaker_due_us(&calls->breaker);
        if (calls->breaker.state == BREAKER_CLOSED)
            return now_us;
        if (open_us < due)
            due = open_us;
    }
    return due;
}

int64_t http_calls_next_due_us(const struct http_calls *calls) {
    int64_t now_us = clock_monotonic_us();
    int64_t due = due_us(calls, now_us);
    if (due == INT64_MAX)
        return INT64_MAX;
    return due <= now_us ? 0 : clock_now_us() + (due - now_us);
}

// ---- life --------------------------------------------------------------------------------------

struct http_calls *http_calls_new(const struct http_client_options *options,
                                  const struct http_calls_hooks *hooks, void *context,
                                  struct error *err) {
    struct http_calls *calls = calloc(1, sizeof(*calls));
    if (!calls) {
        (void)error_set(err, DISP_FATAL, 0, "out of memory");
        return NULL;
    }
    static const char *const outcomes[] = {
        [HTTP_ANSWERED] = "answered", [HTTP_ASK_LATER] = "later", [HTTP_FAILED] = "failed"};
    for (int i = 0; i < (int)(sizeof(outcomes) / sizeof(outcomes[0])); i++)
        metrics_name_series(METRIC_OUTSIDE_TRIES, i, outcomes[i]);
    calls->name = options->name;
    calls->hooks = *hooks;
    calls->context = context;
    calls->retries_max = options->retries_max;
    calls->backoff_max_us = options->backoff_max_ms * 1000;
    calls->breaker.failures_max = options->breaker_failures;
    calls->breaker.open_us = options->breaker_open_ms * 1000;
    calls->breaker.dice = backoff_dice();
    calls->ready = calls->done = (struct list){NONE, NONE};
    const struct http_wire_options wire = {
        .url = options->url,
        .bearer = options->bearer,
        .exchanges_max = options->connections_max,
        .connect_timeout_ms = options->connect_timeout_ms,
        .timeout_ms = options->timeout_ms,
    };
    calls->places = calloc(options->in_flight_max, sizeof(*calls->places));
    if (!calls->places || !pending_init(&calls->pending, options->in_flight_max))
        (void)error_set(err, DISP_FATAL, 0, "out of memory");
    else
        calls->wire = http_wire_new(&wire, err);
    if (!calls->wire) {
        http_calls_free(calls);
        return NULL;
    }
    return calls;
}

void http_calls_free(struct http_calls *calls) {
    if (!calls)
        return;
    http_wire_free(calls->wire);
    pending_done(&calls->pending);
    free(calls->places);
    free(calls);
}
