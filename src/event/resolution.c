// SPDX-License-Identifier: Apache-2.0
//
// Carries a plan out, twice: once to count, once to write. A record's fields are found by skipping
// through it in the writer's order, then taken in the reader's. Skipping again at each depth costs
// at most as many times the length as ours are deep; everything that a message could make dear
// without being long (items without bytes, blocks without items) is counted against a budget.
#include "event/resolution.h"

#include <stdlib.h>
#include <string.h>

#include "event/codec_inline.h"
#include "resolution_plan.h"

enum { DEPTH_MAX = 64, BUDGET_BASE = 1 << 16, BUDGET_PER_BYTE = 32 };

static const char too_much[] = "it takes more work than its length is worth";

struct resolution {
    struct avro_schema *writer; // owned
    struct avro_schema *reader; // owned
    struct plan *plan;          // owned
};

struct walk {
    const uint8_t *end;
    struct codec_fault fault;
    int64_t budget;
    uint8_t *out; // NULL: only counting
    size_t len;
};

struct resolution *resolution_new(const char *writer, size_t writer_len, const char *reader,
                                  size_t reader_len, struct error *err) {
    struct resolution *resolution = calloc(1, sizeof(*resolution));
    if (!resolution) {
        (void)error_set(err, DISP_POISON, 0, "out of memory");
        return NULL;
    }
    resolution->writer = avro_schema_read(writer, writer_len, err);
    if (resolution->writer)
        resolution->reader = avro_schema_read(reader, reader_len, err);
    if (resolution->reader)
        resolution->plan = plan_make(resolution->writer, resolution->reader, err);
    return resolution->plan ? resolution : resolution_free(resolution);
}

struct resolution *resolution_free(struct resolution *resolution) {
    if (!resolution)
        return NULL;
    (void)plan_free(resolution->plan);
    (void)avro_schema_free(resolution->writer);
    (void)avro_schema_free(resolution->reader);
    free(resolution);
    return NULL;
}

// ---- out ---------------------------------------------------------------------------------------

// A message that grows beyond what a decoder takes is refused before there is memory for it.
static const uint8_t *put(struct walk *walk, const uint8_t *next, const void *bytes, size_t len) {
    if (len > CODEC_MESSAGE_BYTES_MAX - walk->len)
        return codec_fault(&walk->fault, next, "with its defaults it is too large");
    if (walk->out && len > 0)
        memcpy(walk->out + walk->len, bytes, len);
    walk->len += len;
    return next;
}

static const uint8_t *put_number(struct walk *walk, const uint8_t *next, int64_t value) {
    uint8_t bytes[10];
    return put(walk, next, bytes, (size_t)(codec_put_long(bytes, value) - bytes));
}

// ---- in ----------------------------------------------------------------------------------------

static const uint8_t *spend(struct walk *walk, const uint8_t *at) {
    if (--walk->budget < 0)
        return codec_fault(&walk->fault, at, too_much);
    return at;
}

static const uint8_t *get_branch(struct walk *walk, const uint8_t *at, size_t count,
                                 size_t *ret_branch) {
    int64_t branch = 0;
    at = codec_get_long(at, walk->end, &branch, &walk->fault);
    if (at && (uint64_t)branch >= count)
        return codec_fault(&walk->fault, at, "no such branch of the union");
    *ret_branch = (size_t)branch;
    return at;
}

// A block's count, and its end if it says so; 0 items: the last.
static const uint8_t *get_block(struct walk *walk, const uint8_t *at, int64_t *ret_count,
                                const uint8_t **ret_end) {
    *ret_end = NULL;
    at = spend(walk, at);
    if (at)
        at = codec_get_long(at, walk->end, ret_count, &walk->fault);
    if (!at || *ret_count >= 0)
        return at;
    uint32_t size = 0;
    at = codec_get_length(at, walk->end, &size, &walk->fault);
    if (!at)
        return NULL;
    if (*ret_count < -CODEC_ARRAY_ITEMS_MAX)
        return codec_fault(&walk->fault, at, "an array has too many items");
    *ret_count = -*ret_count;
    *ret_end = at + size;
    return at;
}

static const uint8_t *check_block(struct walk *walk, const uint8_t *at, const uint8_t *block_end) {
    if (at && block_end && at != block_end)
        return codec_fault(&walk->fault, at, "a block is not as long as it says");
    return at;
}

