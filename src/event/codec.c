// SPDX-License-Identifier: Apache-2.0
//
// The parts of the codec that are too long or too rare to be inlined into every field.
#include "event/codec_inline.h"

#include <stdio.h>

static const char too_short[] = "the message ends too early";
static const char too_long[] = "a number is longer than its type";

// ---- faults -------------------------------------------------------------------------------------

void *codec_fault(struct codec_fault *fault, const uint8_t *at, const char *why) {
    fault->at = at;
    fault->why = why;
    return NULL;
}

void *codec_fault_item(struct codec_fault *fault, uint32_t index) {
    fault->index = index;
    return NULL;
}

void *codec_fault_field(struct codec_fault *fault, const char *field) {
    if (fault->steps_count < CODEC_STEPS_MAX)
        fault->steps[fault->steps_count++] = (struct codec_step){field, fault->index};
    fault->index = -1;
    return NULL;
}

bool codec_fault_report(const struct codec_fault *fault, const char *record, const uint8_t *start,
                        const uint8_t *at, const uint8_t *end, struct error *err) {
    if (!fault->why)
        return error_set(err, DISP_POISON, 0, "%s: ends at byte %zu but the message has %zu",
                         record, (size_t)(at - start), (size_t)(end - start));

    char path[256] = "";
    size_t used = 0;
    for (int i = fault->steps_count - 1; i >= 0 && used < sizeof(path); i--) {
        const struct codec_step *step = &fault->steps[i];
        int len = step->index < 0 ? snprintf(path + used, sizeof(path) - used, ".%s", step->field)
                                  : snprintf(path + used, sizeof(path) - used, ".%s[%lld]",
                                             step->field, (long long)step->index);
        used += (size_t)len;
    }
    return error_set(err, fault->what, 0, "%s%s: %s (at byte %zu of %zu)", record, path, fault->why,
                     (size_t)(fault->at - start), (size_t)(end - start));
}

// ---- numbers ------------------------------------------------------------------------------------

// Up to eight bytes at once, which takes in every time: finds the last byte, then moves the groups
// of seven bits together, pairwise. Returns NULL for anything longer.
static const uint8_t *get_long_wide(const uint8_t *at, int64_t *ret) {
    uint64_t word = codec_load64(at);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    word = __builtin_bswap64(word);
#endif
    uint64_t ends = ~word & 0x8080808080808080;
    if (ends == 0)
        return NULL;
    word &= (ends ^ (ends - 1)) & 0x7f7f7f7f7f7f7f7f; // up to and with the last byte
    word = (word & 0x007f007f007f007f) | (word & 0x7f007f007f007f00) >> 1;
    word = (word & 0x00003fff00003fff) | (word & 0x3fff00003fff0000) >> 2;
    word = (word & 0x000000000fffffff) | (word & 0x0fffffff00000000) >> 4;
    *ret = codec_unzigzag(word);
    return at + __builtin_ctzll(ends) / 8 + 1;
}

// Redundant zero groups are accepted as long as they fit, as other readers do.
__attribute__((noinline)) static const uint8_t *
get_long_bytewise(const uint8_t *at, const uint8_t *end, int64_t *ret, struct codec_fault *fault) {
    const uint8_t *stop = end - at > 10 ? at + 10 : end;
    uint64_t value = 0;
    unsigned shift = 0;
    for (const uint8_t *next = at; next < stop; shift += 7) {
        uint8_t byte = *next++;
        if (shift == 63 && byte > 1)
            return codec_fault(fault, at, too_long);
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            *ret = codec_unzigzag(value);
            return next;
        }
    }
    return codec_fault(fault, at, too_short);
}

const uint8_t *codec_get_long_slow(const uint8_t *at, const uint8_t *end, int64_t *ret,
                                   struct codec_fault *fault) {
    const uint8_t *after = end - at >= 8 ? get_long_wide(at, ret) : NULL;
    return after ? after : get_long_bytewise(at, end, ret, fault);
}

const uint8_t *codec_get_int_slow(const uint8_t *at, const uint8_t *end, int32_t *ret,
                                  struct codec_fault *fault) {
    int64_t value = 0;
    const uint8_t *next = codec_get_long_slow(at, end, &value, fault);
    if (next && (next - at > 5 || value < INT32_MIN || value > INT32_MAX))
        return codec_fault(fault, at, too_long);
    *ret = (int32_t)value;
    return next;
}

struct codec_small codec_get_length_slow(const uint8_t *at, const uint8_t *end,
                                         struct codec_fault *fault) {
    int64_t len = 0;
    const uint8_t *next = codec_get_long_slow(at, end, &len, fault);
    if (next && len < 0)
        next = codec_fault(fault, at, "a length is negative");
    else if (next && len > end - next)
        next = codec_fault(fault, at, "a length is more than is left of the message");
    return (struct codec_small){next, next ? (uint32_t)len : 0};
}

