// SPDX-License-Identifier: Apache-2.0
//
// Reads the subset of Avro that Orderlog's messages use and refuses the rest by file and field.
// The subset is small so that each encoding has one obvious C struct: see schemas/README.md.
#include "schema.h"

#include <stdlib.h>
#include <string.h>

#include "names.h"

enum { DEPTH_MAX = 8 };

// Where in the input we are, for messages; and which types the current file has defined, because a
// file must be readable alone.
struct reader {
    struct schema_tree *tree;
    const char *path;
    const struct schema_type *local[SCHEMA_TYPES_MAX];
    size_t local_count;
};

static void *allocate(size_t count, size_t size) {
    void *memory = calloc(count ? count : 1, size);
    if (!memory)
        generate_fail("out of memory");
    return memory;
}

static struct schema_type *tree_find(const struct schema_tree *tree, const char *name) {
    for (size_t i = 0; i < tree->types_count; i++)
        if (strcmp(tree->types[i]->name, name) == 0)
            return tree->types[i];
    return NULL;
}

static const char *without_namespace(const char *name) {
    static const char prefix[] = "orderlog.";
    return strncmp(name, prefix, sizeof(prefix) - 1) == 0 ? name + sizeof(prefix) - 1 : name;
}

static const char *get_string(const struct reader *reader, const char *where, const json_t *object,
                              const char *key) {
    const char *value = json_string_value(json_object_get(object, key));
    if (!value)
        generate_fail("%s: %s: \"%s\" is missing or not a string", reader->path, where, key);
    return value;
}

// An attribute that is not understood could change the encoding, so it is refused.
static void check_keys(const struct reader *reader, const char *where, json_t *object,
                       const char *allowed) {
    const char *key;
    json_t *value;
    json_object_foreach(object, key, value) {
        const char *padded = name_printf(" %s ", key);
        if (!strstr(allowed, padded))
            generate_fail("%s: %s: attribute \"%s\" is not supported", reader->path, where, key);
    }
}

// The definition as compared between files: no docs, and nested named types by name only, since
// those are compared on their own.
static json_t *shape_of(const json_t *schema, bool is_outermost) {
    if (json_is_array(schema)) {
        json_t *copy = json_array();
        for (size_t i = 0; i < json_array_size(schema); i++)
            json_array_append_new(copy, shape_of(json_array_get(schema, i), false));
        return copy;
    }
    if (json_is_string(schema))
        return json_string(without_namespace(json_string_value(schema)));
    if (!json_is_object(schema))
        return json_deep_copy(schema);

    const char *type = json_string_value(json_object_get(schema, "type"));
    bool is_named = type && (strcmp(type, "record") == 0 || strcmp(type, "enum") == 0);
    if (is_named && !is_outermost)
        return json_string(json_string_value(json_object_get(schema, "name")));

    json_t *copy = json_object();
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)schema, key, value) {
        if (strcmp(key, "doc") != 0 && strcmp(key, "namespace") != 0)
            json_object_set_new(copy, key, shape_of(value, false));
    }
    return copy;
}

static const struct schema_type *read_named(struct reader *reader, const char *where,
                                            json_t *schema);

static const struct schema_type *find_local(const struct reader *reader, const char *name) {
    for (size_t i = 0; i < reader->local_count; i++)
        if (strcmp(reader->local[i]->name, name) == 0)
            return reader->local[i];
    return NULL;
}

static bool read_primitive(const char *name, struct schema_field *field) {
    static const struct {
        const char *name;
        enum field_kind kind;
    } primitives[] = {
        {"boolean", FIELD_BOOLEAN}, {"int", FIELD_INT},     {"long", FIELD_LONG},
        {"string", FIELD_STRING},   {"bytes", FIELD_BYTES},
    };
    for (size_t i = 0; i < sizeof(primitives) / sizeof(primitives[0]); i++) {
        if (strcmp(primitives[i].name, name) == 0) {
            field->kind = primitives[i].kind;
            return true;
        }
    }
    return false;
}

static void read_logical(const struct reader *reader, const char *where, json_t *schema,
                         struct schema_field *field) {
    check_keys(reader, where, schema, " type logicalType ");
    const char *type = get_string(reader, where, schema, "type");
    const char *logical = get_string(reader, where, schema, "logicalType");
    if (strcmp(type, "string") == 0 && strcmp(logical, "uuid") == 0)
        field->kind = FIELD_UUID;
    else if (strcmp(type, "long") == 0 && strcmp(logical, "timestamp-micros") == 0)
        field->kind = FIELD_TIME;
    else
        generate_fail("%s: %s: logical type \"%s\" on \"%s\" is not supported", reader->path, where,
                      logical, type);
}

static void read_type(struct reader *reader, const char *where, json_t *schema,
                      struct schema_field *field);

