// SPDX-License-Identifier: Apache-2.0
#include "cli/read_models.h"

#include "store/projection.h"

#include <stdio.h>
#include <string.h>

bool read_model_is_known(const char *tool, const char *name) {
    size_t ignored;
    if (projection_topic_of(projection_files, projection_files_count, name, strlen(name), &ignored))
        return true;
    (void)fprintf(stderr, "orderlog %s: there is no read model '%s'; there are:", tool, name);
    for (size_t i = 0; i < projection_files_count; i++) {
        const char *slash = strchr(projection_files[i].name, '/');
        if (slash && strcmp(slash, "/apply.sql") == 0)
            (void)fprintf(stderr, " %.*s", (int)(slash - projection_files[i].name),
                          projection_files[i].name);
    }
    (void)fputc('\n', stderr);
    return false;
}
