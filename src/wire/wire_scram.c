// SPDX-License-Identifier: Apache-2.0
#include "wire/wire_scram.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    NONCE_BYTES = 24,
    SALT_MAX = 512,
    ITERATIONS_MIN = 4096, // RFC 7677
    ITERATIONS_MAX = 1000000,
    BASE64_MAX = 4 * ((SALT_MAX + 2) / 3),
};

static const EVP_MD *hash_of(const struct wire_scram *scram) {
    return scram->sha512 ? EVP_sha512() : EVP_sha256();
}

// A name with its commas and equal signs escaped. False: it does not fit.
static bool put_name(char *out, size_t size, const char *name) {
    size_t len = 0;
    for (; *name; name++) {
        const char *piece = *name == ',' ? "=2C" : *name == '=' ? "=3D" : NULL;
        const size_t more = piece ? 3 : 1;
        if (len + more >= size)
            return false;
        if (piece)
            memcpy(out + len, piece, more);
        else
            out[len] = *name;
        len += more;
    }
    out[len] = '\0';
    return true;
}

bool wire_scram_first(struct wire_scram *scram, bool sha512, const char *user,
                      char out[WIRE_SCRAM_TEXT_MAX], struct error *err) {
    uint8_t random[NONCE_BYTES];
    char name[1024];
    *scram = (struct wire_scram){.sha512 = sha512};
    scram->hash_len = (size_t)EVP_MD_get_size(hash_of(scram));
    if (RAND_bytes(random, sizeof(random)) != 1)
        return error_set(err, DISP_FATAL, 0, "SCRAM: no random numbers");
    (void)EVP_EncodeBlock((uint8_t *)scram->nonce, random, sizeof(random));
    if (!put_name(name, sizeof(name), user))
        return error_set(err, DISP_FATAL, 0, "SCRAM: kafka.sasl.username is too long");
    (void)snprintf(scram->first, sizeof(scram->first), "n=%s,r=%s", name, scram->nonce);
    (void)snprintf(out, WIRE_SCRAM_TEXT_MAX, "n,,%.*s", WIRE_SCRAM_TEXT_MAX - 4, scram->first);
    return true;
}

// The value of an attribute such as "r=", up to the next comma. False: there is none at this place.
static bool attribute(const char **at, const char *end, char name, const char **ret,
                      size_t *ret_len) {
    if (end - *at < 2 || (*at)[0] != name || (*at)[1] != '=')
        return false;
    const char *comma = memchr(*at, ',', (size_t)(end - *at));
    const char *stop = comma ? comma : end;
    *ret = *at + 2;
    *ret_len = (size_t)(stop - *ret);
    *at = comma ? comma + 1 : end;
    return true;
}

// Returns the length, -1 when it is no base64 or too long.
static int decode64(const char *text, size_t len, uint8_t *out, size_t size) {
    uint8_t decoded[BASE64_MAX];
    if (len == 0 || len % 4 != 0 || len > BASE64_MAX)
        return -1;
    int got = EVP_DecodeBlock(decoded, (const uint8_t *)text, (int)len);
    got -= got > 0 && text[len - 1] == '=';
    got -= got > 0 && text[len - 2] == '=';
    if (got < 0 || (size_t)got > size)
        return -1;
    memcpy(out, decoded, (size_t)got);
    return got;
}

static void keyed(const struct wire_scram *scram, const uint8_t *key, size_t key_len,
                  const char *text, uint8_t *out) {
    unsigned len = 0;
    (void)HMAC(hash_of(scram), key, (int)key_len, (const uint8_t *)text, strlen(text), out, &len);
}

