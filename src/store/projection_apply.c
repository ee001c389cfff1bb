// SPDX-License-Identifier: Apache-2.0
//
// The transaction. Everything from BEGIN to COMMIT is sent at once (libpq's pipeline mode), so that
// a batch costs one round trip; a statement that fails makes the server ignore all that follow, the
// COMMIT included.
//
//   BEGIN
//   SET LOCAL plan_cache_mode …      see plan_for()
//   projection_advance(…)            raises OL001 when the offsets are not what we believe
//   INSERT INTO projection_skipped   where there is something to skip
//   (COPY                            of a large batch, its rows: answered before more is sent)
//   statements of the read models    those that name a relation with rows in this batch
//   COMMIT
#include <assert.h>
#include <string.h>

#include "projection_set.h"
#include "service/failpoint.h"
static const char sql_advance[] =
    "SELECT projection_advance($1::text, $2::text[], $3::int4[], $4::int4[], $5::int8[], "
    "$6::int8[])";

static const char sql_skip[] =
    "INSERT INTO projection_skipped (topic, partition, log_offset, projection, error, value) "
    "SELECT $1::text, s.* FROM unnest($2::int4[], $3::int8[], $4::text[], $5::text[], $6::bytea[]) "
    "AS s ON CONFLICT DO NOTHING";

// Small batches must not pay for planning each time. Big ones must not run by a plan that was made
// for ten rows, with loops within loops.
enum { GENERIC_PLAN_RECORDS_MAX = 250 };

static const char *plan_for(size_t records) {
    return records > GENERIC_PLAN_RECORDS_MAX ? "SET LOCAL plan_cache_mode = force_custom_plan"
                                              : "SET LOCAL plan_cache_mode = force_generic_plan";
}

// From here on, rows by COPY cost less than rows as parameters, though they take round trips and
// new plans.
enum { COPY_RECORDS_MIN = 1000 };

static const int all_binary[STATEMENT_PARAMS_MAX] = {[0 ... STATEMENT_PARAMS_MAX - 1] = 1};

// What was sent, in order, so that a failure finds its read model.
struct sent {
    int projections[STATEMENTS_MAX + 8]; // -1: none
    int count;
};

static bool prepare_one(struct db *db, const char *name, const char *sql, struct error *err) {
    DB_RESULT result = PQprepare(db_conn(db), name, sql, 0, NULL);
    return PQresultStatus(result) == PGRES_COMMAND_OK || db_failed(db, result, err);
}

static bool prepare_all(struct projection_set *set, struct db *db, struct error *err) {
    if (!db_connect(db, err))
        return false;
    if (set->prepared_generation == db_generation(db))
        return true;
    // A second set on the same connection is our bug: the names would clash.
    if (!prepare_one(db, "advance", sql_advance, err) || !prepare_one(db, "skip", sql_skip, err)) {
        db_disconnect(db);
        return error_wrap(err, "read models of %s", set->topic);
    }
    for (size_t i = 0; i < set->statements_count; i++) {
        const struct projection_statement *statement = &set->statements[i];
        if (prepare_one(db, statement->name, statement->sql, err))
            continue;
        db_disconnect(db);
        return error_wrap(err, "projections/%s", set->names[statement->projection]);
    }
    if (!projection_copy_prepare(set, db, err))
        return false;
    set->prepared_generation = db_generation(db);
    return true;
}

static bool sent_ok(struct sent *sent, int projection, int sent_status) {
    assert((size_t)sent->count < sizeof(sent->projections) / sizeof(sent->projections[0]));
    sent->projections[sent->count++] = projection;
    return sent_status == 1;
}

static bool send_plain(PGconn *conn, struct sent *sent, const char *sql) {
    return sent_ok(sent, -1, PQsendQueryParams(conn, sql, 0, NULL, NULL, NULL, NULL, 1));
}

enum { ARRAYS_MAX = 5 };

static bool send_arrays(PGconn *conn, struct sent *sent, const char *name, const char *topic,
                        struct pg_array arrays[ARRAYS_MAX], const enum pg_oid types[ARRAYS_MAX]) {
    const char *values[1 + ARRAYS_MAX] = {topic};
    int lengths[1 + ARRAYS_MAX] = {(int)strlen(topic)};
    bool complete = true;
    for (int i = 0; i < ARRAYS_MAX; i++) {
        complete = pg_array_finish(&arrays[i], types[i]) && complete;
        values[1 + i] = (const char *)arrays[i].bytes;
        lengths[1 + i] = (int)arrays[i].length;
    }
    bool ok = complete && sent_ok(sent, -1,
                                  PQsendQueryPrepared(conn, name, 1 + ARRAYS_MAX, values, lengths,
                                                      all_binary, 1));
    for (int i = 0; i < ARRAYS_MAX; i++)
        pg_array_done(&arrays[i]);
    return ok;
}

