// SPDX-License-Identifier: Apache-2.0
//
// The linker sends calls of the functions in http.cmake's list here (--wrap).
#include "fuzz_http.h"

#include "event/message.h"
#include "fuzz_ids.h"
#include "http/respond.h"
#include "store/db.h"

#include <arpa/inet.h>
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { WAITING_MAX = 2048, COLUMNS = 3 };

struct fuzz_http fuzz_http;

static struct {
    writer_done_fn *done;
    void *state;
} waiting[WAITING_MAX];
static uint32_t waiting_count;

// --- libmicrohttpd ------------------------------------------------------------------------------

const char *__wrap_MHD_lookup_connection_value(struct MHD_Connection *connection,
                                               enum MHD_ValueKind kind, const char *key);
int __wrap_MHD_get_connection_values_n(struct MHD_Connection *connection, enum MHD_ValueKind kind,
                                       MHD_KeyValueIteratorN iterator, void *state);
void __wrap_MHD_suspend_connection(struct MHD_Connection *connection);
void __wrap_MHD_resume_connection(struct MHD_Connection *connection);

const char *__wrap_MHD_lookup_connection_value(struct MHD_Connection *connection,
                                               enum MHD_ValueKind kind, const char *key) {
    (void)connection;
    (void)kind;
    for (size_t i = 0; i < fuzz_http.headers_count; i++)
        if (strcasecmp(fuzz_http.headers[i].name, key) == 0)
            return fuzz_http.headers[i].value;
    return NULL;
}

int __wrap_MHD_get_connection_values_n(struct MHD_Connection *connection, enum MHD_ValueKind kind,
                                       MHD_KeyValueIteratorN iterator, void *state) {
    (void)connection;
    for (size_t i = 0; i < fuzz_http.headers_count; i++)
        (void)iterator(state, kind, fuzz_http.headers[i].name, strlen(fuzz_http.headers[i].name),
                       fuzz_http.headers[i].value, strlen(fuzz_http.headers[i].value));
    return (int)fuzz_http.headers_count;
}

void __wrap_MHD_suspend_connection(struct MHD_Connection *connection) {
    (void)connection;
}

void __wrap_MHD_resume_connection(struct MHD_Connection *connection) {
    (void)connection;
}

// --- the brokers --------------------------------------------------------------------------------

void __wrap_command_writer_send(struct command_writer *writer, struct command *command,
                                const struct trace_context *trace, writer_done_fn *done,
                                void *state);
bool __wrap_backlog_wait(struct backlog *backlog, struct backlog_waiter *waiter);
void __wrap_backlog_forget(struct backlog *backlog, struct backlog_waiter *waiter);
bool __wrap_backlog_over(const struct backlog *backlog);
int64_t __wrap_backlog_lag_ms(const struct backlog *backlog);
const char *__wrap_backlog_inbox(const struct backlog *backlog);
int64_t __wrap_catalogue_age_ms(const struct catalogue *catalogue);
bool __wrap_catalogue_find(struct catalogue *catalogue, const char *shop, size_t shop_len,
                           const char *sku, size_t sku_len, struct catalogue_price *ret);

static void answer_last(void) {
    waiting_count--;
    waiting[waiting_count].done(waiting[waiting_count].state,
                                (enum writer_outcome)fuzz_http.outcome);
}

// What is sent must be a message that its reader takes.
static void check_decodes(const struct command *command) {
    struct arena arena;
    struct message message;
    struct error err = {0};
    arena_init(&arena, 16 << 20);
    bool decoded =
        message_decode(fuzz_ids(), command->bytes, command->length, &arena, &message, &err);
    assert(decoded && message.type == command->type);
    arena_done(&arena);
}

void __wrap_command_writer_send(struct command_writer *writer, struct command *command,
                                const struct trace_context *trace, writer_done_fn *done,
                                void *state) {
    (void)writer;
    (void)trace;
    check_decodes(command);
    command_done(command);
    fuzz_http.written++;
    assert(waiting_count < WAITING_MAX);
    waiting[waiting_count].done = done;
    waiting[waiting_count].state = state;
    waiting_count++;
    if (waiting_count > fuzz_http.answers_after)
        answer_last();
}

void fuzz_http_settle(void) {
    while (waiting_count > 0)
        answer_last();
}

bool __wrap_backlog_wait(struct backlog *backlog, struct backlog_waiter *waiter) {
    (void)backlog;
    (void)waiter;
    bool waits = fuzz_http.backlog;
    fuzz_http.backlog = false;
    return waits;
}

void __wrap_backlog_forget(struct backlog *backlog, struct backlog_waiter *waiter) {
    (void)backlog;
    (void)waiter;
}

