// SPDX-License-Identifier: Apache-2.0
//
// Keys are made by OpenSSL from their numbers, which checks them (a point that is not on the curve
// is no key). ECDSA signatures come as two numbers side by side and go to OpenSSL as ASN.1.
#include "http/jwks.h"

#include "http/jsonin.h"

#include <assert.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <stdlib.h>
#include <string.h>

enum {
    RSA_BITS_MIN = 2048,
    RSA_BITS_MAX = 8192,
    RSA_EXPONENT_BYTES_MAX = 8,
    COORDINATE_BYTES = 32, // of P-256 and of Ed25519
    ECDSA_DER_BYTES_MAX = 80,
    PARSE_BYTES_MAX = 64 * JWKS_BYTES_MAX, // what jsonin makes of a set
};

enum algorithm { RS256, ES256, EDDSA, ALGORITHMS };
static const char *const algorithm_names[ALGORITHMS] = {"RS256", "ES256", "EdDSA"};

struct jwks_key {
    char kid[JWKS_KID_MAX + 1];
    size_t kid_length;
    enum algorithm algorithm;
    EVP_PKEY *key; // owned
};

struct jwks {
    size_t count;
    size_t left_out;
    struct jwks_key keys[JWKS_KEYS_MAX];
};

// --- base64url ---------------------------------------------------------------------------------

static int digit_of(char c) {
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '-' ? 62 : c == '_' ? 63 : -1;
}

bool jwks_base64url(const char *text, size_t length, uint8_t *ret, size_t size,
                    size_t *ret_length) {
    uint32_t bits = 0;
    int held = 0;
    size_t used = 0;
    for (size_t i = 0; i < length; i++) {
        int digit = digit_of(text[i]);
        if (digit < 0)
            return false;
        bits = bits << 6 | (uint32_t)digit;
        held += 6;
        if (held < 8)
            continue;
        if (used == size)
            return false;
        held -= 8;
        ret[used++] = (uint8_t)(bits >> held);
        bits &= (1u << held) - 1;
    }
    *ret_length = used;
    return held < 6 && bits == 0;
}

// --- one key -----------------------------------------------------------------------------------

static bool text_is(const struct jsonin *member, const char *text) {
    return member && member->kind == JSONIN_STRING && strcmp(member->text, text) == 0;
}

static bool read_bytes(const struct jsonin *object, const char *name, uint8_t *ret, size_t size,
                       size_t *ret_length) {
    const struct jsonin *member = jsonin_member(object, name);
    return member && member->kind == JSONIN_STRING &&
           jwks_base64url(member->text, member->length, ret, size, ret_length) && *ret_length > 0;
}

static EVP_PKEY *make_key(const char *kind, OSSL_PARAM_BLD *builder) {
    EVP_PKEY *key = NULL;
    OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(builder);
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, kind, NULL);
    if (!params || !context || EVP_PKEY_fromdata_init(context) != 1 ||
        EVP_PKEY_fromdata(context, &key, EVP_PKEY_PUBLIC_KEY, params) != 1)
        key = NULL;
    EVP_PKEY_CTX_free(context);
    OSSL_PARAM_free(params);
    return key;
}

static EVP_PKEY *make_rsa(const struct jsonin *object) {
    uint8_t modulus[RSA_BITS_MAX / 8];
    uint8_t exponent[RSA_EXPONENT_BYTES_MAX];
    size_t modulus_length = 0;
    size_t exponent_length = 0;
    if (!read_bytes(object, "n", modulus, sizeof(modulus), &modulus_length) ||
        !read_bytes(object, "e", exponent, sizeof(exponent), &exponent_length))
        return NULL;
    EVP_PKEY *key = NULL;
    BIGNUM *n = BN_bin2bn(modulus, (int)modulus_length, NULL);
    BIGNUM *e = BN_bin2bn(exponent, (int)exponent_length, NULL);
    OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
    // With 1 for an exponent everything would be signed.
    if (n && e && builder && BN_num_bits(n) >= RSA_BITS_MIN && BN_is_odd(n) && BN_is_odd(e) &&
        !BN_is_one(e) && OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_N, n) == 1 &&
        OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_E, e) == 1)
        key = make_key("RSA", builder);
    OSSL_PARAM_BLD_free(builder);
    BN_free(n);
    BN_free(e);
    return key;
}