static bool send_moves(const struct projection_set *set, PGconn *conn, struct sent *sent,
                       const struct projection_batch *batch) {
    struct pg_array arrays[ARRAYS_MAX] = {0};
    for (size_t i = 0; i < batch->moves_count; i++) {
        const struct projection_move *move = &batch->moves[i];
        assert(move->next > move->expected);
        pg_array_add(&arrays[0], set->names[move->projection],
                     strlen(set->names[move->projection]));
        pg_array_add_int4(&arrays[1], set->generations[move->projection]);
        pg_array_add_int4(&arrays[2], move->partition);
        pg_array_add_int8(&arrays[3], move->expected);
        pg_array_add_int8(&arrays[4], move->next);
    }
    static const enum pg_oid types[] = {PG_TEXT, PG_INT4, PG_INT4, PG_INT8, PG_INT8};
    return send_arrays(conn, sent, "advance", set->topic, arrays, types);
}

static bool send_skips(const struct projection_set *set, PGconn *conn, struct sent *sent,
                       const struct projection_batch *batch) {
    if (batch->skips_count == 0)
        return true;
    struct pg_array arrays[ARRAYS_MAX] = {0};
    for (size_t i = 0; i < batch->skips_count; i++) {
        const struct projection_skip *skip = &batch->skips[i];
        const char *projection = skip->projection ? skip->projection : "";
        pg_array_add_int4(&arrays[0], skip->partition);
        pg_array_add_int8(&arrays[1], skip->offset);
        pg_array_add(&arrays[2], projection, strlen(projection));
        pg_array_add(&arrays[3], skip->error, strlen(skip->error));
        if (skip->value)
            pg_array_add(&arrays[4], skip->value, skip->value_len);
        else
            pg_array_add_null(&arrays[4]);
    }
    static const enum pg_oid types[] = {PG_INT4, PG_INT8, PG_TEXT, PG_TEXT, PG_BYTEA};
    return send_arrays(conn, sent, "skip", set->topic, arrays, types);
}

static bool has_rows(const struct projection_statement *statement) {
    for (size_t i = 0; i < statement->relations_count; i++)
        if (statement->relations[i]->rows > 0)
            return true;
    return false;
}

static bool send_statement(PGconn *conn, struct sent *sent,
                           const struct projection_statement *statement, bool copied) {
    const char *values[STATEMENT_PARAMS_MAX];
    int lengths[STATEMENT_PARAMS_MAX];
    const int projection = (int)statement->projection;
    // Not prepared: a plan without parameters is kept, whatever size the tables were.
    if (copied)
        return sent_ok(
            sent, projection,
            PQsendQueryParams(conn, statement->sql_of_copies, 0, NULL, NULL, NULL, NULL, 1));
    for (size_t i = 0; i < statement->params_count; i++) {
        values[i] = (const char *)statement->params[i]->values.bytes;
        lengths[i] = (int)statement->params[i]->values.length;
    }
    return sent_ok(sent, projection,
                   PQsendQueryPrepared(conn, statement->name, (int)statement->params_count, values,
                                       lengths, all_binary, 1));
}

// What goes to the server before it has to answer.
enum part { PART_BEGIN = 1, PART_END = 2, PART_COPIED = 4 };

static bool send_begin(const struct projection_set *set, PGconn *conn, struct sent *sent,
                       const struct projection_batch *batch) {
    return send_plain(conn, sent, "BEGIN") &&
           send_plain(conn, sent, plan_for(batch->records_count)) &&
           send_moves(set, conn, sent, batch) && send_skips(set, conn, sent, batch);
}

static bool send_end(const struct projection_set *set, PGconn *conn, struct sent *sent,
                     const struct projection_batch *batch, bool copied) {
    for (size_t i = 0; i < set->statements_count; i++) {
        const struct projection_statement *statement = &set->statements[i];
        if (!statement->is_purge && (batch->mask & 1u << statement->projection) &&
            has_rows(statement) && !send_statement(conn, sent, statement, copied))
            return false;
    }
    return send_plain(conn, sent, "COMMIT");
}

static bool send_parts(const struct projection_set *set, PGconn *conn, struct sent *sent,
                       const struct projection_batch *batch, unsigned int parts) {
    return (!(parts & PART_BEGIN) || send_begin(set, conn, sent, batch)) &&
           (!(parts & PART_END) || send_end(set, conn, sent, batch, parts & PART_COPIED)) &&
           PQpipelineSync(conn) == 1;
}

static bool is_committed(const PGresult *result) {
    return strcmp(PQcmdStatus((PGresult *)result), "COMMIT") == 0;
}

