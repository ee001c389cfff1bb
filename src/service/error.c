// SPDX-License-Identifier: Apache-2.0
//
// Errors are plain values: no allocation, no thread-local state, safe to build anywhere.
#include "service/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

bool error_set(struct error *err, enum disposition what, int code, const char *fmt, ...) {
    if (!err)
        return false;
    err->what = what;
    err->code = code;
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(err->msg, sizeof(err->msg), fmt, args);
    va_end(args);
    return false;
}

bool error_wrap(struct error *err, const char *fmt, ...) {
    if (!err)
        return false;
    char outer[ERROR_MSG_MAX];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(outer, sizeof(outer), fmt, args);
    va_end(args);

    char inner[ERROR_MSG_MAX];
    memcpy(inner, err->msg, sizeof(inner));
    size_t used = strnlen(outer, sizeof(outer));
    memcpy(err->msg, outer, used + 1);
    (void)snprintf(err->msg + used, sizeof(err->msg) - used, ": %s", inner);
    return false;
}

const char *disposition_name(enum disposition what) {
    switch (what) {
    case DISP_NONE:
        return "none";
    case DISP_RETRY:
        return "retry";
    case DISP_ABORT:
        return "abort";
    case DISP_POISON:
        return "poison";
    case DISP_FATAL:
        return "fatal";
    }
    return "unknown";
}
