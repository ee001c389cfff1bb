// SPDX-License-Identifier: Apache-2.0
//
// As many orders as the system takes, in batches over HTTP, counted at the end of the pipe: how
// many more PostgreSQL shows as COMPLETED at the end of a time than at its beginning, while the
// pipe is full at both. No more are sent than come out, within a window.
#include "bench_load.h"
#include "cli/http_client.h"
#include "service/clock.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    CALL_MS = 60000,
    PATIENCE_US = 120000000,
    ASK_US = 100000,
    ROOM_PAUSE_US = 20000,
    CONNECTIONS_MAX = 16
};

struct load {
    const struct bench_options *options;
    _Atomic uint64_t next_number;
    _Atomic uint64_t accepted;
    _Atomic uint64_t resent; // batches of which not every line was accepted at first
    _Atomic bool stop;
    uint64_t numbers_max; // no batch begins at or behind this number
    int64_t began_us;
};

struct batch {
    char *body; // owned
    size_t len;
    size_t *keys; // owned: where each line's key stands
};

// Made once: only the keys change from one batch to the next.
static void batch_make(struct batch *batch, const struct bench_options *options, unsigned thread) {
    const size_t count = (size_t)options->batch;
    batch->body = malloc(count * (BENCH_ORDER_MAX + 1));
    batch->keys = malloc(count * sizeof(*batch->keys));
    if (!batch->body || !batch->keys)
        bench_die("out of memory");
    char key[BENCH_KEY_MAX];
    bench_key_write(key, options->tag, 0);
    batch->len = 0;
    for (size_t i = 0; i < count; i++) {
        size_t key_at = 0;
        const size_t len = bench_order_write(batch->body + batch->len, thread * count + i,
                                             options->skus, key, &key_at);
        batch->keys[i] = batch->len + key_at;
        batch->len += len;
        batch->body[batch->len++] = '\n';
    }
}

static uint64_t count_accepted(const struct http_reply *reply) {
    static const char accepted[] = "\"status\":202";
    uint64_t count = 0;
    for (const char *at = reply->body; (at = strstr(at, accepted)); at += sizeof(accepted) - 1)
        count++;
    return count;
}

// Sends until every line is accepted: the same keys cannot place an order twice.
static void send_batch(struct load *load, struct http_client *client, const struct batch *batch) {
    const struct http_call call = {.method = "POST",
                                   .path = "/v1/orders:batch",
                                   .content_type = "application/x-ndjson",
                                   .body = batch->body,
                                   .body_len = batch->len,
                                   .timeout_ms = CALL_MS};
    const int64_t deadline_us = clock_monotonic_us() + PATIENCE_US;
    for (;;) {
        struct http_reply reply = {0};
        struct error err = {0};
        const bool answered = http_client_call(client, &call, &reply, &err);
        if (answered && reply.status < 300 &&
            count_accepted(&reply) == (uint64_t)load->options->batch)
            return;
        if (clock_monotonic_us() > deadline_us)
            bench_die("a batch was not accepted: status %ld, %.600s", reply.status,
                      answered ? reply.body : err.msg);
        (void)atomic_fetch_add(&load->resent, 1);
        bench_wait_until(clock_monotonic_us() + 200000);
    }
}

// A batch that is on its way: its last order, and when it was sent.
struct sent_batch {
    struct id last;
    int64_t at_us;
};

struct sender {
    struct load *load;
    struct http_client *client;
    PGconn *db;
    struct batch batch;
    struct sent_batch *sent; // owned: the latest batches, a ring
    size_t ring;             // batches that this sender may have on their way
    size_t batches;
    size_t through;     // of them, the oldest first
    int64_t through_us; // what the last ones took to get through; 0: none has yet
    pthread_t thread;
};

static bool is_through(const struct sender *sender, const struct sent_batch *sent) {
    const struct id_text text = id_text(&sent->last);
    const char *const values[] = {text.text};
    PGresult *result = PQexecParams(
        sender->db, "SELECT 1 FROM orders WHERE order_id = $1 AND status = 'COMPLETED'", 1, NULL,
        values, NULL, NULL, 0);
    if (PQresultStatus(result) != PGRES_TUPLES_OK)
        bench_die("PostgreSQL: %s", PQerrorMessage(sender->db));
    const bool found = PQntuples(result) == 1;
    PQclear(result);
    return found;
}

