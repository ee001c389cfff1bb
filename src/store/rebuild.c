// SPDX-License-Identifier: Apache-2.0
//
// Three connections: `watch` holds the advisory lock and makes the next generation's schema; `next`
// fills it, as a projector would whose tables are that schema's; `live` locks, compares and swaps.
#include "store/rebuild.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "event/message.h"
#include "projection_set.h"
#include "service/arena.h"
#include "service/clock.h"
#include "service/service.h"
#include "sql_scan.h"
#include "stream/log_reader.h"
#include "stream/topics.h"

enum {
    PARTITIONS_MAX = 1024,
    BATCH_RECORDS = 100000, // the more of an order's events meet, the fewer rows are written
    ARENA_BYTES_MAX = 256 << 20,
    ARENA_BYTES_ENOUGH = 64 << 20,
    // So little is left that the live one may wait for it.
    LEFT_RECORDS = 5000,
    TRIES_MAX = 100,
    SCHEMA_MAX = PROJECTION_NAME_MAX + 16,
};

struct rebuild {
    const struct rebuild_options *options;
    enum topic_id topic;
    char schema[SCHEMA_MAX];
    char next_settings[512];
    struct db *watch;
    struct db *next;
    struct db *live;
    struct projection_set *set;
    int64_t positions[PARTITIONS_MAX]; // of the next generation
    int64_t live_positions[PARTITIONS_MAX];
    struct arena arena;
    size_t arena_used;
    struct projection_record *records; // owned, BATCH_RECORDS
    size_t records_count;
    int64_t applied;
    int64_t left_out; // the database refused them, as it did when they were live
};

static const char live_settings[] = "SET TimeZone = 'UTC'; SET jit = off; SET lock_timeout = '5s'";

// --- small ones ---------------------------------------------------------------------------------

static PGresult *query_name(struct db *db, const char *sql, const char *name, struct error *err) {
    struct db_params params = {.count = 0};
    db_params_text(&params, name, strlen(name));
    return db_query(db, sql, &params, err);
}

static PGresult *query_schema(struct rebuild *rebuild, struct db *db, const char *sql,
                              struct error *err) {
    struct db_params params = {.count = 0};
    db_params_text(&params, rebuild->options->name, strlen(rebuild->options->name));
    db_params_text(&params, rebuild->schema, strlen(rebuild->schema));
    return db_query(db, sql, &params, err);
}

static bool file_is(const struct projection_file *file, const char *name, const char *begin) {
    size_t length = strlen(name);
    return strncmp(file->name, name, length) == 0 && file->name[length] == '/' &&
           strncmp(file->name + length + 1, begin, strlen(begin)) == 0;
}

static bool find_topic(struct rebuild *rebuild, struct error *err) {
    const struct rebuild_options *options = rebuild->options;
    size_t length;
    const char *topic = projection_topic_of(options->files, options->files_count, options->name,
                                            strlen(options->name), &length);
    for (int i = 0; topic && i < TOPIC_COUNT; i++) {
        rebuild->topic = (enum topic_id)i;
        if (strlen(topics[i].name) == length && strncmp(topics[i].name, topic, length) == 0)
            return true;
    }
    return error_set(err, DISP_FATAL, 0, "there is no read model '%s'", options->name);
}

// --- the next generation's tables ---------------------------------------------------------------

static bool make_tables(struct rebuild *rebuild, struct error *err) {
    const struct rebuild_options *options = rebuild->options;
    char sql[SCHEMA_MAX + 64];
    DB_RESULT begun =
        query_schema(rebuild, rebuild->watch, "SELECT rebuild_begin($1::text, $2::text)", err);
    if (!begun)
        return false;
    // That schema alone: a file that means another table shall not find the live one.
    (void)snprintf(sql, sizeof(sql), "BEGIN; SET LOCAL search_path = \"%s\"", rebuild->schema);
    bool ok = db_exec(rebuild->watch, sql, err);
    for (size_t i = 0; ok && i < options->files_count; i++)
        if (file_is(&options->files[i], options->name, "table"))
            ok = db_exec(rebuild->watch, options->files[i].text, err) ||
                 error_wrap(err, "projections/%s", options->files[i].name);
    return ok && db_exec(rebuild->watch, "COMMIT", err);
}

