// SPDX-License-Identifier: Apache-2.0
#include "files.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "names.h"

enum { FILE_BYTES_MAX = 1 << 20 };

char *files_read(const char *path, size_t *ret_len) {
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

static int list(const char *dir, struct dirent ***ret, int (*wanted)(const struct dirent *)) {
    int count = scandir(dir, ret, wanted, by_bytes);
    if (count < 0 && errno != ENOTDIR && errno != ENOENT)
        generate_fail("cannot read %s: %s", dir, strerror(errno));
    return count;
}

int files_list(const char *dir, struct dirent ***ret) {
    return list(dir, ret, is_visible);
}

int files_list_schemas(const char *dir, struct dirent ***ret) {
    return list(dir, ret, is_schema);
}
