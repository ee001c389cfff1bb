// SPDX-License-Identifier: Apache-2.0
#include "wire/wire_unpack.h"

#include "wire/wire_batch.h"
#include "wire_snappy.h"

#include <assert.h>
#include <lz4frame.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

enum { GZIP_WINDOW_BITS = 15 + 16, ROOM_FIRST = 64 << 10, GROWTH = 4 };

void wire_room_done(struct wire_room *room) {
    free(room->bytes);
    *room = (struct wire_room){0};
}

void wire_room_make(struct wire_room *room, size_t size) {
    if (size <= room->capacity)
        return;
    room->bytes = realloc(room->bytes, size);
    assert(room->bytes && "out of memory for a record batch");
    room->capacity = size;
}

void wire_unpacker_done(struct wire_unpacker *unpacker) {
    (void)LZ4F_freeDecompressionContext(unpacker->lz4);
    (void)ZSTD_freeDCtx(unpacker->zstd);
    *unpacker = (struct wire_unpacker){0};
}

// Room for more behind len bytes. False: there are too many.
static bool grow(struct wire_room *room, size_t len) {
    if (len < room->capacity)
        return true;
    if (room->capacity >= WIRE_UNPACKED_BYTES_MAX)
        return false;
    const size_t wanted = room->capacity * 2 > ROOM_FIRST ? room->capacity * 2 : ROOM_FIRST;
    wire_room_make(room, wanted < WIRE_UNPACKED_BYTES_MAX ? wanted : WIRE_UNPACKED_BYTES_MAX);
    return true;
}

static bool unpack_lz4(struct wire_unpacker *unpacker, const uint8_t *bytes, size_t len,
                       struct wire_room *room, size_t *ret_len) {
    LZ4F_dctx *context = unpacker->lz4;
    if (!context && LZ4F_isError(LZ4F_createDecompressionContext(&context, LZ4F_VERSION)))
        return false;
    unpacker->lz4 = context;
    LZ4F_resetDecompressionContext(context);
    *ret_len = 0;
    size_t wanted = 1; // of what comes: 0 where the frame ends
    while (wanted > 0) {
        if (!grow(room, *ret_len))
            return false;
        size_t put = room->capacity - *ret_len, taken = len;
        wanted = LZ4F_decompress(context, room->bytes + *ret_len, &put, bytes, &taken, NULL);
        if (LZ4F_isError(wanted) || (wanted > 0 && put == 0 && taken == 0))
            return false;
        *ret_len += put;
        bytes += taken;
        len -= taken;
    }
    return len == 0;
}

static bool unpack_zstd(struct wire_unpacker *unpacker, const uint8_t *bytes, size_t len,
                        struct wire_room *room, size_t *ret_len) {
    if (!unpacker->zstd)
        unpacker->zstd = ZSTD_createDCtx();
    if (!unpacker->zstd || ZSTD_isError(ZSTD_DCtx_reset(unpacker->zstd, ZSTD_reset_session_only)))
        return false;
    ZSTD_inBuffer in = {.src = bytes, .size = len};
    *ret_len = 0;
    size_t wanted = 1; // as above; frames may follow each other
    while (wanted > 0 || in.pos < in.size) {
        if (!grow(room, *ret_len))
            return false;
        ZSTD_outBuffer out = {.dst = room->bytes + *ret_len, .size = room->capacity - *ret_len};
        const size_t before = in.pos;
        wanted = ZSTD_decompressStream(unpacker->zstd, &out, &in);
        if (ZSTD_isError(wanted) || (wanted > 0 && out.pos == 0 && in.pos == before))
            return false;
        *ret_len += out.pos;
    }
    return true;
}

static bool unpack_gzip(const uint8_t *bytes, size_t len, struct wire_room *room, size_t *ret_len) {
    z_stream stream = {.next_in = (Bytef *)(uintptr_t)bytes, .avail_in = (uInt)len};
    if (inflateInit2(&stream, GZIP_WINDOW_BITS) != Z_OK)
        return false;
    int done = Z_OK;
    while (done == Z_OK && grow(room, stream.total_out)) {
        stream.next_out = room->bytes + stream.total_out;
        stream.avail_out = (uInt)(room->capacity - stream.total_out);
        done = inflate(&stream, Z_NO_FLUSH);
    }
    *ret_len = stream.total_out;
    const bool all = done == Z_STREAM_END && stream.avail_in == 0;
    (void)inflateEnd(&stream);
    return all;
}

bool wire_unpack(struct wire_unpacker *unpacker, int compression, const uint8_t *bytes, size_t len,
                 struct wire_room *room, size_t *ret_len) {
    if (len > WIRE_UNPACKED_BYTES_MAX)
        return false;
    // A guess that most batches fit into: what is decompressed straight to its place is not copied.
    if (compression != WIRE_UNCOMPRESSED && len * GROWTH <= WIRE_UNPACKED_BYTES_MAX)
        wire_room_make(room, len * GROWTH);
    switch (compression) {
    case WIRE_UNCOMPRESSED:
        wire_room_make(room, len);
        if (len > 0)
            memcpy(room->bytes, bytes, len);
        *ret_len = len;
        return true;
    case WIRE_GZIP:
        return unpack_gzip(bytes, len, room, ret_len);
    case WIRE_SNAPPY:
        return wire_snappy(bytes, len, room, ret_len);
    case WIRE_LZ4:
        return unpack_lz4(unpacker, bytes, len, room, ret_len);
    case WIRE_ZSTD:
        return unpack_zstd(unpacker, bytes, len, room, ret_len);
    default:
        return false;
    }
}
