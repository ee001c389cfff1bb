// SPDX-License-Identifier: Apache-2.0
//
// Sending. Threads take requests in the order in which they are due, each waits for its time and
// sends. With too few connections requests leave late; that is counted, and told.
#include "cli/bench.h"

#include "cli/replay.h"
#include "service/clock.h"

#include <assert.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

enum {
    CALL_MS = 30000,
    LEAD_US = 100000,
    PROGRESS_US = 1000000,
    LOOKS_PER_S = 100, // so many orders of each second are watched until they are visible
    PRICE_MINOR = 995,
    STOCK_SPARE = 1000,
};

int64_t bench_due_us(const struct bench_run *run, size_t number) {
    const size_t batch = run->plan.batch > 0 ? (size_t)run->plan.batch : 1;
    const size_t first = number / batch * batch;
    return run->begun_us + (int64_t)(first * UINT64_C(1000000) / (uint64_t)run->plan.rate);
}

// ---- products ----------------------------------------------------------------------------------

// A catalogue as if read from a file: its fingerprint makes this run's keys. Several times the
// stock that the orders need on average.
static bool make_catalogue(const struct bench_run *run, struct order_file *file) {
    const size_t skus = (size_t)run->plan.skus;
    file->skus = calloc(skus, sizeof(*file->skus));
    file->fingerprint = (uint64_t)clock_now_us();
    for (uint32_t i = 0; file->skus && i < skus; i++) {
        char code[BENCH_NAME_MAX];
        const size_t len = bench_sku_write(code, i);
        if (intern_add(&file->sku_codes, code, len) != i)
            return false;
        const size_t lines = run->count * BENCH_LINES_MAX * BENCH_QUANTITY_MAX / skus;
        file->skus[i] = (struct file_sku){.name = INTERN_NONE,
                                          .price_minor = PRICE_MINOR,
                                          .currency = "GBP",
                                          .quantity = (int64_t)lines + STOCK_SPARE};
    }
    return file->skus != NULL;
}

// ---- sending -----------------------------------------------------------------------------------

static void settle(struct bench_run *run, size_t number, enum bench_outcome outcome) {
    atomic_store(&run->sent[number].outcome, (int)outcome);
    (void)atomic_fetch_add(outcome == BENCH_ACCEPTED  ? &run->accepted
                           : outcome == BENCH_REFUSED ? &run->refused
                                                      : &run->unanswered,
                           1);
}

// The answer to one order, or one line of the answer to a batch.
static void take_answer(struct bench_run *run, size_t number, long status, const json_t *answer) {
    struct bench_sent *sent = &run->sent[number];
    const char *order_id = json_string_value(json_object_get(answer, "order_id"));
    const char *command_id = json_string_value(json_object_get(answer, "command_id"));
    sent->answered_us = clock_monotonic_us();
    if (status == 202 && order_id && command_id &&
        id_parse(order_id, strlen(order_id), &sent->order_id) &&
        id_parse(command_id, strlen(command_id), &sent->command_id)) {
        settle(run, number, BENCH_ACCEPTED);
        return;
    }
    char *text = json_dumps(answer, JSON_COMPACT);
    replay_note(run->replay, "an order was not accepted: %ld %.400s", status, text ? text : "");
    free(text);
    settle(run, number, status == 504 ? BENCH_UNANSWERED : BENCH_REFUSED);
}

static void send_one(struct bench_run *run, int thread, size_t number) {
    char key[BENCH_KEY_MAX];
    char body[BENCH_ORDER_MAX];
    (void)bench_key_write(key, run->tag, number);
    const struct http_call call = {
        .method = "POST",
        .path = "/v1/orders",
        .idempotency_key = key,
        .content_type = "application/json",
        .body = body,
        .body_len = bench_order_write(body, number, (int)run->plan.skus, NULL, NULL),
        .timeout_ms = CALL_MS};
    struct http_reply reply = {0};
    struct error err = {0};
    if (!http_client_call(run->replay->gateway[thread], &call, &reply, &err)) {
        replay_note(run->replay, "no answer: %s", err.msg);
        settle(run, number, BENCH_UNANSWERED);
        return;
    }
    json_t *answer = json_loadb(reply.body, reply.length, 0, NULL);
    take_answer(run, number, reply.status, answer);
    json_decref(answer);
}

// Lines of the answer name lines of the request, from 1 on.
static void take_lines(struct bench_run *run, size_t first, size_t count,
                       const struct http_reply *reply) {
    const char *end = reply->body + reply->length;
    for (const char *at = reply->body; at < end;) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        const char *line_end = newline ? newline : end;
        json_t *answer = json_loadb(at, (size_t)(line_end - at), 0, NULL);
        const json_int_t line = json_integer_value(json_object_get(answer, "line"));
        const long status = (long)json_integer_value(json_object_get(answer, "status"));
        if (line >= 1 && (size_t)line <= count &&
            atomic_load(&run->sent[first + (size_t)line - 1].outcome) == BENCH_UNSENT)
            take_answer(run, first + (size_t)line - 1, status, answer);
        json_decref(answer);
        at = line_end + 1;
    }
}

