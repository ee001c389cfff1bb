// SPDX-License-Identifier: Apache-2.0
//
// libpq, as a handle that can be asked again and again.
#include "store/db.h"

#include <assert.h>
#include <endian.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "service/backoff.h"
#include "service/clock.h"
#include "service/log.h"
#include "service/metrics.h"

enum { RETRY_FIRST_MS = 50, RETRY_MAX_MS = 2000, LOOK_UP_EVERY_MS = 50 };
enum { CONNECT_TIMEOUT_S = 5, CONNECT_IMPATIENTLY_S = 2 };

struct db {
    char *conninfo;
    char *name;
    const char *settings; // borrowed
    PGconn *conn;         // NULL when not connected
    uint64_t generation;
    int failures; // to connect, in a row
    uint64_t dice;
    int64_t retry_at_ms;
    const char *prepared[DB_PREPARED_MAX]; // addresses of statements known to this connection
    int prepared_count;
    bool is_impatient;
    const atomic_bool *away; // borrowed, NULL: nobody says so
    int64_t answer_ms_max;   // 0: as long as it takes
    // Without waiting.
    bool is_under_way;
    int64_t deadline_ms;
    PGresult *came; // owned; the last of what is under way
};

struct db *db_new(const char *conninfo, const char *name, const char *settings) {
    struct db *db = calloc(1, sizeof(*db));
    if (!db)
        return NULL;
    db->conninfo = strdup(conninfo);
    db->name = strdup(name);
    db->settings = settings;
    db->dice = backoff_dice();
    if (db->conninfo && db->name)
        return db;
    db_free(db);
    return NULL;
}

void db_free(struct db *db) {
    if (!db)
        return;
    db_disconnect(db);
    free(db->conninfo);
    free(db->name);
    free(db);
}

void db_be_impatient(struct db *db, const atomic_bool *away, int64_t answer_ms_max) {
    db->is_impatient = true;
    db->away = away;
    db->answer_ms_max = answer_ms_max;
}

void db_disconnect(struct db *db) {
    PQclear(db->came);
    db->came = NULL;
    db->is_under_way = false;
    PQfinish(db->conn);
    db->conn = NULL;
    db->prepared_count = 0;
}

bool db_is_connected(const struct db *db) {
    return db->conn != NULL;
}

bool db_may_retry(const struct db *db, const struct error *err) {
    return err->code != DB_ERROR_SILENCE &&
           (!db_is_connected(db) || err->what == DISP_FATAL || err->code == DB_ERROR_CONFLICT);
}

uint64_t db_generation(const struct db *db) {
    return db->generation;
}

PGconn *db_conn(struct db *db) {
    assert(db->conn);
    return db->conn;
}

int64_t db_retry_in_ms(const struct db *db) {
    if (db->conn || db->failures == 0)
        return 0;
    int64_t left = db->retry_at_ms - clock_monotonic_ms();
    return left > 0 ? left : 0;
}

static void notice_received(void *arg, const PGresult *result) {
    const struct db *db = arg;
    LOG(DEBUG, "PostgreSQL notice", F_STR("connection", db->name),
        F_STR("detail", PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY)));
}

// Ours come first, so that the operator's conninfo, expanded after them, may override.
static PGconn *open_connection(const struct db *db) {
    char connect_timeout[16];
    snprintf(connect_timeout, sizeof(connect_timeout), "%d",
             db->is_impatient ? CONNECT_IMPATIENTLY_S : CONNECT_TIMEOUT_S);
    const char *names[] = {"connect_timeout", "tcp_user_timeout", "client_encoding",
                           "dbname",          "application_name", NULL};
    const char *values[] = {connect_timeout, "10000", "UTF8", db->conninfo, db->name, NULL};
    return PQconnectdbParams(names, values, 1);
}

static void put_off(struct db *db) {
    int64_t pause_us =
        backoff_us(&db->dice, RETRY_FIRST_MS * 1000, RETRY_MAX_MS * 1000, db->failures++);
    db->retry_at_ms = clock_monotonic_ms() + pause_us / 1000;
}

