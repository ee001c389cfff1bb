// SPDX-License-Identifier: Apache-2.0
#include "cli/verify.h"

#include <stdarg.h>

#define VERIFY_ROW(id, promise, what, unit) {promise, what, unit},
static const struct {
    const char *promise;
    const char *what;
    const char *unit;
} checks[CHECK_COUNT] = {VERIFY_CHECKS(VERIFY_ROW)};

void verify_violation(struct verify_report *report, enum verify_check check, const char *fmt, ...) {
    const int64_t number = report->violations[check]++;
    if (number >= VERIFY_VIOLATIONS_KEPT)
        return;
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(report->texts[check][number], VERIFY_TEXT_MAX, fmt, args);
    va_end(args);
}

int64_t verify_report_print(const struct verify_report *report, FILE *out) {
    int64_t total = 0;
    for (int i = 0; i < CHECK_COUNT; i++) {
        total += report->violations[i];
        (void)fprintf(out, "%-4s %-52s %12lld %-12s", checks[i].promise, checks[i].what,
                      (long long)report->checked[i], checks[i].unit);
        if (report->violations[i] == 0)
            (void)fprintf(out, "holds\n");
        else
            (void)fprintf(out, "%lld VIOLATIONS\n", (long long)report->violations[i]);
        for (int64_t v = 0; v < report->violations[i] && v < VERIFY_VIOLATIONS_KEPT; v++)
            (void)fprintf(out, "       %s\n", report->texts[i][v]);
        if (report->violations[i] > VERIFY_VIOLATIONS_KEPT)
            (void)fprintf(out, "       ... and %lld more\n",
                          (long long)(report->violations[i] - VERIFY_VIOLATIONS_KEPT));
    }
    return total;
}