// ---- skipping ----------------------------------------------------------------------------------

static const uint8_t *skip(struct walk *walk, const struct avro_node *node, const uint8_t *at,
                           int depth);

static const uint8_t *skip_bytes(struct walk *walk, const uint8_t *at, size_t len) {
    if (len > (size_t)(walk->end - at))
        return codec_fault(&walk->fault, at, "the message ends too early");
    return at + len;
}

static const uint8_t *skip_text(struct walk *walk, const uint8_t *at) {
    uint32_t len = 0;
    at = codec_get_length(at, walk->end, &len, &walk->fault);
    return at ? at + len : NULL;
}

static const uint8_t *skip_items(struct walk *walk, const struct avro_node *node, const uint8_t *at,
                                 int depth) {
    for (int64_t count = 1; at && count > 0;) {
        const uint8_t *block_end = NULL;
        at = get_block(walk, at, &count, &block_end);
        for (int64_t i = 0; at && i < count; i++) {
            if (node->kind == AVRO_MAP)
                at = skip_text(walk, at);
            if (at)
                at = skip(walk, node->children[0], at, depth);
        }
        at = check_block(walk, at, block_end);
    }
    return at;
}

static const uint8_t *skip(struct walk *walk, const struct avro_node *node, const uint8_t *at,
                           int depth) {
    int64_t number;
    size_t branch = 0;
    if (depth == DEPTH_MAX)
        return codec_fault(&walk->fault, at, "it is nested too deeply");
    at = spend(walk, at);
    if (!at)
        return NULL;
    switch (node->kind) {
    case AVRO_NULL:
        return at;
    case AVRO_BOOLEAN:
        return skip_bytes(walk, at, 1);
    case AVRO_INT:
    case AVRO_LONG:
    case AVRO_ENUM:
        return codec_get_long(at, walk->end, &number, &walk->fault);
    case AVRO_FLOAT:
        return skip_bytes(walk, at, 4);
    case AVRO_DOUBLE:
        return skip_bytes(walk, at, 8);
    case AVRO_FIXED:
        return skip_bytes(walk, at, node->size);
    case AVRO_BYTES:
    case AVRO_STRING:
        return skip_text(walk, at);
    case AVRO_ARRAY:
    case AVRO_MAP:
        return skip_items(walk, node, at, depth + 1);
    case AVRO_UNION:
        at = get_branch(walk, at, node->count, &branch);
        return at ? skip(walk, node->children[branch], at, depth + 1) : NULL;
    case AVRO_RECORD:
        for (size_t i = 0; at && i < node->count; i++)
            at = skip(walk, node->children[i], at, depth + 1);
        return at;
    }
    return NULL;
}

// ---- turning over ------------------------------------------------------------------------------

static const uint8_t *turn(struct walk *walk, const struct plan *plan, const uint8_t *at);

static const uint8_t *turn_number(struct walk *walk, const struct plan *plan, const uint8_t *at) {
    int64_t number = 0;
    int32_t small = 0;
    if (plan->writer->kind == AVRO_LONG)
        at = codec_get_long(at, walk->end, &number, &walk->fault);
    else if ((at = codec_get_int(at, walk->end, &small, &walk->fault)))
        number = small;
    return at ? put_number(walk, at, number) : NULL;
}

static const uint8_t *turn_bytes(struct walk *walk, const uint8_t *at) {
    uint32_t len = 0;
    at = codec_get_length(at, walk->end, &len, &walk->fault);
    if (!at || !put_number(walk, at, len))
        return NULL;
    return put(walk, at + len, at, len);
}

static const uint8_t *turn_enum(struct walk *walk, const struct plan *plan, const uint8_t *at) {
    uint32_t symbol = 0;
    const uint8_t *start = at;
    at = codec_get_enum(at, walk->end, (uint32_t)plan->writer->count, &symbol, &walk->fault);
    if (!at)
        return NULL;
    if (plan->symbols[symbol] < 0)
        return codec_fault(&walk->fault, start,
                           "a symbol is not known here, and the enum has no default");
    return put_number(walk, at, plan->symbols[symbol]);
}