// libpq's messages end in a newline and may have several lines.
static void copy_message(char *out, size_t size, const char *message) {
    size_t n = 0;
    for (; message && *message && n + 1 < size; message++)
        out[n++] = *message == '\n' ? ' ' : *message;
    while (n > 0 && out[n - 1] == ' ')
        n--;
    out[n] = '\0';
}

static bool refuse_silence(struct error *err) {
    return error_set(err, DISP_RETRY, DB_ERROR_SILENCE, "PostgreSQL does not answer");
}

static bool is_away(const struct db *db) {
    return db->away && atomic_load(db->away);
}

bool db_connect(struct db *db, struct error *err) {
    if (is_away(db))
        return refuse_silence(err);
    if (db->conn && PQstatus(db->conn) == CONNECTION_OK)
        return true;
    db_disconnect(db);
    if (db_retry_in_ms(db) > 0)
        return error_set(err, DISP_RETRY, 0, "PostgreSQL was not reachable a moment ago");
    db->conn = open_connection(db);
    if (PQstatus(db->conn) != CONNECTION_OK) {
        char message[256];
        copy_message(message, sizeof(message), PQerrorMessage(db->conn));
        db_disconnect(db);
        put_off(db);
        metrics_add(METRIC_ERRORS, ERROR_POSTGRES_CONNECT, 1);
        return error_set(err, DISP_RETRY, 0, "cannot connect to PostgreSQL (postgres.conninfo): %s",
                         message);
    }
    PQsetNoticeReceiver(db->conn, notice_received, db);
    db->generation++;
    if (db->settings && !db_exec(db, db->settings, err)) {
        db_disconnect(db);
        put_off(db);
        return false;
    }
    db->failures = 0;
    return true;
}

static enum disposition disposition_of(const char *state) {
    static const struct {
        const char *prefix;
        enum disposition what;
    } table[] = {
        {"OL001", DISP_ABORT}, // projection_advance()
        {"OL002", DISP_ABORT}, // likewise: a read model is paused
        {"08", DISP_RETRY},    // connection
        {"40", DISP_RETRY},    // serialization, deadlock
        {"53", DISP_RETRY},    // out of disk, memory, connections
        {"55P03", DISP_RETRY}, // lock not available
        {"57", DISP_RETRY},    // shutdown, cancelled by time-out, starting up
        {"58", DISP_RETRY},    // I/O error
        {"25P04", DISP_RETRY}, // idle in transaction for too long
        {"21", DISP_POISON},   // a row twice in one statement
        {"22", DISP_POISON},   // a value is out of range or not text
        {"23", DISP_POISON},   // a constraint refuses the row
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        if (strncmp(state, table[i].prefix, strlen(table[i].prefix)) == 0)
            return table[i].what;
    return DISP_FATAL;
}

bool db_failed(struct db *db, const PGresult *result, struct error *err) {
    char message[384];
    metrics_add(METRIC_ERRORS, ERROR_POSTGRES, 1);
    const char *state = result ? PQresultErrorField(result, PG_DIAG_SQLSTATE) : NULL;
    copy_message(message, sizeof(message),
                 result ? PQresultErrorMessage(result) : PQerrorMessage(db->conn));
    // After FATAL the server hangs up, which libpq may not have noticed yet.
    const char *severity =
        result ? PQresultErrorField(result, PG_DIAG_SEVERITY_NONLOCALIZED) : NULL;
    bool lost = PQstatus(db->conn) != CONNECTION_OK || (severity && severity[0] != 'E');
    if (lost)
        db_disconnect(db);
    if (lost || !state)
        return error_set(err, DISP_RETRY, 0, "PostgreSQL: %s",
                         message[0] ? message : "the connection was lost");
    const int code = strncmp(state, "40", 2) == 0 ? DB_ERROR_CONFLICT : 0;
    return error_set(err, disposition_of(state), code, "PostgreSQL: %s (SQLSTATE %s%s)", message,
                     state, strncmp(state, "42P01", 5) == 0 ? ": run `orderlog setup`" : "");
}

// Until there is something to read or the connection is gone. False: nobody waits any longer.
static bool await_bytes(const struct db *db, int64_t deadline_ms) {
    struct pollfd readable = {.fd = PQsocket(db->conn), .events = POLLIN};
    const bool looks_up = db->away || deadline_ms != INT64_MAX;
    // What has come counts, however late we are ourselves.
    while (poll(&readable, 1, looks_up ? LOOK_UP_EVERY_MS : -1) <= 0)
        if (is_away(db) || clock_monotonic_ms() >= deadline_ms)
            return false;
    return true;
}

// The next result, NULL behind the last one. False: nobody waits for it any longer.
static bool next_result(struct db *db, int64_t deadline_ms, PGresult **ret) {
    while (PQisBusy(db->conn)) {
        if (!await_bytes(db, deadline_ms))
            return false;
        if (!PQconsumeInput(db->conn))
            break; // the result says so
    }
    *ret = PQgetResult(db->conn);
    return true;
}

static int64_t deadline_of(const struct db *db) {
    return db->answer_ms_max ? clock_monotonic_ms() + db->answer_ms_max : INT64_MAX;
}

// The last result of what was asked, which it takes, if it is a good one; NULL with err.
static PGresult *judge(struct db *db, PGresult *last, struct error *err) {
    ExecStatusType status = PQresultStatus(last);
    if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK)
        return last;
    db_failed(db, last, err);
    PQclear(last);
    return NULL;
}

