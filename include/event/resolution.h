// SPDX-License-Identifier: Apache-2.0
//
// Reading what another version of a schema has written, by Avro's rules of schema resolution:
// fields by name or alias, defaults for those that are missing, those that nobody wants skipped,
// int as long, symbols by name or the enum's default, unions branch by branch, at any depth.
//
// A resolution is made once for two schemas, and then turns a record's bytes in the writer's form
// into bytes in the reader's form, which the generated decoder takes. It is for the rare reader:
// while versions change, or of a log's old end. Immutable once made: any thread may use it.
#ifndef ORDERLOG_EVENT_RESOLUTION_H
#define ORDERLOG_EVENT_RESOLUTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "service/arena.h"
#include "service/error.h"

struct resolution;

// NULL with err (DISP_POISON) naming field and reason when no message of the writer could be read.
// A difference that only some messages have (a symbol without a default, a branch) is found when
// they come.
struct resolution *resolution_new(const char *writer, size_t writer_len, const char *reader,
                                  size_t reader_len, struct error *err);
struct resolution *resolution_free(struct resolution *resolution); // NULL is fine

// Turns all of [at, end) over; what comes out lies in the arena. False: DISP_POISON naming the
// field, or DISP_RETRY when the arena is full. Work and memory are bounded by the message's
// length, whatever it claims.
bool resolution_apply(const struct resolution *resolution, const uint8_t *at, const uint8_t *end,
                      struct arena *arena, const uint8_t **ret_at, const uint8_t **ret_end,
                      struct error *err);

#endif
