// SPDX-License-Identifier: Apache-2.0
//
// tables.c: names, the description of every record for generic code, and the schema texts.
#include "emit.h"

#include <string.h>

#include "names.h"

static void emit_names(FILE *out, const struct schema_type *type) {
    fprintf(out, "\nconst char *const %s_names[%s_COUNT] = {\n", type->snake, type->upper);
    for (size_t i = 0; i < type->symbols_count; i++)
        fprintf(out, "    \"%s\",\n", type->symbols[i]);
    fputs("};\n", out);
}

static const char *kind_name(enum field_kind kind) {
    switch (kind) {
    case FIELD_BOOLEAN:
        return "FIELD_BOOLEAN";
    case FIELD_INT:
        return "FIELD_INT";
    case FIELD_LONG:
        return "FIELD_LONG";
    case FIELD_TIME:
        return "FIELD_TIME";
    case FIELD_STRING:
        return "FIELD_STRING";
    case FIELD_BYTES:
        return "FIELD_BYTES";
    case FIELD_UUID:
        return "FIELD_UUID";
    case FIELD_ENUM:
        return "FIELD_ENUM";
    case FIELD_RECORD:
        return "FIELD_RECORD";
    }
    generate_fail("unknown field kind");
}

static void emit_field(FILE *out, const struct schema_type *type,
                       const struct schema_field *field) {
    fprintf(out, "    {.name = \"%s\", .kind = %s, .offset = offsetof(struct %s, %s)", field->name,
            kind_name(field->kind), type->snake, field->name);
    if (field->is_array)
        fprintf(out, ",\n     .is_array = true, .aux_offset = offsetof(struct %s, %s_count)",
                type->snake, field->name);
    if (field->is_nullable)
        fputs(",\n     .is_nullable = true", out);
    if (field_has_flag(field))
        fprintf(out, ", .aux_offset = offsetof(struct %s, has_%s)", type->snake, field->name);
    if (field->kind == FIELD_RECORD)
        fprintf(out, ",\n     .record = &%s_type", field->type->snake);
    if (field->kind == FIELD_ENUM)
        fprintf(out, ",\n     .symbols = %s_names, .symbols_count = %s_COUNT", field->type->snake,
                field->type->upper);
    fputs("},\n", out);
}

// One string literal per line of the schema; octal escapes cannot run into the next character.
static void emit_text(FILE *out, const struct schema_type *type) {
    fprintf(out, "\nstatic const char %s_schema[] =\n    \"", type->snake);
    for (size_t i = 0; i < type->text_len; i++) {
        unsigned char c = (unsigned char)type->text[i];
        if (c == '"' || c == '\\')
            fprintf(out, "\\%c", c);
        else if (c >= ' ' && c < 0x7f)
            fputc(c, out);
        else
            fprintf(out, "\\%03o", c);
        if (c == '\n' && i + 1 < type->text_len)
            fputs("\"\n    \"", out);
    }
    fputs("\";\n", out);
}

// The same functions with void pointers, for record_type.
static void emit_untyped(FILE *out, const struct schema_type *type) {
    const char *name = type->snake;
    fprintf(out,
            "\nstatic uint8_t *%s_encode_any(uint8_t *at, const uint8_t *end, const void *r) {\n"
            "    return %s_encode(at, end, r);\n"
            "}\n"
            "\nstatic bool %s_decode_any(const uint8_t *at, const uint8_t *end,\n"
            "    struct arena *arena, void *ret, struct error *err) {\n"
            "    return %s_decode(at, end, arena, ret, err);\n"
            "}\n"
            "\nstatic size_t %s_size_max_any(const void *r) {\n"
            "    return %s_size_max(r);\n"
            "}\n",
            name, name, name, name, name, name);
}

static void emit_record(FILE *out, const struct schema_type *type) {
    const char *name = type->snake;
    fprintf(out, "\nstatic const struct field_type %s_fields[] = {\n", name);
    for (size_t i = 0; i < type->fields_count; i++)
        emit_field(out, type, &type->fields[i]);
    fputs("};\n", out);
    if (type->dir) {
        emit_text(out, type);
        emit_untyped(out, type);
    }

    fprintf(out,
            "\n%sconst struct record_type %s_type = {\n"
            "    .name = \"%s\",\n"
            "    .full_name = \"orderlog.%s\",\n"
            "    .struct_size = sizeof(struct %s),\n"
            "    .fields = %s_fields,\n"
            "    .fields_count = %zu,\n",
            type->dir ? "" : "static ", name, type->name, type->name, name, name,
            type->fields_count);
    if (type->dir)
        fprintf(out,
                "    .encode = %s_encode_any,\n"
                "    .decode = %s_decode_any,\n"
                "    .size_max = %s_size_max_any,\n"
                "    .schema = %s_schema,\n"
                "    .schema_len = %zu,\n",
                name, name, name, name, type->text_len);
    fputs("};\n", out);
}

void emit_tables(FILE *out, const struct schema_tree *tree) {
    fputs("#include <stddef.h>\n\n"
          "#include \"event/types.h\"\n",
          out);
    for (size_t i = 0; i < tree->types_count; i++) {
        if (tree->types[i]->is_record)
            emit_record(out, tree->types[i]);
        else
            emit_names(out, tree->types[i]);
    }

    fputs("\nconst struct record_type *const record_types[RECORD_COUNT] = {\n", out);
    for (size_t i = 0; i < tree->messages_count; i++)
        fprintf(out, "    &%s_type,\n", tree->messages[i]->snake);
    fputs("};\n\nconst char *const record_dirs[RECORD_COUNT] = {\n", out);
    for (size_t i = 0; i < tree->messages_count; i++)
        fprintf(out, "    \"%s\",\n", tree->messages[i]->dir);
    fputs("};\n", out);
}
