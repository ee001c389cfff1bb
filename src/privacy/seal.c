// SPDX-License-Identifier: Apache-2.0
#include "privacy/seal.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <string.h>

enum { PLACE_BYTES_MAX = 512 };

static EVP_CIPHER *cipher; // fetched once: a fetch costs more than a short text
static pthread_once_t cipher_once = PTHREAD_ONCE_INIT;

static void fetch_cipher(void) {
    cipher = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
}

bool seal_key_make(struct seal_key *ret) {
    return RAND_priv_bytes(ret->bytes, sizeof(ret->bytes)) == 1;
}

void seal_forget(void *secret, size_t size) {
    if (size > 0)
        OPENSSL_cleanse(secret, size);
}

// HKDF-Expand to one block: HMAC(key, info | 0x01). The key is uniform, so there is nothing to
// extract.
static bool derive(const struct seal_key *key, const char *info, uint8_t ret[SEAL_KEY_LEN]) {
    uint8_t text[32];
    size_t length = strlen(info);
    unsigned int size = SEAL_KEY_LEN;
    memcpy(text, info, length);
    text[length] = 1;
    return HMAC(EVP_sha256(), key->bytes, SEAL_KEY_LEN, text, length + 1, ret, &size) != NULL;
}

static size_t put(uint8_t *out, size_t at, const void *bytes, size_t length) {
    if (at == 0 || at + 2 + length > PLACE_BYTES_MAX)
        return 0;
    out[at] = (uint8_t)(length >> 8);
    out[at + 1] = (uint8_t)length;
    if (length > 0)
        memcpy(out + at + 2, bytes, length);
    return at + 2 + length;
}

// A format byte, then the parts with their lengths before them: no two places look alike. 0: too
// long to be one of ours.
static size_t write_place(const struct seal_place *place, uint8_t out[PLACE_BYTES_MAX]) {
    out[0] = 1;
    size_t at = put(out, 1, place->kind, strlen(place->kind));
    at = put(out, at, place->shop.ptr, place->shop.len);
    at = put(out, at, place->customer.ptr, place->customer.len);
    return put(out, at, place->subject.bytes, sizeof(place->subject.bytes));
}

// A context with key and nonce set and the place taken in; NULL: something failed.
static EVP_CIPHER_CTX *begin(const struct seal_key *key, const struct seal_place *place,
                             const uint8_t *nonce, bool encrypt) {
    uint8_t bytes[PLACE_BYTES_MAX];
    uint8_t derived[SEAL_KEY_LEN];
    int ignored;
    size_t length = write_place(place, bytes);
    (void)pthread_once(&cipher_once, fetch_cipher);
    EVP_CIPHER_CTX *context = cipher && length > 0 ? EVP_CIPHER_CTX_new() : NULL;
    if (!context)
        return NULL;
    bool ok = derive(key, "orderlog seal", derived) &&
              EVP_CipherInit_ex2(context, cipher, derived, nonce, encrypt, NULL) == 1 &&
              EVP_CipherUpdate(context, NULL, &ignored, bytes, (int)length) == 1;
    seal_forget(derived, sizeof(derived));
    if (ok)
        return context;
    EVP_CIPHER_CTX_free(context);
    return NULL;
}

bool seal_close(const struct seal_key *key, const struct seal_place *place, const void *text,
                size_t length, uint8_t ret_nonce[SEAL_NONCE_LEN], uint8_t *out) {
    if (length > INT32_MAX - SEAL_TAG_LEN || RAND_bytes(ret_nonce, SEAL_NONCE_LEN) != 1)
        return false;
    EVP_CIPHER_CTX *context = begin(key, place, ret_nonce, /* encrypt= */ true);
    int wrote = 0;
    int rest = 0;
    bool ok = context && EVP_CipherUpdate(context, out, &wrote, text, (int)length) == 1 &&
              EVP_CipherFinal_ex(context, out + wrote, &rest) == 1 &&
              EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, SEAL_TAG_LEN, out + length) == 1;
    EVP_CIPHER_CTX_free(context);
    return ok;
}

bool seal_open(const struct seal_key *key, const struct seal_place *place, struct view nonce,
               struct view sealed, uint8_t *out) {
    if (nonce.len != SEAL_NONCE_LEN || sealed.len < SEAL_TAG_LEN || sealed.len > INT32_MAX)
        return false;
    const size_t length = sealed.len - SEAL_TAG_LEN;
    uint8_t tag[SEAL_TAG_LEN];
    memcpy(tag, sealed.ptr + length, SEAL_TAG_LEN);
    EVP_CIPHER_CTX *context = begin(key, place, (const uint8_t *)nonce.ptr, /* encrypt= */ false);
    int wrote = 0;
    int rest = 0;
    bool ok =
        context &&
        EVP_CipherUpdate(context, out, &wrote, (const uint8_t *)sealed.ptr, (int)length) == 1 &&
        EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, SEAL_TAG_LEN, tag) == 1 &&
        EVP_CipherFinal_ex(context, out + wrote, &rest) == 1;
    EVP_CIPHER_CTX_free(context);
    if (!ok)
        seal_forget(out, length);
    return ok;
}

bool seal_print(const struct seal_key *key, const struct seal_place *place, const void *text,
                size_t length, uint8_t ret[SEAL_PRINT_LEN]) {
    uint8_t bytes[PLACE_BYTES_MAX];
    uint8_t derived[SEAL_KEY_LEN];
    uint8_t inner[SEAL_PRINT_LEN];
    unsigned int size = SEAL_PRINT_LEN;
    size_t place_length = write_place(place, bytes);
    // The text's own print first, so that place and text cannot run into each other.
    bool ok = place_length > 0 && place_length + SEAL_PRINT_LEN <= PLACE_BYTES_MAX &&
              derive(key, "orderlog print", derived) &&
              HMAC(EVP_sha256(), derived, SEAL_KEY_LEN, text, length, inner, &size);
    if (ok) {
        memcpy(bytes + place_length, inner, SEAL_PRINT_LEN);
        ok = HMAC(EVP_sha256(), derived, SEAL_KEY_LEN, bytes, place_length + SEAL_PRINT_LEN, ret,
                  &size) != NULL;
    }
    seal_forget(derived, sizeof(derived));
    return ok;
}
