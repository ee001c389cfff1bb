// SPDX-License-Identifier: Apache-2.0
//
// The window of an executor: whatever is answered in whatever order, the committed offset and text
// are enough to know, after a crash, exactly which messages are answered.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "stream/window.h"

static uint64_t random_state;

static uint32_t draw(uint32_t below) {
    random_state = random_state * 6364136223846793005ULL + 1442695040888963407ULL;
    return (uint32_t)(random_state >> 33) % below;
}

static void the_offset_waits_for_the_first_unanswered_record(void **state) {
    (void)state;
    struct window window;
    window_init(&window);
    uint32_t dropped;
    assert_int_equal(window_advance(&window, 17, &dropped), 17);
    assert_int_equal(window_add(&window, 20, 2), 0);
    assert_int_equal(window_add(&window, 25, 1), 2);
    window_answer(&window, 2);
    window_answer(&window, 0);
    assert_int_equal(window_advance(&window, 30, &dropped), 20);
    assert_int_equal(dropped, 0);
    char text[WINDOW_TEXT_MAX];
    window_text(&window, text);
    assert_string_equal(text, "5"); // bits 0 and 2
    window_answer(&window, 1);
    assert_int_equal(window_advance(&window, 30, &dropped), 30);
    assert_int_equal(dropped, 3);
    window_text(&window, text);
    assert_string_equal(text, "");
    window_done(&window);
}

static void records_without_messages_hold_nothing_up(void **state) {
    (void)state;
    struct window window;
    window_init(&window);
    uint32_t dropped;
    (void)window_add(&window, 1, 0);
    (void)window_add(&window, 2, 1);
    (void)window_add(&window, 3, 0);
    assert_int_equal(window_advance(&window, 4, &dropped), 2);
    assert_int_equal(dropped, 0);
    window_answer(&window, 0);
    assert_int_equal(window_advance(&window, 4, &dropped), 4);
    assert_int_equal(dropped, 1);
    window_done(&window);
}

static void a_text_that_is_none_is_refused(void **state) {
    (void)state;
    struct window window;
    window_init(&window);
    assert_true(window_load(&window, NULL, 0));
    assert_true(window_load(&window, "0Az-_", 5));
    assert_false(window_load(&window, "0 1", 3));
    assert_false(window_load(&window, "0\0001", 3));
    assert_false(window_load(&window, "=", 1));
    static char too_long[WINDOW_MESSAGES_MAX / 6 + 2];
    memset(too_long, '_', sizeof(too_long));
    assert_false(window_load(&window, too_long, sizeof(too_long)));
    window_done(&window);
}

static void room_ends_before_the_bits_do(void **state) {
    (void)state;
    struct window window;
    window_init(&window);
    for (uint32_t i = 0; i < 16; i++) {
        assert_true(window_has_room(&window, 1024));
        (void)window_add(&window, i, 1024);
    }
    assert_false(window_has_room(&window, 1));
    for (uint32_t i = 1; i < WINDOW_MESSAGES_MAX; i++)
        window_answer(&window, i);
    char text[WINDOW_TEXT_MAX];
    window_text(&window, text);
    assert_true(strlen(text) < WINDOW_TEXT_MAX);
    struct window loaded;
    window_init(&loaded);
    assert_true(window_load(&loaded, text, strlen(text)));
    for (uint32_t i = 0; i < WINDOW_MESSAGES_MAX; i++)
        assert_int_equal(window_is_answered(&loaded, i), i != 0);
    window_done(&loaded);
    window_done(&window);
}

// ---- against a model: a log of records, and for each message whether its answer is committed ----

enum { RECORDS = 3000, MESSAGES_MAX = 40, STEPS = 40000 };

struct log {
    uint32_t count[RECORDS];                 // messages of each record; record i has offset 3 i
    uint8_t answered[RECORDS][MESSAGES_MAX]; // in the open transaction or before
    uint8_t durable[RECORDS][MESSAGES_MAX];  // committed
};

struct reader {
    struct window window;
    uint32_t next;  // record
    uint32_t first; // record of the window's front
    int64_t committed_offset;
    char committed[WINDOW_TEXT_MAX];
    uint32_t ordinal_record[WINDOW_MESSAGES_MAX];
    uint32_t ordinal_index[WINDOW_MESSAGES_MAX];
};