static bool drop_tables(struct rebuild *rebuild) {
    struct error ignored;
    char sql[SCHEMA_MAX + 64];
    (void)snprintf(sql, sizeof(sql), "ROLLBACK; DROP SCHEMA IF EXISTS \"%s\" CASCADE",
                   rebuild->schema);
    return db_exec(rebuild->watch, sql, &ignored);
}

// --- filling it ---------------------------------------------------------------------------------

static bool apply_records(struct rebuild *rebuild, const struct projection_record *records,
                          size_t count, const int64_t *next, struct error *err) {
    struct projection_move moves[PARTITIONS_MAX];
    struct projection_batch batch = {
        .mask = 1, .records = records, .records_count = count, .moves = moves};
    for (int32_t p = 0; p < PARTITIONS_MAX; p++)
        if (next[p] > rebuild->positions[p])
            moves[batch.moves_count++] = (struct projection_move){
                .partition = p, .expected = rebuild->positions[p], .next = next[p]};
    if (batch.moves_count == 0)
        return true;
    if (!projection_set_apply(rebuild->set, rebuild->next, &batch, NULL, err))
        return false;
    for (size_t i = 0; i < batch.moves_count; i++)
        rebuild->positions[moves[i].partition] = moves[i].next;
    return true;
}

// Halves until the record that the database refuses stands alone, and leaves that out.
static bool apply_some(struct rebuild *rebuild, const struct projection_record *records,
                       size_t count, struct error *err) {
    int64_t next[PARTITIONS_MAX];
    memcpy(next, rebuild->positions, sizeof(next));
    for (size_t i = 0; i < count; i++)
        next[records[i].partition] = records[i].offset + 1;
    if (apply_records(rebuild, records, count, next, err)) {
        rebuild->applied += (int64_t)count;
        return true;
    }
    if (err->what != DISP_POISON)
        return false;
    if (count > 1)
        return apply_some(rebuild, records, count / 2, err) &&
               apply_some(rebuild, records + count / 2, count - count / 2, err);
    rebuild->left_out++;
    return apply_records(rebuild, NULL, 0, next, err);
}

static bool flush(struct rebuild *rebuild, struct error *err) {
    bool ok = rebuild->records_count == 0 ||
              apply_some(rebuild, rebuild->records, rebuild->records_count, err);
    rebuild->records_count = 0;
    rebuild->arena_used = 0;
    arena_reset(&rebuild->arena);
    return ok;
}

// What cannot be decoded was put aside when it was live, and is passed over.
static bool add_record(struct rebuild *rebuild, const struct log_record *record,
                       struct error *err) {
    if (!record->value)
        return true;
    struct message message;
    struct error why;
    void *value = arena_alloc(&rebuild->arena, record->value_len);
    if (!value)
        return error_set(err, DISP_RETRY, 0, "out of memory");
    memcpy(value, record->value, record->value_len);
    rebuild->arena_used += record->value_len;
    if (!message_decode(rebuild->options->ids, value, record->value_len, &rebuild->arena, &message,
                        &why)) {
        if (why.what == DISP_POISON)
            return true;
        *err = why;
        return false;
    }
    if (strcmp(record_dirs[message.type], topics[rebuild->topic].name) != 0)
        return true;
    rebuild->records[rebuild->records_count++] =
        (struct projection_record){.type = message.type,
                                   .value = message.body,
                                   .partition = record->partition,
                                   .offset = record->offset};
    return true;
}

