// SPDX-License-Identifier: Apache-2.0
//
// decode.c: for each record a reader that checks every bound and names the field that fails.
#include "emit.h"

#include "names.h"

// An expression that reads one value into an lvalue; NULL on a fault.
static const char *get_value(const struct schema_field *field, const char *value) {
    switch (field->kind) {
    case FIELD_BOOLEAN:
        return name_printf("codec_get_boolean(at, end, &%s, fault)", value);
    case FIELD_INT:
        return name_printf("codec_get_int(at, end, &%s, fault)", value);
    case FIELD_LONG:
    case FIELD_TIME:
        return name_printf("codec_get_long(at, end, &%s, fault)", value);
    case FIELD_STRING:
        return name_printf("codec_get_string(at, end, &%s, fault)", value);
    case FIELD_BYTES:
        return name_printf("codec_get_bytes(at, end, &%s, fault)", value);
    case FIELD_UUID:
        return name_printf("codec_get_uuid(at, end, &%s, fault)", value);
    case FIELD_ENUM:
        return name_printf("codec_get_enum(at, end, %s_COUNT, &symbol, fault)", field->type->upper);
    case FIELD_RECORD:
        return name_printf("%s_get(at, end, arena, &%s, fault)", field->type->snake, value);
    }
    generate_fail("field %s has an unknown kind", field->name);
}

static const char *item_type(const struct schema_field *field) {
    switch (field->kind) {
    case FIELD_STRING:
    case FIELD_BYTES:
        return "struct view";
    case FIELD_LONG:
        return "int64_t";
    case FIELD_UUID:
        return "struct id";
    case FIELD_ENUM:
        return name_printf("enum %s", field->type->snake);
    case FIELD_RECORD:
        return name_printf("struct %s", field->type->snake);
    default:
        generate_fail("field %s cannot be in an array", field->name);
    }
}

static size_t item_bytes_min(const struct schema_field *field) {
    if (field->kind == FIELD_RECORD)
        return field->type->bytes_min;
    return field->kind == FIELD_UUID ? 1 + ID_TEXT_LEN : 1;
}

static void emit_get_array(FILE *out, const struct schema_type *type,
                           const struct schema_field *field) {
    fprintf(out,
            "\nstatic const uint8_t *%s_get_%s(const uint8_t *at, const uint8_t *end,\n"
            "    struct arena *arena, struct %s *r, struct codec_fault *fault) {\n"
            "    struct codec_items items = {0};\n"
            "    %s *list = NULL;\n"
            "    while ((at = codec_get_block(at, end, %zu, &items, fault)) && items.block > 0) {\n"
            "        list = codec_items_grow(&items, list, sizeof(*list), arena, fault);\n"
            "        if (!list)\n"
            "            return NULL;\n"
            "        for (uint32_t i = items.count - items.block; i < items.count; i++) {\n",
            type->snake, field->name, type->snake, item_type(field), item_bytes_min(field));
    if (field->kind == FIELD_ENUM)
        fputs("            uint32_t symbol = 0;\n", out);
    fprintf(out,
            "            at = %s;\n"
            "            if (!at)\n"
            "                return codec_fault_item(fault, i);\n",
            get_value(field, "list[i]"));
    if (field->kind == FIELD_ENUM)
        fprintf(out, "            list[i] = (enum %s)symbol;\n", field->type->snake);
    fprintf(out,
            "        }\n"
            "        if (items.block_end && at != items.block_end)\n"
            "            return codec_fault(fault, at, \"ends elsewhere than its block says\");\n"
            "    }\n"
            "    r->%s = list;\n"
            "    r->%s_count = items.count;\n"
            "    return at;\n"
            "}\n",
            field->name, field->name);
}

static const char *nothing(const struct schema_field *field) {
    switch (field->kind) {
    case FIELD_BOOLEAN:
        return "false";
    case FIELD_UUID:
        return "(struct id){0}";
    case FIELD_RECORD:
        return name_printf("(struct %s){0}", field->type->snake);
    case FIELD_ENUM:
        return name_printf("(enum %s)0", field->type->snake);
    default:
        return "0";
    }
}

static void emit_get_field(FILE *out, const struct schema_type *type,
                           const struct schema_field *field) {
    const char *name = field->name;
    const char *value = name_printf("r->%s", name);
    const char *failed = name_printf("        return codec_fault_field(fault, \"%s\");\n", name);
    if (field->is_array) {
        fprintf(out, "    if (!(at = %s_get_%s(at, end, arena, r, fault)))\n%s", type->snake, name,
                failed);
    } else if (field_has_flag(field)) {
        fprintf(out,
                "    if (!(at = codec_get_branch(at, end, &r->has_%s, fault)))\n%s"
                "    %s = %s;\n"
                "    if (r->has_%s && !(at = %s))\n%s",
                name, failed, field->kind == FIELD_ENUM ? "symbol" : value,
                field->kind == FIELD_ENUM ? "0" : nothing(field), name, get_value(field, value),
                failed);
    } else if (field->is_nullable) {
        fprintf(out, "    if (!(at = codec_get_%s_or_null(at, end, &%s, fault)))\n%s",
                field->kind == FIELD_STRING ? "string" : "bytes", value, failed);
    } else {
        fprintf(out, "    if (!(at = %s))\n%s", get_value(field, value), failed);
    }
    if (field->kind == FIELD_ENUM && !field->is_array)
        fprintf(out, "    %s = (enum %s)symbol;\n", value, field->type->snake);
}

// Nested records are small and come in numbers: they are read in place.
static void emit_get(FILE *out, const struct schema_type *type) {
    bool has_enum = false;
    for (size_t i = 0; i < type->fields_count; i++) {
        if (type->fields[i].is_array)
            emit_get_array(out, type, &type->fields[i]);
        has_enum |= type->fields[i].kind == FIELD_ENUM && !type->fields[i].is_array;
    }
    fprintf(out,
            "\n%s const uint8_t *%s_get(const uint8_t *at, const uint8_t *end,\n"
            "    struct arena *arena, struct %s *r, struct codec_fault *fault) {\n"
            "    (void)arena;\n%s",
            type->dir ? "static" : "CODEC_INLINE", type->snake, type->snake,
            has_enum ? "    uint32_t symbol = 0;\n" : "");
    for (size_t i = 0; i < type->fields_count; i++)
        emit_get_field(out, type, &type->fields[i]);
    fputs("    return at;\n}\n", out);
}

static void emit_public(FILE *out, const struct schema_type *type) {
    const char *name = type->snake;
    fprintf(out,
            "\nbool %s_decode(const uint8_t *at, const uint8_t *end, struct arena *arena,\n"
            "    struct %s *ret, struct error *err) {\n"
            "    struct codec_fault fault;\n"
            "    const uint8_t *start = at;\n"
            "    at = codec_begin(at, end, &fault);\n"
            "    if (at)\n"
            "        at = %s_get(at, end, arena, ret, &fault);\n"
            "    if (at != end)\n"
            "        return codec_fault_report(&fault, \"%s\", start, at, end, err);\n"
            "    return true;\n"
            "}\n",
            name, name, name, type->name);
}

void emit_decode(FILE *out, const struct schema_tree *tree) {
    fputs("#include \"event/codec_inline.h\"\n"
          "#include \"event/types.h\"\n",
          out);
    for (size_t i = 0; i < tree->types_count; i++) {
        if (!tree->types[i]->is_record)
            continue;
        emit_get(out, tree->types[i]);
        if (tree->types[i]->dir)
            emit_public(out, tree->types[i]);
    }
}
