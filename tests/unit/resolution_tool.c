// SPDX-License-Identifier: Apache-2.0
//
// The C side of resolution_fastavro.py. Reads cases from stdin, each: the writer's schema, the
// reader's schema, a count, and so many records in the writer's form; schemas and records after
// their length (4 bytes, little endian). Answers on stdout, for each case one answer for the pair
// of schemas and, if it is good, one per record: 1 or 0, then length and bytes in the reader's form
// or the reason. Every record is also tried cut short and with bytes changed, which nothing may
// come of but an error or other bytes.
#include "event/resolution.h"
#include "service/arena.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MUTATIONS = 8 };

static uint64_t dice = 1;

static uint64_t draw(uint64_t below) {
    dice = dice * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (dice >> 33) % below;
}

static bool read_number(uint32_t *ret) {
    uint8_t bytes[4];
    if (fread(bytes, 1, 4, stdin) != 4)
        return false;
    *ret = (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 |
           (uint32_t)bytes[3] << 24;
    return true;
}

// Exactly as long as the bytes, so that a sanitizer sees a step beyond them.
static uint8_t *read_bytes(uint32_t *ret_len) {
    uint8_t *bytes = NULL;
    if (read_number(ret_len) && (bytes = malloc(*ret_len ? *ret_len : 1)) &&
        fread(bytes, 1, *ret_len, stdin) == *ret_len)
        return bytes;
    (void)fprintf(stderr, "the input ends in the middle of a case\n");
    exit(2);
}

static void answer(bool good, const void *bytes, size_t len) {
    const uint8_t head[] = {good, (uint8_t)len, (uint8_t)(len >> 8), (uint8_t)(len >> 16),
                            (uint8_t)(len >> 24)};
    (void)fwrite(head, 1, sizeof(head), stdout);
    (void)fwrite(bytes, 1, len, stdout);
}

static void ill_treat(const struct resolution *resolution, const uint8_t *bytes, uint32_t len,
                      struct arena *arena) {
    for (int i = 0; len > 0 && i < MUTATIONS; i++) {
        uint32_t kept = i % 2 ? len : (uint32_t)draw(len);
        uint8_t *copy = malloc(kept ? kept : 1);
        if (!copy)
            exit(2);
        memcpy(copy, bytes, kept);
        for (int j = 0; kept > 0 && j < 1 + i / 2; j++)
            copy[draw(kept)] = (uint8_t)draw(256);
        const uint8_t *at, *end;
        struct error err;
        arena_reset(arena);
        (void)resolution_apply(resolution, copy, copy + kept, arena, &at, &end, &err);
        free(copy);
    }
}

static void run_case(struct arena *arena) {
    uint32_t writer_len, reader_len, count;
    uint8_t *writer = read_bytes(&writer_len);
    uint8_t *reader = read_bytes(&reader_len);
    if (!read_number(&count))
        exit(2);
    struct error err = {0};
    struct resolution *resolution =
        resolution_new((const char *)writer, writer_len, (const char *)reader, reader_len, &err);
    free(writer);
    free(reader);
    answer(resolution != NULL, err.msg, resolution ? 0 : strlen(err.msg));
    for (uint32_t i = 0; i < count; i++) {
        uint32_t len;
        uint8_t *bytes = read_bytes(&len);
        const uint8_t *at, *end;
        arena_reset(arena);
        if (resolution && resolution_apply(resolution, bytes, bytes + len, arena, &at, &end, &err))
            answer(true, at, (size_t)(end - at));
        else if (resolution)
            answer(false, err.msg, strlen(err.msg));
        if (resolution)
            ill_treat(resolution, bytes, len, arena);
        free(bytes);
    }
    (void)resolution_free(resolution);
}

int main(void) {
    struct arena arena;
    arena_init(&arena, 64 << 20);
    for (int next; (next = getchar()) != EOF;) {
        (void)ungetc(next, stdin);
        run_case(&arena);
    }
    arena_done(&arena);
    return ferror(stdout) || fflush(stdout) != 0;
}
