// SPDX-License-Identifier: Apache-2.0
//
// Products and stock before orders: one SET and as many receipts as the quantity needs (a receipt
// has an upper bound), each with a key made from the file, so that a second replay of the same file
// adds nothing.
#include "cli/replay.h"
#include "service/jsonout.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RECEIPT_QUANTITY_MAX = 1000000, CALL_MS = 15000, WAIT_S = 5 };

struct sku_work {
    struct id last_command; // of this SKU: known means that all of it is known
    struct id product_command;
    bool sent;
};

// Sends until it is settled or patience ends. True with the command's id when accepted.
static bool send_command(struct replay *replay, int thread, const struct http_call *call,
                         struct id *ret_command_id) {
    for (int attempt = 0;; attempt++) {
        struct http_reply reply = {0};
        struct error err = {0};
        const bool answered = http_client_call(replay->gateway[thread], call, &reply, &err);
        if (answered && reply.status == 202) {
            json_t *json = json_loadb(reply.body, reply.length, 0, NULL);
            const char *id = json_string_value(json_object_get(json, "command_id"));
            const bool ok = id && id_parse(id, strlen(id), ret_command_id);
            json_decref(json);
            replay_moved(replay);
            if (!ok)
                replay_note(replay, "%s %s: no command_id in the answer", call->method, call->path);
            return ok;
        }
        if ((answered && !replay_may_retry(reply.status)) || replay_is_stuck(replay)) {
            replay_note(replay, "%s %s: %ld %.300s", call->method, call->path, reply.status,
                        answered ? reply.body : err.msg);
            return false;
        }
        replay_back_off(attempt, reply.retry_after_s);
    }
}

static bool set_product(struct replay *replay, int thread, uint32_t number, struct id *ret) {
    const struct order_file *file = replay->file;
    const struct file_sku *sku = &file->skus[number];
    size_t code_len = 0;
    const char *code = intern_bytes(&file->sku_codes, number, &code_len);
    char escaped[3 * 64 + 1];
    char path[256];
    char key[128];
    (void)snprintf(path, sizeof(path), "/v1/products/%s",
                   http_client_escape(code, code_len, escaped));
    (void)snprintf(key, sizeof(key), "replay-%016" PRIx64 "-product-%u", file->fingerprint, number);

    struct jsonout out;
    jsonout_init(&out);
    jsonout_object_begin(&out, NULL);
    jsonout_string(&out, "name",
                   sku->name == INTERN_NONE ? code : intern_bytes(&file->names, sku->name, NULL));
    jsonout_int(&out, "price_minor", sku->price_minor);
    jsonout_string(&out, "currency", sku->currency);
    jsonout_object_end(&out);
    size_t length = 0;
    char *body = jsonout_take(&out, &length);
    const struct http_call call = {.method = "PUT",
                                   .path = path,
                                   .idempotency_key = key,
                                   .content_type = "application/json",
                                   .body = body,
                                   .body_len = length,
                                   .timeout_ms = CALL_MS};
    const bool ok = body && send_command(replay, thread, &call, ret);
    free(body);
    return ok;
}

static bool receive(struct replay *replay, int thread, uint32_t number, int64_t quantity,
                    uint32_t receipt, struct id *ret) {
    const struct order_file *file = replay->file;
    size_t code_len = 0;
    const char *code = intern_bytes(&file->sku_codes, number, &code_len);
    char escaped[3 * 64 + 1];
    char path[256];
    char key[128];
    char body[64];
    (void)snprintf(path, sizeof(path), "/v1/inventory/%s/receive",
                   http_client_escape(code, code_len, escaped));
    (void)snprintf(key, sizeof(key), "replay-%016" PRIx64 "-stock-%" PRId64 "-%u-%u",
                   file->fingerprint, replay->stock, number, receipt);
    (void)snprintf(body, sizeof(body), "{\"quantity\":%" PRId64 "}", quantity);
    const struct http_call call = {.method = "POST",
                                   .path = path,
                                   .idempotency_key = key,
                                   .content_type = "application/json",
                                   .body = body,
                                   .body_len = strlen(body),
                                   .timeout_ms = CALL_MS};
    return send_command(replay, thread, &call, ret);
}

