// SPDX-License-Identifier: Apache-2.0
//
// What the resolution could read only sometimes, it must here be able to read always: a plan may
// refuse nothing, and forget no symbol.
#include "shipped.h"

#include <stdlib.h>
#include <string.h>

#include "../resolution_plan.h"
#include "files.h"
#include "names.h"

struct comparison {
    const char *file;    // of today
    const char *shipped; // file
    const char *who;     // could not read what
};

_Noreturn static void refuse(const struct comparison *comparison, const char *why) {
    generate_fail("%s does not go with %s: %s: %s. See \"How a schema may change\" in "
                  "schemas/README.md",
                  comparison->file, comparison->shipped, comparison->who, why);
}

static const char *logical_type(const struct avro_node *node) {
    const char *type = json_string_value(json_object_get(node->json, "logicalType"));
    return type ? type : "none";
}

static void check_plan(const struct comparison *comparison, const struct plan *plan,
                       const char *path) {
    const struct avro_node *writer = plan->writer;
    if (plan->kind == PLAN_REFUSE)
        refuse(comparison, plan->why);
    for (size_t i = 0; plan->kind == PLAN_ENUM && i < writer->count; i++)
        if (plan->symbols[i] < 0)
            refuse(comparison, name_printf("%s: symbol %s of enum %s is not known to it, and "
                                           "there is no default",
                                           path, writer->names[i], writer->name));
    if (plan->kind == PLAN_BYTES && writer->kind != plan->reader->kind)
        refuse(comparison, name_printf("%s: string and bytes are not the same", path));
    if ((plan->kind == PLAN_BYTES || plan->kind == PLAN_NUMBER) &&
        strcmp(logical_type(writer), logical_type(plan->reader)) != 0)
        refuse(comparison, name_printf("%s: the logical type was %s and is %s", path,
                                       logical_type(writer), logical_type(plan->reader)));
    for (size_t i = 0; i < plan->count; i++)
        if (plan->children[i])
            check_plan(comparison, plan->children[i],
                       plan->kind == PLAN_RECORD
                           ? name_printf("%s.%s", path, plan->reader->names[i])
                           : path);
}

static struct avro_schema *read_schema(const char *path, const char *text, size_t len) {
    struct error err = {0};
    struct avro_schema *schema = avro_schema_read(text, len, &err);
    if (!schema)
        generate_fail("%s: %s", path, err.msg);
    return schema;
}

static void check_reading(const struct comparison *comparison, const struct avro_schema *writer,
                          const struct avro_schema *reader) {
    struct error err = {0};
    const struct plan *plan = plan_make(writer, reader, &err);
    if (!plan)
        refuse(comparison, err.msg);
    check_plan(comparison, plan, reader->top->name);
}

static const struct schema_type *find(const struct schema_tree *tree, const char *dir,
                                      const char *snake) {
    for (size_t i = 0; i < tree->messages_count; i++)
        if (strcmp(tree->messages[i]->dir, dir) == 0 &&
            strcmp(tree->messages[i]->snake, snake) == 0)
            return tree->messages[i];
    return NULL;
}

static void check_file(const struct schema_tree *tree, const char *root, const char *dir,
                       const char *name) {
    struct comparison comparison = {.shipped = name_printf("%s/shipped/%s/%s", root, dir, name)};
    char *snake = name_printf("%s", name);
    snake[strcspn(snake, ".")] = '\0';
    const struct schema_type *today = find(tree, dir, snake);
    comparison.file = name_printf("%s/%s/%s.avsc", root, dir, snake);
    if (!today)
        generate_fail("%s is gone, but %s was shipped: a record in a log stays", comparison.file,
                      comparison.shipped);
    size_t len;
    char *text = files_read(comparison.shipped, &len);
    const struct avro_schema *then = read_schema(comparison.shipped, text, len);
    const struct avro_schema *now = read_schema(comparison.file, today->text, today->text_len);
    comparison.who = "this program could not read what that one wrote";
    check_reading(&comparison, then, now);
    comparison.who = "that program could not read what this one writes";
    check_reading(&comparison, now, then);
}

void shipped_check(const struct schema_tree *tree, const char *root) {
    const char *shipped = name_printf("%s/shipped", root);
    struct dirent **dirs;
    int dirs_count = files_list(shipped, &dirs);
    for (int i = 0; i < dirs_count; i++) {
        struct dirent **files;
        int count = files_list_schemas(name_printf("%s/%s", shipped, dirs[i]->d_name), &files);
        for (int j = 0; j < count; j++)
            check_file(tree, root, dirs[i]->d_name, files[j]->d_name);
    }
}