static void read_nullable(struct reader *reader, const char *where, json_t *schema,
                          struct schema_field *field) {
    const char *first = json_string_value(json_array_get(schema, 0));
    if (json_array_size(schema) != 2 || !first || strcmp(first, "null") != 0)
        generate_fail("%s: %s: the only union supported is [\"null\", T]", reader->path, where);
    if (field->is_array)
        generate_fail("%s: %s: the items of an array cannot be nullable", reader->path, where);
    read_type(reader, where, json_array_get(schema, 1), field);
    if (field->is_array || field->is_nullable)
        generate_fail("%s: %s: only a plain type, enum or record can be nullable", reader->path,
                      where);
    field->is_nullable = true;
}

static void read_array(struct reader *reader, const char *where, json_t *schema,
                       struct schema_field *field) {
    check_keys(reader, where, schema, " type items ");
    if (field->is_array)
        generate_fail("%s: %s: an array of arrays is not supported", reader->path, where);
    field->is_array = true;
    read_type(reader, where, json_object_get(schema, "items"), field);
    if (field->kind == FIELD_BOOLEAN || field->kind == FIELD_INT || field->kind == FIELD_TIME)
        generate_fail("%s: %s: arrays hold records, enums, strings, bytes, uuids or longs",
                      reader->path, where);
}

static void read_type(struct reader *reader, const char *where, json_t *schema,
                      struct schema_field *field) {
    if (json_is_string(schema)) {
        const char *name = without_namespace(json_string_value(schema));
        if (read_primitive(name, field))
            return;
        field->type = find_local(reader, name);
        if (!field->type)
            generate_fail("%s: %s: type \"%s\" is not supported, not yet defined in this file, "
                          "or recursive",
                          reader->path, where, name);
        field->kind = field->type->is_record ? FIELD_RECORD : FIELD_ENUM;
        return;
    }
    if (json_is_array(schema)) {
        read_nullable(reader, where, schema, field);
        return;
    }
    if (!json_is_object(schema))
        generate_fail("%s: %s: no type", reader->path, where);

    const char *type = get_string(reader, where, schema, "type");
    if (strcmp(type, "array") == 0) {
        read_array(reader, where, schema, field);
    } else if (strcmp(type, "record") == 0 || strcmp(type, "enum") == 0) {
        field->type = read_named(reader, where, schema);
        field->kind = field->type->is_record ? FIELD_RECORD : FIELD_ENUM;
    } else if (json_object_get(schema, "logicalType")) {
        read_logical(reader, where, schema, field);
    } else {
        generate_fail("%s: %s: type \"%s\" written as an object is not supported", reader->path,
                      where, type);
    }
}

// Two members of the C struct must not get the same name through has_ and _count.
static void check_members(const struct reader *reader, const struct schema_type *type) {
    const char *members[SCHEMA_FIELDS_MAX * 2];
    size_t count = 0;
    for (size_t i = 0; i < type->fields_count; i++) {
        const struct schema_field *field = &type->fields[i];
        members[count++] = field->name;
        if (field->is_array)
            members[count++] = name_printf("%s_count", field->name);
        else if (field->is_nullable && field->kind != FIELD_STRING && field->kind != FIELD_BYTES)
            members[count++] = name_printf("has_%s", field->name);
    }
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < i; j++)
            if (strcmp(members[i], members[j]) == 0)
                generate_fail("%s: %s: two fields would be called %s in C", reader->path,
                              type->name, members[i]);
}

static size_t field_bytes_min(const struct schema_field *field) {
    if (field->is_array || field->is_nullable)
        return 1;
    if (field->kind == FIELD_RECORD)
        return field->type->bytes_min;
    return field->kind == FIELD_UUID ? 1 + ID_TEXT_LEN : 1;
}

static void read_record(struct reader *reader, json_t *schema, struct schema_type *type) {
    check_keys(reader, type->name, schema, " type name namespace doc aliases fields ");
    json_t *fields = json_object_get(schema, "fields");
    size_t count = json_array_size(fields);
    if (count == 0 || count > SCHEMA_FIELDS_MAX)
        generate_fail("%s: %s: a record has 1 to %d fields", reader->path, type->name,
                      SCHEMA_FIELDS_MAX);

    type->is_record = true;
    type->fields = allocate(count, sizeof(*type->fields));
    type->fields_count = count;
    type->depth = 1;
    for (size_t i = 0; i < count; i++) {
        json_t *json = json_array_get(fields, i);
        struct schema_field *field = &type->fields[i];
        field->name = get_string(reader, type->name, json, "name");
        const char *where = name_printf("%s.%s", type->name, field->name);
        check_keys(reader, where, json, " name type doc default aliases ");
        if (!name_is_snake(field->name) || name_is_keyword(field->name))
            generate_fail("%s: %s: a field's name is lower case with underscores and no keyword "
                          "of C",
                          reader->path, where);
        read_type(reader, where, json_object_get(json, "type"), field);

        type->bytes_min += field_bytes_min(field);
        type->has_array |= field->is_array;
        if (field->kind == FIELD_RECORD) {
            type->has_array |= field->type->has_array;
            if (type->depth <= field->type->depth)
                type->depth = field->type->depth + 1;
        }
    }
    if (type->depth > DEPTH_MAX)
        generate_fail("%s: %s: records nest deeper than %d", reader->path, type->name, DEPTH_MAX);
    check_members(reader, type);
}