static void stock_sku(struct replay *replay, int thread, uint32_t number, void *state) {
    struct sku_work *work = &((struct sku_work *)state)[number];
    work->sent = set_product(replay, thread, number, &work->product_command);
    work->last_command = work->product_command;

    int64_t quantity = replay->stock < 0 ? replay->file->skus[number].quantity : replay->stock;
    for (uint32_t receipt = 0; quantity > 0 && work->sent; receipt++) {
        const int64_t part = quantity < RECEIPT_QUANTITY_MAX ? quantity : RECEIPT_QUANTITY_MAX;
        work->sent = receive(replay, thread, number, part, receipt, &work->last_command);
        quantity -= part;
    }
    if (!work->sent)
        (void)atomic_fetch_add(&replay->counts.refused, 1);
}

// Waits for the outcome of a command. True: applied.
static bool await_command(struct replay *replay, int thread, const struct id *command_id) {
    const struct id_text text = id_text(command_id);
    char path[160];
    (void)snprintf(path, sizeof(path), "/v1/commands/%s?after=%s&wait=%ds", text.text, text.text,
                   WAIT_S);
    const struct http_call call = {
        .method = "GET", .path = path, .timeout_ms = WAIT_S * 1000 + CALL_MS};
    for (int attempt = 0;; attempt++) {
        struct http_reply reply = {0};
        struct error err = {0};
        const bool answered = http_client_call(replay->query[thread], &call, &reply, &err);
        if (answered && reply.status == 200) {
            json_t *json = json_loadb(reply.body, reply.length, 0, NULL);
            const char *outcome = json_string_value(json_object_get(json, "outcome"));
            const bool applied = outcome && strcmp(outcome, "applied") == 0;
            json_decref(json);
            replay_moved(replay);
            if (!applied)
                replay_note(replay, "command %s: %.300s", text.text, reply.body);
            return applied;
        }
        const bool may_retry = !answered || reply.status == 404 || replay_may_retry(reply.status);
        if (!may_retry || replay_is_stuck(replay)) {
            replay_note(replay, "the outcome of command %s is not known: %ld %.300s", text.text,
                        reply.status, answered ? reply.body : err.msg);
            return false;
        }
        replay_back_off(attempt, reply.retry_after_s);
    }
}

static void await_sku(struct replay *replay, int thread, uint32_t number, void *state) {
    const struct sku_work *work = &((struct sku_work *)state)[number];
    if (!work->sent)
        return;
    const bool has_receipt = !id_equal(&work->last_command, &work->product_command);
    if (!await_command(replay, thread, &work->product_command) ||
        (has_receipt && !await_command(replay, thread, &work->last_command))) {
        (void)atomic_fetch_add(&replay->counts.refused, 1);
        return;
    }
    (void)atomic_fetch_add(&replay->counts.products, 1);
    if (has_receipt)
        (void)atomic_fetch_add(&replay->counts.receipts, 1);
}

bool replay_stock(struct replay *replay, struct error *err) {
    const uint32_t count = replay->file->sku_codes.count;
    struct sku_work *work = calloc(count + 1, sizeof(*work));
    if (!work)
        return error_set(err, DISP_FATAL, 0, "out of memory");
    struct replay_bar bar;
    replay_bar_begin(&bar, "products and stock", count, 1);
    bool ok = replay_run(replay, &bar, count, stock_sku, work, err);
    replay_bar_end(replay, &bar);
    if (ok) {
        replay_bar_begin(&bar, "their outcomes", count, 1);
        ok = replay_run(replay, &bar, count, await_sku, work, err);
        replay_bar_end(replay, &bar);
    }
    free(work);
    return ok;
}
