// SPDX-License-Identifier: Apache-2.0
//
// Orders go through the gateway's batch route, one JSON object per line, each with its own key: the
// file's order id. Lines that were certainly not written, or may have been, are sent again with the
// same key, which cannot place an order twice.
#include "cli/replay.h"
#include "service/jsonout.h"
#include "service/clock.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { BATCH_ORDERS = 100, BATCH_MS = 60000 };

struct sending {
    int64_t started_ms;
};

static void write_order(struct jsonout *out, const struct order_file *file, uint32_t number) {
    const struct file_order *order = &file->orders[number];
    const char *id = intern_bytes(&file->order_ids, number, NULL);
    jsonout_object_begin(out, NULL);
    jsonout_string(out, "idempotency_key", id);
    jsonout_string(out, "customer_id", order->customer[0] ? order->customer : "guest");
    jsonout_string(out, "currency", order->currency);
    jsonout_string(out, "reference", id);
    if (order->ordered_at[0]) {
        // The file names no zone: UTC is as good as any.
        char text[sizeof(order->ordered_at) + 1];
        const size_t len = strlen(order->ordered_at);
        memcpy(text, order->ordered_at, len + 1);
        if (len == 19)
            memcpy(text + len, "Z", 2);
        jsonout_string(out, "ordered_at", text);
    }
    jsonout_array_begin(out, "lines");
    for (uint32_t i = 0; i < order->lines_count; i++) {
        const struct file_line *line = &file->lines[order->lines_first + i];
        jsonout_object_begin(out, NULL);
        jsonout_string(out, "sku", intern_bytes(&file->sku_codes, line->sku, NULL));
        jsonout_int(out, "quantity", line->quantity);
        jsonout_int(out, "unit_price_minor", line->unit_price_minor);
        jsonout_object_end(out);
    }
    jsonout_array_end(out);
    if (!order->faults)
        jsonout_int(out, "expected_total_minor", order->total_minor);
    jsonout_object_end(out);
    jsonout_newline(out);
}

static void set_reason(struct replay_order *order, const char *reason) {
    static const char prefix[] = "urn:orderlog:problem:";
    if (strncmp(reason, prefix, sizeof(prefix) - 1) == 0)
        reason += sizeof(prefix) - 1;
    (void)snprintf(order->reason, sizeof(order->reason), "%s", reason);
}

// A refusal is explained when the file has a fault that fits.
static bool refusal_fits(int faults, const char *reason) {
    static const struct {
        enum file_fault fault;
        const char *reason;
    } fitting[] = {
        {FAULT_QUANTITY, "invalid-quantity"}, {FAULT_PRICE, "invalid-amount"},
        {FAULT_PRICE, "invalid-value"},       {FAULT_CURRENCY, "currency-differs"},
        {FAULT_LINES, "too-many-lines"},
    };
    for (size_t i = 0; i < sizeof(fitting) / sizeof(fitting[0]); i++)
        if ((faults & fitting[i].fault) && strcmp(reason, fitting[i].reason) == 0)
            return true;
    return false;
}

// True when the line is settled; false when it is to be sent again.
static bool take_result(struct replay *replay, uint32_t number, const json_t *result) {
    struct replay_order *order = &replay->orders[number];
    const int faults = replay->file->orders[number].faults;
    const long status = (long)json_integer_value(json_object_get(result, "status"));
    const char *order_id = json_string_value(json_object_get(result, "order_id"));
    const char *command_id = json_string_value(json_object_get(result, "command_id"));
    if (status == 202 && order_id && command_id &&
        id_parse(order_id, strlen(order_id), &order->order_id) &&
        id_parse(command_id, strlen(command_id), &order->command_id)) {
        order->outcome = REPLAY_ACCEPTED;
        order->unexplained = faults != 0;
        if (faults)
            set_reason(order, "should have been refused");
        return true;
    }
    if (replay_may_retry(status))
        return false;

    const char *type = json_string_value(json_object_get(result, "type"));
    order->outcome = REPLAY_REFUSED;
    set_reason(order, type ? type : "no reason given");
    order->unexplained = !refusal_fits(faults, order->reason);
    if (order->unexplained) {
        char *text = json_dumps(result, JSON_COMPACT);
        replay_note(replay, "order %s: %.400s",
                    intern_bytes(&replay->file->order_ids, number, NULL), text ? text : "");
        free(text);
    }
    return true;
}

