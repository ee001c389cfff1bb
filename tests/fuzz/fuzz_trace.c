// SPDX-License-Identifier: Apache-2.0
//
// Headers of requests and records: whatever a caller, or a foreign client of the cluster, wrote
// there. What is accepted must come out again as it went in, and a group's contexts one by one.
#include "service/trace.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const char *text = (const char *)data;
    struct trace_context trace;
    char again[TRACE_TEXT_LEN + 1];
    assert(trace_parse(text, size, &trace) == trace.is_set);
    if (trace.is_set) {
        trace_format(&trace, again);
        assert(size == TRACE_TEXT_LEN && memcmp(again, text, size) == 0);
    }
    const char *at = text;
    const char *end = text + size;
    uint32_t index;
    while (at < end) {
        const char *before = at;
        if (!trace_next(&at, end, &index, &trace)) {
            assert(at == before);
            break;
        }
        char one[TRACE_ONE_MAX];
        size_t len = trace_put_one(one, true, index, &trace);
        assert(at > before && at <= end && len <= sizeof(one));
        assert(memcmp(one + len - TRACE_TEXT_LEN, at - TRACE_TEXT_LEN, TRACE_TEXT_LEN) == 0);
    }
    return 0;
}
