// SPDX-License-Identifier: Apache-2.0
//
// What is committed beside an offset must come back as it was, and nothing else may pass for it.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "stream/offset_metadata.h"

static void the_text_is_fixed(void **state) {
    (void)state;
    static const struct offset_metadata first;
    char text[OFFSET_METADATA_MAX];
    offset_metadata_format(&first, text);
    assert_string_equal(text, "v1 at=0 seq=0 events=0 new=0 by=00000000");
    const struct offset_metadata metadata = {
        .at = 1234,
        .seq = 17,
        .events = 4711,
        .events_new = 3,
        .by = 0x9f2c01aa,
        .answered = "3fAND MORE",
        .answered_len = 2,
    };
    offset_metadata_format(&metadata, text);
    assert_string_equal(text, "v1 at=1234 seq=17 events=4711 new=3 by=9f2c01aa answered=3f");
}

static void what_is_written_is_read_back(void **state) {
    (void)state;
    static char answered[WINDOW_TEXT_MAX];
    memset(answered, '_', sizeof(answered) - 1);
    const struct offset_metadata cases[] = {
        {.at = 0},
        {.at = 1, .seq = 2, .events = 3, .events_new = 4, .by = 5},
        {.at = INT64_MAX,
         .seq = UINT64_MAX,
         .events = INT64_MAX,
         .events_new = INT64_MAX,
         .by = UINT32_MAX,
         .answered = answered,
         .answered_len = sizeof(answered) - 1},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct offset_metadata *metadata = &cases[i];
        char text[OFFSET_METADATA_MAX];
        struct offset_metadata read;
        offset_metadata_format(metadata, text);
        assert_true(strlen(text) < 4096); // offset.metadata.max.bytes of a broker
        // The broker's text has no end of its own.
        char bytes[OFFSET_METADATA_MAX + 8];
        memset(bytes, '7', sizeof(bytes));
        memcpy(bytes, text, strlen(text));
        assert_true(offset_metadata_parse(bytes, strlen(text), &read));
        assert_int_equal(read.at, metadata->at);
        assert_int_equal(read.seq, metadata->seq);
        assert_int_equal(read.events, metadata->events);
        assert_int_equal(read.events_new, metadata->events_new);
        assert_int_equal(read.by, metadata->by);
        assert_int_equal(read.answered_len, metadata->answered_len);
        if (read.answered_len)
            assert_memory_equal(read.answered, metadata->answered, read.answered_len);
    }
}

static void anything_else_is_refused_and_changes_nothing(void **state) {
    (void)state;
    static const char *const texts[] = {
        "",
        "v1",
        "v2 at=0 seq=0 events=0 new=0 by=00000000",
        "v1 seq=0 events=0 new=0 by=00000000",
        "v1 at=0 seq=0 events=0 new=0",
        "v1 at=0 seq=0 events=0 by=00000000 new=0",
        "v1 at=-1 seq=0 events=0 new=0 by=00000000",
        "v1 at=0 seq=0 events=-1 new=0 by=00000000",
        "v1 at=0 seq=0 events=0 new=-1 by=00000000",
        "v1 at=0 seq=0 events=0 new=0 by=00000000 ",
        "v1 at=0 seq=0 events=0 new=0 by=00000000 more=1",
        "v1 at=0 seq=0 events=0 new=0 by=00000000answered=1",
        "set by kafka-consumer-groups.sh",
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct offset_metadata metadata = {.seq = 99};
        if (offset_metadata_parse(texts[i], strlen(texts[i]), &metadata))
            fail_msg("taken for ours: %s", texts[i]);
        assert_int_equal(metadata.seq, 99);
    }
    struct offset_metadata metadata;
    assert_false(offset_metadata_parse(NULL, 0, &metadata));
    static char endless[OFFSET_METADATA_MAX + 100];
    memset(endless, '0', sizeof(endless));
    memcpy(endless, "v1 at=0 seq=0 events=0 new=0 by=0 answered=", 43);
    assert_false(offset_metadata_parse(endless, sizeof(endless), &metadata));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_text_is_fixed),
        cmocka_unit_test(what_is_written_is_read_back),
        cmocka_unit_test(anything_else_is_refused_and_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
