// SPDX-License-Identifier: Apache-2.0
//
// orderlog_generate SCHEMAS_DIR OUT_DIR: writes the C codec of every schema. Run by the build.
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "emit.h"
#include "names.h"
#include "shipped.h"

static void write_file(const char *dir, const char *name, const struct schema_tree *tree,
                       void (*emit)(FILE *, const struct schema_tree *)) {
    const char *path = name_printf("%s/%s", dir, name);
    FILE *out = fopen(path, "w");
    if (!out)
        generate_fail("cannot write %s: %s", path, strerror(errno));
    (void)fputs("// SPDX-License-Identifier: Apache-2.0\n"
                "//\n"
                "// Made by orderlog_generate from schemas/; edit those instead.\n",
                out);
    emit(out, tree);
    if (ferror(out) || fclose(out) != 0)
        generate_fail("cannot write %s: %s", path, strerror(errno));
}

int main(int argc, char **argv) {
    if (argc != 3)
        generate_fail("usage: orderlog_generate SCHEMAS_DIR OUT_DIR");
    static struct schema_tree tree;
    schema_tree_read(&tree, argv[1]);
    shipped_check(&tree, argv[1]);
    write_file(argv[2], "types.h", &tree, emit_header);
    write_file(argv[2], "encode.c", &tree, emit_encode);
    write_file(argv[2], "decode.c", &tree, emit_decode);
    write_file(argv[2], "tables.c", &tree, emit_tables);
    return 0;
}
