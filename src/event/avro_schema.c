// SPDX-License-Identifier: Apache-2.0
//
// One pass over the JSON. A named type is entered before its fields are read, so that they may
// refer to it.
#include "avro_schema.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_MAX_LEN = 255 };

static const char *const kind_names[] = {
    [AVRO_NULL] = "null",   [AVRO_BOOLEAN] = "boolean", [AVRO_INT] = "int",
    [AVRO_LONG] = "long",   [AVRO_FLOAT] = "float",     [AVRO_DOUBLE] = "double",
    [AVRO_BYTES] = "bytes", [AVRO_STRING] = "string",   [AVRO_FIXED] = "fixed",
    [AVRO_ENUM] = "enum",   [AVRO_ARRAY] = "array",     [AVRO_MAP] = "map",
    [AVRO_UNION] = "union", [AVRO_RECORD] = "record",
};

const char *avro_kind_name(enum avro_kind kind) {
    return kind_names[kind];
}

struct reader {
    struct avro_schema *schema;
    struct error *err;
    int nesting;
};

static struct avro_node *fail(struct reader *reader, const char *why, const char *about) {
    (void)error_set(reader->err, DISP_POISON, 0, "the schema cannot be read: %s%s%.100s", why,
                    about ? ": " : "", about ? about : "");
    return NULL;
}

static struct avro_node *node_new(struct reader *reader, enum avro_kind kind, const json_t *json) {
    struct avro_schema *schema = reader->schema;
    if (schema->nodes_count == AVRO_NODES_MAX)
        return fail(reader, "it has too many types", NULL);
    struct avro_node *node = calloc(1, sizeof(*node));
    if (!node)
        return fail(reader, "out of memory", NULL);
    node->kind = kind;
    node->json = json;
    schema->nodes[schema->nodes_count++] = node;
    return node;
}

static struct avro_node *read_node(struct reader *reader, const json_t *json, const char *space);

// ---- names -------------------------------------------------------------------------------------

static bool is_primitive(const char *name, enum avro_kind *ret) {
    for (int kind = AVRO_NULL; kind <= AVRO_STRING; kind++) {
        if (strcmp(kind_names[kind], name) == 0) {
            *ret = (enum avro_kind)kind;
            return true;
        }
    }
    return false;
}

// False: too long.
static bool full_name(const char *name, const char *space, char out[NAME_MAX_LEN + 1]) {
    bool bare = !strchr(name, '.') && space && space[0];
    int len = snprintf(out, NAME_MAX_LEN + 1, "%s%s%s", bare ? space : "", bare ? "." : "", name);
    return len > 0 && len <= NAME_MAX_LEN;
}

static struct avro_node *find(const struct reader *reader, const char *name, const char *space) {
    char full[NAME_MAX_LEN + 1];
    if (!full_name(name, space, full))
        return NULL;
    for (size_t i = 0; i < reader->schema->nodes_count; i++) {
        struct avro_node *node = reader->schema->nodes[i];
        if (node->full_name && strcmp(node->full_name, full) == 0)
            return node;
    }
    return NULL;
}

// ---- types with parts --------------------------------------------------------------------------

static bool make_room(struct reader *reader, struct avro_node *node, const json_t *list) {
    node->count = json_array_size(list);
    if (!json_is_array(list) || node->count > AVRO_CHILDREN_MAX)
        return fail(reader, "fields, symbols or branches are missing, or too many", node->name);
    size_t count = node->count ? node->count : 1;
    node->children = calloc(count, sizeof(*node->children));
    node->names = calloc(count, sizeof(*node->names));
    node->fields = calloc(count, sizeof(*node->fields));
    return (node->children && node->names && node->fields) || fail(reader, "out of memory", NULL);
}

static struct avro_node *read_fields(struct reader *reader, struct avro_node *node,
                                     const char *space) {
    const json_t *fields = json_object_get(node->json, "fields");
    if (!make_room(reader, node, fields))
        return NULL;
    for (size_t i = 0; i < node->count; i++) {
        const json_t *field = json_array_get(fields, i);
        node->fields[i] = field;
        node->names[i] = json_string_value(json_object_get(field, "name"));
        if (!node->names[i])
            return fail(reader, "a field has no name", node->name);
        node->children[i] = read_node(reader, json_object_get(field, "type"), space);
        if (!node->children[i])
            return NULL;
    }
    return node;
}

static struct avro_node *read_symbols(struct reader *reader, struct avro_node *node) {
    const json_t *symbols = json_object_get(node->json, "symbols");
    if (!make_room(reader, node, symbols))
        return NULL;
    for (size_t i = 0; i < node->count; i++) {
        node->names[i] = json_string_value(json_array_get(symbols, i));
        if (!node->names[i])
            return fail(reader, "a symbol is no string", node->name);
    }
    return node;
}

