// SPDX-License-Identifier: Apache-2.0
//
// Tokens and key sets. Any text: refused and told why, or a caller with a shop, no more scopes than
// there are, and of a customer none that are the shop's. Signatures are what the input says they
// are: nobody who mutates bytes makes one.
//
//   first byte   0: a key set. 1: a token as it is sent. Otherwise: a token of header, newline and
//                claims, signed well if it is odd
#include "http/jwt.h"
#include "http/scope.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define NOW INT64_C(1800000000)

static const char keys_text[] = "{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"kid\":\"d\","
                                "\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}]}";
static const struct jwt_rules rules = {.issuer = "i",
                                       .audience = "a",
                                       .shop_claim = "shop",
                                       .customer_claim = "customer",
                                       .leeway_s = 30};

static bool is_signed;

bool __wrap_jwks_verify(const struct jwks_key *key, const uint8_t *signature,
                        size_t signature_length, const char *bytes, size_t length);
bool __wrap_jwks_verify(const struct jwks_key *key, const uint8_t *signature,
                        size_t signature_length, const char *bytes, size_t length) {
    (void)signature;
    (void)signature_length;
    assert(key && memchr(bytes, '.', length));
    return is_signed;
}

static char *encode(char *at, const uint8_t *bytes, size_t length) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    uint32_t bits = 0;
    int held = 0;
    for (size_t i = 0; i < length; i++) {
        bits = bits << 8 | bytes[i];
        for (held += 8; held >= 6; held -= 6)
            *at++ = digits[bits >> (held - 6) & 63];
    }
    if (held > 0)
        *at++ = digits[bits << (6 - held) & 63];
    return at;
}

static void read_keys(const char *text, size_t length) {
    struct error err = {0};
    struct jwks *keys = jwks_parse(text, length, &err);
    if (keys)
        assert(jwks_count(keys) >= 1 && jwks_count(keys) <= JWKS_KEYS_MAX);
    else
        assert(err.msg[0]);
    jwks_free(keys);
}

static void read_token(const char *token, size_t length) {
    static struct jwks *keys;
    struct error err = {0};
    struct jwt_identity identity;
    const char *why = NULL;
    if (!keys)
        keys = jwks_parse(keys_text, sizeof(keys_text) - 1, &err);
    assert(keys);
    if (!jwt_verify(keys, &rules, token, length, NOW, &identity, &why)) {
        assert(why && why[0]);
        return;
    }
    const struct http_caller *caller = &identity.caller;
    assert(is_signed && caller->shop_id[0] && strlen(caller->shop_id) < HTTP_SHOP_MAX);
    assert(strncmp(caller->key_id, "jwt:", 4) == 0);
    assert(!(caller->scopes & ~SCOPE_ALL));
    assert(!http_caller_is_customer(caller) || !(caller->scopes & ~SCOPES_OF_CUSTOMERS));
    assert(identity.from_s <= NOW && NOW < caller->until_s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0)
        return 0;
    uint8_t kind = data[0];
    data++;
    size--;
    // In memory of its own, so that a reader that goes too far is seen.
    char *text = malloc(kind > 1 ? 2 * size + 16 : size + 1);
    assert(text);
    is_signed = kind & 1;
    if (kind <= 1) {
        memcpy(text, data, size);
        if (kind == 0)
            read_keys(text, size);
        else
            read_token(text, size);
    } else {
        const uint8_t *newline = memchr(data, '\n', size);
        size_t head = newline ? (size_t)(newline - data) : size;
        char *at = encode(text, data, head);
        *at++ = '.';
        if (newline)
            at = encode(at, newline + 1, size - head - 1);
        *at++ = '.';
        *at++ = 'A';
        *at++ = 'A';
        read_token(text, (size_t)(at - text));
    }
    free(text);
    return 0;
}
