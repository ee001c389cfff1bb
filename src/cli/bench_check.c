// SPDX-License-Identifier: Apache-2.0
//
// Reading back: while the load runs, when an order is visible to whoever placed it; after it,
// whether every accepted order is there with the content that was sent.
#include "cli/bench.h"

#include "cli/replay.h"
#include "service/clock.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

enum { CALL_MS = 15000, WAIT_S = 5, SETTLE_POLL_US = 1000 };

// The answer when it is there, else NULL; owned by the caller. waits: until it is visible.
static json_t *ask_once(struct bench_run *run, int thread, size_t number, bool waits) {
    const struct bench_sent *sent = &run->sent[number];
    const struct id_text order = id_text(&sent->order_id);
    const struct id_text command = id_text(&sent->command_id);
    char path[192];
    if (waits)
        (void)snprintf(path, sizeof(path), "/v1/orders/%s?after=%s&wait=%ds", order.text,
                       command.text, WAIT_S);
    else
        (void)snprintf(path, sizeof(path), "/v1/orders/%s", order.text);
    const struct http_call call = {.method = "GET", .path = path, .timeout_ms = CALL_MS};
    struct http_reply reply = {0};
    struct error err = {0};
    if (!http_client_call(run->replay->query[thread], &call, &reply, &err)) {
        replay_note(run->replay, "no answer to GET %s: %s", path, err.msg);
        return NULL;
    }
    if (reply.status != 200) {
        if (reply.status != 404 && !replay_may_retry(reply.status))
            replay_note(run->replay, "GET %s: %ld %.300s", path, reply.status, reply.body);
        return NULL;
    }
    return json_loadb(reply.body, reply.length, 0, NULL);
}

// Until it is there or patience ends.
static json_t *ask(struct bench_run *run, int thread, size_t number, bool waits) {
    const int64_t until_us = clock_monotonic_us() + run->plan.wait_s * 1000000;
    for (int attempt = 0;; attempt++) {
        json_t *found = ask_once(run, thread, number, waits);
        if (found || clock_monotonic_us() >= until_us)
            return found;
        waits = true;
        if (attempt > 0)
            replay_back_off(attempt, 0);
    }
}

// ---- visible -----------------------------------------------------------------------------------

struct looker {
    struct bench_run *run;
    int number;
    pthread_t thread;
};

struct bench_looking {
    int count;
    struct looker lookers[REPLAY_THREADS_MAX];
};

// In the order in which they are due: whoever waits for the next one to be answered is not late.
static void *look(void *opaque) {
    const struct looker *looker = opaque;
    struct bench_run *run = looker->run;
    for (size_t place;
         (place = atomic_fetch_add(&run->look_next, 1)) * run->looked_step < run->count;) {
        const size_t number = place * run->looked_step;
        const struct bench_sent *sent = &run->sent[number];
        bench_wait_until(bench_due_us(run, number));
        while (atomic_load(&sent->outcome) == BENCH_UNSENT) {
            if (atomic_load(&run->stopped))
                return NULL;
            bench_wait_until(clock_monotonic_us() + SETTLE_POLL_US);
        }
        if (atomic_load(&sent->outcome) != BENCH_ACCEPTED)
            continue;
        json_t *found = ask(run, looker->number, number, true);
        if (found)
            run->visible_us[place] = clock_monotonic_us();
        json_decref(found);
    }
    return NULL;
}

struct bench_looking *bench_look_begin(struct bench_run *run) {
    struct bench_looking *looking = calloc(1, sizeof(*looking));
    for (int i = 0; looking && i < run->plan.connections; i++) {
        looking->lookers[i] = (struct looker){.run = run, .number = i};
        if (pthread_create(&looking->lookers[i].thread, NULL, look, &looking->lookers[i]) != 0)
            break;
        looking->count++;
    }
    if (looking && looking->count == 0) {
        free(looking);
        looking = NULL;
    }
    return looking;
}

void bench_look_end(struct bench_looking *looking) {
    atomic_store(&looking->lookers[0].run->stopped, true);
    for (int i = 0; i < looking->count; i++)
        (void)pthread_join(looking->lookers[i].thread, NULL);
    free(looking);
}

// ---- read back ---------------------------------------------------------------------------------

static bool is_text(const json_t *object, const char *name, const char *text) {
    const char *value = json_string_value(json_object_get(object, name));
    return value && strcmp(value, text) == 0;
}

static bool is_as_sent(const struct bench_run *run, size_t number, const json_t *found) {
    struct bench_order order;
    char name[BENCH_NAME_MAX];
    bench_order_draw(number, (int)run->plan.skus, &order);
    (void)bench_customer_write(name, order.customer);
    const json_t *lines = json_object_get(found, "lines");
    if (!is_text(found, "customer_id", name) || json_array_size(lines) != order.lines_count)
        return false;
    for (uint32_t i = 0; i < order.lines_count; i++) {
        const json_t *line = json_array_get(lines, i);
        (void)bench_sku_write(name, order.lines[i].sku);
        if (!is_text(line, "sku", name) ||
            json_integer_value(json_object_get(line, "quantity")) != order.lines[i].quantity)
            return false;
    }
    return true;
}

static void check_one(struct replay *replay, int thread, uint32_t item, void *state) {
    struct bench_run *run = state;
    const size_t number = item;
    if (atomic_load(&run->sent[number].outcome) != BENCH_ACCEPTED)
        return;
    json_t *found = ask(run, thread, number, false);
    const struct id_text id = id_text(&run->sent[number].order_id);
    if (!found) {
        (void)atomic_fetch_add(&run->missing, 1);
        replay_note(replay, "order %s was accepted and is not there", id.text);
    } else if (!is_as_sent(run, number, found)) {
        char *text = json_dumps(found, JSON_COMPACT);
        (void)atomic_fetch_add(&run->different, 1);
        replay_note(replay, "order %s is not what was sent: %.400s", id.text, text ? text : "");
        free(text);
    } else {
        (void)atomic_fetch_add(&run->found, 1);
    }
    json_decref(found);
}

bool bench_read_back(struct bench_run *run, struct error *err) {
    struct replay_bar bar;
    replay_bar_begin(&bar, "reading back", (uint32_t)run->count, 1);
    const bool good = replay_run(run->replay, &bar, (uint32_t)run->count, check_one, run, err);
    replay_bar_end(run->replay, &bar);
    return good;
}