static struct avro_node *read_named(struct reader *reader, const json_t *json, enum avro_kind kind,
                                    const char *space) {
    const char *name = json_string_value(json_object_get(json, "name"));
    const char *own_space = json_string_value(json_object_get(json, "namespace"));
    char full[NAME_MAX_LEN + 1];
    if (!name || !name[0] || !full_name(name, own_space ? own_space : space, full))
        return fail(reader, "a type has no name, or too long a one", name);
    if (find(reader, full, NULL))
        return fail(reader, "a type is defined twice", full);
    struct avro_node *node = node_new(reader, kind, json);
    if (!node)
        return NULL;
    node->full_name = strdup(full);
    if (!node->full_name)
        return fail(reader, "out of memory", NULL);
    char *dot = strrchr(node->full_name, '.');
    node->name = dot ? dot + 1 : node->full_name;
    if (kind == AVRO_ENUM)
        return read_symbols(reader, node);
    if (kind == AVRO_FIXED) {
        json_int_t size = json_integer_value(json_object_get(json, "size"));
        if (!json_is_integer(json_object_get(json, "size")) || size < 0 || size > INT32_MAX)
            return fail(reader, "a fixed type has no size", full);
        node->size = (size_t)size;
        return node;
    }
    char inner[NAME_MAX_LEN + 1] = "";
    if (dot)
        memcpy(inner, full, (size_t)(dot - node->full_name));
    return read_fields(reader, node, inner);
}

static struct avro_node *read_container(struct reader *reader, const json_t *json,
                                        enum avro_kind kind, const char *space) {
    struct avro_node *node = node_new(reader, kind, json);
    if (!node)
        return NULL;
    node->children = calloc(1, sizeof(*node->children));
    if (!node->children)
        return fail(reader, "out of memory", NULL);
    node->count = 1;
    node->children[0] =
        read_node(reader, json_object_get(json, kind == AVRO_ARRAY ? "items" : "values"), space);
    return node->children[0] ? node : NULL;
}

static struct avro_node *read_union(struct reader *reader, const json_t *json, const char *space) {
    struct avro_node *node = node_new(reader, AVRO_UNION, json);
    if (!node || !make_room(reader, node, json))
        return NULL;
    for (size_t i = 0; i < node->count; i++) {
        node->children[i] = read_node(reader, json_array_get(json, i), space);
        if (!node->children[i])
            return NULL;
        if (node->children[i]->kind == AVRO_UNION)
            return fail(reader, "a union is in a union", NULL);
    }
    return node;
}

// ---- any type ----------------------------------------------------------------------------------

static struct avro_node *read_name(struct reader *reader, const char *name, const json_t *json,
                                   const char *space) {
    enum avro_kind kind;
    if (is_primitive(name, &kind))
        return node_new(reader, kind, json);
    struct avro_node *node = find(reader, name, space);
    if (!node)
        node = find(reader, name, NULL);
    return node ? node : fail(reader, "a type is not known", name);
}

static struct avro_node *read_type(struct reader *reader, const json_t *json, const char *space) {
    if (json_is_string(json))
        return read_name(reader, json_string_value(json), json, space);
    if (json_is_array(json))
        return read_union(reader, json, space);
    const json_t *type = json_object_get(json, "type");
    const char *word = json_string_value(type);
    if (!word)
        return type ? read_node(reader, type, space) : fail(reader, "a type is missing", NULL);
    if (strcmp(word, "record") == 0 || strcmp(word, "error") == 0)
        return read_named(reader, json, AVRO_RECORD, space);
    if (strcmp(word, "enum") == 0)
        return read_named(reader, json, AVRO_ENUM, space);
    if (strcmp(word, "fixed") == 0)
        return read_named(reader, json, AVRO_FIXED, space);
    if (strcmp(word, "array") == 0)
        return read_container(reader, json, AVRO_ARRAY, space);
    if (strcmp(word, "map") == 0)
        return read_container(reader, json, AVRO_MAP, space);
    return read_name(reader, word, json, space);
}

static struct avro_node *read_node(struct reader *reader, const json_t *json, const char *space) {
    if (reader->nesting == AVRO_NESTING_MAX)
        return fail(reader, "it is nested too deeply", NULL);
    reader->nesting++;
    struct avro_node *node = read_type(reader, json, space);
    reader->nesting--;
    return node;
}

struct avro_schema *avro_schema_read(const char *text, size_t len, struct error *err) {
    struct avro_schema *schema = calloc(1, sizeof(*schema));
    struct reader reader = {.schema = schema, .err = err};
    if (schema)
        schema->nodes = calloc(AVRO_NODES_MAX, sizeof(*schema->nodes));
    if (!schema || !schema->nodes) {
        (void)fail(&reader, "out of memory", NULL);
        return avro_schema_free(schema);
    }
    json_error_t error = {.text = "it is too long"};
    if (len <= AVRO_SCHEMA_BYTES_MAX)
        schema->json = json_loadb(text, len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
    if (!schema->json)
        (void)fail(&reader, "it is not JSON", error.text);
    else
        schema->top = read_node(&reader, schema->json, "");
    return schema->top ? schema : avro_schema_free(schema);
}

struct avro_schema *avro_schema_free(struct avro_schema *schema) {
    if (!schema)
        return NULL;
    for (size_t i = 0; schema->nodes && i < schema->nodes_count; i++) {
        free(schema->nodes[i]->full_name);
        free(schema->nodes[i]->children);
        free(schema->nodes[i]->names);
        free(schema->nodes[i]->fields);
        free(schema->nodes[i]);
    }
    free(schema->nodes);
    json_decref(schema->json);
    free(schema);
    return NULL;
}
