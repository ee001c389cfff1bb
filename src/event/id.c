// SPDX-License-Identifier: Apache-2.0
//
// Ids are formatted and parsed several times per message, so both go through tables.
// SHA-256 is used through OpenSSL's low-level calls on purpose: they work on the stack and cannot
// fail, while the EVP interface allocates and looks the algorithm up on every call.
#define OPENSSL_SUPPRESS_DEPRECATED
#define XXH_INLINE_ALL

#include "event/id.h"

#include <openssl/sha.h>
#include <xxhash.h>

// Where in the text the 16 bytes' digits stand; the dashes are at 8, 13, 18 and 23.
static const uint8_t digits_at[16] = {0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34};

static const char hex_pairs[] = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
                                "202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f"
                                "404142434445464748494a4b4c4d4e4f505152535455565758595a5b5c5d5e5f"
                                "606162636465666768696a6b6c6d6e6f707172737475767778797a7b7c7d7e7f"
                                "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f"
                                "a0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4b5b6b7b8b9babbbcbdbebf"
                                "c0c1c2c3c4c5c6c7c8c9cacbcccdcecfd0d1d2d3d4d5d6d7d8d9dadbdcdddedf"
                                "e0e1e2e3e4e5e6e7e8e9eaebecedeeeff0f1f2f3f4f5f6f7f8f9fafbfcfdfeff";

// A digit's value plus one, so that what is not a digit is 0.
static const uint8_t hex_values[256] = {
    ['0'] = 1,  ['1'] = 2,  ['2'] = 3,  ['3'] = 4,  ['4'] = 5,  ['5'] = 6,  ['6'] = 7,  ['7'] = 8,
    ['8'] = 9,  ['9'] = 10, ['a'] = 11, ['b'] = 12, ['c'] = 13, ['d'] = 14, ['e'] = 15, ['f'] = 16,
    ['A'] = 11, ['B'] = 12, ['C'] = 13, ['D'] = 14, ['E'] = 15, ['F'] = 16,
};

void id_format(const struct id *id, char text[ID_TEXT_LEN]) {
    for (size_t i = 0; i < sizeof(id->bytes); i++)
        memcpy(text + digits_at[i], hex_pairs + 2 * (size_t)id->bytes[i], 2);
    text[8] = text[13] = text[18] = text[23] = '-';
}

struct id_text id_text(const struct id *id) {
    struct id_text ret;
    id_format(id, ret.text);
    ret.text[ID_TEXT_LEN] = '\0';
    return ret;
}

bool id_parse(const char *text, size_t len, struct id *ret_id) {
    if (len != ID_TEXT_LEN || text[8] != '-' || text[13] != '-' || text[18] != '-' ||
        text[23] != '-')
        return false;

    struct id id;
    bool all_digits = true;
    for (size_t i = 0; i < sizeof(id.bytes); i++) {
        unsigned high = hex_values[(uint8_t)text[digits_at[i]]];
        unsigned low = hex_values[(uint8_t)text[digits_at[i] + 1]];
        all_digits &= (high != 0) & (low != 0);
        id.bytes[i] = (uint8_t)(((high - 1) << 4) | (low - 1));
    }
    if (!all_digits)
        return false;
    *ret_id = id;
    return true;
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

struct id id_hash(const struct id_part *parts, size_t parts_count) {
    SHA256_CTX sha;
    (void)SHA256_Init(&sha);
    for (size_t i = 0; i < parts_count; i++) {
        uint8_t len[8];
        put_le64(len, parts[i].len);
        (void)SHA256_Update(&sha, len, sizeof(len));
        if (parts[i].len > 0)
            (void)SHA256_Update(&sha, parts[i].bytes, parts[i].len);
    }
    uint8_t digest[SHA256_DIGEST_LENGTH];
    (void)SHA256_Final(digest, &sha);

    struct id id;
    memcpy(id.bytes, digest, sizeof(id.bytes));
    mark_version(&id);
    return id;
}
