// SPDX-License-Identifier: Apache-2.0
//
// What generated encoders and decoders are made of. Writers (codec_put_...) trust the caller to
// have made room; readers (codec_get_...) check every bound, return the position after the value,
// and NULL after noting in the fault what is wrong. The common short forms are inline, the rest is
// in src/event/codec.c. Only generated code and src/event include this.
#ifndef ORDERLOG_EVENT_CODEC_INLINE_H
#define ORDERLOG_EVENT_CODEC_INLINE_H

#include <string.h>

#include "event/codec.h"

#define CODEC_LIKELY(x) __builtin_expect(!!(x), 1)
#define CODEC_COLD __attribute__((cold, noinline))
#define CODEC_INLINE static inline __attribute__((always_inline))

enum { CODEC_STEPS_MAX = 8 }; // the generator refuses deeper records

struct codec_step {
    const char *field;
    int64_t index; // of the item, -1 if the field is no array
};

// Filled on the way out of a failed decode, innermost field first.
struct codec_fault {
    enum disposition what;
    const char *why; // NULL as long as all is well
    const uint8_t *at;
    int64_t index; // of the item that failed, until its field is known
    int steps_count;
    struct codec_step steps[CODEC_STEPS_MAX];
};

// An array being read. Its items come in blocks; nearly always it is one.
struct codec_items {
    uint32_t count;           // items in all blocks up to the current one, inclusive
    uint32_t block;           // items in the current block, 0 at the end
    uint32_t capacity;        // items there is memory for
    const uint8_t *block_end; // where the block said it ends, NULL if it did not say
};

// ---- faults -------------------------------------------------------------------------------------

// Each notes something and returns NULL.
CODEC_COLD void *codec_fault(struct codec_fault *fault, const uint8_t *at, const char *why);
CODEC_COLD void *codec_fault_item(struct codec_fault *fault, uint32_t index);
CODEC_COLD void *codec_fault_field(struct codec_fault *fault, const char *field);

// Turns the fault, or the bytes left over at `at`, into an error. Always false.
CODEC_COLD bool codec_fault_report(const struct codec_fault *fault, const char *record,
                                   const uint8_t *start, const uint8_t *at, const uint8_t *end,
                                   struct error *err);

// Clears the fault and refuses input that is too large.
static inline const uint8_t *codec_begin(const uint8_t *at, const uint8_t *end,
                                         struct codec_fault *fault) {
    fault->what = DISP_POISON;
    fault->why = NULL;
    fault->index = -1;
    fault->steps_count = 0;
    if (end - at > CODEC_MESSAGE_BYTES_MAX)
        return codec_fault(fault, at, "the message is too large");
    return at;
}

// ---- writers ------------------------------------------------------------------------------------

