// SPDX-License-Identifier: Apache-2.0
//
// Tokens of every kind of issuer, honest and not. Signed here with OpenSSL; that others' signatures
// are taken is shown by the example of RFC 8037 and by tests/system/access.py.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "http/jwt.h"
#include "http/scope.h"

#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rsa.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NOW INT64_C(1800000000)

enum { TEXT_MAX = 8192 };

enum signer { RSA_SIGNER, EC_SIGNER, ED_SIGNER, SIGNERS };
static const char *const algorithms[SIGNERS] = {"RS256", "ES256", "EdDSA"};
static const char *const kids[SIGNERS] = {"r1", "e1", "d1"};
static EVP_PKEY *signers[SIGNERS];
static char set_text[TEXT_MAX];
static struct jwks *set;
static const struct jwt_rules rules = {.issuer = "https://id.example",
                                       .audience = "orderlog",
                                       .shop_claim = "shop",
                                       .customer_claim = "customer",
                                       .leeway_s = 30};

// --- making --------------------------------------------------------------------------------------

static void encode(const void *bytes, size_t length, char *ret) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    const uint8_t *at = bytes;
    uint32_t bits = 0;
    int held = 0;
    for (size_t i = 0; i < length; i++) {
        bits = bits << 8 | at[i];
        for (held += 8; held >= 6; held -= 6)
            *ret++ = digits[bits >> (held - 6) & 63];
    }
    if (held > 0)
        *ret++ = digits[bits << (6 - held) & 63];
    *ret = '\0';
}

static void encode_number(const EVP_PKEY *key, const char *name, char *ret) {
    uint8_t bytes[1024];
    BIGNUM *number = NULL;
    assert_int_equal(EVP_PKEY_get_bn_param(key, name, &number), 1);
    encode(bytes, (size_t)BN_bn2bin(number, bytes), ret);
    BN_free(number);
}

static void encode_coordinate(const EVP_PKEY *key, const char *name, char *ret) {
    uint8_t bytes[32];
    BIGNUM *number = NULL;
    assert_int_equal(EVP_PKEY_get_bn_param(key, name, &number), 1);
    assert_int_equal(BN_bn2binpad(number, bytes, sizeof(bytes)), sizeof(bytes));
    encode(bytes, sizeof(bytes), ret);
    BN_free(number);
}

static int make_keys(void **state) {
    (void)state;
    char n[1024], e[16], x[64], y[64], d[64];
    uint8_t raw[32];
    size_t length = sizeof(raw);
    struct error err = {0};
    signers[RSA_SIGNER] = EVP_RSA_gen(2048);
    signers[EC_SIGNER] = EVP_EC_gen("P-256");
    signers[ED_SIGNER] = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    encode_number(signers[RSA_SIGNER], OSSL_PKEY_PARAM_RSA_N, n);
    encode_number(signers[RSA_SIGNER], OSSL_PKEY_PARAM_RSA_E, e);
    encode_coordinate(signers[EC_SIGNER], OSSL_PKEY_PARAM_EC_PUB_X, x);
    encode_coordinate(signers[EC_SIGNER], OSSL_PKEY_PARAM_EC_PUB_Y, y);
    assert_int_equal(EVP_PKEY_get_raw_public_key(signers[ED_SIGNER], raw, &length), 1);
    encode(raw, length, d);
    (void)snprintf(
        set_text, sizeof(set_text),
        "{\"keys\":[{\"kty\":\"RSA\",\"kid\":\"r1\",\"alg\":\"RS256\",\"use\":\"sig\","
        "\"n\":\"%s\",\"e\":\"%s\"},"
        "{\"kty\":\"EC\",\"crv\":\"P-256\",\"kid\":\"e1\",\"x\":\"%s\",\"y\":\"%s\"},"
        "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"kid\":\"d1\",\"x\":\"%s\"},"
        "{\"kty\":\"RSA\",\"kid\":\"enc\",\"use\":\"enc\",\"n\":\"%s\",\"e\":\"AQAB\"}]}",
        n, e, x, y, d, n);
    set = jwks_parse(set_text, strlen(set_text), &err);
    if (!set)
        fail_msg("%s", err.msg);
    return 0;
}

static int drop_keys(void **state) {
    (void)state;
    jwks_free(set);
    for (size_t i = 0; i < SIGNERS; i++)
        EVP_PKEY_free(signers[i]);
    return 0;
}

