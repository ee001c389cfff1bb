// SPDX-License-Identifier: Apache-2.0
//
// Compares two schemas and says how the one becomes the other. The reader's schema is one of ours
// and not recursive, so walking along it ends.
#include "resolution_plan.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PLANS_MAX = 1 << 16, PATH_MAX_LEN = 256 };

struct maker {
    struct error *err;
    char path[PATH_MAX_LEN]; // "OrderPlaced.lines.sku"
    int plans;
};

__attribute__((format(printf, 2, 3))) static struct plan *refuse(struct maker *maker,
                                                                 const char *fmt, ...) {
    char why[200];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(why, sizeof(why), fmt, args);
    va_end(args);
    (void)error_set(maker->err, DISP_POISON, 0, "%s: %s", maker->path, why);
    return NULL;
}

static struct plan *plan_new(struct maker *maker, enum plan_kind kind,
                             const struct avro_node *writer, const struct avro_node *reader,
                             size_t count) {
    if (maker->plans++ == PLANS_MAX)
        return refuse(maker, "the schemas are too large to be compared");
    struct plan *plan = calloc(1, sizeof(*plan));
    if (!plan)
        return refuse(maker, "out of memory");
    plan->kind = kind;
    plan->writer = writer;
    plan->reader = reader;
    plan->count = count;
    plan->children = calloc(count ? count : 1, sizeof(*plan->children));
    if (!plan->children) {
        (void)plan_free(plan);
        return refuse(maker, "out of memory");
    }
    return plan;
}

struct plan *plan_free(struct plan *plan) {
    if (!plan)
        return NULL;
    for (size_t i = 0; i < plan->count; i++) {
        (void)plan_free(plan->children[i]);
        if (plan->defaults)
            free(plan->defaults[i].bytes);
    }
    free(plan->children);
    free(plan->fields);
    free(plan->defaults);
    free(plan->symbols);
    free(plan->why);
    free(plan);
    return NULL;
}

// ---- do two types match at all? ----------------------------------------------------------------

// full_name: NULL for fields.
static bool is_alias(const json_t *definition, const char *name, const char *full_name) {
    const json_t *aliases = json_object_get(definition, "aliases");
    for (size_t i = 0; i < json_array_size(aliases); i++) {
        const char *alias = json_string_value(json_array_get(aliases, i));
        if (!alias)
            continue;
        if (strcmp(alias, name) == 0 || (full_name && strcmp(alias, full_name) == 0))
            return true;
    }
    return false;
}

static bool names_match(const struct avro_node *writer, const struct avro_node *reader) {
    return strcmp(writer->name, reader->name) == 0 ||
           is_alias(reader->json, writer->name, writer->full_name);
}

// By their outside: what is inside is compared later.
static bool types_match(const struct avro_node *writer, const struct avro_node *reader) {
    if (writer->kind == AVRO_UNION || reader->kind == AVRO_UNION)
        return true;
    switch (reader->kind) {
    case AVRO_LONG:
        return writer->kind == AVRO_LONG || writer->kind == AVRO_INT;
    case AVRO_STRING:
    case AVRO_BYTES:
        return writer->kind == AVRO_STRING || writer->kind == AVRO_BYTES;
    case AVRO_ENUM:
    case AVRO_RECORD:
        return writer->kind == reader->kind && names_match(writer, reader);
    case AVRO_ARRAY:
        return writer->kind == AVRO_ARRAY && types_match(writer->children[0], reader->children[0]);
    default:
        return writer->kind == reader->kind;
    }
}

static struct plan *mismatch(struct maker *maker, const struct avro_node *writer,
                             const struct avro_node *reader) {
    return refuse(maker, "was written as %s%s%.60s, and cannot be read as %s%s%.60s",
                  avro_kind_name(writer->kind), writer->name ? " " : "",
                  writer->name ? writer->name : "", avro_kind_name(reader->kind),
                  reader->name ? " " : "", reader->name ? reader->name : "");
}

// ---- one kind after the other ------------------------------------------------------------------

static struct plan *make(struct maker *maker, const struct avro_node *writer,
                         const struct avro_node *reader);

static int32_t symbol_index(const struct avro_node *node, const char *symbol) {
    for (size_t i = 0; symbol && i < node->count; i++)
        if (strcmp(node->names[i], symbol) == 0)
            return (int32_t)i;
    return -1;
}

static struct plan *make_enum(struct maker *maker, const struct avro_node *writer,
                              const struct avro_node *reader) {
    struct plan *plan = plan_new(maker, PLAN_ENUM, writer, reader, 0);
    if (!plan)
        return NULL;
    plan->symbols = calloc(writer->count ? writer->count : 1, sizeof(*plan->symbols));
    if (!plan->symbols) {
        (void)plan_free(plan);
        return refuse(maker, "out of memory");
    }
    int32_t instead =
        symbol_index(reader, json_string_value(json_object_get(reader->json, "default")));
    for (size_t i = 0; i < writer->count; i++) {
        int32_t index = symbol_index(reader, writer->names[i]);
        plan->symbols[i] = index >= 0 ? index : instead;
    }
    return plan;
}

// What may never come (a branch, an item) does no harm until it is written.
static struct plan *make_or_refuse(struct maker *maker, const struct avro_node *writer,
                                   const struct avro_node *reader) {
    struct error *err = maker->err;
    struct error why = {0};
    size_t path_len = strlen(maker->path);
    maker->err = &why;
    struct plan *plan = make(maker, writer, reader);
    maker->err = err;
    maker->path[path_len] = '\0';
    if (plan)
        return plan;
    plan = plan_new(maker, PLAN_REFUSE, writer, reader, 0);
    if (plan && !(plan->why = strdup(why.msg))) {
        (void)plan_free(plan);
        return refuse(maker, "out of memory");
    }
    return plan;
}

