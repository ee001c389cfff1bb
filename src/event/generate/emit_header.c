// SPDX-License-Identifier: Apache-2.0
//
// types.h: the structs and enums of every schema, the functions of every message, the catalogue.
#include "emit.h"

#include <string.h>

#include "names.h"

static void emit_enum(FILE *out, const struct schema_type *type) {
    fprintf(out, "\nenum %s {\n", type->snake);
    for (size_t i = 0; i < type->symbols_count; i++)
        fprintf(out, "    %s_%s,\n", type->upper, type->symbols[i]);
    fprintf(out, "    %s_COUNT,\n};\n", type->upper);
    fprintf(out, "extern const char *const %s_names[%s_COUNT];\n", type->snake, type->upper);
}

static const char *c_type(const struct schema_field *field) {
    switch (field->kind) {
    case FIELD_BOOLEAN:
        return "bool ";
    case FIELD_INT:
        return "int32_t ";
    case FIELD_LONG:
    case FIELD_TIME:
        return "int64_t ";
    case FIELD_STRING:
    case FIELD_BYTES:
        return "struct view ";
    case FIELD_UUID:
        return "struct id ";
    case FIELD_ENUM:
        return name_printf("enum %s ", field->type->snake);
    case FIELD_RECORD:
        return name_printf("struct %s ", field->type->snake);
    }
    generate_fail("field %s has an unknown kind", field->name);
}

static void emit_struct(FILE *out, const struct schema_type *type) {
    fprintf(out, "\nstruct %s {\n", type->snake);
    for (size_t i = 0; i < type->fields_count; i++) {
        const struct schema_field *field = &type->fields[i];
        if (field_has_flag(field))
            fprintf(out, "    bool has_%s;\n", field->name);
        fprintf(out, "    %s%s%s;", c_type(field), field->is_array ? "*" : "", field->name);
        if (field->kind == FIELD_TIME)
            fputs(" // microseconds since 1970, UTC", out);
        else if (field->is_nullable && !field_has_flag(field))
            fputs(" // may be null", out);
        fputc('\n', out);
        if (field->is_array)
            fprintf(out, "    uint32_t %s_count;\n", field->name);
    }
    fputs("};\n", out);
}

static void emit_functions(FILE *out, const struct schema_type *type) {
    const char *name = type->snake;
    fprintf(out,
            "\nextern const struct record_type %s_type;\n"
            "size_t %s_size_max(const struct %s *r);\n"
            "uint8_t *%s_encode(uint8_t *at, const uint8_t *end, const struct %s *r);\n"
            "bool %s_decode(const uint8_t *at, const uint8_t *end, struct arena *arena,\n"
            "    struct %s *ret, struct error *err);\n",
            name, name, name, name, name, name, name);
}

static void emit_catalogue(FILE *out, const struct schema_tree *tree) {
    fputs("\n// Every message, by schema directory and name.\nenum record_id {\n", out);
    for (size_t i = 0; i < tree->messages_count; i++)
        fprintf(out, "    RECORD_%s,\n", tree->messages[i]->upper);
    fputs("    RECORD_COUNT,\n};\n"
          "extern const struct record_type *const record_types[RECORD_COUNT];\n"
          "// The directory is a topic, or a class of topics.\n"
          "extern const char *const record_dirs[RECORD_COUNT];\n"
          "\n#define EVENT_TYPES(X)",
          out);
    for (size_t i = 0; i < tree->messages_count; i++) {
        const struct schema_type *type = tree->messages[i];
        fprintf(out, " \\\n    X(RECORD_%s, %s, \"%s\")", type->upper, type->snake, type->dir);
    }
    fputc('\n', out);
}

// Every C constant once: enum FOO with BAR_BAZ and enum FOO_BAR with BAZ would collide.
static void check_constants(const struct schema_tree *tree) {
    static const char *names[SCHEMA_TYPES_MAX * 8];
    size_t count = 0;
    for (size_t i = 0; i < tree->types_count; i++) {
        const struct schema_type *type = tree->types[i];
        for (size_t j = 0; !type->is_record && j <= type->symbols_count; j++) {
            const char *symbol = j == type->symbols_count ? "COUNT" : type->symbols[j];
            if (count == sizeof(names) / sizeof(names[0]))
                generate_fail("too many enum symbols");
            names[count] = name_printf("%s_%s", type->upper, symbol);
            for (size_t k = 0; k < count; k++)
                if (strcmp(names[k], names[count]) == 0)
                    generate_fail("%s: symbol %s: C constant %s exists already", type->name, symbol,
                                  names[count]);
            count++;
        }
    }
}

void emit_header(FILE *out, const struct schema_tree *tree) {
    check_constants(tree);
    fputs("#ifndef ORDERLOG_GENERATED_EVENT_TYPES_H\n"
          "#define ORDERLOG_GENERATED_EVENT_TYPES_H\n\n"
          "#include \"event/codec.h\"\n",
          out);
    for (size_t i = 0; i < tree->types_count; i++) {
        const struct schema_type *type = tree->types[i];
        if (!type->is_record)
            emit_enum(out, type);
        else
            emit_struct(out, type);
        if (type->dir)
            emit_functions(out, type);
    }
    emit_catalogue(out, tree);
    fputs("\n#endif\n", out);
}