bool wire_scram_final(struct wire_scram *scram, const char *server_first, size_t len,
                      const char *password, char out[WIRE_SCRAM_TEXT_MAX], struct error *err) {
    const char *at = server_first, *end = server_first + len;
    const char *nonce, *salt_text, *iterations_text;
    size_t nonce_len, salt_len, iterations_len;
    if (!attribute(&at, end, 'r', &nonce, &nonce_len) ||
        !attribute(&at, end, 's', &salt_text, &salt_len) ||
        !attribute(&at, end, 'i', &iterations_text, &iterations_len) || iterations_len > 9)
        return error_set(err, DISP_FATAL, 0, "SCRAM: the broker's first answer is none");
    if (nonce_len <= strlen(scram->nonce) || nonce_len > 512 ||
        memcmp(nonce, scram->nonce, strlen(scram->nonce)) != 0)
        return error_set(err, DISP_FATAL, 0, "SCRAM: the broker answers somebody else");
    char digits[16] = "";
    memcpy(digits, iterations_text, iterations_len);
    const long iterations = strtol(digits, NULL, 10);
    uint8_t salt[SALT_MAX];
    const int salt_bytes = decode64(salt_text, salt_len, salt, sizeof(salt));
    if (iterations < ITERATIONS_MIN || iterations > ITERATIONS_MAX || salt_bytes <= 0)
        return error_set(err, DISP_FATAL, 0,
                         "SCRAM: the broker asks for %ld iterations and a salt of %d bytes",
                         iterations, salt_bytes);

    char without_proof[1024], signed_text[2 * WIRE_SCRAM_TEXT_MAX];
    (void)snprintf(without_proof, sizeof(without_proof), "c=biws,r=%.*s", (int)nonce_len, nonce);
    const int signed_len = snprintf(signed_text, sizeof(signed_text), "%s,%.*s,%s", scram->first,
                                    (int)len, server_first, without_proof);
    if (signed_len < 0 || (size_t)signed_len >= sizeof(signed_text))
        return error_set(err, DISP_FATAL, 0, "SCRAM: the broker's first answer is too long");

    const EVP_MD *hash = hash_of(scram);
    const size_t size = scram->hash_len;
    uint8_t salted[WIRE_SCRAM_HASH_MAX], key[WIRE_SCRAM_HASH_MAX], stored[WIRE_SCRAM_HASH_MAX];
    uint8_t signature[WIRE_SCRAM_HASH_MAX];
    unsigned stored_len = 0;
    if (PKCS5_PBKDF2_HMAC(password, (int)strlen(password), salt, salt_bytes, (int)iterations, hash,
                          (int)size, salted) != 1)
        return error_set(err, DISP_FATAL, 0, "SCRAM: the password cannot be salted");
    keyed(scram, salted, size, "Client Key", key);
    (void)EVP_Digest(key, size, stored, &stored_len, hash, NULL);
    keyed(scram, stored, size, signed_text, signature);
    for (size_t i = 0; i < size; i++)
        key[i] ^= signature[i];
    char proof[2 * WIRE_SCRAM_HASH_MAX];
    (void)EVP_EncodeBlock((uint8_t *)proof, key, (int)size);
    (void)snprintf(out, WIRE_SCRAM_TEXT_MAX, "%s,p=%s", without_proof, proof);

    keyed(scram, salted, size, "Server Key", key);
    keyed(scram, key, size, signed_text, scram->server_signature);
    OPENSSL_cleanse(salted, sizeof(salted));
    OPENSSL_cleanse(key, sizeof(key));
    return true;
}

bool wire_scram_verify(const struct wire_scram *scram, const char *server_final, size_t len,
                       struct error *err) {
    const char *at = server_final, *end = server_final + len, *text;
    size_t text_len;
    uint8_t signature[WIRE_SCRAM_HASH_MAX];
    if (!attribute(&at, end, 'v', &text, &text_len) ||
        decode64(text, text_len, signature, sizeof(signature)) != (int)scram->hash_len ||
        CRYPTO_memcmp(signature, scram->server_signature, scram->hash_len) != 0)
        return error_set(err, DISP_FATAL, 0,
                         "SCRAM: the broker does not know our password: it is another one");
    return true;
}