static void read_one(struct reader *reader, const struct log *log) {
    uint32_t record = reader->next++;
    uint32_t first = window_add(&reader->window, record * 3, log->count[record]);
    for (uint32_t i = 0; i < log->count[record]; i++) {
        reader->ordinal_record[first + i] = record;
        reader->ordinal_index[first + i] = i;
        // What was committed as answered is known to be, everything else is not.
        assert_int_equal(window_is_answered(&reader->window, first + i), log->durable[record][i]);
    }
}

static void answer_one(struct reader *reader, struct log *log) {
    uint32_t ordinal = draw(reader->window.messages_count);
    if (window_is_answered(&reader->window, ordinal))
        return;
    window_answer(&reader->window, ordinal);
    uint32_t record = reader->ordinal_record[ordinal], index = reader->ordinal_index[ordinal];
    assert_false(log->answered[record][index]);
    log->answered[record][index] = 1;
}

static void commit(struct reader *reader, struct log *log) {
    uint32_t dropped;
    int64_t offset = window_advance(&reader->window, reader->next * 3, &dropped);
    memmove(reader->ordinal_record, reader->ordinal_record + dropped,
            (WINDOW_MESSAGES_MAX - dropped) * sizeof(uint32_t));
    memmove(reader->ordinal_index, reader->ordinal_index + dropped,
            (WINDOW_MESSAGES_MAX - dropped) * sizeof(uint32_t));
    // Everything before the offset is answered, and the record there is not.
    for (int64_t record = reader->committed_offset / 3; record < offset / 3; record++)
        for (uint32_t i = 0; i < log->count[record]; i++)
            assert_true(log->answered[record][i]);
    if (offset / 3 < reader->next) {
        bool all = true;
        for (uint32_t i = 0; i < log->count[offset / 3]; i++)
            all &= log->answered[offset / 3][i];
        assert_false(all);
    }
    reader->committed_offset = offset;
    window_text(&reader->window, reader->committed);
    memcpy(log->durable, log->answered, sizeof(log->durable));
}

static void crash(struct reader *reader, struct log *log) {
    if (draw(2)) { // a new process
        window_done(&reader->window);
        window_init(&reader->window);
    }
    assert_true(window_load(&reader->window, reader->committed, strlen(reader->committed)));
    reader->next = (uint32_t)(reader->committed_offset / 3);
    memcpy(log->answered, log->durable, sizeof(log->answered));
}

static void every_message_is_answered_exactly_once_whatever_crashes(void **state) {
    (void)state;
    const char *given = getenv("ORDERLOG_TEST_SEED");
    uint64_t seed = given ? strtoull(given, NULL, 10) : (uint64_t)time(NULL);
    printf("seed: ORDERLOG_TEST_SEED=%llu\n", (unsigned long long)seed);
    random_state = seed;
    static struct log log;
    static struct reader reader;
    memset(&log, 0, sizeof(log));
    memset(&reader, 0, sizeof(reader));
    for (size_t i = 0; i < RECORDS; i++)
        log.count[i] = draw(4) ? 1 + draw(3) : draw(MESSAGES_MAX + 1);
    window_init(&reader.window);
    for (int step = 0; step < STEPS || reader.committed_offset < RECORDS * 3; step++) {
        uint32_t what = draw(100);
        if (what < 35 && reader.next < RECORDS && window_has_room(&reader.window, MESSAGES_MAX))
            read_one(&reader, &log);
        else if (what < 90 && reader.window.messages_count)
            answer_one(&reader, &log);
        else if (what < 98)
            commit(&reader, &log);
        else if (step < STEPS)
            crash(&reader, &log);
    }
    for (size_t i = 0; i < RECORDS; i++)
        for (uint32_t j = 0; j < log.count[i]; j++)
            assert_true(log.durable[i][j]);
    window_done(&reader.window);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_offset_waits_for_the_first_unanswered_record),
        cmocka_unit_test(records_without_messages_hold_nothing_up),
        cmocka_unit_test(a_text_that_is_none_is_refused),
        cmocka_unit_test(room_ends_before_the_bits_do),
        cmocka_unit_test(every_message_is_answered_exactly_once_whatever_crashes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
