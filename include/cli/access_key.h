// SPDX-License-Identifier: Apache-2.0
//
// API keys: made, listed, revoked in the compacted topic access.keys. Callers send the token
// `ol_ID_SECRET`; the log holds the SHA-256 of SECRET as it stands in the token, never the secret.
#ifndef ORDERLOG_CLI_ACCESS_KEY_H
#define ORDERLOG_CLI_ACCESS_KEY_H

#include "http/scope.h"
#include "service/config.h"
#include "service/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    ACCESS_ID_MAX = 32,
    ACCESS_SECRET_MAX = 128,
    ACCESS_SECRET_MIN = 16,
    ACCESS_TOKEN_MAX = 3 + ACCESS_ID_MAX + 1 + ACCESS_SECRET_MAX,
    ACCESS_SCOPES_MAX = SCOPE_BITS,
};

struct access_token {
    char id[ACCESS_ID_MAX + 1];         // letters, digits and '-'
    char secret[ACCESS_SECRET_MAX + 1]; // 64 hex digits in those we make
};

// A new one from the kernel's random numbers.
bool access_token_make(struct access_token *ret, struct error *err);
bool access_token_parse(const char *text, struct access_token *ret);
void access_token_format(const struct access_token *token, char text[ACCESS_TOKEN_MAX + 1]);

struct access_grant {
    const char *shop_id;
    const char *scopes[ACCESS_SCOPES_MAX];
    uint32_t scopes_count;
    const char *note; // may be NULL
};

// "orders:read,customers:*" into the words of all single scopes, so that a key never means more
// than when it was made, cutting text to pieces. False: an unknown one, which *ret_unknown names.
bool access_scopes_parse(char *text, struct access_grant *grant, const char **ret_unknown);

bool access_key_store(const struct config *config, const struct access_token *token,
                      const struct access_grant *grant, struct error *err);

// A tombstone; fine when there is no such key.
bool access_key_revoke(const struct config *config, const char *id, struct error *err);

// Stores the token as a key with all scopes for shop main, unless it is there already.
bool access_key_ensure(const struct config *config, const char *token, bool *ret_created,
                       struct error *err);

struct access_key_row {
    const char *id;
    const char *shop_id;
    const char *scopes; // "orders:read,orders:write"
    const char *note;   // "" for none
    int64_t created_at_us;
    const uint8_t *secret_sha256; // 32 bytes
};

// Calls visit for every key that is not revoked, in order of their ids.
bool access_keys_list(const struct config *config,
                      void (*visit)(void *state, const struct access_key_row *row), void *state,
                      struct error *err);

#endif