struct codec_small codec_get_branch_slow(const uint8_t *at, const uint8_t *end,
                                         struct codec_fault *fault) {
    int64_t branch = 0;
    at = codec_get_long(at, end, &branch, fault);
    if (at && (uint64_t)branch > 1)
        at = codec_fault(fault, at, "no such branch of the union");
    return (struct codec_small){at, at && branch};
}

struct codec_small codec_get_enum_slow(const uint8_t *at, const uint8_t *end,
                                       uint32_t symbols_count, struct codec_fault *fault) {
    int32_t symbol = 0;
    at = codec_get_int(at, end, &symbol, fault);
    if (at && (uint32_t)symbol >= symbols_count)
        at = codec_fault(fault, at, "no such symbol of the enum");
    return (struct codec_small){at, (uint32_t)symbol};
}

// ---- text ---------------------------------------------------------------------------------------

// The well-formed sequences of the Unicode standard, table 3-7: no overlong forms, no surrogates,
// nothing above U+10FFFF.
bool codec_utf8_is_valid_slow(const uint8_t *text, size_t len) {
    size_t i = 0;
    while (i < len) {
        uint8_t lead = text[i++];
        if (lead < 0x80)
            continue;
        uint8_t low = 0x80, high = 0xbf; // of the second byte
        size_t more;
        if (lead >= 0xc2 && lead <= 0xdf) {
            more = 1;
        } else if (lead >= 0xe0 && lead <= 0xef) {
            more = 2;
            low = lead == 0xe0 ? 0xa0 : low;
            high = lead == 0xed ? 0x9f : high;
        } else if (lead >= 0xf0 && lead <= 0xf4) {
            more = 3;
            low = lead == 0xf0 ? 0x90 : low;
            high = lead == 0xf4 ? 0x8f : high;
        } else {
            return false;
        }
        if (len - i < more || text[i] < low || text[i] > high)
            return false;
        for (size_t j = 1; j < more; j++)
            if ((text[i + j] & 0xc0) != 0x80)
                return false;
        i += more;
    }
    return true;
}

bool codec_text_is_valid(const char *text, size_t len) {
    return codec_utf8_is_valid((const uint8_t *)text, len);
}

const uint8_t *codec_get_uuid_slow(const uint8_t *at, const uint8_t *end, struct id *ret,
                                   struct codec_fault *fault) {
    uint32_t len = 0;
    at = codec_get_length(at, end, &len, fault);
    if (!at)
        return NULL;
    if (!id_parse((const char *)at, len, ret))
        return codec_fault(fault, at, "a string is not a UUID");
    return at + len;
}

// ---- arrays -------------------------------------------------------------------------------------

const uint8_t *codec_get_block_slow(const uint8_t *at, const uint8_t *end, size_t item_bytes_min,
                                    struct codec_items *items, struct codec_fault *fault) {
    int64_t count = 0;
    const uint8_t *start = at;
    at = codec_get_long(at, end, &count, fault);
    if (!at)
        return NULL;

    items->block_end = NULL;
    if (count < 0) { // then the size in bytes follows
        uint32_t size = 0;
        at = codec_get_length(at, end, &size, fault);
        if (!at)
            return NULL;
        items->block_end = at + size;
        if (count < -CODEC_ARRAY_ITEMS_MAX)
            return codec_fault(fault, start, "an array has too many items");
        count = -count;
    }
    if (count > CODEC_ARRAY_ITEMS_MAX - (int64_t)items->count)
        return codec_fault(fault, start, "an array has too many items");
    if ((uint64_t)count * item_bytes_min > (uint64_t)(end - at))
        return codec_fault(fault, start, "an array has more items than the message can hold");
    items->block = (uint32_t)count;
    items->count += (uint32_t)count;
    return at;
}

void *codec_items_grow(struct codec_items *items, void *list, size_t item_size, struct arena *arena,
                       struct codec_fault *fault) {
    if (items->count <= items->capacity)
        return list;
    // Doubling, so that a message of many tiny blocks costs no more than twice its items.
    uint32_t used = items->count - items->block;
    uint32_t capacity = items->capacity * 2 > items->count ? items->capacity * 2 : items->count;
    void *larger = arena_alloc(arena, capacity * item_size);
    if (!larger) {
        fault->what = DISP_RETRY;
        return codec_fault(fault, NULL, "no memory left for an array");
    }
    if (used > 0)
        memcpy(larger, list, used * item_size);
    items->capacity = capacity;
    return larger;
}
