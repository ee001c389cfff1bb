// SPDX-License-Identifier: Apache-2.0
//
// Asks the query service for each accepted order, round after round, until all have come to an end.
// Before the first round it waits for the last order to become visible at all, so that the rounds
// do not compete with the projector for the database.
#include "cli/replay.h"
#include "service/clock.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

enum { CALL_MS = 15000, WAIT_S = 5, ROUND_PAUSE_ATTEMPT = 2 };

struct waiting {
    uint32_t *pending; // owned: numbers of orders
    uint32_t count;
    struct replay_bar bar; // counts the orders that have come to an end
};

static const struct {
    const char *status;
    enum replay_outcome outcome;
} ends[] = {
    {"COMPLETED", REPLAY_COMPLETED},
    {"REJECTED", REPLAY_REJECTED},
    {"CANCELLED", REPLAY_CANCELLED},
    {"EXPIRED", REPLAY_EXPIRED},
    {"NEEDS_ATTENTION", REPLAY_NEEDS_ATTENTION},
};

static void set_reason(struct replay_order *order, const json_t *json, const char *name) {
    const char *reason = json_string_value(json_object_get(json, name));
    (void)snprintf(order->reason, sizeof(order->reason), "%s", reason ? reason : "");
}

// Ends that nothing in the file or the shop accounts for.
static void judge(const struct replay *replay, uint32_t number, struct replay_order *order) {
    const struct file_order *file_order = &replay->file->orders[number];
    if (order->total_minor != file_order->total_minor) {
        order->unexplained = true;
        (void)snprintf(order->reason, sizeof(order->reason), "another total than in the file");
    }
    if (order->outcome != REPLAY_REJECTED)
        return;
    const bool is_short = strcmp(order->reason, "OUT_OF_STOCK") == 0;
    if (strcmp(order->reason, "UNKNOWN_SKU") == 0 || (is_short && replay->stock < 0))
        order->unexplained = true;
}

static void take_order(struct replay *replay, uint32_t number, const char *body, size_t length) {
    struct replay_order *order = &replay->orders[number];
    json_t *json = json_loadb(body, length, 0, NULL);
    const char *status = json_string_value(json_object_get(json, "status"));
    const json_t *total = json_object_get(json, "total_minor");
    order->total_minor = json_is_integer(total) ? json_integer_value(total) : -1;
    for (size_t i = 0; status && i < sizeof(ends) / sizeof(ends[0]); i++) {
        if (strcmp(status, ends[i].status) != 0)
            continue;
        order->outcome = ends[i].outcome;
        set_reason(order, json, "close_reason");
        judge(replay, number, order);
    }
    json_decref(json);
}

// An order that is not there may have been refused as a command.
static void look_for_refusal(struct replay *replay, int thread, uint32_t number) {
    struct replay_order *order = &replay->orders[number];
    char path[96];
    (void)snprintf(path, sizeof(path), "/v1/commands/%s", id_text(&order->command_id).text);
    const struct http_call call = {.method = "GET", .path = path, .timeout_ms = CALL_MS};
    struct http_reply reply = {0};
    struct error ignored = {0};
    if (!http_client_call(replay->query[thread], &call, &reply, &ignored) || reply.status != 200)
        return;
    json_t *json = json_loadb(reply.body, reply.length, 0, NULL);
    const char *outcome = json_string_value(json_object_get(json, "outcome"));
    if (outcome && strcmp(outcome, "refused") == 0) {
        order->outcome = REPLAY_NOT_APPLIED;
        order->unexplained = true;
        set_reason(order, json, "reason");
    }
    json_decref(json);
}

static void ask(struct replay *replay, int thread, uint32_t item, void *state) {
    struct waiting *waiting = state;
    const uint32_t number = waiting->pending[item];
    char path[96];
    (void)snprintf(path, sizeof(path), "/v1/orders/%s",
                   id_text(&replay->orders[number].order_id).text);
    const struct http_call call = {.method = "GET", .path = path, .timeout_ms = CALL_MS};
    struct http_reply reply = {0};
    struct error err = {0};
    if (!http_client_call(replay->query[thread], &call, &reply, &err))
        replay_note(replay, "GET %s: %s", path, err.msg);
    else if (reply.status == 200)
        take_order(replay, number, reply.body, reply.length);
    else if (reply.status == 404)
        look_for_refusal(replay, thread, number);
    else if (!replay_may_retry(reply.status))
        replay_note(replay, "GET %s: %ld %.300s", path, reply.status, reply.body);
    if (replay->orders[number].outcome != REPLAY_ACCEPTED)
        replay_bar_step(replay, &waiting->bar);
}

static void await_visible(struct replay *replay, uint32_t number) {
    char path[160];
    (void)snprintf(path, sizeof(path), "/v1/orders/%s?after=%s&wait=%ds",
                   id_text(&replay->orders[number].order_id).text,
                   id_text(&replay->orders[number].command_id).text, WAIT_S);
    const struct http_call call = {
        .method = "GET", .path = path, .timeout_ms = WAIT_S * 1000 + CALL_MS};
    replay_moved(replay);
    for (int attempt = 0; !replay_is_stuck(replay); attempt++) {
        struct http_reply reply = {0};
        struct error ignored = {0};
        if (http_client_call(replay->query[0], &call, &reply, &ignored) && reply.status == 200)
            return;
        replay_back_off(attempt, 0);
    }
}

static uint32_t keep_pending(const struct replay *replay, struct waiting *waiting) {
    uint32_t kept = 0;
    for (uint32_t i = 0; i < waiting->count; i++)
        if (replay->orders[waiting->pending[i]].outcome == REPLAY_ACCEPTED)
            waiting->pending[kept++] = waiting->pending[i];
    const uint32_t ended = waiting->count - kept;
    waiting->count = kept;
    return ended;
}

bool replay_wait(struct replay *replay, struct error *err) {
    const uint32_t all = replay->file->order_ids.count;
    struct waiting waiting = {.pending = calloc(all + 1, sizeof(*waiting.pending))};
    if (!waiting.pending)
        return error_set(err, DISP_FATAL, 0, "out of memory");
    for (uint32_t i = 0; i < all; i++)
        waiting.pending[waiting.count++] = i;
    (void)keep_pending(replay, &waiting);
    replay_bar_begin(&waiting.bar, "waiting for ends", waiting.count, 1);
    if (waiting.count > 0)
        await_visible(replay, waiting.pending[waiting.count - 1]);

    bool ok = true;
    int64_t moved_ms = clock_monotonic_ms(); // a round is no progress, an end is
    while (ok && waiting.count > 0) {
        ok = replay_run(replay, NULL, waiting.count, ask, &waiting, err);
        const uint32_t ended = keep_pending(replay, &waiting);
        if (ended > 0)
            moved_ms = clock_monotonic_ms();
        if (clock_monotonic_ms() - moved_ms > replay->patience_ms)
            break;
        if (waiting.count > 0)
            replay_back_off(ROUND_PAUSE_ATTEMPT, 0);
    }
    replay_bar_end(replay, &waiting.bar);
    for (uint32_t i = 0; i < waiting.count; i++) {
        struct replay_order *order = &replay->orders[waiting.pending[i]];
        order->unexplained = true;
        (void)snprintf(order->reason, sizeof(order->reason), "has not come to an end");
    }
    free(waiting.pending);
    return ok;
}