// Everything before until, which is the live one's position: the last record there may be one that
// was passed over.
static bool read_until(struct rebuild *rebuild, const int64_t *until, struct error *err) {
    struct log_reader *reader =
        log_reader_open(rebuild->options->config, rebuild->topic, LOG_READER_ALL, err);
    if (!reader)
        return false;
    log_reader_bound(reader, rebuild->positions, until);
    struct log_record record;
    enum log_reader_result result;
    bool ok = true;
    while (ok && (result = log_reader_next(reader, 0, &record, err)) == LOG_READER_RECORD) {
        ok = !service_stopping() || error_set(err, DISP_RETRY, 0, "interrupted");
        ok = ok && add_record(rebuild, &record, err);
        if (ok &&
            (rebuild->records_count == BATCH_RECORDS || rebuild->arena_used >= ARENA_BYTES_ENOUGH))
            ok = flush(rebuild, err);
    }
    log_reader_close(reader);
    return ok && result != LOG_READER_FAILED && flush(rebuild, err) &&
           apply_records(rebuild, NULL, 0, until, err);
}

static bool read_live_positions(struct rebuild *rebuild, struct db *db, struct error *err) {
    static const char sql[] =
        "SELECT partition, next_offset, generation FROM public.projection_offsets "
        "WHERE projection = $1::text AND partition < 1024";
    DB_RESULT result = query_name(db, sql, rebuild->options->name, err);
    if (!result)
        return false;
    memset(rebuild->live_positions, 0, sizeof(rebuild->live_positions));
    for (int row = 0; row < PQntuples(result); row++) {
        rebuild->live_positions[db_int4(result, row, 0)] = db_int8(result, row, 1);
        rebuild->set->generations[0] = db_int4(result, row, 2);
    }
    return PQntuples(result) > 0 ||
           error_set(err, DISP_FATAL, 0,
                     "read model %s has not begun yet: there is nothing to rebuild",
                     rebuild->options->name);
}

static int64_t left(const struct rebuild *rebuild) {
    int64_t sum = 0;
    for (int p = 0; p < PARTITIONS_MAX; p++)
        sum += rebuild->live_positions[p] - rebuild->positions[p];
    return sum;
}

static bool catch_up(struct rebuild *rebuild, struct error *err) {
    if (!read_live_positions(rebuild, rebuild->watch, err))
        return false;
    do {
        if (!read_until(rebuild, rebuild->live_positions, err) ||
            !read_live_positions(rebuild, rebuild->watch, err))
            return false;
    } while (left(rebuild) > LEFT_RECORDS);
    return true;
}

// --- comparing ----------------------------------------------------------------------------------

struct digest {
    char name[64];
    char rows[32];
    char sum[64];
};

static bool read_digest(struct rebuild *rebuild, const char *search_path, const char *statement,
                        size_t length, struct digest *ret, struct error *err) {
    char *sql = NULL;
    if (asprintf(&sql, "SET LOCAL search_path = %s; %.*s", search_path, (int)length, statement) < 0)
        return error_set(err, DISP_RETRY, 0, "out of memory");
    DB_RESULT result = PQexec(db_conn(rebuild->live), sql);
    free(sql);
    if (PQresultStatus(result) != PGRES_TUPLES_OK || PQntuples(result) != 1 ||
        PQnfields(result) != 3)
        return db_failed(rebuild->live, result, err);
    (void)snprintf(ret->name, sizeof(ret->name), "%s", PQgetvalue(result, 0, 0));
    (void)snprintf(ret->rows, sizeof(ret->rows), "%s", PQgetvalue(result, 0, 1));
    (void)snprintf(ret->sum, sizeof(ret->sum), "%s", PQgetvalue(result, 0, 2));
    return true;
}

static bool compare_one(struct rebuild *rebuild, const char *statement, size_t length,
                        bool *ret_same, struct error *err) {
    char next_path[SCHEMA_MAX + 16];
    struct digest live, next;
    (void)snprintf(next_path, sizeof(next_path), "\"%s\"", rebuild->schema);
    if (!read_digest(rebuild, "public", statement, length, &live, err) ||
        !read_digest(rebuild, next_path, statement, length, &next, err))
        return false;
    bool same = strcmp(live.rows, next.rows) == 0 && strcmp(live.sum, next.sum) == 0;
    (void)fprintf(rebuild->options->report, "%-20s %12s rows, rebuilt %12s  %s\n", live.name,
                  live.rows, next.rows, same ? "equal" : "DIFFERENT");
    *ret_same = *ret_same && same;
    return true;
}