bool __wrap_backlog_over(const struct backlog *backlog) {
    (void)backlog;
    return fuzz_http.backlog;
}

int64_t __wrap_backlog_lag_ms(const struct backlog *backlog) {
    (void)backlog;
    return fuzz_http.backlog ? 5000 : 0;
}

const char *__wrap_backlog_inbox(const struct backlog *backlog) {
    (void)backlog;
    return "an inbox";
}

int64_t __wrap_catalogue_age_ms(const struct catalogue *catalogue) {
    (void)catalogue;
    return fuzz_http.stale ? INT64_MAX : 0;
}

bool __wrap_catalogue_find(struct catalogue *catalogue, const char *shop, size_t shop_len,
                           const char *sku, size_t sku_len, struct catalogue_price *ret) {
    (void)catalogue;
    (void)shop;
    (void)shop_len;
    *ret = (struct catalogue_price){(int64_t)sku_len * 100, 1, "EUR"};
    return sku_len > 0 && sku[0] != 'x';
}

struct gateway *fuzz_http_gateway(void) {
    static struct config config = {.gateway_catalogue_age_ms_max = 10000,
                                   .http_line_bytes_max = 4096};
    static struct gateway gateway = {.config = &config};
    gateway.ids = (struct schema_ids *)fuzz_ids();
    return &gateway;
}

// --- PostgreSQL ---------------------------------------------------------------------------------

PGresult *__wrap_db_query(struct db *db, const char *sql, const struct db_params *params,
                          struct error *err);
bool __wrap_db_is_connected(const struct db *db);

bool __wrap_db_is_connected(const struct db *db) {
    (void)db;
    return true;
}

static void set(PGresult *result, int row, int column, const void *bytes, int length) {
    int done = PQsetvalue(result, row, column, (char *)(uintptr_t)bytes, length);
    assert(done);
}

// Rows that any of the reads takes: a number, or a time; 16 bytes, or JSON; JSON. A question for
// what is visible (its only column is an int4) gets its first place.
PGresult *__wrap_db_query(struct db *db, const char *sql, const struct db_params *params,
                          struct error *err) {
    (void)db;
    (void)err;
    static const char json[] = "{\"any\": \"thing that is 16 bytes or more\"}";
    bool is_place = strncmp(sql, "SELECT w.nth", 12) == 0;
    int32_t place = (int32_t)htonl(1);
    int64_t number = 0;
    // The names of columns are never asked for.
    PGresAttDesc columns[COLUMNS] = {{.name = "a", .format = 1}, {.name = "b"}, {.name = "c"}};
    PGresult *result = PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK);
    assert(result && params->count > 0);
    int set_up = PQsetResultAttrs(result, is_place ? 1 : COLUMNS, columns);
    assert(set_up);
    for (int row = 0; row < (int)fuzz_http.rows && row < (is_place ? 1 : INT32_MAX); row++) {
        set(result, row, 0, is_place ? (void *)&place : (void *)&number, is_place ? 4 : 8);
        for (int column = 1; column < (is_place ? 1 : COLUMNS); column++)
            set(result, row, column, json, (int)sizeof(json) - 1);
    }
    return result;
}

// --- what the query service remembers ------------------------------------------------------------

struct query_versions;
bool __wrap_query_versions_is(struct query_versions *versions, const struct id *order_id,
                              const struct http_caller *caller, int64_t version);
uint64_t __wrap_query_versions_look(struct query_versions *versions);
void __wrap_query_versions_note(struct query_versions *versions, const struct id *order_id,
                                const char *shop, const char *customer, int64_t version,
                                uint64_t look);

// Every other version is the order's.
bool __wrap_query_versions_is(struct query_versions *versions, const struct id *order_id,
                              const struct http_caller *caller, int64_t version) {
    (void)versions;
    (void)order_id;
    assert(caller->shop_id[0]);
    return version % 2 == 1;
}

uint64_t __wrap_query_versions_look(struct query_versions *versions) {
    (void)versions;
    return 1;
}

void __wrap_query_versions_note(struct query_versions *versions, const struct id *order_id,
                                const char *shop, const char *customer, int64_t version,
                                uint64_t look) {
    (void)versions;
    (void)order_id;
    assert(shop[0] && customer && version >= 0 && look == 1);
}

// --- orders by id, which its own threads would look up ------------------------------------------

struct query;
void __wrap_query_lookup_order(struct http_request *request, struct query *query);

void __wrap_query_lookup_order(struct http_request *request, struct query *query) {
    (void)query;
    respond_refuse(request, PROBLEM_NOT_FOUND, "there is no such order");
}