// Goes through the reply's lines; returns how many of the batch are still open, moved to the front.
static uint32_t take_reply(struct replay *replay, uint32_t *numbers, uint32_t count,
                           const struct http_reply *reply) {
    bool settled[BATCH_ORDERS] = {false};
    const char *at = reply->body;
    const char *end = reply->body + reply->length;
    while (at < end) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        const char *line_end = newline ? newline : end;
        json_t *result = json_loadb(at, (size_t)(line_end - at), 0, NULL);
        const json_int_t line = json_integer_value(json_object_get(result, "line"));
        if (line >= 1 && line <= count && !settled[line - 1])
            settled[line - 1] = take_result(replay, numbers[line - 1], result);
        json_decref(result);
        at = line_end + 1;
    }
    uint32_t open_count = 0;
    for (uint32_t i = 0; i < count; i++)
        if (!settled[i])
            numbers[open_count++] = numbers[i];
    return open_count;
}

static bool call_batch(struct replay *replay, int thread, const uint32_t *numbers, uint32_t count,
                       struct http_reply *ret, struct error *err) {
    struct jsonout out;
    jsonout_init(&out);
    for (uint32_t i = 0; i < count; i++)
        write_order(&out, replay->file, numbers[i]);
    size_t length = 0;
    char *body = jsonout_take(&out, &length);
    if (!body)
        return error_set(err, DISP_FATAL, 0, "out of memory");
    const struct http_call call = {
        .method = "POST",
        .path = "/v1/orders:batch",
        .content_type = "application/x-ndjson",
        .body = body,
        .body_len = length,
        .timeout_ms = replay->patience_ms < BATCH_MS ? (long)replay->patience_ms : BATCH_MS};
    const bool ok = http_client_call(replay->gateway[thread], &call, ret, err);
    free(body);
    return ok;
}

static void give_up(struct replay *replay, const uint32_t *numbers, uint32_t count,
                    const struct http_reply *reply, const struct error *err) {
    for (uint32_t i = 0; i < count; i++) {
        struct replay_order *order = &replay->orders[numbers[i]];
        order->outcome = REPLAY_FAILED;
        order->unexplained = true;
        (void)snprintf(order->reason, sizeof(order->reason), "gateway: status %ld", reply->status);
    }
    replay_note(replay, "POST /v1/orders:batch: %ld %.300s", reply->status,
                reply->status ? reply->body : err->msg);
}

static void keep_pace(const struct replay *replay, const struct sending *sending, uint32_t first) {
    if (replay->rate == 0)
        return;
    const int64_t due_ms = sending->started_ms + (int64_t)first * 1000 / replay->rate;
    const int64_t wait_ms = due_ms - clock_monotonic_ms();
    if (wait_ms <= 0)
        return;
    const struct timespec pause = {.tv_sec = wait_ms / 1000, .tv_nsec = wait_ms % 1000 * 1000000};
    (void)nanosleep(&pause, NULL);
}

static void send_batch(struct replay *replay, int thread, uint32_t batch, void *state) {
    const uint32_t first = batch * BATCH_ORDERS;
    const uint32_t all = replay->file->order_ids.count;
    uint32_t count = all - first < BATCH_ORDERS ? all - first : BATCH_ORDERS;
    uint32_t numbers[BATCH_ORDERS];
    for (uint32_t i = 0; i < count; i++)
        numbers[i] = first + i;
    keep_pace(replay, state, first);

    bool is_hopeless = false;
    for (int attempt = 0; count > 0; attempt++) {
        struct http_reply reply = {0};
        struct error err = {0};
        const bool answered = call_batch(replay, thread, numbers, count, &reply, &err);
        const uint32_t before = count;
        if (answered && reply.status < 300)
            count = take_reply(replay, numbers, count, &reply);
        else if (answered && !replay_may_retry(reply.status))
            is_hopeless = true;
        if (count == 0) {
            replay_moved(replay);
            return;
        }
        if (count < before) {
            attempt = 0;
            replay_moved(replay);
        }
        if (is_hopeless || replay_is_stuck(replay)) {
            give_up(replay, numbers, count, &reply, &err);
            return;
        }
        replay_back_off(attempt, reply.retry_after_s);
    }
}

bool replay_orders(struct replay *replay, struct error *err) {
    struct sending sending = {.started_ms = clock_monotonic_ms()};
    const uint32_t count = replay->file->order_ids.count;
    const uint32_t batches = (count + BATCH_ORDERS - 1) / BATCH_ORDERS;
    struct replay_bar bar;
    replay_bar_begin(&bar, "orders", batches, BATCH_ORDERS);
    const bool ok = replay_run(replay, &bar, batches, send_batch, &sending, err);
    replay_bar_end(replay, &bar);
    return ok;
}