static bool compare(struct rebuild *rebuild, bool *ret_same, struct error *err) {
    const struct rebuild_options *options = rebuild->options;
    const char *statement;
    size_t length;
    bool compared = false;
    *ret_same = true;
    for (size_t i = 0; i < options->files_count; i++) {
        if (!file_is(&options->files[i], options->name, "digest.sql"))
            continue;
        struct sql_scan scan = {options->files[i].text,
                                options->files[i].text + options->files[i].length};
        while (sql_scan_statement(&scan, &statement, &length)) {
            compared = true;
            if (!compare_one(rebuild, statement, length, ret_same, err))
                return false;
        }
    }
    if (!compared)
        (void)fprintf(options->report, "projections/%s has no digest.sql: nothing was compared\n",
                      options->name);
    *ret_same = *ret_same && compared;
    return true;
}

// --- swapping -----------------------------------------------------------------------------------

// Locks the next generation's, too. Nobody but us moves them, if all is well.
static bool are_equal(struct rebuild *rebuild, struct error *err) {
    char sql[512];
    (void)snprintf(sql, sizeof(sql),
                   "SELECT l.next_offset = n.next_offset FROM public.projection_offsets l "
                   "JOIN \"%s\".projection_offsets n USING (projection, topic, partition) "
                   "WHERE l.projection = '%s' FOR UPDATE",
                   rebuild->schema, rebuild->options->name);
    DB_RESULT result = PQexec(db_conn(rebuild->live), sql);
    if (PQresultStatus(result) != PGRES_TUPLES_OK)
        return db_failed(rebuild->live, result, err);
    bool equal = PQntuples(result) > 0;
    for (int row = 0; row < PQntuples(result); row++)
        equal = equal && strcmp(PQgetvalue(result, row, 0), "t") == 0;
    return equal || error_set(err, DISP_FATAL, 0, "the generations are not at the same offsets");
}

// In one transaction. The lock on the live one's positions makes its projectors wait.
static bool swap(struct rebuild *rebuild, bool *ret_same, bool *ret_swapped, struct error *err) {
    static const char sql_lock[] =
        "SELECT 1 FROM public.projection_offsets WHERE projection = $1::text "
        "ORDER BY projection, generation, topic, partition FOR UPDATE";
    *ret_swapped = false;
    if (!db_exec(rebuild->live, "BEGIN", err))
        return false;
    DB_RESULT locked = query_name(rebuild->live, sql_lock, rebuild->options->name, err);
    if (!locked || !read_live_positions(rebuild, rebuild->live, err) ||
        !read_until(rebuild, rebuild->live_positions, err) || !are_equal(rebuild, err))
        return false;
    if (!compare(rebuild, ret_same, err))
        return false;
    if (!*ret_same && !rebuild->options->accept)
        return db_exec(rebuild->live, "ROLLBACK", err);
    // The schema's tables must not be in use by ourselves.
    db_disconnect(rebuild->next);
    if (!db_exec(rebuild->live, "SET LOCAL search_path = public", err))
        return false;
    DB_RESULT swapped =
        query_schema(rebuild, rebuild->live, "SELECT rebuild_swap($1::text, $2::text)", err);
    *ret_swapped = swapped && db_exec(rebuild->live, "COMMIT", err);
    return *ret_swapped;
}

// A lock that is not to be had now, or a deadlock: the live one goes on meanwhile, and it is tried
// again.
static bool swap_in_the_end(struct rebuild *rebuild, bool *ret_same, bool *ret_swapped,
                            struct error *err) {
    for (int tries = 1;; tries++) {
        if (swap(rebuild, ret_same, ret_swapped, err))
            return true;
        db_disconnect(rebuild->live); // rolls back, lets go
        if (err->what != DISP_RETRY || tries == TRIES_MAX || service_stopping() ||
            !catch_up(rebuild, err) || !db_connect(rebuild->live, err))
            return false;
    }
}

// --- all of it ----------------------------------------------------------------------------------