static struct plan *make_choice(struct maker *maker, const struct avro_node *writer,
                                const struct avro_node *reader) {
    struct plan *plan = plan_new(maker, PLAN_CHOICE, writer, reader, writer->count);
    const char *why = "it is empty";
    bool readable = false;
    for (size_t i = 0; plan && i < writer->count; i++) {
        plan->children[i] = make_or_refuse(maker, writer->children[i], reader);
        if (!plan->children[i])
            return plan_free(plan);
        if (plan->children[i]->kind == PLAN_REFUSE)
            why = plan->children[i]->why;
        else
            readable = true;
    }
    if (plan && !readable) {
        (void)refuse(maker, "no branch of its union can be read: %.150s", why);
        return plan_free(plan);
    }
    return plan;
}

static struct plan *make_array(struct maker *maker, const struct avro_node *writer,
                               const struct avro_node *reader) {
    struct plan *plan = plan_new(maker, PLAN_ARRAY, writer, reader, 1);
    if (plan &&
        !(plan->children[0] = make_or_refuse(maker, writer->children[0], reader->children[0])))
        return plan_free(plan);
    return plan;
}

// The writer's field that is the reader's field i; -1: there is none.
static int32_t find_field(const struct avro_node *writer, const struct avro_node *reader,
                          size_t i) {
    for (size_t j = 0; j < writer->count; j++)
        if (strcmp(writer->names[j], reader->names[i]) == 0)
            return (int32_t)j;
    for (size_t j = 0; j < writer->count; j++)
        if (is_alias(reader->fields[i], writer->names[j], NULL))
            return (int32_t)j;
    return -1;
}

static bool make_field(struct maker *maker, struct plan *plan, size_t i) {
    const struct avro_node *writer = plan->writer;
    const struct avro_node *reader = plan->reader;
    int32_t from = find_field(writer, reader, i);
    plan->fields[i] = from;
    if (from >= 0) {
        plan->children[i] = make(maker, writer->children[from], reader->children[i]);
        return plan->children[i] != NULL;
    }
    const json_t *value = json_object_get(reader->fields[i], "default");
    if (!value)
        return refuse(maker, "the writer does not have the field, and it has no default");
    return plan_default_encode(reader->children[i], value, &plan->defaults[i]) ||
           refuse(maker, "its default does not fit its type");
}

static struct plan *make_record(struct maker *maker, const struct avro_node *writer,
                                const struct avro_node *reader) {
    struct plan *plan = plan_new(maker, PLAN_RECORD, writer, reader, reader->count);
    if (!plan)
        return NULL;
    plan->fields = calloc(reader->count + 1, sizeof(*plan->fields));
    plan->defaults = calloc(reader->count + 1, sizeof(*plan->defaults));
    if (!plan->fields || !plan->defaults) {
        (void)plan_free(plan);
        return refuse(maker, "out of memory");
    }
    size_t path_len = strlen(maker->path);
    for (size_t i = 0; i < reader->count; i++) {
        (void)snprintf(maker->path + path_len, PATH_MAX_LEN - path_len, ".%s", reader->names[i]);
        if (!make_field(maker, plan, i))
            return plan_free(plan);
    }
    maker->path[path_len] = '\0';
    return plan;
}

static struct plan *make_into(struct maker *maker, const struct avro_node *writer,
                              const struct avro_node *reader) {
    for (size_t i = 0; i < reader->count; i++) {
        if (!types_match(writer, reader->children[i]))
            continue;
        struct plan *plan = plan_new(maker, PLAN_INTO, writer, reader, 1);
        if (!plan)
            return NULL;
        plan->branch = (uint32_t)i;
        plan->children[0] = make(maker, writer, reader->children[i]);
        return plan->children[0] ? plan : plan_free(plan);
    }
    return mismatch(maker, writer, reader);
}

static struct plan *make(struct maker *maker, const struct avro_node *writer,
                         const struct avro_node *reader) {
    if (writer->kind == AVRO_UNION)
        return make_choice(maker, writer, reader);
    if (reader->kind == AVRO_UNION)
        return make_into(maker, writer, reader);
    if (!types_match(writer, reader))
        return mismatch(maker, writer, reader);
    switch (reader->kind) {
    case AVRO_NULL:
        return plan_new(maker, PLAN_NULL, writer, reader, 0);
    case AVRO_BOOLEAN:
        return plan_new(maker, PLAN_BOOLEAN, writer, reader, 0);
    case AVRO_INT:
    case AVRO_LONG:
        return plan_new(maker, PLAN_NUMBER, writer, reader, 0);
    case AVRO_STRING:
    case AVRO_BYTES:
        return plan_new(maker, PLAN_BYTES, writer, reader, 0);
    case AVRO_ENUM:
        return make_enum(maker, writer, reader);
    case AVRO_ARRAY:
        return make_array(maker, writer, reader);
    case AVRO_RECORD:
        return make_record(maker, writer, reader);
    default:
        return refuse(maker, "%s is not among the types that are read",
                      avro_kind_name(reader->kind));
    }
}

struct plan *plan_make(const struct avro_schema *writer, const struct avro_schema *reader,
                       struct error *err) {
    struct maker maker = {.err = err};
    const char *name = reader->top->name;
    (void)snprintf(maker.path, sizeof(maker.path), "%s", name ? name : "the schema");
    return make(&maker, writer->top, reader->top);
}
