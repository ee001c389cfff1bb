// SPDX-License-Identifier: Apache-2.0
//
// Finds the schema files: ROOT/DIR/*.avsc. Files are read in sorted order, so that the output does
// not depend on the file system.
#include "schema.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "names.h"

enum { FILE_BYTES_MAX = 1 << 20 };

static char *read_file(const char *path, size_t *ret_len) {
    FILE *file = fopen(path, "rb");
    if (!file)
        generate_fail("cannot open %s: %s", path, strerror(errno));
    char *text = malloc(FILE_BYTES_MAX);
    if (!text)
        generate_fail("out of memory");
    size_t len = fread(text, 1, FILE_BYTES_MAX, file);
    if (ferror(file) || len == FILE_BYTES_MAX)
        generate_fail("%s: cannot be read, or is larger than %d bytes", path, FILE_BYTES_MAX);
    (void)fclose(file);
    *ret_len = len;
    return text;
}

static int is_visible(const struct dirent *entry) {
    return entry->d_name[0] != '.';
}

static int is_schema(const struct dirent *entry) {
    const char *dot = strrchr(entry->d_name, '.');
    return is_visible(entry) && dot && strcmp(dot, ".avsc") == 0;
}

static int by_bytes(const struct dirent **a, const struct dirent **b) {
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int by_dir_and_name(const void *a, const void *b) {
    const struct schema_type *x = *(struct schema_type *const *)a;
    const struct schema_type *y = *(struct schema_type *const *)b;
    int order = strcmp(x->dir, y->dir);
    return order ? order : strcmp(x->name, y->name);
}

void schema_tree_read(struct schema_tree *tree, const char *root) {
    struct dirent **dirs;
    int dirs_count = scandir(root, &dirs, is_visible, by_bytes);
    if (dirs_count < 0)
        generate_fail("cannot read %s: %s", root, strerror(errno));

    for (int i = 0; i < dirs_count; i++) {
        const char *dir = name_printf("%s/%s", root, dirs[i]->d_name);
        struct dirent **files;
        int files_count = scandir(dir, &files, is_schema, by_bytes);
        if (files_count < 0 && errno == ENOTDIR)
            continue; // README.md and the like
        if (files_count < 0)
            generate_fail("cannot read %s: %s", dir, strerror(errno));
        for (int j = 0; j < files_count; j++) {
            const char *path = name_printf("%s/%s", dir, files[j]->d_name);
            size_t len;
            char *text = read_file(path, &len);
            schema_tree_add(tree, path, dirs[i]->d_name, text, len);
        }
    }
    if (tree->messages_count == 0)
        generate_fail("no .avsc file in %s", root);
    qsort(tree->messages, tree->messages_count, sizeof(tree->messages[0]), by_dir_and_name);
}
