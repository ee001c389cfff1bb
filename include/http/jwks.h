// SPDX-License-Identifier: Apache-2.0
//
// A JSON Web Key Set (RFC 7517): the public keys that tokens may be signed with. Each key has one
// algorithm, which follows from its kind and is never the token's choice:
//
//   RSA, 2048 to 8192 bits   RS256 (RFC 7518)
//   EC, P-256                ES256
//   OKP, Ed25519             EdDSA (RFC 8037)
//
// Keys for other purposes or algorithms are left out. A set with a private or symmetric key, two
// keys of one kid, or no key that is of use is refused whole.
#ifndef ORDERLOG_HTTP_JWKS_H
#define ORDERLOG_HTTP_JWKS_H

#include "service/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { JWKS_KEYS_MAX = 64, JWKS_KID_MAX = 128, JWKS_BYTES_MAX = 256 * 1024 };

struct jwks;
struct jwks_key;

// NULL: err says why. Read-only afterwards: any thread.
struct jwks *jwks_parse(const char *text, size_t length, struct error *err);
void jwks_free(struct jwks *keys); // NULL is fine

size_t jwks_count(const struct jwks *keys);
size_t jwks_left_out(const struct jwks *keys);

// NULL: there is none of that name.
const struct jwks_key *jwks_find(const struct jwks *keys, const char *kid, size_t length);

const char *jwks_algorithm(const struct jwks_key *key); // "RS256"

// Is this JWS signature (RFC 7515) that of the signed bytes, by the key's own algorithm?
bool jwks_verify(const struct jwks_key *key, const uint8_t *signature, size_t signature_length,
                 const char *bytes, size_t length);

// Base64url without padding, strictly (RFC 7515 §2): false when it is not, also when bits are left
// over that are not zero, or when there are more than size bytes.
bool jwks_base64url(const char *text, size_t length, uint8_t *ret, size_t size, size_t *ret_length);

#endif
