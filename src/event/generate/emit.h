// SPDX-License-Identifier: Apache-2.0
//
// Each function writes one file of generated C.
#ifndef ORDERLOG_EVENT_GENERATE_EMIT_H
#define ORDERLOG_EVENT_GENERATE_EMIT_H

#include <stdio.h>

#include "schema.h"

void emit_header(FILE *out, const struct schema_tree *tree); // types.h
void emit_encode(FILE *out, const struct schema_tree *tree); // encode.c
void emit_decode(FILE *out, const struct schema_tree *tree); // decode.c
void emit_tables(FILE *out, const struct schema_tree *tree); // tables.c

// Whether the C struct marks null beside the value (true) or by a NULL pointer (false).
static inline bool field_has_flag(const struct schema_field *field) {
    return field->is_nullable && field->kind != FIELD_STRING && field->kind != FIELD_BYTES;
}

#endif
