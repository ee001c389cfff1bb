// SPDX-License-Identifier: Apache-2.0
//
// Names: from Avro's OrderPlaced to C's order_placed and ORDER_PLACED, and which names C or our own
// headers have already taken.
#ifndef ORDERLOG_EVENT_GENERATE_NAMES_H
#define ORDERLOG_EVENT_GENERATE_NAMES_H

#include <stdbool.h>

// Prints "orderlog_generate: ..." and exits with 1: a build must not go on without its codec.
_Noreturn void generate_fail(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

// Allocated; never fails.
char *name_printf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
char *name_snake(const char *camel);
char *name_upper(const char *snake);

bool name_is_camel(const char *name); // OrderPlaced
bool name_is_snake(const char *name); // shop_id
bool name_is_upper(const char *name); // OUT_OF_STOCK

// A keyword of C, or of C++ so that the header may be read by it.
bool name_is_keyword(const char *name);

// A struct or enum tag that the hand-written headers use.
bool name_is_taken_tag(const char *name);

#endif
