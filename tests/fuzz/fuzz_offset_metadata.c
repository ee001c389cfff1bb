// SPDX-License-Identifier: Apache-2.0
//
// A committed offset's text is whatever the last client of the group wrote. What is accepted must
// come out again as it went in.
#include "stream/offset_metadata.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    // The fuzzer cannot look into sscanf(): half of the inputs get a good beginning.
    static const char good[] = "v1 at=9 seq=7 events=21 new=3 by=0000002a answered=";
    char text[OFFSET_METADATA_MAX];
    size_t len = 0;
    if (size > 0 && (data[0] & 1)) {
        len = sizeof(good) - 1;
        memcpy(text, good, len);
    }
    if (size > sizeof(text) - len)
        return 0;
    memcpy(text + len, data, size);
    len += size;
    struct offset_metadata first, second;
    if (!offset_metadata_parse(text, len, &first))
        return 0;
    static struct window window;
    if (!window.answered)
        window_init(&window);
    if (!window_load(&window, first.answered, first.answered_len))
        return 0;
    char answered[WINDOW_TEXT_MAX];
    window_text(&window, answered);
    assert(strlen(answered) <= first.answered_len);
    char formatted[OFFSET_METADATA_MAX];
    offset_metadata_format(&first, formatted);
    bool again = offset_metadata_parse(formatted, strlen(formatted), &second);
    assert(again && second.seq == first.seq && second.events == first.events &&
           second.events_new == first.events_new && second.by == first.by &&
           second.answered_len == first.answered_len);
    return 0;
}