// The signature in JWS form; returns its length.
static size_t sign(enum signer signer, const char *text, uint8_t ret[1024]) {
    uint8_t made[1024];
    size_t length = sizeof(made);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    const EVP_MD *digest = signer == ED_SIGNER ? NULL : EVP_sha256();
    assert_int_equal(EVP_DigestSignInit(context, NULL, digest, NULL, signers[signer]), 1);
    assert_int_equal(EVP_DigestSign(context, made, &length, (const uint8_t *)text, strlen(text)),
                     1);
    EVP_MD_CTX_free(context);
    if (signer != EC_SIGNER) {
        memcpy(ret, made, length);
        return length;
    }
    const uint8_t *at = made;
    ECDSA_SIG *pair = d2i_ECDSA_SIG(NULL, &at, (long)length);
    assert_int_equal(BN_bn2binpad(ECDSA_SIG_get0_r(pair), ret, 32), 32);
    assert_int_equal(BN_bn2binpad(ECDSA_SIG_get0_s(pair), ret + 32, 32), 32);
    ECDSA_SIG_free(pair);
    return 64;
}

static void make_token(enum signer signer, const char *header, const char *claims,
                       char token[TEXT_MAX]) {
    uint8_t signature[1024];
    char part[TEXT_MAX];
    encode(header, strlen(header), token);
    strcat(token, ".");
    encode(claims, strlen(claims), part);
    strcat(token, part);
    size_t length = sign(signer, token, signature);
    encode(signature, length, part);
    strcat(token, ".");
    strcat(token, part);
}

static const char *header_of(enum signer signer) {
    static char text[128];
    (void)snprintf(text, sizeof(text), "{\"alg\":\"%s\",\"kid\":\"%s\",\"typ\":\"JWT\"}",
                   algorithms[signer], kids[signer]);
    return text;
}

#define GOOD                                                                                       \
    "\"iss\":\"https://id.example\",\"aud\":\"orderlog\",\"sub\":\"somebody\","                    \
    "\"exp\":1800000300,\"shop\":\"main\",\"scope\":\"openid orders:read orders:write\""

// --- checking ------------------------------------------------------------------------------------

static struct jwt_identity identity;
static const char *why;

static bool verify(const char *token) {
    return jwt_verify(set, &rules, token, strlen(token), NOW, &identity, &why);
}

static void refuse(const char *token, const char *expected) {
    if (verify(token))
        fail_msg("taken: %s", token);
    if (!strstr(why, expected))
        fail_msg("\"%s\" does not say \"%s\"", why, expected);
}

static void expect_claims(const char *claims, const char *refusal) {
    for (int signer = 0; signer < SIGNERS; signer++) {
        char token[TEXT_MAX];
        make_token((enum signer)signer, header_of((enum signer)signer), claims, token);
        if (refusal)
            refuse(token, refusal);
        else if (!verify(token))
            fail_msg("%s: %s", claims, why);
    }
}

static void a_good_token_says_who_asks(void **state) {
    (void)state;
    expect_claims("{" GOOD "}", NULL);
    assert_string_equal(identity.caller.shop_id, "main");
    assert_string_equal(identity.caller.customer_id, "");
    assert_int_equal(identity.caller.scopes, SCOPE_ORDERS_READ | SCOPE_ORDERS_WRITE);
    assert_int_equal(identity.caller.until_s, 1800000330);
    assert_memory_equal(identity.caller.key_id, "jwt:", 4);
    assert_null(strstr(identity.caller.key_id, "somebody"));
    char key_id[HTTP_KEY_ID_MAX];
    strcpy(key_id, identity.caller.key_id);
    expect_claims("{" GOOD ",\"customer\":\"c1\"}", NULL);
    assert_string_equal(identity.caller.customer_id, "c1");
    assert_string_not_equal(identity.caller.key_id, key_id);
}

static void the_example_of_rfc_8037_is_verified(void **state) {
    (void)state;
    static const char keys[] = "{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"kid\":\"k\","
                               "\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}]}";
    static const char text[] = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
    static const char signature[] =
        "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt"
        "9g7sVvpAr_MuM0KAg";
    uint8_t bytes[64];
    size_t length = 0;
    struct error err = {0};
    struct jwks *one = jwks_parse(keys, strlen(keys), &err);
    assert_non_null(one);
    const struct jwks_key *key = jwks_find(one, "k", 1);
    assert_true(jwks_base64url(signature, strlen(signature), bytes, sizeof(bytes), &length));
    assert_true(jwks_verify(key, bytes, length, text, strlen(text)));
    bytes[3] ^= 1;
    assert_false(jwks_verify(key, bytes, length, text, strlen(text)));
    jwks_free(one);
}