static const uint8_t *turn_array(struct walk *walk, const struct plan *plan, const uint8_t *at) {
    uint32_t total = 0;
    for (int64_t count = 1; at && count > 0;) {
        const uint8_t *block_end = NULL;
        at = get_block(walk, at, &count, &block_end);
        if (!at)
            return NULL;
        if (count > CODEC_ARRAY_ITEMS_MAX - (int64_t)total)
            return codec_fault(&walk->fault, at, "an array has too many items");
        at = put_number(walk, at, count);
        for (int64_t i = 0; at && i < count; i++) {
            at = turn(walk, plan->children[0], at);
            if (!at)
                return codec_fault_item(&walk->fault, total + (uint32_t)i);
        }
        total += (uint32_t)count;
        at = check_block(walk, at, block_end);
    }
    return at;
}

static const uint8_t *turn_record(struct walk *walk, const struct plan *plan, const uint8_t *at) {
    const struct avro_node *writer = plan->writer;
    const uint8_t *starts[AVRO_CHILDREN_MAX];
    for (size_t i = 0; i < writer->count; i++) {
        starts[i] = at;
        at = skip(walk, writer->children[i], at, 0);
        if (!at)
            return codec_fault_field(&walk->fault, writer->names[i]);
    }
    for (size_t i = 0; i < plan->count; i++) {
        const struct plan_default *none = &plan->defaults[i];
        const uint8_t *good = plan->fields[i] < 0
                                  ? put(walk, at, none->bytes, none->len)
                                  : turn(walk, plan->children[i], starts[plan->fields[i]]);
        if (!good)
            return codec_fault_field(&walk->fault, plan->reader->names[i]);
    }
    return at;
}

static const uint8_t *turn(struct walk *walk, const struct plan *plan, const uint8_t *at) {
    bool truth = false;
    size_t branch = 0;
    if (!spend(walk, at))
        return NULL;
    switch (plan->kind) {
    case PLAN_NULL:
        return at;
    case PLAN_BOOLEAN:
        at = codec_get_boolean(at, walk->end, &truth, &walk->fault);
        return at ? put(walk, at, &(uint8_t){truth}, 1) : NULL;
    case PLAN_NUMBER:
        return turn_number(walk, plan, at);
    case PLAN_BYTES:
        return turn_bytes(walk, at);
    case PLAN_ENUM:
        return turn_enum(walk, plan, at);
    case PLAN_ARRAY:
        return turn_array(walk, plan, at);
    case PLAN_CHOICE:
        at = get_branch(walk, at, plan->count, &branch);
        return at ? turn(walk, plan->children[branch], at) : NULL;
    case PLAN_INTO:
        return put_number(walk, at, plan->branch) ? turn(walk, plan->children[0], at) : NULL;
    case PLAN_RECORD:
        return turn_record(walk, plan, at);
    case PLAN_REFUSE:
        return codec_fault(&walk->fault, at, plan->why);
    }
    return NULL;
}

// Returns the number of bytes that come out, or SIZE_MAX with err.
static size_t walk_through(const struct resolution *resolution, const uint8_t *at,
                           const uint8_t *end, uint8_t *out, struct error *err) {
    const char *name = resolution->reader->top->name;
    struct walk walk = {.end = end, .out = out};
    walk.budget = BUDGET_BASE + (int64_t)BUDGET_PER_BYTE * (end - at);
    const uint8_t *start = at;
    at = codec_begin(at, end, &walk.fault);
    if (at)
        at = turn(&walk, resolution->plan, at);
    if (at == end)
        return walk.len;
    (void)codec_fault_report(&walk.fault, name ? name : "", start, at, end, err);
    return SIZE_MAX;
}

bool resolution_apply(const struct resolution *resolution, const uint8_t *at, const uint8_t *end,
                      struct arena *arena, const uint8_t **ret_at, const uint8_t **ret_end,
                      struct error *err) {
    size_t len = walk_through(resolution, at, end, NULL, err);
    if (len == SIZE_MAX)
        return false;
    // The decoder's wide loads may look a few bytes ahead of short texts, never past its end.
    uint8_t *out = arena_alloc(arena, len + 1);
    if (!out)
        return error_set(err, DISP_RETRY, 0, "no memory left for the record");
    (void)walk_through(resolution, at, end, out, err);
    *ret_at = out;
    *ret_end = out + len;
    return true;
}