static void give_up(struct db *db, struct error *err) {
    db_disconnect(db);
    metrics_add(METRIC_ERRORS, ERROR_POSTGRES, 1);
    refuse_silence(err);
}

// What PQexec() returns, of what was sent (what the sending returned): the result of the last
// statement, or of the one that failed. NULL with err unless that is a good one.
static PGresult *answer(struct db *db, int sent, struct error *err) {
    const int64_t deadline_ms = deadline_of(db);
    PGresult *last = NULL;
    PGresult *next = NULL;
    bool came = true;
    while (sent && (came = next_result(db, deadline_ms, &next)) && next) {
        PQclear(last);
        last = next;
    }
    if (came)
        return judge(db, last, err);
    give_up(db, err);
    PQclear(last);
    return NULL;
}

bool db_exec(struct db *db, const char *sql, struct error *err) {
    if (!db_connect(db, err))
        return false;
    DB_RESULT result = answer(db, PQsendQuery(db->conn, sql), err);
    return result != NULL;
}

// --- parameters ---------------------------------------------------------------------------------

void db_params_bytes(struct db_params *params, const void *bytes, size_t length) {
    assert(params->count < DB_PARAMS_MAX);
    params->values[params->count] = bytes;
    params->lengths[params->count++] = (int)length;
}

void db_params_text(struct db_params *params, const char *text, size_t length) {
    db_params_bytes(params, text, length);
}

void db_params_null(struct db_params *params) {
    db_params_bytes(params, NULL, 0);
}

static void add_copy(struct db_params *params, const void *bytes, size_t length) {
    assert(params->used + length <= sizeof(params->bytes));
    memcpy(params->bytes + params->used, bytes, length);
    db_params_bytes(params, params->bytes + params->used, length);
    params->used += length;
}

void db_params_uuid(struct db_params *params, const struct id *id) {
    add_copy(params, id->bytes, sizeof(id->bytes));
}

void db_params_int4(struct db_params *params, int32_t value) {
    uint32_t big = htobe32((uint32_t)value);
    add_copy(params, &big, sizeof(big));
}

void db_params_int8(struct db_params *params, int64_t value) {
    uint64_t big = htobe64((uint64_t)value);
    add_copy(params, &big, sizeof(big));
}

enum { STATEMENT_NAME_MAX = 16 };

// False: it is not known to this connection; the name is that of the next one.
static bool find_prepared(const struct db *db, const char *sql, char name[STATEMENT_NAME_MAX]) {
    int i = 0;
    while (i < db->prepared_count && db->prepared[i] != sql)
        i++;
    snprintf(name, STATEMENT_NAME_MAX, "q%d", i);
    return i < db->prepared_count;
}