static EVP_PKEY *make_p256(const struct jsonin *object) {
    uint8_t point[1 + 2 * COORDINATE_BYTES] = {POINT_CONVERSION_UNCOMPRESSED};
    size_t x_length = 0;
    size_t y_length = 0;
    if (!read_bytes(object, "x", point + 1, COORDINATE_BYTES, &x_length) ||
        !read_bytes(object, "y", point + 1 + COORDINATE_BYTES, COORDINATE_BYTES, &y_length) ||
        x_length != COORDINATE_BYTES || y_length != COORDINATE_BYTES)
        return NULL;
    EVP_PKEY *key = NULL;
    OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
    if (builder &&
        OSSL_PARAM_BLD_push_utf8_string(builder, OSSL_PKEY_PARAM_GROUP_NAME, "P-256", 0) == 1 &&
        OSSL_PARAM_BLD_push_octet_string(builder, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof(point)) ==
            1)
        key = make_key("EC", builder);
    OSSL_PARAM_BLD_free(builder);
    return key;
}

static EVP_PKEY *make_ed25519(const struct jsonin *object) {
    uint8_t point[COORDINATE_BYTES];
    size_t length = 0;
    if (!read_bytes(object, "x", point, sizeof(point), &length) || length != sizeof(point))
        return NULL;
    return EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, point, sizeof(point));
}

static const struct {
    const char *kty;
    const char *crv; // NULL: it has none
    EVP_PKEY *(*make)(const struct jsonin *object);
} kinds[ALGORITHMS] = {
    [RS256] = {"RSA", NULL, make_rsa},
    [ES256] = {"EC", "P-256", make_p256},
    [EDDSA] = {"OKP", "Ed25519", make_ed25519},
};

// Is the key, by its own words, for checking signatures of this algorithm?
static bool is_for(const struct jsonin *object, enum algorithm algorithm) {
    const struct jsonin *alg = jsonin_member(object, "alg");
    const struct jsonin *use = jsonin_member(object, "use");
    const struct jsonin *operations = jsonin_member(object, "key_ops");
    if (!text_is(jsonin_member(object, "kty"), kinds[algorithm].kty) ||
        (kinds[algorithm].crv && !text_is(jsonin_member(object, "crv"), kinds[algorithm].crv)) ||
        (alg && !text_is(alg, algorithm_names[algorithm])) || (use && !text_is(use, "sig")))
        return false;
    if (!operations)
        return true;
    if (operations->kind != JSONIN_ARRAY)
        return false;
    const struct jsonin *one = operations->first;
    while (one && !text_is(one, "verify"))
        one = one->next;
    return one != NULL;
}

// False: err is set. A key that is for something else is left out.
static bool add_key(struct jwks *keys, const struct jsonin *object, size_t index,
                    struct error *err) {
    if (object->kind != JSONIN_OBJECT)
        return error_set(err, DISP_FATAL, 0, "keys[%zu] is no object", index);
    // "k" is a shared secret, "d" what belongs to the issuer alone.
    if (jsonin_member(object, "d") || jsonin_member(object, "k"))
        return error_set(err, DISP_FATAL, 0,
                         "keys[%zu] is a private or shared key: only public ones belong here, and "
                         "whoever could read this file could make tokens",
                         index);
    enum algorithm algorithm = RS256;
    while (algorithm < ALGORITHMS && !is_for(object, algorithm))
        algorithm++;
    if (algorithm == ALGORITHMS) {
        keys->left_out++;
        return true;
    }
    const struct jsonin *kid = jsonin_member(object, "kid");
    if (!kid || kid->kind != JSONIN_STRING || kid->length < 1 || kid->length > JWKS_KID_MAX)
        return error_set(err, DISP_FATAL, 0,
                         "keys[%zu] has no kid of 1 to %d bytes, by which tokens name it", index,
                         JWKS_KID_MAX);
    if (jwks_find(keys, kid->text, kid->length))
        return error_set(err, DISP_FATAL, 0, "keys[%zu] has the kid of an earlier one", index);
    if (keys->count == JWKS_KEYS_MAX)
        return error_set(err, DISP_FATAL, 0, "more than %d keys", JWKS_KEYS_MAX);
    EVP_PKEY *key = kinds[algorithm].make(object);
    if (!key)
        return error_set(err, DISP_FATAL, 0,
                         "keys[%zu] is no %s key that OpenSSL takes (RSA: %d to %d bits)", index,
                         algorithm_names[algorithm], RSA_BITS_MIN, RSA_BITS_MAX);
    struct jwks_key *added = &keys->keys[keys->count++];
    memcpy(added->kid, kid->text, kid->length + 1);
    added->kid_length = kid->length;
    added->algorithm = algorithm;
    added->key = key;
    return true;
}

