// SPDX-License-Identifier: Apache-2.0
//
// A query service in this process over a real PostgreSQL whose read models are fed without Kafka,
// and reading from it over HTTP.
#ifndef ORDERLOG_TESTS_QUERY_FIXTURE_H
#define ORDERLOG_TESTS_QUERY_FIXTURE_H

#include <curl/curl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>

#include "event/types.h"
#include "http/query.h"
#include "http/server.h"
#include "service/clock.h"
#include "service/config.h"
#include "store/projection.h"
#include "store_fixture.h"

enum { ORDERS = 60 };

static struct config config;
static struct query *query;
static struct db *db;
static struct projection_set *set;
static int64_t log_end;

// "ol_main_x" is a key of the shop main with all rights, "ol_other_x" of another one; "ol_till_x"
// may only place orders for main, "ol_shelf_x" only read its stock.
static const struct {
    const char *id;
    const char *shop;
    int scopes;
    const char *customer;
} keys[] = {
    {"main", "main", SCOPE_ALL, ""},          {"other", "other", SCOPE_ALL, ""},
    {"till", "main", SCOPE_ORDERS_WRITE, ""}, {"shelf", "main", SCOPE_INVENTORY_READ, ""},
    {"odd", "main", SCOPE_ALL, "odd"}, // customers: their orders are those with odd numbers
    {"even", "main", SCOPE_ALL, "even"},      {"otherodd", "other", SCOPE_ALL, "odd"},
};

static inline bool check(void *state, const char *id, size_t id_length, const char *secret,
                         size_t secret_length, struct http_caller *ret) {
    (void)state;
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        if (secret_length != 1 || *secret != 'x' || strlen(keys[i].id) != id_length ||
            memcmp(keys[i].id, id, id_length) != 0)
            continue;
        *ret = (struct http_caller){.scopes = keys[i].scopes};
        snprintf(ret->customer_id, sizeof(ret->customer_id), "%s", keys[i].customer);
        snprintf(ret->shop_id, sizeof(ret->shop_id), "%s", keys[i].shop);
        return true;
    }
    return false;
}

static atomic_bool keys_are_revoked;

static inline bool holds(void *state, const struct http_caller *caller) {
    (void)state;
    (void)caller;
    return !atomic_load(&keys_are_revoked);
}

static inline void start_query(void) {
    struct error err;
    if (!query_start(&config, (struct http_access){.check = check, .holds = holds}, NULL, &query,
                     &err))
        fixture_fail("starting", &err);
}

static inline int open_all(void **state) {
    struct error err;
    enum config_action action;
    int arguments;
    static char dsn[FIXTURE_DSN_MAX + 32];
    if (fixture_create(state) != 0)
        return -1;
    snprintf(dsn, sizeof(dsn), "--postgres.conninfo=%s", fixture_dsn);
    char *argv[] = {dsn,
                    "--query.port=0",
                    "--query.threads=2",
                    "--http.connections.per-ip.max=16384",
                    "--query.streams.max=5000",
                    "--query.stream.heartbeat.ms=1000",
                    "--query.stream.stall.ms.max=1000",
                    NULL};
    const struct config_command command = {.usage = "test", .about = "test", .role = ROLE_QUERY};
    if (!config_load(&command, 7, argv, NULL, &config, &arguments, &action, &err))
        fixture_fail("configuration", &err);
    start_query();
    db = fixture_connect();
    set = projection_set_new("orders.events", projection_files, projection_files_count, NULL, &err);
    return 0;
}

static inline int close_all(void **state) {
    query_stop(query);
    projection_set_free(set);
    db_free(db);
    config_free(&config);
    return fixture_drop(state);
}

