// SPDX-License-Identifier: Apache-2.0
//
// What went wrong, and what the caller is to do about it. The disposition is decided once, at the
// boundary where a library's own code is translated; the transaction loop and the projector act on
// it in one visible switch. A refused order is an event, not an error.
#ifndef ORDERLOG_SERVICE_ERROR_H
#define ORDERLOG_SERVICE_ERROR_H

#include <stdbool.h>

enum disposition {
    DISP_NONE = 0,
    DISP_RETRY,  // the same call may succeed later
    DISP_ABORT,  // abort the transaction, rewind, go on
    DISP_POISON, // this input can never be handled: set it aside, go on with the next
    DISP_FATAL,  // the process must end and be restarted
};

enum { ERROR_MSG_MAX = 512 };

struct error {
    enum disposition what;
    int code; // the library's own code, 0 if none
    char msg[ERROR_MSG_MAX];
};

// Fills err (may be NULL) and returns false, so that `return error_set(...)` reads well.
bool error_set(struct error *err, enum disposition what, int code, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

// Prepends "outer: " to the message, keeps disposition and code, and returns false.
bool error_wrap(struct error *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

const char *disposition_name(enum disposition what);

#endif
