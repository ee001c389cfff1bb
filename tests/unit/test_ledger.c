// SPDX-License-Identifier: Apache-2.0
//
// The simulators' books, shared by processes that die at the wrong moment.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "process/ledger.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const char *const actions[] = {"AUTHORIZE", "CAPTURE"};
static const char *const results[] = {"AUTHORIZED", "DECLINED", "CAPTURED"};
static const struct ledger_words words = {actions, 2, results, 3};

static char folder[] = "/tmp/orderlog-ledger-XXXXXX";
static char path[64];

static int make_folder(void **state) {
    (void)state;
    if (!mkdtemp(folder))
        return -1;
    (void)snprintf(path, sizeof(path), "%s/ledger", folder);
    return 0;
}

static int remove_folder(void **state) {
    (void)state;
    (void)unlink(path);
    return rmdir(folder);
}

static int begin(void **state) {
    (void)state;
    (void)unlink(path);
    return 0;
}

static struct id id_of(uint64_t number) {
    struct id cause = id_hash(&(struct id_part){.bytes = "ledger", .len = 6}, 1);
    return id_derive(&cause, number);
}

static struct ledger *open_ledger(const char *at) {
    struct error err;
    struct ledger *ledger = ledger_open(at, &words, &err);
    if (!ledger)
        fail_msg("%s", err.msg);
    return ledger;
}

static bool append(struct ledger *ledger, uint64_t number) {
    struct ledger_entry entry = {
        .at_us = 1700000000000000,
        .effect_id = id_of(number),
        .order_id = id_of(number + 1000000000),
        .action = 0,
        .result = 0,
        .amount_minor = (int64_t)number,
        .currency = "EUR",
    };
    return ledger_append(ledger, &entry, NULL);
}

static void put(struct ledger *ledger, uint64_t number) {
    assert_true(ledger_begin(ledger, NULL));
    assert_true(append(ledger, number));
    assert_true(ledger_commit(ledger, NULL));
}

static bool knows(struct ledger *ledger, uint64_t number) {
    struct id id = id_of(number);
    assert_true(ledger_begin(ledger, NULL));
    struct ledger_facts facts = ledger_find(ledger, &id);
    assert_true(ledger_commit(ledger, NULL));
    if (!facts.happened)
        return false;
    assert_int_equal(facts.happened, ledger_bit(0, 0));
    assert_int_equal(facts.amount_minor, number);
    return true;
}

static void what_was_written_is_known_after_a_restart(void **state) {
    (void)state;
    struct ledger *ledger = open_ledger(path);
    put(ledger, 7);
    assert_true(knows(ledger, 7));
    assert_false(knows(ledger, 8));
    ledger = ledger_free(ledger);
    ledger = open_ledger(path);
    assert_true(knows(ledger, 7));
    ledger = ledger_free(ledger);
}

static void a_ledger_in_memory_needs_no_file(void **state) {
    (void)state;
    struct ledger *ledger = open_ledger("");
    put(ledger, 7);
    assert_true(knows(ledger, 7));
    assert_false(knows(ledger, 8));
    ledger = ledger_free(ledger);
}

static void what_another_process_wrote_is_seen_in_the_next_turn(void **state) {
    (void)state;
    struct ledger *one = open_ledger(path);
    struct ledger *other = open_ledger(path);
    put(one, 1);
    assert_true(knows(other, 1));
    put(other, 2);
    assert_true(knows(one, 2));
    one = ledger_free(one);
    other = ledger_free(other);
}

static void an_abandoned_turn_never_happened(void **state) {
    (void)state;
    struct ledger *ledger = open_ledger(path);
    put(ledger, 1);
    assert_true(ledger_begin(ledger, NULL));
    assert_true(append(ledger, 2));
    ledger_abandon(ledger);
    assert_true(knows(ledger, 1));
    assert_false(knows(ledger, 2));
    ledger = ledger_free(ledger);
}

static void write_raw(const char *text) {
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    assert_int_equal(close(fd), 0);
}

static void a_torn_last_line_is_cut_off(void **state) {
    (void)state;
    struct ledger *ledger = open_ledger(path);
    put(ledger, 1);
    struct stat before, after;
    assert_int_equal(stat(path, &before), 0);
    write_raw("1700000000000000 01234567-89ab-8");
    assert_true(knows(ledger, 1));
    assert_int_equal(stat(path, &after), 0);
    assert_int_equal(after.st_size, before.st_size);
    put(ledger, 2);
    ledger = ledger_free(ledger);
    ledger = open_ledger(path);
    assert_true(knows(ledger, 1) && knows(ledger, 2));
    ledger = ledger_free(ledger);
}

static void a_damaged_ledger_is_refused_with_the_line(void **state) {
    (void)state;
    write_raw("this is no ledger\n");
    struct error err;
    assert_null(ledger_open(path, &words, &err));
    assert_non_null(strstr(err.msg, "this is no ledger"));
    assert_non_null(strstr(err.msg, path));
}

static void a_line_without_end_is_refused_and_nothing_behind_it_cut(void **state) {
    (void)state;
    struct ledger *ledger = open_ledger(path);
    put(ledger, 1);
    ledger = ledger_free(ledger);
    enum { LONG = (1 << 20) + 1 };
    char *line = malloc(LONG + 2);
    memset(line, 'x', LONG);
    memcpy(line + LONG, "\n", 2);
    write_raw(line);
    free(line);
    struct stat before, after;
    assert_int_equal(stat(path, &before), 0);
    struct error err;
    assert_null(ledger_open(path, &words, &err));
    assert_non_null(strstr(err.msg, "no line ends"));
    assert_int_equal(stat(path, &after), 0);
    assert_int_equal(after.st_size, before.st_size);
    assert_int_equal(unlink(path), 0);
}