// --- the set -----------------------------------------------------------------------------------

static bool read_set(struct jwks *keys, const struct jsonin *root, struct error *err) {
    const struct jsonin *list = root->kind == JSONIN_OBJECT ? jsonin_member(root, "keys") : NULL;
    if (!list || list->kind != JSONIN_ARRAY)
        return error_set(err, DISP_FATAL, 0, "it is no object with an array \"keys\"");
    size_t index = 0;
    for (const struct jsonin *one = list->first; one; one = one->next)
        if (!add_key(keys, one, index++, err))
            return false;
    return keys->count > 0 ||
           error_set(err, DISP_FATAL, 0, "it has no key for RS256, ES256 or EdDSA");
}

struct jwks *jwks_parse(const char *text, size_t length, struct error *err) {
    if (length > JWKS_BYTES_MAX) {
        (void)error_set(err, DISP_FATAL, 0, "it has more than %d bytes", JWKS_BYTES_MAX);
        return NULL;
    }
    struct jwks *keys = calloc(1, sizeof(*keys));
    struct arena arena;
    struct jsonin_error fault;
    arena_init(&arena, PARSE_BYTES_MAX);
    const struct jsonin *root = keys ? jsonin_read(&arena, text, length, &fault) : NULL;
    bool ok = root != NULL;
    if (!keys)
        (void)error_set(err, DISP_FATAL, 0, "out of memory");
    else if (!root)
        (void)error_set(err, DISP_FATAL, 0, "line %d, column %d: %s", fault.line, fault.column,
                        fault.why);
    else
        ok = read_set(keys, root, err);
    arena_done(&arena);
    if (ok)
        return keys;
    jwks_free(keys);
    return NULL;
}

void jwks_free(struct jwks *keys) {
    if (!keys)
        return;
    for (size_t i = 0; i < keys->count; i++)
        EVP_PKEY_free(keys->keys[i].key);
    free(keys);
}

size_t jwks_count(const struct jwks *keys) {
    return keys->count;
}

size_t jwks_left_out(const struct jwks *keys) {
    return keys->left_out;
}

const struct jwks_key *jwks_find(const struct jwks *keys, const char *kid, size_t length) {
    for (size_t i = 0; i < keys->count; i++) {
        if (keys->keys[i].kid_length == length && memcmp(keys->keys[i].kid, kid, length) == 0)
            return &keys->keys[i];
    }
    return NULL;
}

const char *jwks_algorithm(const struct jwks_key *key) {
    return algorithm_names[key->algorithm];
}

// --- signatures --------------------------------------------------------------------------------

// Two numbers of 32 bytes each, as ASN.1. 0: not that.
static size_t ecdsa_der(const uint8_t *signature, size_t length,
                        uint8_t ret_der[ECDSA_DER_BYTES_MAX]) {
    size_t used = 0;
    if (length != 2 * COORDINATE_BYTES)
        return 0;
    ECDSA_SIG *pair = ECDSA_SIG_new();
    BIGNUM *r = BN_bin2bn(signature, COORDINATE_BYTES, NULL);
    BIGNUM *s = BN_bin2bn(signature + COORDINATE_BYTES, COORDINATE_BYTES, NULL);
    if (pair && r && s && ECDSA_SIG_set0(pair, r, s) == 1) {
        r = s = NULL; // the pair's now
        int size = i2d_ECDSA_SIG(pair, NULL);
        if (size > 0 && size <= ECDSA_DER_BYTES_MAX) {
            uint8_t *at = ret_der;
            used = (size_t)i2d_ECDSA_SIG(pair, &at);
        }
    }
    BN_free(r);
    BN_free(s);
    ECDSA_SIG_free(pair);
    return used;
}

bool jwks_verify(const struct jwks_key *key, const uint8_t *signature, size_t signature_length,
                 const char *bytes, size_t length) {
    uint8_t der[ECDSA_DER_BYTES_MAX];
    if (key->algorithm == ES256) {
        signature_length = ecdsa_der(signature, signature_length, der);
        signature = der;
        if (signature_length == 0)
            return false;
    }
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    const EVP_MD *digest = key->algorithm == EDDSA ? NULL : EVP_sha256();
    bool good =
        context && EVP_DigestVerifyInit(context, NULL, digest, NULL, key->key) == 1 &&
        EVP_DigestVerify(context, signature, signature_length, (const uint8_t *)bytes, length) == 1;
    EVP_MD_CTX_free(context);
    return good;
}
