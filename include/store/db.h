// SPDX-License-Identifier: Apache-2.0
//
// One connection to PostgreSQL that comes back by itself. Everything sent through it is
// parameterised; parameters and results travel in binary. SQLSTATE becomes a disposition here and
// nowhere else:
//
//   DISP_RETRY   connection lost, server stopping, deadlock, resources: the same call may succeed
//                later; whether the transaction in flight was committed is not known
//   DISP_ABORT   OL001: the stored offsets are not what we believed, another projector moved them;
//                OL002: a read model is paused
//   DISP_POISON  the data itself is refused (classes 21, 22, 23): sending it again cannot help
//   DISP_FATAL   everything else: missing tables, wrong SQL, no rights
//
// A struct db belongs to one thread at a time.
#ifndef ORDERLOG_STORE_DB_H
#define ORDERLOG_STORE_DB_H

#include <libpq-fe.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "event/id.h"
#include "service/error.h"

struct db;

enum { DB_PARAMS_MAX = 32, DB_PARAM_BYTES = 512, DB_PREPARED_MAX = 64 };

// conninfo (struct config's postgres_dsn) and name are copied; name shows up in pg_stat_activity.
// settings: SQL run after every connect, such as "SET synchronous_commit = off"; borrowed for the
// connection's life, may be NULL. Does not connect yet.
struct db *db_new(const char *conninfo, const char *name, const char *settings);
void db_free(struct db *db); // NULL is fine

// For those that somebody waits for. While *away holds nothing is asked of the server, and what was
// asked is given up within 50 ms; so is whatever has no answer after answer_ms_max. Both are
// DISP_RETRY. A server that stands still says nothing at all, and what it was told to do itself
// after a time (statement_timeout) it does not do. away: borrowed, may be NULL. answer_ms_max: 0:
// as long as it takes. Connecting takes two seconds at most per address, unless conninfo says
// otherwise.
void db_be_impatient(struct db *db, const atomic_bool *away, int64_t answer_ms_max);

// Connects unless connected. After a failure the next attempts are refused at once (DISP_RETRY)
// until a delay has passed that doubles from 50 ms to 2 s, so that callers may simply ask again.
bool db_connect(struct db *db, struct error *err);

// Drops the connection: the server rolls back what was open. The next db_connect makes a new one.
void db_disconnect(struct db *db);

// False after a call has found the connection gone.
bool db_is_connected(const struct db *db);

// Error codes: transactions were in each other's way, a deadlock for instance; the server does not
// answer those who are impatient.
enum { DB_ERROR_CONFLICT = 4000, DB_ERROR_SILENCE = 4001 };

// After a call has failed: whether it is worth doing once more at once. So it is when the
// connection broke while nobody looked, or tables were swapped for others (store/rebuild.h) under a
// statement that waited for them. Not so where the server does not answer.
bool db_may_retry(const struct db *db, const struct error *err);

// Counts connections made. What was prepared before belongs to an older one.
uint64_t db_generation(const struct db *db);

// How long to wait until db_connect tries again; 0 when it would now.
int64_t db_retry_in_ms(const struct db *db);

// For pipelines: only between a successful db_connect and the next db_disconnect.
PGconn *db_conn(struct db *db);

// Fills err from a failed result (or from the connection when result is NULL), disconnects when the
// connection is gone, and returns false.
bool db_failed(struct db *db, const PGresult *result, struct error *err);

// One or several statements without parameters or rows.
bool db_exec(struct db *db, const char *sql, struct error *err);

// --- parameters -------------------------------------------------------------------------------

// Values in order of $1, $2 …; text is borrowed until the query has run.
struct db_params {
    int count;
    const char *values[DB_PARAMS_MAX];
    int lengths[DB_PARAMS_MAX];
    uint8_t bytes[DB_PARAM_BYTES]; // the small ones
    size_t used;
};

void db_params_text(struct db_params *params, const char *text, size_t length);
void db_params_uuid(struct db_params *params, const struct id *id);
void db_params_int4(struct db_params *params, int32_t value);
void db_params_int8(struct db_params *params, int64_t value);
void db_params_bytes(struct db_params *params, const void *bytes, size_t length); // e.g. arrays
void db_params_null(struct db_params *params);

// Runs one statement, prepared on first use of each connection: sql is a literal, known by its
// address. params may be NULL. An owned result with all rows (PQclear), NULL with err.
PGresult *db_query(struct db *db, const char *sql, const struct db_params *params,
                   struct error *err);

// --- without waiting --------------------------------------------------------------------------
//
// For threads that have more to do than wait for one server. Nothing else is to be asked on such a
// connection; the limits of db_be_impatient() hold as often as db_is_overdue() is asked.

// Prepares a statement that is to be sent. Waits, as db_query() does, and connects.
bool db_prepare(struct db *db, const char *sql, struct error *err);

// Sends one that was prepared on this connection. Nothing may be under way. False: it was not sent,
// or in vain.
bool db_send(struct db *db, const char *sql, const struct db_params *params, struct error *err);

enum db_answer { DB_NOT_YET, DB_ANSWERED, DB_FAILED };

// What has come of it, when the connection's socket can be read from: an owned result with all
// rows, or err. With nothing under way DB_FAILED says that the connection is gone.
enum db_answer db_take(struct db *db, PGresult **ret, struct error *err);

// Nobody waits any longer for what is under way: db_take() gives it up, unless it has come.
bool db_is_overdue(const struct db *db);

// --- results ----------------------------------------------------------------------------------

// Of a binary result; the column must have that type and not be NULL (asserted).
int32_t db_int4(const PGresult *result, int row, int column);
int64_t db_int8(const PGresult *result, int row, int column);
bool db_bool(const PGresult *result, int row, int column);
struct id db_uuid(const PGresult *result, int row, int column);
int64_t db_time_us(const PGresult *result, int row, int column); // since 1970

static inline bool db_is_null(const PGresult *result, int row, int column) {
    return PQgetisnull(result, row, column) != 0;
}

// Microseconds between 1970 and PostgreSQL's epoch, 2000-01-01.
#define DB_EPOCH_US INT64_C(946684800000000)

void db_result_free(PGresult **result);
#define DB_RESULT __attribute__((cleanup(db_result_free))) PGresult *

#endif
