// SPDX-License-Identifier: Apache-2.0
//
// What a projector is measured against: the same rows, written by nothing but libpq.
//
//   bench_sql replay CONNINFO BATCHES SETTINGS < STEPS
//   bench_sql await CONNINFO TOPIC OFFSET READ_MODELS
//
// A step is three lines: `copy` or `statement`, a query that reads what the step writes of batch
// {batch} (for `statement`: one row of arrays), and the SQL that writes it. All of it is read into
// memory first; then, with the clock running, each batch is one transaction: what is read binary is
// sent binary. `await` prints the time (microseconds since 1970) at which the stored offsets of so
// many read models have come to OFFSET.
#include <inttypes.h>
#include <libpq-fe.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { STEPS_MAX = 16, PARAMS_MAX = 64, ASK_PAUSE_MS = 2, PATIENCE_S = 300 };

struct step {
    bool is_copy;
    char *fetch; // owned
    char *apply; // owned
};

// What one step writes in one batch.
struct piece {
    PGresult *arrays; // statement; owned
    char *rows;       // copy; owned
    size_t rows_len;
};

static const int all_binary[PARAMS_MAX] = {[0 ... PARAMS_MAX - 1] = 1};

static _Noreturn void die(const char *what, const char *why) {
    (void)fprintf(stderr, "bench_sql: %s: %s\n", what, why);
    exit(1);
}