static void claims_that_do_not_hold_are_refused(void **state) {
    (void)state;
    static const struct {
        const char *claims;
        const char *why; // NULL: taken
    } cases[] = {
        {"{" GOOD ",\"nbf\":1800000000}", NULL},
        {"{" GOOD ",\"nbf\":1800000030}", NULL}, // the leeway
        {"{" GOOD ",\"nbf\":1800000031}", "not good yet"},
        {"{" GOOD ",\"nbf\":\"now\"}", "nbf"},
        {"{\"iss\":\"https://id.example\",\"aud\":\"orderlog\",\"shop\":\"s\",\"exp\":1799999971}",
         NULL},
        {"{\"iss\":\"https://id.example\",\"aud\":\"orderlog\",\"shop\":\"s\",\"exp\":1799999970}",
         "expired"},
        {"{\"iss\":\"https://id.example\",\"aud\":\"orderlog\",\"shop\":\"s\"}", "exp"},
        {"{\"iss\":\"https://id.example\",\"aud\":\"orderlog\",\"shop\":\"s\",\"exp\":null}",
         "exp"},
        {"{\"iss\":\"https://id.example\",\"aud\":\"orderlog\",\"shop\":\"s\",\"exp\":1.9e9}",
         "exp"},
        {"{\"iss\":\"https://id.example\",\"aud\":\"orderlog\",\"shop\":\"s\",\"exp\":"
         "\"1900000000\"}",
         "exp"},
        {"{\"iss\":\"https://id.example\",\"aud\":\"orderlog\",\"shop\":\"s\",\"exp\":-1}", "exp"},
        {"{\"iss\":\"https://id.example\",\"aud\":\"orderlog\",\"shop\":\"s\",\"exp\":"
         "9223372036854775807}",
         "exp"},
        {"{\"iss\":\"https://id.example/\",\"aud\":\"orderlog\",\"shop\":\"s\",\"exp\":1900000000}",
         "issuer"},
        {"{\"aud\":\"orderlog\",\"shop\":\"s\",\"exp\":1900000000}", "issuer"},
        {"{\"iss\":[\"https://"
         "id.example\"],\"aud\":\"orderlog\",\"shop\":\"s\",\"exp\":1900000000}",
         "issuer"},
        {"{\"iss\":\"https://id.example\",\"aud\":\"order\",\"shop\":\"s\",\"exp\":1900000000}",
         "aud"},
        {"{\"iss\":\"https://id.example\",\"shop\":\"s\",\"exp\":1900000000}", "aud"},
        {"{\"iss\":\"https://id.example\",\"aud\":[],\"shop\":\"s\",\"exp\":1900000000}", "aud"},
        {"{\"iss\":\"https://id.example\",\"aud\":[1,\"x\"],\"shop\":\"s\",\"exp\":1900000000}",
         "aud"},
        {"{\"iss\":\"https://id.example\",\"aud\":[\"x\",\"orderlog\"],\"shop\":\"s\",\"exp\":"
         "1900000000}",
         NULL},
        {"{\"iss\":\"https://id.example\",\"aud\":\"orderlog\",\"exp\":1900000000}", "shop"},
        {"{\"iss\":\"https://id.example\",\"aud\":\"orderlog\",\"shop\":\"\",\"exp\":1900000000}",
         "shop"},
        {"{\"iss\":\"https://"
         "id.example\",\"aud\":\"orderlog\",\"shop\":[\"s\"],\"exp\":1900000000}",
         "shop"},
        {"{" GOOD ",\"customer\":\"\"}", "customer"},
        {"{" GOOD ",\"customer\":null}", "customer"},
        {"{" GOOD ",\"customer\":7}", "customer"},
        {"{" GOOD ",\"customer\":\"0123456789012345678901234567890123456789012345678901234567890123"
         "4\"}",
         "customer"},
        {"{" GOOD ",\"shop\":\"other\"}", "claims"}, // twice
        {"[]", "claims"},
        {"", "claims"},
        {"{" GOOD "}x", "claims"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        expect_claims(cases[i].claims, cases[i].why);
}

static void scopes_come_as_text_or_list(void **state) {
    (void)state;
#define BASE                                                                                       \
    "\"iss\":\"https://id.example\",\"aud\":\"orderlog\",\"exp\":1900000000,\"shop\":\"main\""
    static const struct {
        const char *claims;
        int scopes;
    } cases[] = {
        {"{" BASE "}", 0},
        {"{" BASE ",\"scope\":\"\"}", 0},
        {"{" BASE ",\"scope\":\"  ops   customers:*  \"}",
         SCOPE_OPS | SCOPE_CUSTOMERS_READ | SCOPE_CUSTOMERS_WRITE},
        {"{" BASE ",\"scope\":[\"ops\",\"orders:read\",7]}", SCOPE_OPS | SCOPE_ORDERS_READ},
        {"{" BASE ",\"scp\":[\"ops\"]}", SCOPE_OPS},
        {"{" BASE ",\"scope\":\"read write import all *\"}", 0},
        {"{" BASE ",\"scope\":{\"ops\":true}}", 0},
        {"{" BASE ",\"customer\":\"c\",\"scope\":\"orders:* ops catalog:write customers:*\"}",
         SCOPES_OF_CUSTOMERS},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        expect_claims(cases[i].claims, NULL);
        assert_int_equal(identity.caller.scopes, cases[i].scopes);
    }
}

static void the_algorithm_is_the_keys_and_not_the_tokens(void **state) {
    (void)state;
    char token[TEXT_MAX];
    static const char *const others[] = {"none", "None", "HS256", "RS512", "PS256", "ES384", ""};
    for (int signer = 0; signer < SIGNERS; signer++) {
        char header[128];
        for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
            (void)snprintf(header, sizeof(header), "{\"alg\":\"%s\",\"kid\":\"%s\"}", others[i],
                           kids[signer]);
            make_token((enum signer)signer, header, "{" GOOD "}", token);
            refuse(token, "alg");
        }
        // Another's algorithm, by its name and by its signature.
        int other = (signer + 1) % SIGNERS;
        (void)snprintf(header, sizeof(header), "{\"alg\":\"%s\",\"kid\":\"%s\"}", algorithms[other],
                       kids[signer]);
        make_token((enum signer)other, header, "{" GOOD "}", token);
        refuse(token, "alg");
        make_token((enum signer)other, header_of((enum signer)signer), "{" GOOD "}", token);
        refuse(token, "signature");
        (void)snprintf(header, sizeof(header), "{\"kid\":\"%s\"}", kids[signer]);
        make_token((enum signer)signer, header, "{" GOOD "}", token);
        refuse(token, "alg");
    }
}

// The old trick: the public key, which everybody has, as the secret of an HMAC.
static void an_hmac_with_the_public_key_is_no_signature(void **state) {
    (void)state;
    static const char *const names[] = {"HS256", "RS256"};
    for (size_t i = 0; i < 2; i++) {
        char token[TEXT_MAX], part[TEXT_MAX], header[128];
        uint8_t code[32];
        unsigned length = sizeof(code);
        (void)snprintf(header, sizeof(header), "{\"alg\":\"%s\",\"kid\":\"r1\"}", names[i]);
        encode(header, strlen(header), token);
        strcat(token, ".");
        encode("{" GOOD "}", strlen("{" GOOD "}"), part);
        strcat(token, part);
        HMAC(EVP_sha256(), set_text, (int)strlen(set_text), (const uint8_t *)token, strlen(token),
             code, &length);
        encode(code, length, part);
        strcat(token, ".");
        strcat(token, part);
        refuse(token, i == 0 ? "alg" : "signature");
    }
}

static void headers_that_cannot_be_trusted_are_refused(void **state) {
    (void)state;
    static const struct {
        const char *header;
        const char *why; // NULL: taken
    } cases[] = {
        {"{\"alg\":\"EdDSA\",\"kid\":\"d1\"}", NULL},
        {"{\"alg\":\"EdDSA\",\"kid\":\"d1\",\"typ\":\"at+jwt\"}", NULL},
        {"{\"alg\":\"EdDSA\",\"kid\":\"d1\",\"typ\":\"application/AT+JWT\"}", NULL},
        {"{\"alg\":\"EdDSA\",\"kid\":\"d1\",\"typ\":\"logout+jwt\"}", "typ"},
        {"{\"alg\":\"EdDSA\",\"kid\":\"d1\",\"typ\":1}", "typ"},
        {"{\"alg\":\"EdDSA\",\"kid\":\"d1\",\"crit\":[\"exp\"]}", "crit"},
        {"{\"alg\":\"EdDSA\",\"kid\":\"d2\"}", "kid"},
        {"{\"alg\":\"EdDSA\",\"kid\":\"\"}", "kid"},
        {"{\"alg\":\"EdDSA\",\"kid\":\"enc\"}", "kid"},
        {"{\"alg\":\"EdDSA\"}", "kid"},
        {"{\"alg\":\"EdDSA\",\"kid\":[\"d1\"]}", "kid"},
        {"{\"alg\":[\"EdDSA\"],\"kid\":\"d1\"}", "alg"},
        {"{\"alg\":\"EdDSA\",\"kid\":\"d1\",\"kid\":\"d1\"}", "header"},
        {"\"EdDSA\"", "header"},
        // A key that the token brings along is nobody's.
        {"{\"alg\":\"EdDSA\",\"jwk\":{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"AA\"}}", "kid"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char token[TEXT_MAX];
        make_token(ED_SIGNER, cases[i].header, "{" GOOD "}", token);
        if (cases[i].why)
            refuse(token, cases[i].why);
        else if (!verify(token))
            fail_msg("%s: %s", cases[i].header, why);
    }
}

// Whatever is changed, it is not taken; a character more or less is not the same token either.
static void a_changed_token_is_refused(void **state) {
    (void)state;
    for (int signer = 0; signer < SIGNERS; signer++) {
        char token[TEXT_MAX];
        make_token((enum signer)signer, header_of((enum signer)signer), "{" GOOD "}", token);
        assert_true(verify(token));
        size_t length = strlen(token);
        for (size_t i = 0; i < length; i++) {
            char kept = token[i];
            token[i] = kept == 'A' ? 'B' : 'A';
            assert_false(verify(token));
            token[i] = kept;
        }
        for (size_t cut = 0; cut < length; cut++)
            assert_false(jwt_verify(set, &rules, token, cut, NOW, &identity, &why));
        strcat(token, "A");
        assert_false(verify(token));
        token[length] = '=';
        assert_false(verify(token));
        token[length] = '.';
        assert_false(verify(token));
    }
    refuse("", "three parts");
    refuse("..", "header");
    refuse("a.b", "three parts");
}

static void a_signature_of_zeros_is_none(void **state) {
    (void)state;
    for (int signer = 0; signer < SIGNERS; signer++) {
        static const size_t lengths[SIGNERS] = {256, 64, 64};
        static const uint8_t zeros[256];
        char token[TEXT_MAX];
        char part[TEXT_MAX];
        make_token((enum signer)signer, header_of((enum signer)signer), "{" GOOD "}", token);
        *(strrchr(token, '.') + 1) = '\0';
        refuse(token, "signature");
        encode(zeros, lengths[signer], part);
        strcat(token, part);
        refuse(token, "signature");
    }
}

static void a_token_longer_than_any_is_refused(void **state) {
    (void)state;
    size_t length = JWT_BYTES_MAX + 1;
    char *token = malloc(length + 1);
    memset(token, 'A', length);
    token[length] = '\0';
    refuse(token, "too long");
    free(token);
}

// --- key sets ------------------------------------------------------------------------------------

static void sets_that_cannot_be_trusted_are_refused_whole(void **state) {
    (void)state;
    static const struct {
        const char *text;
        const char *why;
    } cases[] = {
        {"", "line 1"},
        {"{\"keys\":", "line 1"},
        {"[]", "keys"},
        {"{}", "keys"},
        {"{\"keys\":{}}", "keys"},
        {"{\"keys\":[]}", "no key"},
        {"{\"keys\":[7]}", "keys[0]"},
        {"{\"keys\":[{\"kty\":\"oct\",\"kid\":\"h\",\"k\":\"c2VjcmV0\"}]}", "shared"},
        {"{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"kid\":\"k\",\"d\":\"AA\",\"x\":"
         "\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}]}",
         "private"},
        {"{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":"
         "\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}]}",
         "kid"},
        {"{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"kid\":\"k\",\"x\":\"11qYAY\"}]}",
         "OpenSSL"},
        {"{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"X25519\",\"kid\":\"k\",\"x\":"
         "\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}]}",
         "no key"},
        // Not a point of the curve.
        {"{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"kid\":\"k\","
         "\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\","
         "\"y\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}]}",
         "OpenSSL"},
        // 64 bits.
        {"{\"keys\":[{\"kty\":\"RSA\",\"kid\":\"k\",\"n\":\"w__________\",\"e\":\"AQAB\"}]}",
         "OpenSSL"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct error err = {0};
        struct jwks *keys = jwks_parse(cases[i].text, strlen(cases[i].text), &err);
        if (keys)
            fail_msg("taken: %s", cases[i].text);
        if (!strstr(err.msg, cases[i].why))
            fail_msg("\"%s\" does not say \"%s\"", err.msg, cases[i].why);
    }
}

// With 1 for an exponent, any text would be its own signature.
static void rsa_keys_with_a_foul_exponent_are_refused(void **state) {
    (void)state;
    static const char *const exponents[] = {"AQ", "AA", "Ag", "AAAB"}; // 1, 0, 2, 1
    char n[1024];
    encode_number(signers[RSA_SIGNER], OSSL_PKEY_PARAM_RSA_N, n);
    for (size_t i = 0; i < sizeof(exponents) / sizeof(exponents[0]); i++) {
        char text[2048];
        struct error err = {0};
        (void)snprintf(text, sizeof(text),
                       "{\"keys\":[{\"kty\":\"RSA\",\"kid\":\"k\",\"n\":\"%s\",\"e\":\"%s\"}]}", n,
                       exponents[i]);
        assert_null(jwks_parse(text, strlen(text), &err));
    }
}

static void a_kid_names_one_key(void **state) {
    (void)state;
    static const char one[] = "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"kid\":\"k\","
                              "\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}";
    char text[1024];
    struct error err = {0};
    (void)snprintf(text, sizeof(text), "{\"keys\":[%s,%s]}", one, one);
    assert_null(jwks_parse(text, strlen(text), &err));
    assert_non_null(strstr(err.msg, "kid"));
    assert_int_equal(jwks_count(set), 3);
    assert_int_equal(jwks_left_out(set), 1); // for encryption
}

static void base64url_is_read_strictly(void **state) {
    (void)state;
    static const struct {
        const char *text;
        int length; // -1: refused
    } cases[] = {{"", 0},       {"AA", 1},   {"AAA", 2},     {"AAAA", 3}, {"A", -1},
                 {"AAAAA", -1}, {"AB", -1},  {"AAB", -1},    {"AA=", -1}, {"AA ", -1},
                 {"A+A/", -1},  {"A-A_", 3}, {"AAAAA A", -1}};
    uint8_t bytes[8];
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        size_t length = 0;
        bool ok =
            jwks_base64url(cases[i].text, strlen(cases[i].text), bytes, sizeof(bytes), &length);
        if ((ok ? (int)length : -1) != cases[i].length)
            fail_msg("%s: %d", cases[i].text, ok ? (int)length : -1);
    }
    size_t length = 0;
    assert_false(jwks_base64url("AAAAAAAAAAAA", 12, bytes, sizeof(bytes), &length));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_good_token_says_who_asks),
        cmocka_unit_test(the_example_of_rfc_8037_is_verified),
        cmocka_unit_test(claims_that_do_not_hold_are_refused),
        cmocka_unit_test(scopes_come_as_text_or_list),
        cmocka_unit_test(the_algorithm_is_the_keys_and_not_the_tokens),
        cmocka_unit_test(an_hmac_with_the_public_key_is_no_signature),
        cmocka_unit_test(headers_that_cannot_be_trusted_are_refused),
        cmocka_unit_test(a_changed_token_is_refused),
        cmocka_unit_test(a_signature_of_zeros_is_none),
        cmocka_unit_test(a_token_longer_than_any_is_refused),
        cmocka_unit_test(sets_that_cannot_be_trusted_are_refused_whole),
        cmocka_unit_test(rsa_keys_with_a_foul_exponent_are_refused),
        cmocka_unit_test(a_kid_names_one_key),
        cmocka_unit_test(base64url_is_read_strictly),
    };
    return cmocka_run_group_tests(tests, make_keys, drop_keys);
}