static bool prepare(struct db *db, const char *sql, char name[STATEMENT_NAME_MAX],
                    struct error *err) {
    if (find_prepared(db, sql, name))
        return true;
    assert(db->prepared_count < DB_PREPARED_MAX);
    DB_RESULT result = answer(db, PQsendPrepare(db->conn, name, sql, 0, NULL), err);
    if (!result)
        return false;
    db->prepared[db->prepared_count++] = sql;
    return true;
}

static int send_prepared(struct db *db, const char *name, const struct db_params *params) {
    static const struct db_params none = {.count = 0};
    static const int binary[DB_PARAMS_MAX] = {[0 ... DB_PARAMS_MAX - 1] = 1};
    if (!params)
        params = &none;
    return PQsendQueryPrepared(db->conn, name, params->count, params->values, params->lengths,
                               binary, 1);
}

PGresult *db_query(struct db *db, const char *sql, const struct db_params *params,
                   struct error *err) {
    char name[STATEMENT_NAME_MAX];
    if (!db_connect(db, err) || !prepare(db, sql, name, err))
        return NULL;
    return answer(db, send_prepared(db, name, params), err);
}

// --- without waiting ----------------------------------------------------------------------------

bool db_prepare(struct db *db, const char *sql, struct error *err) {
    char name[STATEMENT_NAME_MAX];
    return db_connect(db, err) && prepare(db, sql, name, err);
}

bool db_send(struct db *db, const char *sql, const struct db_params *params, struct error *err) {
    char name[STATEMENT_NAME_MAX];
    assert(db->conn && !db->is_under_way);
    if (is_away(db))
        return refuse_silence(err);
    const bool known = find_prepared(db, sql, name);
    assert(known);
    (void)known;
    if (PQsetnonblocking(db->conn, 1) != 0 || !send_prepared(db, name, params))
        return db_failed(db, NULL, err);
    db->is_under_way = true;
    db->deadline_ms = deadline_of(db);
    return true;
}

bool db_is_overdue(const struct db *db) {
    return db->is_under_way && (is_away(db) || clock_monotonic_ms() >= db->deadline_ms);
}

enum db_answer db_take(struct db *db, PGresult **ret, struct error *err) {
    // Sends what is left to send, too.
    const bool stands = PQconsumeInput(db->conn);
    if (!db->is_under_way) {
        (void)PQisBusy(db->conn); // takes notices
        if (stands && PQstatus(db->conn) == CONNECTION_OK)
            return DB_NOT_YET;
        db_failed(db, NULL, err);
        db_disconnect(db);
        return DB_FAILED;
    }
    while (!stands || !PQisBusy(db->conn)) {
        PGresult *next = PQgetResult(db->conn);
        if (!next) {
            PGresult *last = db->came;
            db->came = NULL;
            db->is_under_way = false;
            *ret = judge(db, last, err);
            return *ret ? DB_ANSWERED : DB_FAILED;
        }
        PQclear(db->came);
        db->came = next;
    }
    if (!db_is_overdue(db))
        return DB_NOT_YET;
    give_up(db, err);
    return DB_FAILED;
}

// --- results ------------------------------------------------------------------------------------

void db_result_free(PGresult **result) {
    PQclear(*result);
}

static const char *value_of(const PGresult *result, int row, int column, int length) {
    assert(!PQgetisnull(result, row, column) && PQgetlength(result, row, column) == length);
    return PQgetvalue(result, row, column);
}

int32_t db_int4(const PGresult *result, int row, int column) {
    uint32_t big;
    memcpy(&big, value_of(result, row, column, sizeof(big)), sizeof(big));
    return (int32_t)be32toh(big);
}

int64_t db_int8(const PGresult *result, int row, int column) {
    uint64_t big;
    memcpy(&big, value_of(result, row, column, sizeof(big)), sizeof(big));
    return (int64_t)be64toh(big);
}

bool db_bool(const PGresult *result, int row, int column) {
    return *value_of(result, row, column, 1) != 0;
}

struct id db_uuid(const PGresult *result, int row, int column) {
    struct id id;
    memcpy(id.bytes, value_of(result, row, column, sizeof(id.bytes)), sizeof(id.bytes));
    return id;
}

int64_t db_time_us(const PGresult *result, int row, int column) {
    return db_int8(result, row, column) + DB_EPOCH_US;
}