// Reads one result per command and the closing sync. After a failure the rest is read and ignored,
// so that the connection can be used again; err keeps the first.
static bool receive_all(struct db *db, const struct sent *sent, bool commits, int *failed,
                        struct error *err) {
    bool ok = true;
    for (int i = 0; i < sent->count; i++) {
        DB_RESULT result = PQgetResult(db_conn(db));
        ExecStatusType status = PQresultStatus(result);
        if (ok && status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) {
            *failed = sent->projections[i];
            ok = db_failed(db, result, err);
        } else if (ok && commits && i + 1 == sent->count && !is_committed(result)) {
            ok = error_set(err, DISP_RETRY, 0, "PostgreSQL rolled back instead of committing");
        }
        if (!db_is_connected(db))
            return false;
        if (commits && i + 2 == sent->count)
            FAILPOINT(project_before_answer);
        PQclear(PQgetResult(db_conn(db))); // the NULL that ends a command's results
    }
    DB_RESULT sync = PQgetResult(db_conn(db));
    if (ok && PQresultStatus(sync) != PGRES_PIPELINE_SYNC)
        ok = db_failed(db, sync, err);
    return ok;
}

static bool exchange(const struct projection_set *set, struct db *db,
                     const struct projection_batch *batch, unsigned int parts, int *failed,
                     struct error *err) {
    struct sent sent = {.count = 0};
    if (PQenterPipelineMode(db_conn(db)) != 1 ||
        !send_parts(set, db_conn(db), &sent, batch, parts)) {
        db_failed(db, NULL, err);
        db_disconnect(db); // half a pipeline cannot be taken back
        return false;
    }
    if (parts & PART_END)
        FAILPOINT(project_sent);
    if ((parts & PART_END) && batch->meanwhile)
        batch->meanwhile(batch->opaque);
    bool ok = receive_all(db, &sent, parts & PART_END, failed, err);
    if (!db_is_connected(db))
        return false;
    if (PQexitPipelineMode(db_conn(db)) != 1) {
        db_disconnect(db);
        return ok ? error_set(err, DISP_RETRY, 0, "PostgreSQL: results are left over") : false;
    }
    return ok;
}

static bool run(const struct projection_set *set, struct db *db,
                const struct projection_batch *batch, bool copies, int *failed, struct error *err) {
    FAILPOINT(project_before_begin);
    if (!copies)
        return exchange(set, db, batch, PART_BEGIN | PART_END, failed, err);
    return exchange(set, db, batch, PART_BEGIN, failed, err) &&
           projection_copy_rows(set, db, batch->mask, err) &&
           exchange(set, db, batch, PART_END | PART_COPIED, failed, err);
}

// A failed statement leaves its transaction open.
static void roll_back(struct db *db) {
    struct error ignored;
    if (db_is_connected(db) && PQtransactionStatus(db_conn(db)) != PQTRANS_IDLE &&
        !db_exec(db, "ROLLBACK", &ignored))
        db_disconnect(db);
}

uint64_t projection_set_fold(struct projection_set *set, const struct projection_record *records,
                             size_t count) {
    set->folded = 0;
    relations_clear(&set->relations);
    for (size_t i = 0; i < count; i++)
        relations_add(&set->relations, &records[i], (int32_t)i);
    if (relations_group(&set->relations, records, count) && relations_finish(&set->relations))
        set->folded = ++set->folds;
    return set->folded;
}

size_t projection_set_keys(const struct projection_set *set) {
    return set->relations.latest ? set->relations.latest->rows : 0;
}

// Unless it is what they hold.
static bool fold(struct projection_set *set, const struct projection_batch *batch, uint64_t *folded,
                 struct error *err) {
    if (*folded == 0 || *folded != set->folded)
        *folded = projection_set_fold(set, batch->records, batch->records_count);
    return *folded != 0 || error_set(err, DISP_RETRY, 0, "out of memory while preparing a batch");
}

bool projection_set_apply(struct projection_set *set, struct db *db,
                          const struct projection_batch *batch, int *ret_failed,
                          struct error *err) {
    int failed = -1;
    uint64_t folded = batch->folded;
    assert(batch->moves_count > 0);
    bool ok = fold(set, batch, &folded, err) && prepare_all(set, db, err);
    const bool copies = set->may_copy && batch->records_count >= COPY_RECORDS_MIN;
    if (ok && !run(set, db, batch, copies, &failed, err)) {
        roll_back(db);
        // COPY does not say for whom it refused a value: as parameters the statement does.
        ok = copies && failed < 0 && err->what == DISP_POISON && db_is_connected(db) &&
             fold(set, batch, &folded, err) && run(set, db, batch, false, &failed, err);
        if (!ok)
            roll_back(db);
    }
    if (ret_failed)
        *ret_failed = failed;
    return ok || failed < 0 ? ok : error_wrap(err, "read model %s", set->names[failed]);
}

bool projection_set_purge(struct projection_set *set, struct db *db, uint32_t paused,
                          struct error *err) {
    if (!prepare_all(set, db, err))
        return false;
    for (size_t i = 0; i < set->statements_count; i++) {
        const struct projection_statement *statement = &set->statements[i];
        if (!statement->is_purge || (paused & 1u << statement->projection))
            continue;
        DB_RESULT result = PQexecPrepared(db_conn(db), statement->name, 0, NULL, NULL, NULL, 1);
        if (PQresultStatus(result) != PGRES_COMMAND_OK && !db_failed(db, result, err))
            return error_wrap(err, "projections/%s/purge.sql", set->names[statement->projection]);
    }
    return true;
}
