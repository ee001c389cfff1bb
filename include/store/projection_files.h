// SPDX-License-Identifier: Apache-2.0
//
// The files of projections/, embedded at build time, sorted by name: "000_base.sql",
// "orders/apply.sql", "orders/table.sql" …
#ifndef ORDERLOG_STORE_PROJECTION_FILES_H
#define ORDERLOG_STORE_PROJECTION_FILES_H

#include <stddef.h>

struct projection_file {
    const char *name; // relative to projections/
    const char *text; // terminated
    size_t length;
};

extern const struct projection_file projection_files[];
extern const size_t projection_files_count;

#endif
