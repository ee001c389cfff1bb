// SPDX-License-Identifier: Apache-2.0
//
// CSV as RFC 4180 has it, read in a stream from a plain or gzipped file: quoted fields with doubled
// quotes, commas and line ends within; LF or CRLF; a last line without an end. Anything else (a
// stray quote, text after a closing quote, a NUL) is refused with the line it is on. A byte order
// mark at the start is skipped. Bounds: CSV_RECORD_BYTES_MAX and CSV_FIELDS_MAX per record.
#ifndef ORDERLOG_CLI_CSV_H
#define ORDERLOG_CLI_CSV_H

#include "service/error.h"

#include <stddef.h>
#include <stdint.h>

enum { CSV_FIELDS_MAX = 64, CSV_RECORD_BYTES_MAX = 1 << 20 };

struct csv_field {
    const char *ptr; // terminated too
    size_t len;
};

struct csv_record {
    struct csv_field fields[CSV_FIELDS_MAX]; // borrowed: valid until the next read
    uint32_t count;
    int64_t line; // where the record begins, from 1
};

enum csv_result { CSV_RECORD, CSV_END, CSV_ERROR };

struct csv;

// NULL with err set when the file cannot be opened.
struct csv *csv_open(const char *path, struct error *err);
void csv_close(struct csv *csv); // NULL is fine

enum csv_result csv_next(struct csv *csv, struct csv_record *ret, struct error *err);

#endif