static inline uint8_t *codec_put_varint(uint8_t *at, uint64_t value) {
    while (value >= 0x80) {
        *at++ = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    *at++ = (uint8_t)value;
    return at;
}

static inline uint8_t *codec_put_long(uint8_t *at, int64_t value) {
    return codec_put_varint(at, ((uint64_t)value << 1) ^ (uint64_t)(value >> 63));
}

static inline uint8_t *codec_put_int(uint8_t *at, int32_t value) {
    return codec_put_long(at, value);
}

static inline uint8_t *codec_put_boolean(uint8_t *at, bool value) {
    *at = value;
    return at + 1;
}

// symbols_count is a constant: nearly all enums are written as one byte.
static inline uint8_t *codec_put_enum(uint8_t *at, uint32_t symbol, uint32_t symbols_count) {
    if (symbols_count > 64)
        return codec_put_varint(at, (uint64_t)symbol << 1);
    *at = (uint8_t)(symbol << 1);
    return at + 1;
}

static inline uint8_t *codec_put_view(uint8_t *at, struct view value) {
    at = codec_put_varint(at, (uint64_t)value.len << 1);
    if (value.len > 0)
        memcpy(at, value.ptr, value.len);
    return at + value.len;
}

static inline uint8_t *codec_put_view_or_null(uint8_t *at, struct view value) {
    *at++ = value.ptr ? 2 : 0;
    return value.ptr ? codec_put_view(at, value) : at;
}

static inline uint8_t *codec_put_uuid(uint8_t *at, const struct id *id) {
    *at++ = ID_TEXT_LEN << 1;
    id_format(id, (char *)at);
    return at + ID_TEXT_LEN;
}

// ---- readers ------------------------------------------------------------------------------------

const uint8_t *codec_get_long_slow(const uint8_t *at, const uint8_t *end, int64_t *ret,
                                   struct codec_fault *fault);
const uint8_t *codec_get_int_slow(const uint8_t *at, const uint8_t *end, int32_t *ret,
                                  struct codec_fault *fault);

// Returned in registers, so that no local of a decoder needs a place in memory.
struct codec_small {
    const uint8_t *at; // NULL: fault
    uint32_t value;
};

CODEC_COLD const uint8_t *codec_get_uuid_slow(const uint8_t *at, const uint8_t *end, struct id *ret,
                                              struct codec_fault *fault);
struct codec_small codec_get_length_slow(const uint8_t *at, const uint8_t *end,
                                         struct codec_fault *fault);
struct codec_small codec_get_branch_slow(const uint8_t *at, const uint8_t *end,
                                         struct codec_fault *fault);
struct codec_small codec_get_enum_slow(const uint8_t *at, const uint8_t *end,
                                       uint32_t symbols_count, struct codec_fault *fault);
bool codec_utf8_is_valid_slow(const uint8_t *text, size_t len);

// A position further on is never NULL, which the hardened build would look for after each value.
CODEC_INLINE const uint8_t *codec_after(const uint8_t *at, size_t bytes) {
    at += bytes;
    if (!at)
        __builtin_unreachable();
    return at;
}

CODEC_INLINE int64_t codec_unzigzag(uint64_t value) {
    return (int64_t)((value >> 1) ^ (0 - (value & 1)));
}

// Quantities and versions are one byte, most amounts two, times eight.
CODEC_INLINE const uint8_t *codec_get_long(const uint8_t *at, const uint8_t *end, int64_t *ret,
                                           struct codec_fault *fault) {
    if (CODEC_LIKELY(at < end && at[0] < 0x80)) {
        *ret = codec_unzigzag(at[0]);
        return codec_after(at, 1);
    }
    if (CODEC_LIKELY(end - at >= 2 && at[1] < 0x80)) {
        *ret = codec_unzigzag((uint64_t)(at[0] & 0x7f) | (uint64_t)at[1] << 7);
        return codec_after(at, 2);
    }
    return codec_get_long_slow(at, end, ret, fault);
}

CODEC_INLINE const uint8_t *codec_get_int(const uint8_t *at, const uint8_t *end, int32_t *ret,
                                          struct codec_fault *fault) {
    if (CODEC_LIKELY(at < end && *at < 0x80)) {
        *ret = (int32_t)codec_unzigzag(*at);
        return codec_after(at, 1);
    }
    return codec_get_int_slow(at, end, ret, fault);
}

CODEC_INLINE const uint8_t *codec_get_boolean(const uint8_t *at, const uint8_t *end, bool *ret,
                                              struct codec_fault *fault) {
    if (CODEC_LIKELY(at < end && *at <= 1)) {
        *ret = *at;
        return codec_after(at, 1);
    }
    return codec_fault(fault, at, at < end ? "a boolean is 0 or 1" : "the message ends too early");
}

// Which branch of ["null", T]: true for T.
CODEC_INLINE const uint8_t *codec_get_branch(const uint8_t *at, const uint8_t *end, bool *ret,
                                             struct codec_fault *fault) {
    if (CODEC_LIKELY(at < end && (*at | 2) == 2)) {
        *ret = *at;
        return codec_after(at, 1);
    }
    struct codec_small slow = codec_get_branch_slow(at, end, fault);
    *ret = slow.value;
    return slow.at;
}

CODEC_INLINE const uint8_t *codec_get_enum(const uint8_t *at, const uint8_t *end,
                                           uint32_t symbols_count, uint32_t *ret,
                                           struct codec_fault *fault) {
    // Turned round, a negative symbol or a second byte is 64 or more.
    uint8_t symbol = at < end ? (uint8_t)(*at >> 1 | *at << 7) : UINT8_MAX;
    if (CODEC_LIKELY(symbol < (symbols_count < 64 ? symbols_count : 64))) {
        *ret = symbol;
        return codec_after(at, 1);
    }
    struct codec_small slow = codec_get_enum_slow(at, end, symbols_count, fault);
    *ret = slow.value;
    return slow.at;
}

// A length that the rest of the input can hold.
CODEC_INLINE const uint8_t *codec_get_length(const uint8_t *at, const uint8_t *end, uint32_t *ret,
                                             struct codec_fault *fault) {
    if (CODEC_LIKELY(at < end && (*at & 0x81) == 0 && end - at > (*at >> 1))) {
        *ret = *at >> 1;
        return codec_after(at, 1);
    }
    struct codec_small slow = codec_get_length_slow(at, end, fault);
    *ret = slow.value;
    return slow.at;
}

CODEC_INLINE uint64_t codec_load64(const uint8_t *at) {
    uint64_t value;
    memcpy(&value, at, sizeof(value));
    return value;
}

CODEC_INLINE uint32_t codec_load32(const uint8_t *at) {
    uint32_t value;
    memcpy(&value, at, sizeof(value));
    return value;
}

// Nearly all text is ASCII, so that is settled here with overlapping loads.
CODEC_INLINE bool codec_utf8_is_valid(const uint8_t *text, size_t len) {
    uint64_t high;
    if (len >= 8) {
        high = codec_load64(text + len - 8);
        for (size_t i = 0; i + 8 < len; i += 8)
            high |= codec_load64(text + i);
    } else if (len >= 4) {
        high = codec_load32(text) | codec_load32(text + len - 4);
    } else if (len > 0) {
        high = text[0] | text[len / 2] | text[len - 1];
    } else {
        high = 0;
    }
    return CODEC_LIKELY((high & 0x8080808080808080) == 0) || codec_utf8_is_valid_slow(text, len);
}

CODEC_INLINE const uint8_t *codec_get_bytes(const uint8_t *at, const uint8_t *end, struct view *ret,
                                            struct codec_fault *fault) {
    uint32_t len;
    at = codec_get_length(at, end, &len, fault);
    if (!at)
        return NULL;
    *ret = (struct view){(const char *)at, len};
    return codec_after(at, len);
}

static inline const uint8_t *codec_get_string(const uint8_t *at, const uint8_t *end,
                                              struct view *ret, struct codec_fault *fault) {
    uint32_t len;
    at = codec_get_length(at, end, &len, fault);
    if (!at)
        return NULL;
    if (!codec_utf8_is_valid(at, len))
        return codec_fault(fault, at, "a string is not UTF-8");
    *ret = (struct view){(const char *)at, len};
    return codec_after(at, len);
}

CODEC_INLINE const uint8_t *codec_get_bytes_or_null(const uint8_t *at, const uint8_t *end,
                                                    struct view *ret, struct codec_fault *fault) {
    bool is_there;
    at = codec_get_branch(at, end, &is_there, fault);
    *ret = (struct view){0};
    return is_there ? codec_get_bytes(at, end, ret, fault) : at;
}

CODEC_INLINE const uint8_t *codec_get_string_or_null(const uint8_t *at, const uint8_t *end,
                                                     struct view *ret, struct codec_fault *fault) {
    bool is_there;
    at = codec_get_branch(at, end, &is_there, fault);
    *ret = (struct view){0};
    return is_there ? codec_get_string(at, end, ret, fault) : at;
}

CODEC_INLINE const uint8_t *codec_get_uuid(const uint8_t *at, const uint8_t *end, struct id *ret,
                                           struct codec_fault *fault) {
    if (CODEC_LIKELY(end - at > ID_TEXT_LEN && *at == ID_TEXT_LEN << 1 &&
                     id_parse((const char *)at + 1, ID_TEXT_LEN, ret)))
        return codec_after(at, 1 + ID_TEXT_LEN);
    return codec_get_uuid_slow(at, end, ret, fault);
}

// The next block's header. Refuses more items than CODEC_ARRAY_ITEMS_MAX, or than the rest of the
// input can hold when each takes item_bytes_min, so that a claim alone reserves no memory.
const uint8_t *codec_get_block_slow(const uint8_t *at, const uint8_t *end, size_t item_bytes_min,
                                    struct codec_items *items, struct codec_fault *fault);

CODEC_INLINE const uint8_t *codec_get_block(const uint8_t *at, const uint8_t *end,
                                            size_t item_bytes_min, struct codec_items *items,
                                            struct codec_fault *fault) {
    // Less than 64 items, or the end.
    if (CODEC_LIKELY(at < end && (*at & 0x81) == 0)) {
        uint32_t count = *at >> 1;
        if (CODEC_LIKELY(items->count <= CODEC_ARRAY_ITEMS_MAX - 64 &&
                         count * item_bytes_min < (size_t)(end - at))) {
            items->block_end = NULL;
            items->block = count;
            items->count += count;
            return codec_after(at, 1);
        }
    }
    return codec_get_block_slow(at, end, item_bytes_min, items, fault);
}

// Room for items->count items, the earlier ones kept. NULL (DISP_RETRY) when the arena is full.
void *codec_items_grow(struct codec_items *items, void *list, size_t item_size, struct arena *arena,
                       struct codec_fault *fault);

#endif
