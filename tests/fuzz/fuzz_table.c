// SPDX-License-Identifier: Apache-2.0
//
// Records of the compacted topics that the gateway holds in memory: API keys, products and keys of
// customers. Any key and value: taken, forgotten or skipped; an API key that is taken has the
// rights that it says, and a key of a customer that nobody made opens nothing.
//
//   first byte   the topic
//   records, each: key length, 2 bytes value length (65535: a tombstone), key, value
#include "event/codec.h"
#include "fuzz/support/fuzz_ids.h"
#include "http/access_keys.h"
#include "http/catalogue.h"
#include "privacy/customer_keys.h"
#include "service/log.h"
#include "stream/table_reader.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { TOMBSTONE = 65535 };

static table_apply_fn *apply;
static void *apply_state;

bool __wrap_table_reader_start(const struct config *config, enum topic_id topic,
                               table_apply_fn *given, void *state, struct table_reader **ret,
                               struct error *err);
void __wrap_table_reader_stop(struct table_reader *reader);
bool __wrap_table_reader_wait(const struct table_reader *reader, int timeout_ms);
bool __wrap_master_keys_load(const char *path, struct master_keys *ret, struct error *err);

bool __wrap_master_keys_load(const char *path, struct master_keys *ret, struct error *err) {
    static const char text[] = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
    (void)path;
    return master_keys_parse(text, sizeof(text) - 1, ret, err);
}

bool __wrap_table_reader_start(const struct config *config, enum topic_id topic,
                               table_apply_fn *given, void *state, struct table_reader **ret,
                               struct error *err) {
    (void)config;
    (void)topic;
    (void)err;
    apply = given;
    apply_state = state;
    *ret = NULL;
    return true;
}

void __wrap_table_reader_stop(struct table_reader *reader) {
    (void)reader;
}

bool __wrap_table_reader_wait(const struct table_reader *reader, int timeout_ms) {
    (void)reader;
    (void)timeout_ms;
    return true;
}

// In memory of its own, so that a reader that goes too far is seen.
static void *copy(const uint8_t *bytes, size_t length) {
    void *own = malloc(length ? length : 1);
    assert(own);
    memcpy(own, bytes, length);
    return own;
}

// Whoever the key may be of.
static void check_customer(struct customer_keys *customers, const char *name, size_t length) {
    struct customer_keys_found found;
    struct id ids[4];
    char shop[65];
    const char *slash = memrchr(name, '/', length);
    size_t count = customer_keys_list(customers, name, length, ids, 4);
    (void)customer_keys_is_erased(customers, name, length);
    if (!slash || slash - name >= (ptrdiff_t)sizeof(shop))
        return;
    memcpy(shop, name, (size_t)(slash - name));
    shop[slash - name] = '\0';
    enum customer_keys_state state = customer_keys_current(
        customers, shop, slash + 1, (size_t)(name + length - slash - 1), &found);
    assert(state != CUSTOMER_KEYS_FOUND);
    assert(state != CUSTOMER_KEYS_LOCKED || count > 0 || strlen(shop) < (size_t)(slash - name));
}

static void feed(const uint8_t *at, size_t left, struct access_keys *keys,
                 struct customer_keys *customers) {
    while (left >= 3) {
        size_t key_length = at[0];
        size_t value_length = (size_t)at[1] << 8 | at[2];
        bool is_tombstone = value_length == TOMBSTONE;
        at += 3;
        left -= 3;
        key_length = key_length < left ? key_length : left;
        value_length = is_tombstone                       ? 0
                       : value_length < left - key_length ? value_length
                                                          : left - key_length;
        void *key = copy(at, key_length);
        void *value = is_tombstone ? NULL : copy(at + key_length, value_length);
        apply(apply_state, key, key_length, value, value_length);
        struct http_caller caller;
        struct http_access access = keys ? access_keys_access(keys) : (struct http_access){0};
        if (keys && access.check(access.state, key, key_length, "guess", 5, &caller))
            assert(strlen(caller.shop_id) > 0 && !(caller.scopes & ~SCOPE_ALL));
        if (customers)
            check_customer(customers, key, key_length);
        free(key);
        free(value);
        at += key_length + value_length;
        left -= key_length + value_length;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static bool started;
    if (!started)
        log_init(LEVEL_ERROR, LOG_FORMAT_TEXT, "fuzz", 0);
    started = true;
    if (size == 0)
        return 0;
    static const struct config config = {0};
    struct error err = {0};
    struct access_keys *keys = NULL;
    struct catalogue *catalogue = NULL;
    struct customer_keys *customers = NULL;
    bool ok;
    if (data[0] & 2)
        ok = customer_keys_start(&config, fuzz_ids(), NULL, &customers, &err);
    else if (data[0] & 1)
        ok = access_keys_start(&config, fuzz_ids(), &keys, &err);
    else
        ok = catalogue_start(&config, fuzz_ids(), &catalogue, &err);
    assert(ok);
    feed(data + 1, size - 1, keys, customers);
    access_keys_stop(keys);
    catalogue_stop(catalogue);
    customer_keys_stop(customers);
    return 0;
}