static void read_enum(struct reader *reader, json_t *schema, struct schema_type *type) {
    check_keys(reader, type->name, schema, " type name namespace doc aliases symbols default ");
    json_t *symbols = json_object_get(schema, "symbols");
    size_t count = json_array_size(symbols);
    if (count == 0 || count > SCHEMA_SYMBOLS_MAX)
        generate_fail("%s: %s: an enum has 1 to %d symbols", reader->path, type->name,
                      SCHEMA_SYMBOLS_MAX);

    type->symbols = allocate(count, sizeof(*type->symbols));
    type->symbols_count = count;
    for (size_t i = 0; i < count; i++) {
        const char *symbol = json_string_value(json_array_get(symbols, i));
        if (!symbol || !name_is_upper(symbol) || strcmp(symbol, "COUNT") == 0)
            generate_fail("%s: %s: a symbol is upper case with underscores and not COUNT",
                          reader->path, type->name);
        for (size_t j = 0; j < i; j++)
            if (strcmp(type->symbols[j], symbol) == 0)
                generate_fail("%s: %s: symbol %s stands there twice", reader->path, type->name,
                              symbol);
        type->symbols[i] = symbol;
    }
}

static const struct schema_type *read_named(struct reader *reader, const char *where,
                                            json_t *schema) {
    const char *name = get_string(reader, where, schema, "name");
    const char *space = json_string_value(json_object_get(schema, "namespace"));
    if (space && strcmp(space, "orderlog") != 0)
        generate_fail("%s: %s: the namespace is not orderlog", reader->path, name);
    if (!name_is_camel(name))
        generate_fail("%s: %s: a type's name is written LikeThis", reader->path, name);
    if (find_local(reader, name))
        generate_fail("%s: %s: defined twice in one file", reader->path, name);

    struct schema_type *type = allocate(1, sizeof(*type));
    type->name = name;
    type->snake = name_snake(name);
    type->upper = name_upper(type->snake);
    if (name_is_keyword(type->snake) || name_is_taken_tag(type->snake))
        generate_fail("%s: %s: struct %s is already something else in C", reader->path, name,
                      type->snake);
    type->shape = shape_of(schema, true);
    if (strcmp(get_string(reader, name, schema, "type"), "record") == 0)
        read_record(reader, schema, type);
    else
        read_enum(reader, schema, type);

    struct schema_type *known = tree_find(reader->tree, name);
    if (known && !json_equal(known->shape, type->shape))
        generate_fail("%s: %s: defined differently in another file", reader->path, name);
    if (!known) {
        if (reader->tree->types_count == SCHEMA_TYPES_MAX)
            generate_fail("%s: more than %d types", reader->path, SCHEMA_TYPES_MAX);
        reader->tree->types[reader->tree->types_count++] = type;
        known = type;
    }
    if (reader->local_count == SCHEMA_TYPES_MAX)
        generate_fail("%s: more than %d types", reader->path, SCHEMA_TYPES_MAX);
    reader->local[reader->local_count++] = known;
    return known;
}

void schema_tree_add(struct schema_tree *tree, const char *path, const char *dir, char *text,
                     size_t text_len) {
    struct reader *reader = allocate(1, sizeof(*reader));
    reader->tree = tree;
    reader->path = path;

    json_error_t error;
    json_t *schema = json_loadb(text, text_len, JSON_REJECT_DUPLICATES, &error);
    if (!schema)
        generate_fail("%s:%d: %s", path, error.line, error.text);
    const char *type_name = get_string(reader, "schema", schema, "type");
    if (strcmp(type_name, "record") != 0 || !json_object_get(schema, "namespace"))
        generate_fail("%s: a file holds one record, with its namespace", path);

    const char *name = get_string(reader, "schema", schema, "name");
    const char *slash = strrchr(path, '/');
    if (strcmp(name_printf("%s.avsc", name_snake(name)), slash ? slash + 1 : path) != 0)
        generate_fail("%s: the file of record %s is called %s.avsc", path, name, name_snake(name));

    // The type in the tree is ours to complete: a nested use elsewhere left dir and text empty.
    (void)read_named(reader, "schema", schema);
    struct schema_type *type = tree_find(tree, name);
    if (type->dir)
        generate_fail("%s: record %s already has a file in %s", path, name, type->dir);
    type->dir = dir;
    type->text = text;
    type->text_len = text_len;
    tree->messages[tree->messages_count++] = type;
}
