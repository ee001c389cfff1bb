// SPDX-License-Identifier: Apache-2.0
//
// A record is copied into one buffer, unquoted, while it is read byte by byte from a block of the
// file; zlib hands plain files through as they are. Fields are kept as offsets until the record is
// complete, since the buffer may move.
#include "cli/csv.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

enum { BLOCK_BYTES = 1 << 16 };

struct csv {
    gzFile file;
    char *path; // owned: for messages
    unsigned char block[BLOCK_BYTES];
    int block_len;
    int block_at;
    bool at_end;
    int64_t line;
    char record[CSV_RECORD_BYTES_MAX];
    size_t record_len;
    size_t starts[CSV_FIELDS_MAX];
    uint32_t count;
};

struct csv *csv_open(const char *path, struct error *err) {
    struct csv *csv = calloc(1, sizeof(*csv));
    if (!csv) {
        (void)error_set(err, DISP_FATAL, ENOMEM, "out of memory");
        return NULL;
    }
    errno = 0;
    csv->file = gzopen(path, "rb");
    csv->path = strdup(path);
    if (!csv->file || !csv->path) {
        (void)error_set(err, DISP_FATAL, errno, "%s: %s", path,
                        errno ? strerror(errno) : "out of memory");
        csv_close(csv);
        return NULL;
    }
    csv->line = 1;
    return csv;
}

void csv_close(struct csv *csv) {
    if (!csv)
        return;
    if (csv->file)
        (void)gzclose(csv->file);
    free(csv->path);
    free(csv);
}

static bool fail(const struct csv *csv, struct error *err, const char *what) {
    return error_set(err, DISP_POISON, 0, "%s, line %lld: %s", csv->path, (long long)csv->line,
                     what);
}

// The next byte, -1 at the end, -2 on an error.
static int peek(struct csv *csv, struct error *err) {
    if (csv->block_at == csv->block_len && !csv->at_end) {
        csv->block_at = 0;
        csv->block_len = gzread(csv->file, csv->block, BLOCK_BYTES);
        if (csv->block_len < 0) {
            csv->block_len = 0;
            int code = 0;
            const char *text = gzerror(csv->file, &code);
            (void)fail(csv, err, code == Z_ERRNO ? strerror(errno) : text);
            return -2;
        }
        csv->at_end = csv->block_len == 0;
        if (csv->at_end) {
            // A gzip file that was cut off ends like a good one, but for this code.
            int code = 0;
            (void)gzerror(csv->file, &code);
            if (code == Z_BUF_ERROR) {
                (void)fail(csv, err, "the compressed file is cut off");
                return -2;
            }
        }
    }
    return csv->block_at < csv->block_len ? csv->block[csv->block_at] : -1;
}

static void step(struct csv *csv) {
    if (csv->block[csv->block_at++] == '\n')
        csv->line++;
}

static bool append(struct csv *csv, int byte, struct error *err) {
    if (byte == '\0')
        return fail(csv, err, "a NUL byte");
    if (csv->record_len == sizeof(csv->record) - 1)
        return fail(csv, err, "the record is larger than 1 MiB: is a closing quote missing?");
    csv->record[csv->record_len++] = (char)byte;
    return true;
}

static bool read_quoted(struct csv *csv, struct error *err) {
    step(csv);
    for (;;) {
        int byte = peek(csv, err);
        if (byte == -2)
            return false;
        if (byte == -1)
            return fail(csv, err, "the file ends within a quoted field");
        step(csv);
        if (byte == '"') {
            byte = peek(csv, err);
            if (byte != '"')
                return byte != -2;
            step(csv);
        }
        if (!append(csv, byte, err))
            return false;
    }
}

static bool read_plain(struct csv *csv, struct error *err) {
    for (;;) {
        const int byte = peek(csv, err);
        if (byte == -2)
            return false;
        if (byte == -1 || byte == ',' || byte == '\n' || byte == '\r')
            return true;
        if (byte == '"')
            return fail(csv, err, "a quote within a field that is not quoted");
        step(csv);
        if (!append(csv, byte, err))
            return false;
    }
}

// One field and what ends it: ',' '\n' or -1 in *ret_end.
static bool read_field(struct csv *csv, int *ret_end, struct error *err) {
    if (csv->count == CSV_FIELDS_MAX)
        return fail(csv, err, "more than 64 fields");
    csv->starts[csv->count++] = csv->record_len;

    const int first = peek(csv, err);
    if (first == -2)
        return false;
    if (!(first == '"' ? read_quoted(csv, err) : read_plain(csv, err)))
        return false;
    if (csv->record_len == sizeof(csv->record) - 1)
        return fail(csv, err, "the record is larger than 1 MiB");
    csv->record[csv->record_len++] = '\0';

    int end = peek(csv, err);
    if (end == '\r') {
        step(csv);
        end = peek(csv, err);
        if (end != '\n' && end != -2)
            return fail(csv, err, "a carriage return without a line feed");
    }
    if (end == -2)
        return false;
    if (end != -1 && end != ',' && end != '\n')
        return fail(csv, err, "text after a closing quote");
    if (end != -1)
        step(csv);
    *ret_end = end;
    return true;
}

static bool skip_byte_order_mark(struct csv *csv, struct error *err) {
    if (csv->line != 1 || csv->block_len != 0 || csv->at_end)
        return true;
    if (peek(csv, err) == -2)
        return false;
    if (csv->block_len >= 3 && memcmp(csv->block, "\xef\xbb\xbf", 3) == 0)
        csv->block_at = 3;
    return true;
}

enum csv_result csv_next(struct csv *csv, struct csv_record *ret, struct error *err) {
    if (!skip_byte_order_mark(csv, err))
        return CSV_ERROR;
    csv->record_len = 0;
    csv->count = 0;
    const int first = peek(csv, err);
    if (first < 0)
        return first == -1 ? CSV_END : CSV_ERROR;

    ret->line = csv->line;
    int end = ',';
    while (end == ',')
        if (!read_field(csv, &end, err))
            return CSV_ERROR;

    ret->count = csv->count;
    for (uint32_t i = 0; i < csv->count; i++) {
        const size_t next = i + 1 < csv->count ? csv->starts[i + 1] : csv->record_len;
        ret->fields[i].ptr = csv->record + csv->starts[i];
        ret->fields[i].len = next - csv->starts[i] - 1;
    }
    return CSV_RECORD;
}
