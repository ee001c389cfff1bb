// SPDX-License-Identifier: Apache-2.0
//
// Ids are formatted and parsed several times per message, so both work on vectors.
// SHA-256 is used through OpenSSL's low-level calls on purpose: they work on the stack and cannot
// fail, while the EVP interface allocates and looks the algorithm up on every call.
#define OPENSSL_SUPPRESS_DEPRECATED
#define XXH_INLINE_ALL

#include "event/id.h"
#include "service/uninitialized.h"

#include <openssl/sha.h>
#include <xxhash.h>

// Sixteen bytes at once; the compiler makes SSE2, NEON or plain code of it.
typedef uint8_t bytes16 __attribute__((vector_size(16)));
typedef uint16_t pairs8 __attribute__((vector_size(16)));
typedef uint32_t words4 __attribute__((vector_size(16)));
typedef uint64_t halves2 __attribute__((vector_size(16)));

static uint32_t load32(const char *text) {
    uint32_t word;
    memcpy(&word, text, sizeof(word));
    return word;
}

// Text and digits: 8-4-4-4-12, so the dashes are at 8, 13, 18 and 23. The first 16 digits stand at
// 0, 4, 9 and 14, the others at 19, 24, 28 and 32, four each.
void id_format(const struct id *id, char text[ID_TEXT_LEN]) {
    bytes16 bytes;
    memcpy(&bytes, id->bytes, sizeof(bytes));
    bytes16 high = bytes >> 4, low = bytes & 15;
    high += '0' + ((bytes16)(high > 9) & ('a' - '0' - 10));
    low += '0' + ((bytes16)(low > 9) & ('a' - '0' - 10));
    words4 first = (words4)__builtin_shufflevector(high, low, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5,
                                                   21, 6, 22, 7, 23);
    words4 second = (words4)__builtin_shufflevector(high, low, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28,
                                                    13, 29, 14, 30, 15, 31);
    memcpy(text, &first, 8);
    memcpy(text + 9, &(uint32_t){first[2]}, 4);
    memcpy(text + 14, &(uint32_t){first[3]}, 4);
    memcpy(text + 19, &(uint32_t){second[0]}, 4);
    memcpy(text + 24, &(uint32_t){second[1]}, 4);
    memcpy(text + 28, &(uint32_t){second[2]}, 4);
    memcpy(text + 32, &(uint32_t){second[3]}, 4);
    text[8] = text[13] = text[18] = text[23] = '-';
}

// The digits' values; lanes of *all that are no digits become 0.
static bytes16 digit_values(bytes16 digits, bytes16 *all) {
    bytes16 decimal = digits - '0', letter = (digits | 0x20) - 'a';
    bytes16 is_decimal = (bytes16)(decimal < 10), is_letter = (bytes16)(letter < 6);
    *all &= is_decimal | is_letter;
    return (digits & 15) + (is_letter & 9);
}

// A pair of values as 0x0b0a: times 0x1001 its upper byte is a and b together, 0xab.
static bytes16 join_pairs(bytes16 values) {
    return (bytes16)((pairs8)values * 0x1001);
}

bool id_parse(const char *text, size_t len, struct id *ret_id) {
    if (len != ID_TEXT_LEN || text[8] != '-' || text[13] != '-' || text[18] != '-' ||
        text[23] != '-')
        return false;

    words4 first = {load32(text), load32(text + 4), load32(text + 9), load32(text + 14)};
    words4 second = {load32(text + 19), load32(text + 24), load32(text + 28), load32(text + 32)};
    bytes16 all = (bytes16){0} == 0;
    bytes16 x = join_pairs(digit_values((bytes16)first, &all));
    bytes16 y = join_pairs(digit_values((bytes16)second, &all));
    if ((((halves2)all)[0] & ((halves2)all)[1]) != UINT64_MAX)
        return false;

    bytes16 bytes =
        __builtin_shufflevector(x, y, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
    memcpy(ret_id->bytes, &bytes, sizeof(bytes));
    return true;
}

struct id_text id_text(const struct id *id) {
    struct id_text ret;
    id_format(id, ret.text);
    ret.text[ID_TEXT_LEN] = '\0';
    return ret;
}

// RFC 9562: version 8 in the seventh byte, variant 10 in the ninth.
static void mark_version(struct id *id) {
    id->bytes[6] = (uint8_t)((id->bytes[6] & 0x0f) | 0x80);
    id->bytes[8] = (uint8_t)((id->bytes[8] & 0x3f) | 0x80);
}

static void put_le64(uint8_t *at, uint64_t value) {
    for (size_t i = 0; i < 8; i++)
        at[i] = (uint8_t)(value >> (8 * i));
}

struct id id_derive(const struct id *cause, uint64_t index) {
    uint8_t input[sizeof(cause->bytes) + 8];
    memcpy(input, cause->bytes, sizeof(cause->bytes));
    put_le64(input + sizeof(cause->bytes), index);

    XXH128_canonical_t canonical;
    XXH128_canonicalFromHash(&canonical, XXH3_128bits(input, sizeof(input)));

    struct id id;
    memcpy(id.bytes, canonical.digest, sizeof(id.bytes));
    mark_version(&id);
    return id;
}

// Input of a hash, gathered: OpenSSL takes longer over a call than over the few bytes of it.
enum { HASH_INPUT = 512 };

struct hash_input {
    SHA256_CTX sha;
    size_t length;
    uint8_t bytes[HASH_INPUT];
};

static void add_input(struct hash_input *input, const void *bytes, size_t length) {
    if (length > HASH_INPUT - input->length) {
        (void)SHA256_Update(&input->sha, input->bytes, input->length);
        input->length = 0;
    }
    if (length > HASH_INPUT) {
        (void)SHA256_Update(&input->sha, bytes, length);
    } else if (length > 0) {
        memcpy(input->bytes + input->length, bytes, length);
        input->length += length;
    }
}

struct id id_hash(const struct id_part *parts, size_t parts_count) {
    struct hash_input input UNINITIALIZED;
    input.length = 0;
    (void)SHA256_Init(&input.sha);
    for (size_t i = 0; i < parts_count; i++) {
        uint8_t len[8];
        put_le64(len, parts[i].len);
        add_input(&input, len, sizeof(len));
        add_input(&input, parts[i].bytes, parts[i].len);
    }
    (void)SHA256_Update(&input.sha, input.bytes, input.length);
    uint8_t digest[SHA256_DIGEST_LENGTH];
    (void)SHA256_Final(digest, &input.sha);

    struct id id;
    memcpy(id.bytes, digest, sizeof(id.bytes));
    mark_version(&id);
    return id;
}