static int64_t now_us(clockid_t clock) {
    struct timespec now;
    (void)clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

// User and system time so far of another process of this machine.
static int64_t process_cpu_us(int pid) {
    char path[64];
    char text[1024];
    (void)snprintf(path, sizeof(path), "/proc/%d/stat", pid);
    FILE *file = fopen(path, "r");
    if (!file || !fgets(text, sizeof(text), file))
        die(path, "cannot be read");
    (void)fclose(file);
    const char *at = strrchr(text, ')');
    unsigned long user = 0;
    unsigned long system = 0;
    // State and ten numbers stand between the name and the times.
    if (!at ||
        sscanf(at + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system) != 2)
        die(path, "is not understood");
    return (int64_t)(user + system) * 1000000 / sysconf(_SC_CLK_TCK);
}

static PGconn *connect_to(const char *conninfo) {
    PGconn *db = PQconnectdb(conninfo);
    if (PQstatus(db) != CONNECTION_OK)
        die("PostgreSQL", PQerrorMessage(db));
    return db;
}

static PGresult *checked(PGconn *db, PGresult *result, ExecStatusType wanted, const char *sql) {
    if (PQresultStatus(result) != wanted)
        die(sql, PQerrorMessage(db));
    return result;
}

static void run(PGconn *db, const char *sql) {
    PQclear(checked(db, PQexec(db, sql), PGRES_COMMAND_OK, sql));
}

// ---- reading what is to be written
// ---------------------------------------------------------------

static char *read_line(void) {
    char *line = NULL;
    size_t size = 0;
    const ssize_t length = getline(&line, &size, stdin);
    if (length <= 0) {
        free(line);
        return NULL;
    }
    if (line[length - 1] == '\n')
        line[length - 1] = '\0';
    return line;
}

static int read_steps(struct step steps[STEPS_MAX]) {
    int count = 0;
    for (char *kind = read_line(); kind; kind = read_line()) {
        if (count == STEPS_MAX)
            die("steps", "too many");
        struct step *step = &steps[count++];
        step->is_copy = strcmp(kind, "copy") == 0;
        free(kind);
        step->fetch = read_line();
        step->apply = read_line();
        if (!step->apply)
            die("steps", "cut short");
    }
    return count;
}

static char *with_batch(const char *sql, int batch) {
    static const char mark[] = "{batch}";
    const char *at = strstr(sql, mark);
    char *text = NULL;
    if (!at || asprintf(&text, "%.*s%d%s", (int)(at - sql), sql, batch, at + strlen(mark)) < 0)
        die(sql, "names no {batch}");
    return text;
}

static void fetch_copy(PGconn *db, const char *sql, struct piece *piece) {
    PQclear(checked(db, PQexec(db, sql), PGRES_COPY_OUT, sql));
    char *bytes = NULL;
    for (int length = PQgetCopyData(db, &bytes, 0); length > 0;
         length = PQgetCopyData(db, &bytes, 0)) {
        char *grown = realloc(piece->rows, piece->rows_len + (size_t)length);
        if (!grown)
            die(sql, "out of memory");
        piece->rows = grown;
        memcpy(piece->rows + piece->rows_len, bytes, (size_t)length);
        piece->rows_len += (size_t)length;
        PQfreemem(bytes);
    }
    PQclear(checked(db, PQgetResult(db), PGRES_COMMAND_OK, sql));
    PQclear(PQgetResult(db));
}

static void fetch(PGconn *db, const struct step *step, int batch, struct piece *piece) {
    char *sql = with_batch(step->fetch, batch);
    if (step->is_copy)
        fetch_copy(db, sql, piece);
    else
        piece->arrays =
            checked(db, PQexecParams(db, sql, 0, NULL, NULL, NULL, NULL, 1), PGRES_TUPLES_OK, sql);
    free(sql);
}

// ---- writing it
// ---------------------------------------------------------------------------------

static int64_t rows_of(const PGresult *result) {
    return atoll(PQcmdTuples((PGresult *)result));
}

static int64_t copy_in(PGconn *db, const struct step *step, const struct piece *piece) {
    PQclear(checked(db, PQexec(db, step->apply), PGRES_COPY_IN, step->apply));
    if (PQputCopyData(db, piece->rows, (int)piece->rows_len) != 1 || PQputCopyEnd(db, NULL) != 1)
        die(step->apply, PQerrorMessage(db));
    PGresult *result = checked(db, PQgetResult(db), PGRES_COMMAND_OK, step->apply);
    const int64_t rows = rows_of(result);
    PQclear(result);
    PQclear(PQgetResult(db));
    return rows;
}

// Nothing to write in this batch: array_agg of no rows is NULL.
static bool is_empty(const struct piece *piece) {
    return PQgetisnull(piece->arrays, 0, 0) != 0;
}

static void send_statement(PGconn *db, int number, const struct piece *piece) {
    const char *values[PARAMS_MAX];
    int lengths[PARAMS_MAX];
    char name[16];
    const int count = PQnfields(piece->arrays);
    for (int i = 0; i < count; i++) {
        values[i] = PQgetvalue(piece->arrays, 0, i);
        lengths[i] = PQgetlength(piece->arrays, 0, i);
    }
    (void)snprintf(name, sizeof(name), "s%d", number);
    if (PQsendQueryPrepared(db, name, count, values, lengths, all_binary, 1) != 1)
        die(name, PQerrorMessage(db));
}

static void send_plain(PGconn *db, const char *sql) {
    if (PQsendQueryParams(db, sql, 0, NULL, NULL, NULL, NULL, 1) != 1)
        die(sql, PQerrorMessage(db));
}

// One round trip for the transaction.
static int64_t write_statements(PGconn *db, const struct piece *pieces, int count) {
    int sent = 2;
    send_plain(db, "BEGIN");
    for (int i = 0; i < count; i++)
        if (!is_empty(&pieces[i])) {
            send_statement(db, i, &pieces[i]);
            sent++;
        }
    send_plain(db, "COMMIT");
    if (PQpipelineSync(db) != 1)
        die("sync", PQerrorMessage(db));
    int64_t rows = 0;
    for (int i = 0; i < sent; i++) {
        PGresult *result = checked(db, PQgetResult(db), PGRES_COMMAND_OK, "a statement");
        rows += rows_of(result);
        PQclear(result);
        PQclear(PQgetResult(db));
    }
    PQclear(checked(db, PQgetResult(db), PGRES_PIPELINE_SYNC, "sync"));
    return rows;
}

static int64_t execute(PGconn *db, int number, const struct piece *piece) {
    if (is_empty(piece))
        return 0;
    send_statement(db, number, piece);
    PGresult *result = checked(db, PQgetResult(db), PGRES_COMMAND_OK, "a statement");
    const int64_t rows = rows_of(result);
    PQclear(result);
    PQclear(PQgetResult(db));
    return rows;
}

// COPY cannot be sent ahead of an answer.
static bool has_copy(const struct step *steps, int count) {
    for (int i = 0; i < count; i++)
        if (steps[i].is_copy)
            return true;
    return false;
}

static int64_t write_batch(PGconn *db, const struct step *steps, const struct piece *pieces,
                           int count) {
    if (!has_copy(steps, count))
        return write_statements(db, pieces, count);
    int64_t rows = 0;
    run(db, "BEGIN");
    for (int i = 0; i < count; i++)
        rows += steps[i].is_copy ? copy_in(db, &steps[i], &pieces[i]) : execute(db, i, &pieces[i]);
    run(db, "COMMIT");
    return rows;
}

static void prepare(PGconn *db, const struct step *steps, int count) {
    for (int i = 0; i < count; i++) {
        if (steps[i].is_copy)
            continue;
        char name[16];
        (void)snprintf(name, sizeof(name), "s%d", i);
        PQclear(checked(db, PQprepare(db, name, steps[i].apply, 0, NULL), PGRES_COMMAND_OK,
                        steps[i].apply));
    }
    if (!has_copy(steps, count) && PQenterPipelineMode(db) != 1)
        die("pipeline", PQerrorMessage(db));
}

static void replay(const char *conninfo, int batches, const char *settings) {
    struct step steps[STEPS_MAX];
    const int count = read_steps(steps);
    struct piece *pieces = calloc((size_t)batches * STEPS_MAX, sizeof(*pieces));
    if (!pieces || count == 0)
        die("steps", "none");
    PGconn *db = connect_to(conninfo);
    for (int b = 0; b < batches; b++)
        for (int i = 0; i < count; i++)
            fetch(db, &steps[i], b, &pieces[b * STEPS_MAX + i]);
    run(db, settings);
    prepare(db, steps, count);

    const int server = PQbackendPID(db);
    const int64_t server_us = process_cpu_us(server);
    const int64_t client_us = now_us(CLOCK_PROCESS_CPUTIME_ID);
    const int64_t began_us = now_us(CLOCK_MONOTONIC);
    int64_t rows = 0;
    for (int b = 0; b < batches; b++)
        rows += write_batch(db, steps, &pieces[b * STEPS_MAX], count);
    printf("{\"rows\":%" PRId64 ",\"batches\":%d,\"us\":%" PRId64 ",\"client_cpu_us\":%" PRId64
           ",\"server_cpu_us\":%" PRId64 "}\n",
           rows, batches, now_us(CLOCK_MONOTONIC) - began_us,
           now_us(CLOCK_PROCESS_CPUTIME_ID) - client_us, process_cpu_us(server) - server_us);

    PQfinish(db);
    for (int i = 0; i < batches * STEPS_MAX; i++) {
        PQclear(pieces[i].arrays);
        free(pieces[i].rows);
    }
    free(pieces);
    for (int i = 0; i < count; i++) {
        free(steps[i].fetch);
        free(steps[i].apply);
    }
}

static void await(const char *conninfo, const char *topic, const char *offset,
                  const char *read_models) {
    static const char sql[] = "SELECT 1 FROM projection_offsets WHERE topic = $1 "
                              "AND next_offset >= $2::int8 HAVING count(*) >= $3::int8";
    const char *const values[] = {topic, offset, read_models};
    const int64_t deadline_us = now_us(CLOCK_MONOTONIC) + (int64_t)PATIENCE_S * 1000000;
    PGconn *db = connect_to(conninfo);
    bool there = false;
    while (!there && now_us(CLOCK_MONOTONIC) < deadline_us) {
        PGresult *result = checked(db, PQexecParams(db, sql, 3, NULL, values, NULL, NULL, 0),
                                   PGRES_TUPLES_OK, sql);
        there = PQntuples(result) > 0;
        PQclear(result);
        if (!there)
            (void)poll(NULL, 0, ASK_PAUSE_MS);
    }
    PQfinish(db);
    if (!there)
        die(topic, "its read models do not come to the offset");
    printf("%" PRId64 "\n", now_us(CLOCK_REALTIME));
}

int main(int argc, char **argv) {
    if (argc == 5 && strcmp(argv[1], "replay") == 0)
        replay(argv[2], atoi(argv[3]), argv[4]);
    else if (argc == 6 && strcmp(argv[1], "await") == 0)
        await(argv[2], argv[3], argv[4], argv[5]);
    else
        die("usage", "bench_sql replay CONNINFO BATCHES SETTINGS | "
                     "await CONNINFO TOPIC OFFSET READ_MODELS");
    return 0;
}