static void look_what_is_through(struct sender *sender) {
    while (sender->through < sender->batches) {
        const struct sent_batch *oldest = &sender->sent[sender->through % sender->ring];
        if (!is_through(sender, oldest))
            return;
        const int64_t took_us = clock_monotonic_us() - oldest->at_us;
        sender->through_us = sender->through_us ? (sender->through_us + took_us) / 2 : took_us;
        sender->through++;
    }
}

static void await_room(struct sender *sender) {
    const int64_t deadline_us = clock_monotonic_us() + PATIENCE_US;
    look_what_is_through(sender);
    while (sender->batches - sender->through == sender->ring) {
        if (clock_monotonic_us() > deadline_us)
            bench_die("no order is completed for %d s", PATIENCE_US / 1000000);
        bench_wait_until(clock_monotonic_us() + ROOM_PAUSE_US);
        look_what_is_through(sender);
    }
}

// Orders come evenly: what one batch of the projector completes is not to be a burst of new ones,
// which would pass the processors as a wave. A window of batches is spread over the time in which
// it gets through, less a quarter so that the window stays full (as TCP paces: RFC 9002, 7.7).
static void await_turn(const struct sender *sender) {
    if (sender->through_us > 0 && sender->load->options->paced == 0)
        bench_wait_until(sender->sent[(sender->batches - 1) % sender->ring].at_us +
                         sender->through_us * 3 / 4 / (int64_t)sender->ring);
}

static void *send_batches(void *opaque) {
    struct sender *sender = opaque;
    struct load *load = sender->load;
    const uint64_t count = (uint64_t)load->options->batch;
    for (;;) {
        await_room(sender);
        await_turn(sender);
        if (atomic_load(&load->stop))
            return NULL;
        const uint64_t first = atomic_fetch_add(&load->next_number, count);
        if (first >= load->numbers_max)
            return NULL;
        if (load->options->paced > 0)
            bench_wait_until(load->began_us +
                             (int64_t)(first * 1000000 / (uint64_t)load->options->paced));
        struct sent_batch *sent = &sender->sent[sender->batches % sender->ring];
        sent->at_us = clock_monotonic_us();
        for (uint64_t i = 0; i < count; i++) {
            char key[BENCH_KEY_MAX];
            const size_t len = bench_key_write(key, load->options->tag, first + i);
            memcpy(sender->batch.body + sender->batch.keys[i], key, len);
        }
        send_batch(load, sender->client, &sender->batch);
        (void)atomic_fetch_add(&load->accepted, count);
        char last[BENCH_KEY_MAX];
        (void)bench_key_write(last, load->options->tag, first + count - 1);
        sent->last = bench_order_id(last);
        sender->batches++;
    }
}

static void start_sending(struct load *load, struct sender *senders) {
    load->began_us = clock_monotonic_us();
    for (int i = 0; i < load->options->connections; i++)
        if (pthread_create(&senders[i].thread, NULL, send_batches, &senders[i]) != 0)
            bench_die("no thread");
}

static void join_senders(struct load *load, struct sender *senders) {
    for (int i = 0; i < load->options->connections; i++)
        (void)pthread_join(senders[i].thread, NULL);
}

static int64_t ask(PGconn *db, const char *sql) {
    PGresult *result = PQexec(db, sql);
    if (PQresultStatus(result) != PGRES_TUPLES_OK)
        bench_die("%s: %s", sql, PQerrorMessage(db));
    const int64_t number = atoll(PQgetvalue(result, 0, 0));
    PQclear(result);
    return number;
}

struct moment {
    int64_t at_us;
    int64_t completed;
    uint64_t accepted;
};

static struct moment look(PGconn *db, struct load *load) {
    const int64_t completed = ask(db, "SELECT count(*) FROM orders WHERE status = 'COMPLETED'");
    return (struct moment){clock_monotonic_us(), completed, load->accepted};
}

