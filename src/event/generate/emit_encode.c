// SPDX-License-Identifier: Apache-2.0
//
// encode.c: for each record a bound of its size, and a writer that trusts it: one check of the
// capacity per message instead of one per field.
#include "emit.h"

#include "names.h"

// The largest encoding, without what a string, a nested record or an item adds.
static size_t fixed_bytes_max(const struct schema_field *field) {
    switch (field->kind) {
    case FIELD_BOOLEAN:
        return 1;
    case FIELD_INT:
    case FIELD_STRING: // the length: 32 bits, zigzag
    case FIELD_BYTES:
        return 5;
    case FIELD_ENUM:
        return field->type->symbols_count <= 64 ? 1 : 2;
    case FIELD_LONG:
    case FIELD_TIME:
        return 10;
    case FIELD_UUID:
        return 1 + ID_TEXT_LEN;
    case FIELD_RECORD:
        return 0;
    }
    generate_fail("field %s has an unknown kind", field->name);
}

static void emit_array_bound(FILE *out, const struct schema_field *field) {
    const char *name = field->name;
    fprintf(out,
            "    if (r->%s_count > CODEC_ARRAY_ITEMS_MAX)\n"
            "        return SIZE_MAX;\n",
            name);
    if (fixed_bytes_max(field) > 0)
        fprintf(out, "    size += %zu * (size_t)r->%s_count;\n", fixed_bytes_max(field), name);
    if (field->kind == FIELD_STRING || field->kind == FIELD_BYTES) {
        fprintf(out,
                "    for (uint32_t i = 0; i < r->%s_count; i++)\n"
                "        size += r->%s[i].len;\n",
                name, name);
    } else if (field->kind == FIELD_RECORD) {
        fprintf(out,
                "    for (uint32_t i = 0; i < r->%s_count; i++) {\n"
                "        size_t item = %s_bound(&r->%s[i]);\n",
                name, field->type->snake, name);
        if (field->type->has_array)
            fputs("        if (item == SIZE_MAX)\n"
                  "            return SIZE_MAX;\n",
                  out);
        fputs("        size += item;\n    }\n", out);
    }
}

static void emit_bound(FILE *out, const struct schema_type *type) {
    size_t fixed = 0;
    for (size_t i = 0; i < type->fields_count; i++) {
        const struct schema_field *field = &type->fields[i];
        // An array: its count and the 0 that ends it.
        fixed += field->is_array ? 6 : fixed_bytes_max(field) + field->is_nullable;
    }
    fprintf(out,
            "\nstatic inline size_t %s_bound(const struct %s *r) {\n"
            "    (void)r;\n"
            "    size_t size = %zu;\n",
            type->snake, type->snake, fixed);
    for (size_t i = 0; i < type->fields_count; i++) {
        const struct schema_field *field = &type->fields[i];
        if (field->is_array) {
            emit_array_bound(out, field);
        } else if (field->kind == FIELD_STRING || field->kind == FIELD_BYTES) {
            fprintf(out, "    size += r->%s.len;\n", field->name);
        } else if (field->kind == FIELD_RECORD) {
            const char *guard = field->is_nullable ? name_printf("r->has_%s && ", field->name) : "";
            if (field->type->has_array)
                fprintf(out,
                        "    if (%s%s_bound(&r->%s) == SIZE_MAX)\n"
                        "        return SIZE_MAX;\n",
                        guard, field->type->snake, field->name);
            if (field->is_nullable)
                fprintf(out, "    if (r->has_%s)\n    ", field->name);
            fprintf(out, "    size += %s_bound(&r->%s);\n", field->type->snake, field->name);
        }
    }
    fputs("    return size;\n}\n", out);
}

// An expression that writes one value and gives the new position.
static const char *put_value(const struct schema_field *field, const char *value) {
    switch (field->kind) {
    case FIELD_BOOLEAN:
        return name_printf("codec_put_boolean(at, %s)", value);
    case FIELD_INT:
        return name_printf("codec_put_int(at, %s)", value);
    case FIELD_LONG:
        return name_printf("codec_put_long(at, %s)", value);
    case FIELD_TIME:
        return name_printf("codec_put_long(at, %s)", value);
    case FIELD_STRING:
    case FIELD_BYTES:
        return name_printf("codec_put_view(at, %s)", value);
    case FIELD_UUID:
        return name_printf("codec_put_uuid(at, &%s)", value);
    case FIELD_ENUM:
        return name_printf("codec_put_enum(at, %s, %s_COUNT)", value, field->type->upper);
    case FIELD_RECORD:
        return name_printf("%s_put(at, &%s)", field->type->snake, value);
    }
    generate_fail("field %s has an unknown kind", field->name);
}

static void emit_put_field(FILE *out, const struct schema_field *field) {
    const char *value = name_printf("r->%s", field->name);
    if (field->is_array) {
        fprintf(out,
                "    if (r->%s_count > 0)\n"
                "        at = codec_put_long(at, r->%s_count);\n"
                "    for (uint32_t i = 0; i < r->%s_count; i++)\n"
                "        at = %s;\n"
                "    *at++ = 0;\n",
                field->name, field->name, field->name,
                put_value(field, name_printf("r->%s[i]", field->name)));
    } else if (field_has_flag(field)) {
        fprintf(out,
                "    *at++ = r->has_%s ? 2 : 0;\n"
                "    if (r->has_%s)\n"
                "        at = %s;\n",
                field->name, field->name, put_value(field, value));
    } else if (field->is_nullable) {
        fprintf(out, "    at = codec_put_view_or_null(at, %s);\n", value);
    } else {
        fprintf(out, "    at = %s;\n", put_value(field, value));
    }
}

static void emit_put(FILE *out, const struct schema_type *type) {
    fprintf(out, "\nstatic inline uint8_t *%s_put(uint8_t *at, const struct %s *r) {\n",
            type->snake, type->snake);
    for (size_t i = 0; i < type->fields_count; i++)
        emit_put_field(out, &type->fields[i]);
    fputs("    return at;\n}\n", out);
}

static void emit_public(FILE *out, const struct schema_type *type) {
    const char *name = type->snake;
    fprintf(out,
            "\nsize_t %s_size_max(const struct %s *r) {\n"
            "    return %s_bound(r);\n"
            "}\n"
            "\nuint8_t *%s_encode(uint8_t *at, const uint8_t *end, const struct %s *r) {\n"
            "    if (%s_bound(r) > (size_t)(end - at))\n"
            "        return NULL;\n"
            "    return %s_put(at, r);\n"
            "}\n",
            name, name, name, name, name, name, name);
}

void emit_encode(FILE *out, const struct schema_tree *tree) {
    fputs("#include \"event/codec_inline.h\"\n"
          "#include \"event/types.h\"\n",
          out);
    for (size_t i = 0; i < tree->types_count; i++) {
        if (!tree->types[i]->is_record)
            continue;
        emit_bound(out, tree->types[i]);
        emit_put(out, tree->types[i]);
        if (tree->types[i]->dir)
            emit_public(out, tree->types[i]);
    }
}
