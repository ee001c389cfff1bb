// SPDX-License-Identifier: Apache-2.0
//
// A real streaming replica takes reads, but none that it is too far behind for.
#include <curl/curl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "http/query.h"
#include "query_fixture.h"

static char folder[64];
static char replica_dsn[FIXTURE_DSN_MAX + 16];
static pid_t server = -1;

static char *one_text(const char *sql) {
    struct db *one = fixture_connect();
    DB_RESULT result = PQexec(db_conn(one), sql);
    assert_int_equal(PQresultStatus(result), PGRES_TUPLES_OK);
    char *text = strdup(PQgetvalue(result, 0, 0));
    db_free(one);
    return text;
}

static int shell(const char *command) {
    int status = system(command); // NOLINT(cert-env33-c): of our own
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static bool replica_answers(void) {
    PGconn *conn = PQconnectdb(replica_dsn);
    bool ok = PQstatus(conn) == CONNECTION_OK;
    PQfinish(conn);
    return ok;
}

// A copy of the test server beside it, as the postgres user where we are root.
static void start_replica(void) {
    char command[2048];
    char *port_text = one_text("SELECT setting FROM pg_settings WHERE name = 'port'");
    const int port = atoi(port_text) + 1 + (int)(getpid() % 500);
    const char *as =
        getuid() == 0 ? "setpriv --reuid=postgres --regid=postgres --init-groups --" : "";
    (void)snprintf(folder, sizeof(folder), "/tmp/orderlog-replica.%d", (int)getpid());
    assert_int_equal(mkdir(folder, 0700), 0);
    (void)snprintf(command, sizeof(command),
                   "bin=$(ls -d /usr/lib/postgresql/*/bin | tail -1); cd / && "
                   "{ [ \"$(id -u)\" != 0 ] || chown postgres:postgres %s; } && "
                   "%s $bin/pg_basebackup -d \"%s\" -D %s/data -R -X stream -c fast && "
                   "%s sh -c \"echo port = %d >> %s/data/postgresql.auto.conf; "
                   "echo \\\"unix_socket_directories = '%s'\\\" >> %s/data/postgresql.auto.conf\"",
                   folder, as, getenv("ORDERLOG_POSTGRES"), folder, as, port, folder, folder,
                   folder);
    assert_int_equal(shell(command), 0);
    (void)snprintf(replica_dsn, sizeof(replica_dsn), "%s port=%d", fixture_dsn, port);
    (void)snprintf(
        command, sizeof(command),
        "bin=$(ls -d /usr/lib/postgresql/*/bin | tail -1); cd / && exec %s $bin/postgres "
        "-D %s/data >%s.log 2>&1",
        as, folder, folder);
    server = fork();
    assert_true(server >= 0);
    if (server == 0) {
        execl("/bin/bash", "bash", "-c", command, (char *)NULL);
        _exit(127);
    }
    const int64_t deadline_ms = clock_monotonic_ms() + 30000;
    while (!replica_answers() && clock_monotonic_ms() < deadline_ms)
        (void)poll(NULL, 0, 50);
    assert_true(replica_answers());
    free(port_text);
}

static void stop_replica(void) {
    if (server < 0)
        return;
    (void)kill(server, SIGINT);
    (void)waitpid(server, NULL, 0);
    server = -1;
}

static void replica_exec(const char *sql) {
    PGconn *conn = PQconnectdb(replica_dsn);
    DB_RESULT result = PQexec(conn, sql);
    if (PQresultStatus(result) != PGRES_TUPLES_OK)
        fixture_fail(sql, &(struct error){.msg = "the replica refuses it"});
    PQclear(result);
    result = NULL;
    PQfinish(conn);
}

static bool is_true_on_replica(const char *sql) {
    PGconn *conn = PQconnectdb(replica_dsn);
    DB_RESULT result = PQexec(conn, sql);
    bool yes = PQntuples(result) == 1 && strcmp(PQgetvalue(result, 0, 0), "t") == 0;
    PQfinish(conn);
    return yes;
}

static int open_with_replica(void **state) {
    if (open_all(state) != 0)
        return -1;
    start_replica();
    query_stop(query);
    config.query_replicas = replica_dsn;
    start_query();
    return 0;
}

static int close_with_replica(void **state) {
    char command[512];
    int status = close_all(state);
    stop_replica();
    (void)snprintf(command, sizeof(command), "rm -rf %s %s.log", folder, folder);
    (void)shell(command);
    return status;
}

static int64_t replica_reads(void) {
    static const char name[] = "\norderlog_replica_reads_total ";
    assert_status("/metrics", 200);
    const char *at = strstr(reply.body, name);
    return at ? strtoll(at + strlen(name), NULL, 10) : 0; // what has not happened is not listed
}

// Whether the replica answers a list now.
static bool is_read_from_replica(void) {
    const int64_t before = replica_reads();
    assert_status("/v1/orders?limit=1", 200);
    return replica_reads() > before;
}

static void await_replica(bool answers) {
    const int64_t deadline_ms = clock_monotonic_ms() + 20000;
    while (is_read_from_replica() != answers && clock_monotonic_ms() < deadline_ms)
        (void)poll(NULL, 0, 20);
    assert_int_equal(is_read_from_replica(), answers);
}

// A replica that takes reads may still be a moment behind what `begin` has just written.
static void await_caught_up(void) {
    const int64_t deadline_ms = clock_monotonic_ms() + 20000;
    char *written = one_text("SELECT pg_current_wal_lsn()");
    char sql[128];
    (void)snprintf(sql, sizeof(sql), "SELECT pg_last_wal_replay_lsn() >= '%s'", written);
    while (!is_true_on_replica(sql) && clock_monotonic_ms() < deadline_ms)
        (void)poll(NULL, 0, 20);
    assert_true(is_true_on_replica(sql));
    free(written);
}

static void change(uint64_t n, int64_t version) {
    struct order_cancelled cancelled = fixture_cancelled(n, version);
    const struct projection_record record = {RECORD_ORDER_CANCELLED, &cancelled, 0, log_end++};
    feed(every_model(), &record, 1);
}

static void a_fresh_replica_takes_reads(void **state) {
    (void)state;
    await_caught_up();
    await_replica(true);
    const int64_t before = replica_reads();
    for (int i = 0; i < 50; i++) {
        assert_status("/v1/orders?limit=2", 200);
        assert_status(order_path(5, "/events"), 200);
        assert_status("/v1/stats?unit=day", 200);
    }
    assert_in_range(replica_reads() - before, 140, 150);
}

// Replay stands still: what the caller has written is not there, and so it is read where it is.
static void a_read_after_a_command_is_never_answered_by_what_has_not_got_it(void **state) {
    (void)state;
    await_caught_up();
    await_replica(true);
    replica_exec("SELECT pg_wal_replay_pause()");
    change(7, 2);
    const struct id command_id = fixture_id('X', 7);
    char rest[128];
    snprintf(rest, sizeof(rest), "/events?after=%s", id_text(&command_id).text);
    for (int i = 0; i < 100; i++) {
        assert_status(order_path(7, rest), 200);
        assert_non_null(strstr(reply.body, "OrderCancelled"));
    }
    // Without a command, too, once it is too far behind; until then the answer is of a while ago.
    await_replica(false);
    for (int i = 0; i < 20; i++) {
        assert_status(order_path(7, "/events"), 200);
        assert_non_null(strstr(reply.body, "OrderCancelled"));
    }
    replica_exec("SELECT pg_wal_replay_resume()");
    await_replica(true);
    assert_status(order_path(7, rest), 200);
    assert_non_null(strstr(reply.body, "OrderCancelled"));
}

// A child may end meanwhile.
static void signal_replica(const char *name) {
    char command[256];
    (void)snprintf(command, sizeof(command),
                   "kill -%s %d && { kill -%s $(cat /proc/%d/task/%d/children) || true; }", name,
                   (int)server, name, (int)server, (int)server);
    assert_int_equal(shell(command), 0);
}

// It takes connections and says nothing: what it was asked is given up, and asked of the primary.
static void a_replica_that_stands_still_holds_nobody_up(void **state) {
    (void)state;
    await_caught_up();
    await_replica(true);
    signal_replica("STOP");
    for (int i = 0; i < 100; i++) {
        const int64_t begun_ms = clock_monotonic_ms();
        assert_status("/v1/orders?limit=1", 200);
        assert_true(clock_monotonic_ms() - begun_ms < 4000 || getenv("ORDERLOG_TEST_SLOW"));
    }
    assert_false(is_read_from_replica());
    signal_replica("CONT");
    await_replica(true);
}

static void a_replica_that_dies_is_missed_by_nobody(void **state) {
    (void)state;
    await_replica(true);
    stop_replica();
    for (int i = 0; i < 100; i++)
        assert_status("/v1/orders?limit=1", 200);
    await_replica(false);
}

int main(void) {
    curl_global_init(CURL_GLOBAL_DEFAULT);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_fresh_replica_takes_reads, begin),
        cmocka_unit_test_setup(a_read_after_a_command_is_never_answered_by_what_has_not_got_it,
                               begin),
        cmocka_unit_test_setup(a_replica_that_stands_still_holds_nobody_up, begin),
        cmocka_unit_test_setup(a_replica_that_dies_is_missed_by_nobody, begin),
    };
    return cmocka_run_group_tests(tests, open_with_replica, close_with_replica);
}
