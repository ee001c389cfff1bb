// SPDX-License-Identifier: Apache-2.0
//
// What all commands share: the shop a body may name, and the last step, ids and encoding.
#ifndef ORDERLOG_HTTP_COMMAND_SEAL_H
#define ORDERLOG_HTTP_COMMAND_SEAL_H

#include "event/types.h"
#include "http/command.h"

#include <string.h>

static inline struct view command_view(const char *text) {
    return (struct view){.ptr = text, .len = (uint32_t)strlen(text)};
}

// An optional shop_id in the body must be the caller's own.
void command_check_shop(const struct command_context *context, const struct body_part *part);

// H(shop, kind, aggregate, key[, customer]); aggregate NULL for the command that makes one.
struct id command_key_id(const struct command_context *context, enum record_id type,
                         const char *aggregate);

// H(key id, the record as encoded now[, print]). print, of SEAL_PRINT_LEN bytes, stands for what is
// personal, and is left out where nothing is (NULL). False: too large.
bool command_content_id(enum record_id type, const void *record, const struct id *key_id,
                        const uint8_t *print, struct id *ret, struct problem *problem);

// Encodes the finished record into command->bytes; topic, type, ids and key are set already.
bool command_encode(const struct command_context *context, const void *record,
                    struct command *command, struct problem *problem);

bool command_sku_valid(const char *sku, size_t length);

#endif