static void send_batch(struct bench_run *run, int thread, size_t first, size_t count, char *body) {
    size_t length = 0;
    for (size_t i = first; i < first + count; i++) {
        char key[BENCH_KEY_MAX];
        (void)bench_key_write(key, run->tag, i);
        length += bench_order_write(body + length, i, (int)run->plan.skus, key, NULL);
        body[length++] = '\n';
    }
    const struct http_call call = {.method = "POST",
                                   .path = "/v1/orders:batch",
                                   .content_type = "application/x-ndjson",
                                   .body = body,
                                   .body_len = length,
                                   .timeout_ms = CALL_MS};
    struct http_reply reply = {0};
    struct error err = {0};
    const bool answered = http_client_call(run->replay->gateway[thread], &call, &reply, &err);
    if (answered && reply.status < 300)
        take_lines(run, first, count, &reply);
    else
        replay_note(run->replay, "a batch was not accepted: %ld %.400s", reply.status,
                    answered ? reply.body : err.msg);
    for (size_t i = first; i < first + count; i++)
        if (atomic_load(&run->sent[i].outcome) == BENCH_UNSENT)
            settle(run, i, answered && reply.status >= 400 ? BENCH_REFUSED : BENCH_UNANSWERED);
}

struct sender {
    struct bench_run *run;
    int number;
    char *body; // owned: room for a batch
    pthread_t thread;
};

static bool take_request(struct bench_run *run, size_t *ret_first, size_t *ret_count) {
    const size_t batch = run->plan.batch > 0 ? (size_t)run->plan.batch : 1;
    (void)pthread_mutex_lock(&run->replay->lock);
    *ret_first = run->next;
    *ret_count = run->count - run->next < batch ? run->count - run->next : batch;
    run->next += *ret_count;
    (void)pthread_mutex_unlock(&run->replay->lock);
    return *ret_count > 0;
}

static void *send_orders(void *opaque) {
    const struct sender *sender = opaque;
    struct bench_run *run = sender->run;
    size_t first, count;
    while (take_request(run, &first, &count)) {
        bench_wait_until(bench_due_us(run, first));
        const int64_t now_us = clock_monotonic_us();
        for (size_t i = first; i < first + count; i++)
            run->sent[i].sent_us = now_us;
        if (run->plan.batch > 0)
            send_batch(run, sender->number, first, count, sender->body);
        else
            send_one(run, sender->number, first);
    }
    return NULL;
}

static void tell_progress(const struct bench_run *run) {
    const size_t settled = run->accepted + run->refused + run->unanswered;
    (void)fprintf(stderr, "%3lld s: %zu of %zu answered, %zu refused, %zu unanswered\n",
                  (long long)((clock_monotonic_us() - run->begun_us) / 1000000), settled,
                  run->count, (size_t)run->refused, (size_t)run->unanswered);
}

static bool send_all(struct bench_run *run, struct error *err) {
    struct sender senders[REPLAY_THREADS_MAX] = {0};
    int started = 0;
    bool good = true;
    for (; good && started < run->plan.connections; started++) {
        struct sender *sender = &senders[started];
        *sender = (struct sender){.run = run, .number = started};
        sender->body = malloc((size_t)run->plan.batch * (BENCH_ORDER_MAX + 1) + 1);
        good = sender->body && pthread_create(&sender->thread, NULL, send_orders, sender) == 0;
        if (!good) {
            free(sender->body);
            break;
        }
    }
    while (good && run->accepted + run->refused + run->unanswered < run->count) {
        bench_wait_until(clock_monotonic_us() + PROGRESS_US);
        tell_progress(run);
    }
    for (int i = 0; i < started; i++) {
        (void)pthread_join(senders[i].thread, NULL);
        free(senders[i].body);
    }
    return good || error_set(err, DISP_FATAL, 0, "no memory or no thread for a connection");
}

// ---- the whole ---------------------------------------------------------------------------------

bool bench_run(const struct bench_plan *plan, struct bench_run *ret, struct error *err) {
    *ret = (struct bench_run){.plan = *plan, .count = (size_t)(plan->rate * plan->seconds)};
    assert(plan->skus >= BENCH_LINES_MAX && ret->count > 0);
    ret->looked_step = (size_t)(plan->rate > LOOKS_PER_S ? plan->rate / LOOKS_PER_S : 1);
    ret->replay = calloc(1, sizeof(*ret->replay));
    ret->sent = calloc(ret->count, sizeof(*ret->sent));
    ret->visible_us = calloc(ret->count / ret->looked_step + 1, sizeof(*ret->visible_us));
    struct order_file file = {0};
    if (!ret->replay || !ret->sent || !ret->visible_us || !make_catalogue(ret, &file)) {
        order_file_done(&file);
        return error_set(err, DISP_FATAL, 0, "out of memory");
    }
    *ret->replay = (struct replay){.file = &file,
                                   .gateway_url = plan->gateway_url,
                                   .query_url = plan->query_url,
                                   .token = plan->token,
                                   .threads = (int)plan->connections,
                                   .stock = -1,
                                   .patience_ms = plan->wait_s * 1000};
    (void)snprintf(ret->tag, sizeof(ret->tag), "bench-%" PRIx64, file.fingerprint);
    bool good = replay_init(ret->replay, err) && replay_stock(ret->replay, err);
    if (good && ret->replay->counts.refused > 0)
        good = error_set(err, DISP_FATAL, 0, "no products, no bench: %s", ret->replay->first_error);
    ret->begun_us = clock_monotonic_us() + LEAD_US;
    struct bench_looking *looking = good ? bench_look_begin(ret) : NULL;
    if (good && !looking)
        good = error_set(err, DISP_FATAL, 0, "no memory or no thread");
    good = good && send_all(ret, err);
    if (looking)
        bench_look_end(looking);
    good = good && bench_read_back(ret, err);
    order_file_done(&file);
    ret->replay->file = NULL;
    return good;
}

void bench_run_done(struct bench_run *run) {
    if (run->replay)
        replay_done(run->replay);
    free(run->replay);
    free(run->sent);
    free(run->visible_us);
}
