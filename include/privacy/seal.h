// SPDX-License-Identifier: Apache-2.0
//
// Sealing: AES-256-GCM (NIST SP 800-38D) by OpenSSL. What is sealed is bound to the place it was
// sealed for (shop, customer, kind, subject) as associated data, so that a ciphertext that is moved
// elsewhere does not open. The same key gives prints: HMAC-SHA256 over a text, for telling whether
// two texts are the same; without the key nobody can try texts out. The keys of both are derived
// (HKDF-Expand, RFC 5869), so that neither use says anything about the other.
//
// Nonces are random, 96 bits. One key may seal 2^32 texts that way (SP 800-38D, 8.3): a customer's
// key seals the customer's own changes and orders, a master key one key per customer.
//
// Any thread.
#ifndef ORDERLOG_PRIVACY_SEAL_H
#define ORDERLOG_PRIVACY_SEAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "event/codec.h"
#include "event/id.h"

enum { SEAL_KEY_LEN = 32, SEAL_NONCE_LEN = 12, SEAL_TAG_LEN = 16, SEAL_PRINT_LEN = 32 };

// Secret: seal_forget() it before its memory goes.
struct seal_key {
    uint8_t bytes[SEAL_KEY_LEN];
};

struct seal_place {
    const char *kind; // "customer", "order.shipping_address", …
    struct view shop;
    struct view customer;
    struct id subject; // the order, the key; nil where the customer says it all
};

bool seal_key_make(struct seal_key *ret); // false: the system has no random numbers
void seal_forget(void *secret, size_t size);

// out holds length + SEAL_TAG_LEN bytes. False: no random numbers, or OpenSSL has no memory.
bool seal_close(const struct seal_key *key, const struct seal_place *place, const void *text,
                size_t length, uint8_t ret_nonce[SEAL_NONCE_LEN], uint8_t *out);

// out holds sealed.len - SEAL_TAG_LEN bytes, which is what it gets. False: not sealed with this
// key, for this place, or changed since; out is zeroed then.
bool seal_open(const struct seal_key *key, const struct seal_place *place, struct view nonce,
               struct view sealed, uint8_t *out);

bool seal_print(const struct seal_key *key, const struct seal_place *place, const void *text,
                size_t length, uint8_t ret[SEAL_PRINT_LEN]);

#endif
