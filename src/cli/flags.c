// SPDX-License-Identifier: Apache-2.0
#include "cli/flags.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct config_flag *find(const struct config_flag *flags, const char *name) {
    for (const struct config_flag *flag = flags; flag->name; flag++)
        if (strcmp(flag->name, name) == 0)
            return flag;
    assert(!"a flag that the command does not have");
    return NULL;
}

const char *flags_value(const struct config_flag *flags, const char *name) {
    return find(flags, name)->value;
}

bool flags_is_set(const struct config_flag *flags, const char *name) {
    const char *value = flags_value(flags, name);
    return value && strcmp(value, "true") == 0;
}

bool flags_int(const struct config_flag *flags, const char *name, int64_t min, int64_t max,
               int64_t *ret) {
    const char *text = flags_value(flags, name);
    char *end = NULL;
    errno = 0;
    const long long value = text ? strtoll(text, &end, 10) : 0;
    if (!text || end == text || *end != '\0' || errno != 0 || value < min || value > max) {
        (void)fprintf(stderr, "orderlog: --%s must be a whole number from %lld to %lld, not '%s'\n",
                      name, (long long)min, (long long)max, text ? text : "");
        return false;
    }
    *ret = value;
    return true;
}

bool flags_real(const struct config_flag *flags, const char *name, double min, double max,
                double *ret) {
    const char *text = flags_value(flags, name);
    char *end = NULL;
    const double value = text ? strtod(text, &end) : 0;
    if (!text || end == text || *end != '\0' || !isfinite(value) || value < min || value > max) {
        (void)fprintf(stderr, "orderlog: --%s must be a number from %g to %g, not '%s'\n", name,
                      min, max, text ? text : "");
        return false;
    }
    *ret = value;
    return true;
}

static bool is_day(const char *text) {
    static const char shape[] = "0000-00-00";
    if (strlen(text) != sizeof(shape) - 1)
        return false;
    for (size_t i = 0; i < sizeof(shape) - 1; i++)
        if (shape[i] == '0' ? text[i] < '0' || text[i] > '9' : text[i] != shape[i])
            return false;

    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    const int year = atoi(text);
    const int month = atoi(text + 5);
    const int day = atoi(text + 8);
    if (month < 1 || month > 12)
        return false;
    const bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return day >= 1 && day <= days[month - 1] + (month == 2 && leap);
}

bool flags_day(const struct config_flag *flags, const char *name, const char **ret) {
    const char *text = flags_value(flags, name);
    if (!text || !is_day(text)) {
        (void)fprintf(stderr, "orderlog: --%s must be a day as YYYY-MM-DD, not '%s'\n", name,
                      text ? text : "");
        return false;
    }
    *ret = text;
    return true;
}
