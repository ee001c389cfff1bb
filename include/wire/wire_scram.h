// SPDX-License-Identifier: Apache-2.0
//
// The client's half of SCRAM (RFC 5802, RFC 7677), without channel binding. No input or output:
// texts in, texts out.
#ifndef ORDERLOG_WIRE_SCRAM_H
#define ORDERLOG_WIRE_SCRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "service/error.h"

enum { WIRE_SCRAM_TEXT_MAX = 2048, WIRE_SCRAM_HASH_MAX = 64 };

struct wire_scram {
    bool sha512; // or SHA-256
    char nonce[48];
    char first[WIRE_SCRAM_TEXT_MAX]; // client-first-message-bare
    uint8_t server_signature[WIRE_SCRAM_HASH_MAX];
    size_t hash_len;
};

// The first message, NUL-terminated. False: DISP_FATAL, the user name is too long.
bool wire_scram_first(struct wire_scram *scram, bool sha512, const char *user,
                      char out[WIRE_SCRAM_TEXT_MAX], struct error *err);

// The second, from what the server said to the first. False: DISP_FATAL, it is none of SCRAM, or
// not in answer to ours.
bool wire_scram_final(struct wire_scram *scram, const char *server_first, size_t len,
                      const char *password, char out[WIRE_SCRAM_TEXT_MAX], struct error *err);

// Whether the server, too, knows the password. False: DISP_FATAL.
bool wire_scram_verify(const struct wire_scram *scram, const char *server_final, size_t len,
                       struct error *err);

#endif
