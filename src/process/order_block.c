// SPDX-License-Identifier: Apache-2.0
#include "order_block.h"

#include "domain/order.h"

#include <string.h>

enum { MARK = ORDER_PACKED_FIRST_END, AT_FLAGS = 1, AT_TRACE = 2, AT_SPAN = 2 + TRACE_ID_LEN };

struct order_block order_block_of(const void *block, size_t size) {
    const uint8_t *bytes = block;
    if (size > 0 && bytes[0] == MARK)
        return (struct order_block){.packed = bytes + ORDER_BLOCK_TRACE_LEN,
                                    .len = size - ORDER_BLOCK_TRACE_LEN,
                                    .trace = bytes};
    return (struct order_block){.packed = bytes, .len = size};
}

struct trace_context order_block_trace(const struct order_block *block) {
    struct trace_context trace = {.is_set = block->trace != NULL};
    if (!block->trace)
        return trace;
    trace.flags = block->trace[AT_FLAGS];
    memcpy(trace.trace_id, block->trace + AT_TRACE, TRACE_ID_LEN);
    memcpy(trace.span_id, block->trace + AT_SPAN, TRACE_SPAN_ID_LEN);
    return trace;
}

size_t order_block_put_trace(const struct trace_context *trace, uint8_t *ret) {
    if (!trace->is_set)
        return 0;
    ret[0] = MARK;
    ret[AT_FLAGS] = trace->flags;
    memcpy(ret + AT_TRACE, trace->trace_id, TRACE_ID_LEN);
    memcpy(ret + AT_SPAN, trace->span_id, TRACE_SPAN_ID_LEN);
    return ORDER_BLOCK_TRACE_LEN;
}
