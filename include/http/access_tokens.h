// SPDX-License-Identifier: Apache-2.0
//
// Tokens of an issuer (http/jwt.h) beside API keys: the issuer's keys from the file jwt.jwks, read
// again when it changes or on SIGHUP, within a second. A file that cannot be used later on is
// complained of and the keys before it stay. Tokens that were found good are remembered, so that a
// request costs a look-up and no signature; none is remembered beyond its time or a change of keys.
#ifndef ORDERLOG_HTTP_ACCESS_TOKENS_H
#define ORDERLOG_HTTP_ACCESS_TOKENS_H

#include "http/server.h"
#include "service/config.h"
#include "service/error.h"

struct access_tokens;

// *ret is NULL when jwt.jwks is not set. config is borrowed. False: a file or a setting is of no
// use.
bool access_tokens_start(const struct config *config, struct access_tokens **ret,
                         struct error *err);
void access_tokens_stop(struct access_tokens *tokens); // NULL is fine

// Lets access take tokens too. They must outlive the server; NULL changes nothing.
void access_tokens_add(struct access_tokens *tokens, struct http_access *access);

#endif