static bool open_all(struct rebuild *rebuild, struct error *err) {
    const struct rebuild_options *options = rebuild->options;
    const char *const names[] = {options->name, NULL};
    const char *dsn = options->config->postgres_dsn;
    (void)snprintf(rebuild->schema, sizeof(rebuild->schema), "rebuild_%s", options->name);
    (void)snprintf(rebuild->next_settings, sizeof(rebuild->next_settings),
                   "SET search_path = \"%s\", public; SET TimeZone = 'UTC'; SET jit = off; "
                   "SET enable_seqscan = off; SET enable_mergejoin = off; "
                   "SET work_mem = '64MB'; SET synchronous_commit = off",
                   rebuild->schema);
    rebuild->watch = db_new(dsn, "orderlog rebuild watching", "SET TimeZone = 'UTC'");
    rebuild->next = db_new(dsn, "orderlog rebuild", rebuild->next_settings);
    rebuild->live = db_new(dsn, "orderlog rebuild swapping", live_settings);
    rebuild->records = calloc(BATCH_RECORDS, sizeof(*rebuild->records));
    arena_init(&rebuild->arena, ARENA_BYTES_MAX);
    if (!rebuild->watch || !rebuild->next || !rebuild->live || !rebuild->records)
        return error_set(err, DISP_FATAL, 0, "out of memory");
    rebuild->set = projection_set_new(topics[rebuild->topic].name, options->files,
                                      options->files_count, names, err);
    return rebuild->set && db_connect(rebuild->live, err);
}

static void close_all(struct rebuild *rebuild) {
    projection_set_free(rebuild->set);
    db_free(rebuild->live);
    db_free(rebuild->next);
    db_free(rebuild->watch);
    arena_done(&rebuild->arena);
    free(rebuild->records);
}

static bool take_turn(struct rebuild *rebuild, struct error *err) {
    DB_RESULT result = query_name(
        rebuild->watch, "SELECT pg_try_advisory_lock(hashtextextended('rebuild ' || $1::text, 0))",
        rebuild->options->name, err);
    if (!result)
        return false;
    return db_bool(result, 0, 0) ||
           error_set(err, DISP_FATAL, 0, "read model %s is being rebuilt by another process",
                     rebuild->options->name);
}

static bool analyze(struct rebuild *rebuild, struct error *err) {
    static const char sql[] =
        "SELECT format('ANALYZE %I.%I', schemaname, tablename) FROM pg_tables "
        "WHERE schemaname = $1::text";
    DB_RESULT result = query_name(rebuild->watch, sql, rebuild->schema, err);
    bool ok = result != NULL;
    for (int row = 0; ok && row < PQntuples(result); row++)
        ok = db_exec(rebuild->watch, PQgetvalue(result, row, 0), err);
    return ok;
}

enum rebuild_result rebuild_read_model(const struct rebuild_options *options, struct error *err) {
    struct rebuild *rebuild = calloc(1, sizeof(*rebuild));
    bool same = false, swapped = false;
    if (!rebuild) {
        (void)error_set(err, DISP_FATAL, 0, "out of memory");
        return REBUILD_FAILED;
    }
    rebuild->options = options;
    const int64_t begin_ms = clock_monotonic_ms();
    bool begun = find_topic(rebuild, err) && open_all(rebuild, err) && take_turn(rebuild, err);
    bool ok = begun && read_live_positions(rebuild, rebuild->watch, err) &&
              make_tables(rebuild, err) && catch_up(rebuild, err) && analyze(rebuild, err) &&
              swap_in_the_end(rebuild, &same, &swapped, err);
    if (begun && !swapped) {
        db_disconnect(rebuild->live);
        db_disconnect(rebuild->next);
        (void)drop_tables(rebuild);
    }
    (void)fprintf(options->report, "%" PRId64 " records in %.1f s%s\n", rebuild->applied,
                  (double)(clock_monotonic_ms() - begin_ms) / 1000,
                  swapped ? ": the rebuilt one is live" : "");
    if (rebuild->left_out > 0)
        (void)fprintf(options->report, "%" PRId64 " records were refused by the database\n",
                      rebuild->left_out);
    close_all(rebuild);
    free(rebuild);
    if (!ok)
        return REBUILD_FAILED;
    return swapped ? REBUILD_SWAPPED : REBUILD_DIFFERS;
}
