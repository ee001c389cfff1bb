// SPDX-License-Identifier: Apache-2.0
//
// Values of a command's own flags, checked: a bad one is answered with what is allowed.
#ifndef ORDERLOG_CLI_FLAGS_H
#define ORDERLOG_CLI_FLAGS_H

#include "service/config.h"

#include <stdbool.h>
#include <stdint.h>

// The flag's value, NULL if it has none. Asserts that the flag exists.
const char *flags_value(const struct config_flag *flags, const char *name);

// True for a switch that was given.
bool flags_is_set(const struct config_flag *flags, const char *name);

// A whole number from min to max. False: said on stderr.
bool flags_int(const struct config_flag *flags, const char *name, int64_t min, int64_t max,
               int64_t *ret);
bool flags_real(const struct config_flag *flags, const char *name, double min, double max,
                double *ret);

// "YYYY-MM-DD", a day that exists. False: said on stderr.
bool flags_day(const struct config_flag *flags, const char *name, const char **ret);

#endif