// Until all that were accepted are in PostgreSQL and none is on its way; the whole is counted only
// then, so that asking costs little. False: they did not all come, or not all to a good end.
static bool await_completed(PGconn *db, int64_t expected) {
    const int64_t deadline_us = clock_monotonic_us() + PATIENCE_US;
    for (;;) {
        const int64_t open_count =
            ask(db, "SELECT count(*) FROM orders WHERE shop_id = 'main' AND stage = 'OPEN'");
        if (open_count == 0 && ask(db, "SELECT count(*) FROM orders") >= expected)
            break;
        if (clock_monotonic_us() > deadline_us) {
            (void)fprintf(stderr,
                          "bench_load: %" PRId64 " orders are visible of %" PRId64 ", %" PRId64
                          " of them still open\n",
                          ask(db, "SELECT count(*) FROM orders"), expected, open_count);
            return false;
        }
        bench_wait_until(clock_monotonic_us() + ASK_US);
    }
    return ask(db, "SELECT count(*) FROM orders WHERE status = 'COMPLETED'") == expected;
}

// window: orders that are accepted and not yet completed, at most.
static void senders_open(struct sender senders[CONNECTIONS_MAX], struct load *load, int window) {
    const struct bench_options *options = load->options;
    if (options->connections < 1 || options->connections > CONNECTIONS_MAX || options->batch < 1)
        bench_die("connections must be 1 to %d, batch at least 1", CONNECTIONS_MAX);
    for (int i = 0; i < options->connections; i++) {
        senders[i].load = load;
        senders[i].client = http_client_new(options->gateway, options->token);
        senders[i].db = bench_connect(options);
        senders[i].ring = (size_t)(window / options->connections / options->batch);
        senders[i].ring += senders[i].ring == 0;
        senders[i].sent = calloc(senders[i].ring, sizeof(*senders[i].sent));
        if (!senders[i].sent)
            bench_die("out of memory");
        batch_make(&senders[i].batch, options, (unsigned)i);
    }
}

static void senders_close(struct sender senders[CONNECTIONS_MAX], int count) {
    for (int i = 0; i < count; i++) {
        http_client_free(senders[i].client);
        PQfinish(senders[i].db);
        free(senders[i].sent);
        free(senders[i].batch.body);
        free(senders[i].batch.keys);
    }
}

bool bench_place(const struct bench_options *options) {
    struct load load = {.options = options, .numbers_max = (uint64_t)options->orders};
    struct sender senders[CONNECTIONS_MAX] = {0};
    senders_open(senders, &load, options->connections * (options->orders + options->batch));
    start_sending(&load, senders);
    join_senders(&load, senders);
    senders_close(senders, options->connections);
    printf("{\"orders\":%" PRIu64 "}\n", (uint64_t)load.accepted);
    return load.accepted >= (uint64_t)options->orders;
}

bool bench_throughput(const struct bench_options *options) {
    struct load load = {.options = options, .numbers_max = UINT64_MAX};
    struct sender senders[CONNECTIONS_MAX] = {0};
    senders_open(senders, &load, options->window);
    PGconn *db = bench_connect(options);
    const int64_t before = ask(db, "SELECT count(*) FROM orders");

    start_sending(&load, senders);
    bench_wait_until(clock_monotonic_us() + (int64_t)options->warmup_seconds * 1000000);
    const struct moment begin = look(db, &load);
    bench_phase("begin");
    bench_wait_until(begin.at_us + (int64_t)options->seconds * 1000000);
    const struct moment end = look(db, &load);
    bench_phase("end");
    atomic_store(&load.stop, true);
    join_senders(&load, senders);
    const bool good = await_completed(db, before + (int64_t)load.accepted);

    const double seconds = (double)(end.at_us - begin.at_us) / 1e6;
    printf("{\"orders\":%" PRId64 ",\"orders_all\":%" PRIu64 ",\"resent_batches\":%" PRIu64
           ",\"seconds\":%.3f,\"accepted_per_s\":%.0f,\"completed_per_s\":%.0f,\"good\":%s}\n",
           end.completed - begin.completed, (uint64_t)load.accepted, (uint64_t)load.resent, seconds,
           (double)(end.accepted - begin.accepted) / seconds,
           (double)(end.completed - begin.completed) / seconds, good ? "true" : "false");
    PQfinish(db);
    senders_close(senders, options->connections);
    return good;
}
