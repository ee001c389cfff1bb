// SPDX-License-Identifier: Apache-2.0
//
// Integer minor units with overflow checks, and the ISO 4217 codes we accept.
#ifndef ORDERLOG_DOMAIN_MONEY_H
#define ORDERLOG_DOMAIN_MONEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// No single amount or sum may be larger: far from INT64_MAX, and exact in JSON numbers (2^53).
#define MONEY_MINOR_MAX INT64_C(9000000000000000)

bool money_add(int64_t a_minor, int64_t b_minor, int64_t *ret_minor);
bool money_multiply(int64_t quantity, int64_t unit_minor, int64_t *ret_minor);

// Three upper-case letters that ISO 4217 lists as a currency in use.
bool money_currency_known(const char *code, size_t len);

#endif
