// SPDX-License-Identifier: Apache-2.0
//
// What is remembered of commands is a fold of events, undone with the transaction, and bounded.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "process/command_memory.h"

#include <string.h>

static const int64_t begin_us = INT64_C(1700000000000000);
enum { WINDOW_US = 1000, COMMANDS_MAX = 100 };

static struct command_memory *memory;

static int begin(void **state) {
    (void)state;
    memory = command_memory_new(WINDOW_US, COMMANDS_MAX);
    return 0;
}

static int end(void **state) {
    (void)state;
    command_memory_free(memory);
    return 0;
}

static struct id id_of(int number) {
    struct id id = {.bytes = {1}};
    memcpy(&id.bytes[4], &number, sizeof(number));
    return id;
}

static void happened(int key, int command, int64_t after_us) {
    const struct remembered_command remembered = {
        .key_id = id_of(key), .command_id = id_of(command), .at_us = begin_us + after_us};
    command_memory_put(memory, &remembered);
}

static bool knows(int key, int command) {
    struct id key_id = id_of(key), command_id = id_of(command);
    struct remembered_command remembered = command_memory_get(memory, &key_id);
    return id_equal(&remembered.key_id, &key_id) && id_equal(&remembered.command_id, &command_id);
}

static void a_command_is_remembered_by_its_key(void **state) {
    (void)state;
    assert_false(knows(1, 10));
    happened(1, 10, 0);
    assert_true(knows(1, 10));
    command_memory_commit(memory);
    assert_true(knows(1, 10));
    happened(1, 11, 5);
    assert_true(knows(1, 11));
    const struct remembered_command none = {0};
    command_memory_put(memory, &none);
    assert_int_equal(command_memory_count(memory), 1);
}

static void an_aborted_transaction_is_not_remembered(void **state) {
    (void)state;
    happened(1, 10, 0);
    command_memory_commit(memory);
    happened(1, 11, 1);
    happened(2, 20, 2);
    command_memory_undo(memory);
    assert_true(knows(1, 10));
    assert_false(knows(2, 20));
    assert_int_equal(command_memory_count(memory), 1);
}

static void what_is_over_is_forgotten_by_the_time_of_events(void **state) {
    (void)state;
    happened(1, 10, 0);
    happened(2, 20, 1);
    happened(3, 30, WINDOW_US);
    command_memory_commit(memory);
    assert_int_equal(command_memory_count(memory), 3);
    happened(4, 40, WINDOW_US + 1);
    command_memory_commit(memory);
    assert_false(knows(1, 10));
    assert_true(knows(2, 20));
}

static void a_key_used_anew_is_remembered_anew(void **state) {
    (void)state;
    happened(1, 10, 0);
    happened(1, 11, WINDOW_US);
    happened(2, 20, 2 * WINDOW_US);
    command_memory_commit(memory);
    assert_true(knows(1, 11));
    happened(3, 30, 2 * WINDOW_US + 1);
    command_memory_commit(memory);
    assert_false(knows(1, 11));
}

static void the_oldest_make_room_when_there_are_too_many(void **state) {
    (void)state;
    for (int i = 0; i < 3 * COMMANDS_MAX; i++) {
        happened(i, i, i);
        if (i % 7 == 0)
            command_memory_commit(memory);
    }
    command_memory_commit(memory);
    assert_int_equal(command_memory_count(memory), COMMANDS_MAX);
    for (int i = 0; i < 3 * COMMANDS_MAX; i++)
        assert_int_equal(knows(i, i), i >= 2 * COMMANDS_MAX);
}

#define TOLD(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void) {
    const struct CMUnitTest tests[] = {
        TOLD(a_command_is_remembered_by_its_key),
        TOLD(an_aborted_transaction_is_not_remembered),
        TOLD(what_is_over_is_forgotten_by_the_time_of_events),
        TOLD(a_key_used_anew_is_remembered_anew),
        TOLD(the_oldest_make_room_when_there_are_too_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
