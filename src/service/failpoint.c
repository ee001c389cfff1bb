// SPDX-License-Identifier: Apache-2.0
//
// Linked into test programs only. The environment is read at each visit: a dozen lines for what is
// never fast.
#include "service/failpoint.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const names[FAILPOINT_COUNT] = {
#define X(name) [FAILPOINT_##name] = #name,
    FAILPOINTS(X)
#undef X
};
static atomic_ulong visits[FAILPOINT_COUNT];

// The visit at which the point is due; 0: never.
static unsigned long due_at(const char *name) {
    size_t length = strlen(name);
    const char *at = getenv("ORDERLOG_FAILPOINT");
    while (at && *at) {
        if (strncmp(at, name, length) == 0 && strchr(":,", at[length]))
            return at[length] == ':' ? strtoul(at + length + 1, NULL, 10) : 1;
        at += strcspn(at, ",");
        at += *at == ',';
    }
    return 0;
}

bool failpoint_is_due(enum failpoint point) {
    if (atomic_fetch_add(&visits[point], 1) + 1 != due_at(names[point]))
        return false;
    char line[64];
    int length = snprintf(line, sizeof(line), "failpoint: %s\n", names[point]);
    if (write(STDERR_FILENO, line, (size_t)length) != length)
        abort();
    return true;
}

void failpoint_die(enum failpoint point) {
    if (failpoint_is_due(point))
        (void)raise(SIGKILL);
}