static void a_ledger_that_cannot_be_made_is_an_error(void **state) {
    (void)state;
    struct error err;
    assert_null(ledger_open("/nonexistent/ledger", &words, &err));
    assert_non_null(strstr(err.msg, "/nonexistent/ledger"));
}

// ---- several processes -------------------------------------------------------------------------

enum { CHILDREN = 4, TURNS = 300 };

static void child_appends(uint64_t child) {
    struct ledger *ledger = ledger_open(path, &words, NULL);
    if (!ledger)
        _exit(1);
    for (uint64_t i = 0; i < TURNS; i++) {
        if (!ledger_begin(ledger, NULL) || !append(ledger, child * TURNS + i) ||
            !ledger_commit(ledger, NULL))
            _exit(2);
    }
    _exit(0);
}

static void processes_appending_at_once_lose_and_tear_nothing(void **state) {
    (void)state;
    pid_t children[CHILDREN];
    for (uint64_t i = 0; i < CHILDREN; i++) {
        children[i] = fork();
        assert_true(children[i] >= 0);
        if (children[i] == 0)
            child_appends(i);
    }
    for (int i = 0; i < CHILDREN; i++) {
        int status;
        assert_int_equal(waitpid(children[i], &status, 0), children[i]);
        assert_int_equal(status, 0);
    }
    struct ledger *ledger = open_ledger(path);
    for (uint64_t i = 0; i < CHILDREN * TURNS; i++)
        assert_true(knows(ledger, i));
    ledger = ledger_free(ledger);
}

// The child reports every turn that was committed; killed at any moment, all of those must be
// there.
static void child_reports(int report) {
    struct ledger *ledger = ledger_open(path, &words, NULL);
    for (uint64_t i = 0; ledger; i++) {
        if (!ledger_begin(ledger, NULL))
            _exit(1);
        for (uint64_t entry = 0; entry < 50; entry++)
            if (!append(ledger, i * 50 + entry))
                _exit(2);
        if (!ledger_commit(ledger, NULL) || write(report, &i, sizeof(i)) != sizeof(i))
            _exit(3);
    }
    _exit(4);
}

static void what_was_committed_before_a_kill_is_there(void **state) {
    (void)state;
    for (int round = 0; round < 20; round++) {
        (void)unlink(path);
        int report[2];
        assert_int_equal(pipe(report), 0);
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0)
            child_reports(report[1]);
        assert_int_equal(close(report[1]), 0);
        uint64_t turn = 0;
        for (int i = 0; i <= round; i++)
            assert_int_equal(read(report[0], &turn, sizeof(turn)), sizeof(turn));
        assert_int_equal(kill(child, SIGKILL), 0);
        assert_int_equal(waitpid(child, NULL, 0), child);
        while (read(report[0], &turn, sizeof(turn)) == sizeof(turn))
            ;
        assert_int_equal(close(report[0]), 0);

        // The lock died with its holder.
        struct ledger *ledger = open_ledger(path);
        for (uint64_t i = 0; i < (turn + 1) * 50; i++)
            assert_true(knows(ledger, i));
        put(ledger, 1000000);
        assert_true(knows(ledger, 1000000));
        ledger = ledger_free(ledger);
    }
}

// ---- size --------------------------------------------------------------------------------------

static void a_large_ledger_loads_quickly(void **state) {
    (void)state;
    const uint64_t lines = getenv("ORDERLOG_TEST_LONG") ? 1000000 : 100000;
    struct ledger *ledger = open_ledger(path);
    assert_true(ledger_begin(ledger, NULL));
    for (uint64_t i = 0; i < lines; i++)
        assert_true(append(ledger, i));
    assert_true(ledger_commit(ledger, NULL));
    ledger = ledger_free(ledger);
    clock_t before = clock();
    ledger = open_ledger(path);
    double seconds = (double)(clock() - before) / CLOCKS_PER_SEC;
    printf("%llu lines in %.3f s of CPU\n", (unsigned long long)lines, seconds);
    assert_true(knows(ledger, 0) && knows(ledger, lines - 1));
    assert_true(seconds < 10);
    ledger = ledger_free(ledger);
}

static void a_ledger_can_be_read_by_people(void **state) {
    (void)state;
    struct ledger *ledger = open_ledger(path);
    put(ledger, 7);
    ledger = ledger_free(ledger);
    write_raw("170000");
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    assert_non_null(out);
    assert_true(ledger_dump(path, out, NULL));
    assert_int_equal(fclose(out), 0);
    struct id effect = id_of(7), order = id_of(1000000007);
    char expected[256];
    (void)snprintf(expected, sizeof(expected),
                   "1700000000000000 %s %s AUTHORIZE AUTHORIZED 7 EUR\n", id_text(&effect).text,
                   id_text(&order).text);
    assert_string_equal(text, expected);
    free(text);
}

#define TOLD(name) cmocka_unit_test_setup(name, begin)

int main(void) {
    const struct CMUnitTest tests[] = {
        TOLD(what_was_written_is_known_after_a_restart),
        TOLD(a_ledger_in_memory_needs_no_file),
        TOLD(what_another_process_wrote_is_seen_in_the_next_turn),
        TOLD(an_abandoned_turn_never_happened),
        TOLD(a_torn_last_line_is_cut_off),
        TOLD(a_damaged_ledger_is_refused_with_the_line),
        TOLD(a_line_without_end_is_refused_and_nothing_behind_it_cut),
        TOLD(a_ledger_that_cannot_be_made_is_an_error),
        TOLD(processes_appending_at_once_lose_and_tear_nothing),
        TOLD(what_was_committed_before_a_kill_is_there),
        TOLD(a_large_ledger_loads_quickly),
        TOLD(a_ledger_can_be_read_by_people),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
