// SPDX-License-Identifier: Apache-2.0
//
// Finds the schema files: ROOT/DIR/*.avsc.
#include "schema.h"

#include <stdlib.h>
#include <string.h>

#include "files.h"
#include "names.h"

static int by_dir_and_name(const void *a, const void *b) {
    const struct schema_type *x = *(struct schema_type *const *)a;
    const struct schema_type *y = *(struct schema_type *const *)b;
    int order = strcmp(x->dir, y->dir);
    return order ? order : strcmp(x->name, y->name);
}

void schema_tree_read(struct schema_tree *tree, const char *root) {
    struct dirent **dirs;
    int dirs_count = files_list(root, &dirs);
    if (dirs_count < 0)
        generate_fail("%s is no directory", root);

    for (int i = 0; i < dirs_count; i++) {
        const char *dir = name_printf("%s/%s", root, dirs[i]->d_name);
        struct dirent **files;
        int files_count = files_list_schemas(dir, &files); // -1: README.md and the like
        for (int j = 0; j < files_count; j++) {
            const char *path = name_printf("%s/%s", dir, files[j]->d_name);
            size_t len;
            char *text = files_read(path, &len);
            schema_tree_add(tree, path, dirs[i]->d_name, text, len);
        }
    }
    if (tree->messages_count == 0)
        generate_fail("no .avsc file in %s", root);
    qsort(tree->messages, tree->messages_count, sizeof(tree->messages[0]), by_dir_and_name);
}
