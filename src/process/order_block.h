// SPDX-License-Identifier: Apache-2.0
//
// An open order as it lies in its partition's table: packed, behind its trace where it has one. So
// an order that is not traced costs nothing for it, and a trace is undone with its order.
#ifndef ORDERLOG_PROCESS_ORDER_BLOCK_H
#define ORDERLOG_PROCESS_ORDER_BLOCK_H

#include <stddef.h>
#include <stdint.h>

#include "service/trace.h"

// A mark, flags, the trace, the span.
enum { ORDER_BLOCK_TRACE_LEN = 2 + TRACE_ID_LEN + TRACE_SPAN_ID_LEN };

struct order_block {
    const uint8_t *packed; // both borrowed
    size_t len;
    const uint8_t *trace; // NULL: none
};

struct order_block order_block_of(const void *block, size_t size);
struct trace_context order_block_trace(const struct order_block *block);

// What stands before the packed order; returns its length, 0 where trace is not set.
size_t order_block_put_trace(const struct trace_context *trace, uint8_t *ret);

#endif
