// SPDX-License-Identifier: Apache-2.0
//
// A table of key id → hash, shop, scopes. A record that is no key of ours is skipped: bad bytes
// stop nothing. A key whose shop or hash cannot be right is not taken, and whatever stood under its
// id before is forgotten, so that a broken overwrite never leaves an old right standing.
#include "http/access_keys.h"

#include "event/message.h"
#include "service/arena.h"
#include "service/log.h"
#include "service/strmap.h"
#include "stream/table_reader.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { READ_TIMEOUT_MS = 30000, RECORD_BYTES_MAX = 1 << 20 };

struct access_row {
    uint8_t secret_sha256[SHA256_DIGEST_LENGTH];
    char shop_id[HTTP_SHOP_MAX];
    int scopes;
};

struct access_keys {
    const struct schema_ids *ids; // borrowed
    struct table_reader *reader;
    EVP_MD *sha256;     // fetched once: SHA256() looks it up each time, for longer than it hashes
    struct arena arena; // of the reader's thread
    pthread_rwlock_t lock;
    struct strmap rows;
};

static int scopes_of(const struct access_key *key) {
    int scopes = 0;
    for (uint32_t i = 0; i < key->scopes_count; i++)
        scopes |= scopes_of_key_word(key->scopes[i].ptr, key->scopes[i].len);
    return scopes;
}

static bool row_of(const struct access_key *key, struct access_row *ret) {
    if (key->secret_sha256.len != SHA256_DIGEST_LENGTH || key->shop_id.len == 0 ||
        key->shop_id.len >= HTTP_SHOP_MAX)
        return false;
    // Avro's text may hold a NUL, behind which nobody would see how one shop differs from another.
    if (memchr(key->shop_id.ptr, '\0', key->shop_id.len))
        return false;
    *ret = (struct access_row){.scopes = scopes_of(key)};
    memcpy(ret->secret_sha256, key->secret_sha256.ptr, SHA256_DIGEST_LENGTH);
    memcpy(ret->shop_id, key->shop_id.ptr, key->shop_id.len);
    return true;
}

static void apply(void *state, const void *key, size_t key_len, const void *value,
                  size_t value_len) {
    struct access_keys *keys = state;
    struct access_row row;
    bool valid = false;
    if (!key || key_len == 0 || key_len >= HTTP_KEY_ID_MAX)
        return;
    if (value) {
        struct message message;
        struct error err = {0};
        arena_reset(&keys->arena);
        if (!message_decode(keys->ids, value, value_len, &keys->arena, &message, &err) ||
            message.type != RECORD_ACCESS_KEY) {
            LOG(WARN, "a record of access.keys is not a key, skipping it", F_STR("error", err.msg));
            return;
        }
        valid = row_of(message.body, &row);
    }
    (void)pthread_rwlock_wrlock(&keys->lock);
    struct access_row *stored = valid ? strmap_put(&keys->rows, key, key_len) : NULL;
    if (stored)
        *stored = row;
    else
        (void)strmap_remove(&keys->rows, key, key_len);
    (void)pthread_rwlock_unlock(&keys->lock);
}

static bool check(void *state, const char *id, size_t id_length, const char *secret,
                  size_t secret_length, struct http_caller *ret_caller) {
    struct access_keys *keys = state;
    uint8_t hash[SHA256_DIGEST_LENGTH];
    if (id_length == 0 || id_length >= HTTP_KEY_ID_MAX)
        return false;
    if (!EVP_Digest(secret, secret_length, hash, NULL, keys->sha256, NULL))
        return false;
    (void)pthread_rwlock_rdlock(&keys->lock);
    const struct access_row *found = strmap_find(&keys->rows, id, id_length);
    struct access_row row = found ? *found : (struct access_row){0};
    (void)pthread_rwlock_unlock(&keys->lock);
    // Compared also when there is no such id, so that the time does not tell which ids exist.
    bool equal = CRYPTO_memcmp(row.secret_sha256, hash, sizeof(hash)) == 0;
    if (!found || !equal)
        return false;
    *ret_caller = (struct http_caller){.scopes = row.scopes};
    memcpy(ret_caller->shop_id, row.shop_id, sizeof(row.shop_id));
    memcpy(ret_caller->key_id, id, id_length);
    return true;
}

bool access_keys_start(const struct config *config, const struct schema_ids *ids,
                       struct access_keys **ret, struct error *err) {
    struct access_keys *keys = calloc(1, sizeof(*keys));
    if (!keys || pthread_rwlock_init(&keys->lock, NULL) != 0) {
        free(keys);
        return error_set(err, DISP_FATAL, 0, "out of memory");
    }
    keys->ids = ids;
    keys->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    arena_init(&keys->arena, RECORD_BYTES_MAX);
    strmap_init(&keys->rows, sizeof(struct access_row));
    bool ok = (keys->sha256 || error_set(err, DISP_FATAL, 0, "OpenSSL has no SHA-256")) &&
              table_reader_start(config, TOPIC_ACCESS_KEYS, apply, keys, &keys->reader, err) &&
              (table_reader_wait(keys->reader, READ_TIMEOUT_MS) ||
               error_set(err, DISP_RETRY, 0, "access.keys could not be read to its end in time"));
    if (!ok) {
        access_keys_stop(keys);
        return false;
    }
    *ret = keys;
    return true;
}

void access_keys_stop(struct access_keys *keys) {
    if (!keys)
        return;
    table_reader_stop(keys->reader);
    strmap_done(&keys->rows);
    arena_done(&keys->arena);
    EVP_MD_free(keys->sha256);
    (void)pthread_rwlock_destroy(&keys->lock);
    free(keys);
}

// The key is still there and gives what it gave.
static bool holds(void *state, const struct http_caller *caller) {
    struct access_keys *keys = state;
    (void)pthread_rwlock_rdlock(&keys->lock);
    const struct access_row *row = strmap_find(&keys->rows, caller->key_id, strlen(caller->key_id));
    bool same = row && strcmp(row->shop_id, caller->shop_id) == 0 &&
                (row->scopes & caller->scopes) == caller->scopes;
    (void)pthread_rwlock_unlock(&keys->lock);
    return same;
}

struct http_access access_keys_access(struct access_keys *keys) {
    return (struct http_access){.check = check, .holds = holds, .state = keys};
}