// Applies events to the read models in mask, as if they were the log's next records.
static inline void feed(uint32_t mask, const struct projection_record *records, size_t count) {
    struct projection_position positions[PROJECTIONS_MAX];
    struct projection_move moves[PROJECTIONS_MAX];
    struct error err;
    int32_t partition = 0;
    size_t moves_count = 0;
    if (!projection_positions_load(db, set, "topic", &partition, 1, positions, &err))
        fixture_fail("positions", &err);
    for (size_t i = 0; i < projection_set_count(set); i++)
        if (mask & 1u << i)
            moves[moves_count++] = (struct projection_move){
                (uint32_t)i, 0, positions[i].next_offset, records[count - 1].offset + 1};
    const struct projection_batch batch = {.mask = mask,
                                           .records = records,
                                           .records_count = count,
                                           .moves = moves,
                                           .moves_count = moves_count};
    if (!projection_set_apply(set, db, &batch, NULL, &err))
        fixture_fail("apply", &err);
}

static inline uint32_t every_model(void) {
    return (1u << projection_set_count(set)) - 1;
}

static inline uint32_t only_model(const char *name) {
    for (uint32_t i = 0; i < projection_set_count(set); i++)
        if (strcmp(projection_set_name(set, i), name) == 0)
            return 1u << i;
    abort();
}

static inline int begin(void **state) {
    (void)state;
    static struct order_placed placed[ORDERS];
    static struct projection_record records[ORDERS];
    fixture_exec(db, "TRUNCATE orders, order_counts, customer_counts, order_line_sets, "
                     "order_timeline_parts, order_timeline_news, "
                     "order_commands, "
                     "stock_commands, inventory, projection_offsets");
    for (uint64_t n = 0; n < ORDERS; n++) {
        placed[n] = fixture_placed(n);
        placed[n].occurred_at -= (int64_t)(n % 4) * 1000000; // several at one time
        records[n] = (struct projection_record){RECORD_ORDER_PLACED, &placed[n], 0, (int64_t)n};
    }
    feed(every_model(), records, ORDERS);
    log_end = ORDERS;
    return 0;
}

struct reply {
    long status;
    char body[65536];
    size_t length;
    char headers[4096];
    size_t headers_length;
};

static inline size_t take_body(char *bytes, size_t size, size_t count, void *arg) {
    struct reply *reply = arg;
    assert_true(reply->length + size * count < sizeof(reply->body));
    memcpy(reply->body + reply->length, bytes, size * count);
    reply->length += size * count;
    reply->body[reply->length] = '\0';
    return size * count;
}

static inline size_t take_header(char *bytes, size_t size, size_t count, void *arg) {
    struct reply *reply = arg;
    assert_true(reply->headers_length + size * count < sizeof(reply->headers));
    memcpy(reply->headers + reply->headers_length, bytes, size * count);
    reply->headers_length += size * count;
    reply->headers[reply->headers_length] = '\0';
    return size * count;
}

static inline void get(const char *key, const char *path, const char *header, struct reply *ret) {
    char url[512], authorization[128];
    *ret = (struct reply){0};
    snprintf(url, sizeof(url), "http://127.0.0.1:%d%s", query_port(query), path);
    snprintf(authorization, sizeof(authorization), "Authorization: Bearer %s", key);
    CURL *curl = curl_easy_init();
    struct curl_slist *headers = curl_slist_append(NULL, authorization);
    if (header)
        headers = curl_slist_append(headers, header);
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, ret);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, take_header);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, ret);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, 20000L);
    CURLcode code = curl_easy_perform(curl);
    if (code)
        fixture_fail(curl_easy_strerror(code), &(struct error){.msg = "GET"});
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &ret->status);
    curl_slist_free_all(headers);
    curl_easy_cleanup(curl);
}

static inline const char *order_path(uint64_t n, const char *rest) {
    static char path[256];
    struct id id = fixture_order_id(n);
    snprintf(path, sizeof(path), "/v1/orders/%s%s", id_text(&id).text, rest);
    return path;
}

static struct reply reply;

static inline void assert_status(const char *path, long status) {
    get("ol_main_x", path, NULL, &reply);
    if (reply.status != status)
        fprintf(stderr, "%s: %ld %s\n", path, reply.status, reply.body);
    assert_int_equal(reply.status, status);
}

#endif
