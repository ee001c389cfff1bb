// SPDX-License-Identifier: Apache-2.0
//
// A map from SHOP/CUSTOMER to what is known of the customer; second keys, which only a race of two
// gateways makes, are in a list of their own. A record that is none of ours is skipped: bad bytes
// stop nothing. One whose content says something else than its key is skipped too, since no
// tombstone would reach it.
#include "privacy/customer_keys.h"

#include "event/message.h"
#include "service/arena.h"
#include "service/log.h"
#include "service/strmap.h"
#include "stream/table_reader.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { READ_TIMEOUT_MS = 60000, RECORD_BYTES_MAX = 1 << 20, OTHERS_MAX = 100000 };

static const char key_kind[] = "customer.key";

struct kept_key {
    struct id id;
    uint8_t master_id[MASTER_ID_LEN];
    uint8_t nonce[SEAL_NONCE_LEN];
    uint8_t sealed[SEAL_KEY_LEN + SEAL_TAG_LEN];
    int64_t created_at;
};

struct customer_row {
    struct kept_key current; // where has_key
    bool has_key;
    bool is_erased;
    uint32_t others_count;
};

struct other_key {
    char customer[TOPIC_KEY_MAX];
    size_t customer_len;
    struct kept_key key;
};

struct customer_keys {
    const struct schema_ids *ids; // borrowed
    struct customer_keys_watch watch;
    struct master_keys masters;
    struct table_reader *reader;
    struct arena arena; // of the reader's thread
    pthread_rwlock_t lock;
    struct strmap rows;
    struct other_key *others; // owned, in the order of the log
    size_t others_count;
};

// --- names -------------------------------------------------------------------------------------

bool customer_id_valid(const char *text, size_t length) {
    if (length < 1 || length > CUSTOMER_ID_MAX)
        return false;
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)text[i] < 0x20 || text[i] == 0x7F || text[i] == '/')
            return false;
    return true;
}

size_t customer_key_name(const char *customer, size_t customer_len, const struct id *key_id,
                         char ret[CUSTOMER_KEY_NAME_MAX]) {
    memcpy(ret, customer, customer_len);
    ret[customer_len] = '/';
    id_format(key_id, ret + customer_len + 1);
    return customer_len + 1 + ID_TEXT_LEN;
}

bool customer_key_name_parse(const char *name, size_t length, size_t *ret_customer_len,
                             struct id *ret_key_id) {
    if (length < ID_TEXT_LEN + 2 || length > CUSTOMER_KEY_NAME_MAX)
        return false;
    size_t customer_len = length - ID_TEXT_LEN - 1;
    if (name[customer_len] != '/' || !memchr(name, '/', customer_len) ||
        !id_parse(name + customer_len + 1, ID_TEXT_LEN, ret_key_id))
        return false;
    *ret_customer_len = customer_len;
    return true;
}

static bool names_fit(struct view shop, struct view customer) {
    return shop.len >= 1 && shop.len <= TOPIC_SHOP_MAX && !memchr(shop.ptr, '\0', shop.len) &&
           customer_id_valid(customer.ptr, customer.len);
}

// --- the fold ----------------------------------------------------------------------------------

static bool is_of(const struct other_key *other, const char *customer, size_t customer_len) {
    return other->customer_len == customer_len &&
           memcmp(other->customer, customer, customer_len) == 0;
}

static struct kept_key *find_key(struct customer_keys *keys, struct customer_row *row,
                                 const char *customer, size_t customer_len,
                                 const struct id *key_id) {
    if (row->has_key && id_equal(&row->current.id, key_id))
        return &row->current;
    for (size_t i = 0; row->others_count > 0 && i < keys->others_count; i++)
        if (is_of(&keys->others[i], customer, customer_len) &&
            id_equal(&keys->others[i].key.id, key_id))
            return &keys->others[i].key;
    return NULL;
}

static bool add_other(struct customer_keys *keys, struct customer_row *row, const char *customer,
                      size_t customer_len, const struct kept_key *key) {
    if (keys->others_count == OTHERS_MAX)
        return false;
    struct other_key *others =
        realloc(keys->others, (keys->others_count + 1) * sizeof(*keys->others));
    if (!others)
        return false;
    keys->others = others;
    struct other_key *other = &others[keys->others_count++];
    *other = (struct other_key){.customer_len = customer_len, .key = *key};
    memcpy(other->customer, customer, customer_len);
    row->others_count++;
    return true;
}

static void remove_other(struct customer_keys *keys, struct customer_row *row, size_t index) {
    seal_forget(&keys->others[index].key, sizeof(keys->others[index].key));
    memmove(&keys->others[index], &keys->others[index + 1],
            (keys->others_count - index - 1) * sizeof(*keys->others));
    keys->others_count--;
    row->others_count--;
}

// The oldest of the others takes the place of the current one.
static void promote(struct customer_keys *keys, struct customer_row *row, const char *customer,
                    size_t customer_len) {
    row->has_key = false;
    seal_forget(&row->current, sizeof(row->current));
    for (size_t i = 0; row->others_count > 0 && i < keys->others_count; i++) {
        if (!is_of(&keys->others[i], customer, customer_len))
            continue;
        row->current = keys->others[i].key;
        row->has_key = true;
        remove_other(keys, row, i);
        return;
    }
}

static bool keep_key(struct customer_keys *keys, const char *customer, size_t customer_len,
                     const struct kept_key *key) {
    struct customer_row *row = strmap_put(&keys->rows, customer, customer_len);
    if (!row)
        return false;
    struct kept_key *known = find_key(keys, row, customer, customer_len, &key->id);
    if (known) // sealed anew, with another master key
        *known = *key;
    else if (row->has_key)
        return add_other(keys, row, customer, customer_len, key);
    else
        row->current = *key;
    row->has_key = true;
    return true;
}

static bool destroy_key(struct customer_keys *keys, const char *customer, size_t customer_len,
                        const struct id *key_id) {
    struct customer_row *row = strmap_find(&keys->rows, customer, customer_len);
    if (!row)
        return true;
    if (row->has_key && id_equal(&row->current.id, key_id))
        promote(keys, row, customer, customer_len);
    for (size_t i = 0; row->others_count > 0 && i < keys->others_count; i++) {
        if (is_of(&keys->others[i], customer, customer_len) &&
            id_equal(&keys->others[i].key.id, key_id)) {
            remove_other(keys, row, i);
            break;
        }
    }
    if (!row->has_key && !row->is_erased)
        (void)strmap_remove(&keys->rows, customer, customer_len);
    return true;
}

static bool mark_erased(struct customer_keys *keys, const char *customer, size_t customer_len) {
    struct customer_row *row = strmap_put(&keys->rows, customer, customer_len);
    if (row)
        row->is_erased = true;
    return row != NULL;
}

static void changed(struct customer_keys *keys, enum customer_keys_change change,
                    const char *customer, size_t customer_len, const struct id *key_id) {
    if (keys->watch.changed)
        keys->watch.changed(keys->watch.state, keys, change, customer, customer_len, key_id);
}

// --- records -----------------------------------------------------------------------------------

static bool key_of(const struct customer_key *record, struct kept_key *ret) {
    if (!names_fit(record->shop_id, record->customer_id) ||
        record->master_id.len != MASTER_ID_LEN || record->nonce.len != SEAL_NONCE_LEN ||
        record->sealed.len != sizeof(ret->sealed))
        return false;
    *ret = (struct kept_key){.id = record->key_id, .created_at = record->created_at};
    memcpy(ret->master_id, record->master_id.ptr, MASTER_ID_LEN);
    memcpy(ret->nonce, record->nonce.ptr, SEAL_NONCE_LEN);
    memcpy(ret->sealed, record->sealed.ptr, sizeof(ret->sealed));
    return true;
}

static bool take_key(struct customer_keys *keys, const struct customer_key *record,
                     const char *name, size_t name_len) {
    struct kept_key key;
    char customer[TOPIC_KEY_MAX];
    char expected[CUSTOMER_KEY_NAME_MAX];
    if (!key_of(record, &key))
        return false;
    size_t customer_len = topic_sku_key(record->shop_id.ptr, record->shop_id.len,
                                        record->customer_id.ptr, record->customer_id.len, customer);
    if (customer_key_name(customer, customer_len, &key.id, expected) != name_len ||
        memcmp(expected, name, name_len) != 0)
        return false;
    (void)pthread_rwlock_wrlock(&keys->lock);
    bool ok = keep_key(keys, customer, customer_len, &key);
    (void)pthread_rwlock_unlock(&keys->lock);
    if (ok)
        changed(keys, CUSTOMER_KEYS_ADDED, customer, customer_len, &key.id);
    return ok;
}

static bool take_erasure(struct customer_keys *keys, const struct customer_erased *record,
                         const char *name, size_t name_len) {
    char customer[TOPIC_KEY_MAX];
    if (!names_fit(record->shop_id, record->customer_id))
        return false;
    size_t customer_len = topic_sku_key(record->shop_id.ptr, record->shop_id.len,
                                        record->customer_id.ptr, record->customer_id.len, customer);
    if (customer_len != name_len || memcmp(customer, name, name_len) != 0)
        return false;
    (void)pthread_rwlock_wrlock(&keys->lock);
    bool ok = mark_erased(keys, customer, customer_len);
    (void)pthread_rwlock_unlock(&keys->lock);
    if (ok)
        changed(keys, CUSTOMER_KEYS_ERASED_NOW, customer, customer_len, NULL);
    return ok;
}

static bool take_tombstone(struct customer_keys *keys, const char *name, size_t name_len) {
    size_t customer_len = 0;
    struct id key_id;
    if (!customer_key_name_parse(name, name_len, &customer_len, &key_id))
        return false;
    (void)pthread_rwlock_wrlock(&keys->lock);
    (void)destroy_key(keys, name, customer_len, &key_id);
    (void)pthread_rwlock_unlock(&keys->lock);
    changed(keys, CUSTOMER_KEYS_DESTROYED, name, customer_len, &key_id);
    return true;
}

static bool take_record(struct customer_keys *keys, const char *name, size_t name_len,
                        const void *value, size_t value_len, struct error *err) {
    struct message message;
    arena_reset(&keys->arena);
    if (!message_decode(keys->ids, value, value_len, &keys->arena, &message, err))
        return false;
    (void)error_set(err, DISP_POISON, 0, "its content is not what its key says");
    if (message.type == RECORD_CUSTOMER_KEY)
        return take_key(keys, message.body, name, name_len);
    return message.type == RECORD_CUSTOMER_ERASED &&
           take_erasure(keys, message.body, name, name_len);
}

static void apply(void *state, const void *key, size_t key_len, const void *value,
                  size_t value_len) {
    struct customer_keys *keys = state;
    struct error err = {0};
    if (!key || key_len == 0)
        return;
    if (value ? !take_record(keys, key, key_len, value, value_len, &err)
              : !take_tombstone(keys, key, key_len))
        LOG(WARN, "a record of customers.keys is not to be understood, skipping it",
            F_STR("error", err.msg));
}

// --- start and stop ----------------------------------------------------------------------------

bool customer_keys_start(const struct config *config, const struct schema_ids *ids,
                         const struct customer_keys_watch *watch, struct customer_keys **ret,
                         struct error *err) {
    struct customer_keys *keys = calloc(1, sizeof(*keys));
    if (!keys || pthread_rwlock_init(&keys->lock, NULL) != 0) {
        free(keys);
        return error_set(err, DISP_FATAL, 0, "out of memory");
    }
    keys->ids = ids;
    if (watch)
        keys->watch = *watch;
    arena_init(&keys->arena, RECORD_BYTES_MAX);
    strmap_init(&keys->rows, sizeof(struct customer_row));
    bool ok =
        master_keys_load(config->customers_master_key_file, &keys->masters, err) &&
        table_reader_start(config, TOPIC_CUSTOMERS_KEYS, apply, keys, &keys->reader, err) &&
        (table_reader_wait(keys->reader, READ_TIMEOUT_MS) ||
         error_set(err, DISP_RETRY, 0, "customers.keys could not be read to its end in time"));
    if (!ok) {
        customer_keys_stop(keys);
        return false;
    }
    *ret = keys;
    return true;
}

void customer_keys_stop(struct customer_keys *keys) {
    if (!keys)
        return;
    table_reader_stop(keys->reader);
    strmap_done(&keys->rows);
    free(keys->others);
    arena_done(&keys->arena);
    master_keys_forget(&keys->masters);
    (void)pthread_rwlock_destroy(&keys->lock);
    free(keys);
}

int64_t customer_keys_age_ms(const struct customer_keys *keys) {
    return table_reader_age_ms(keys->reader);
}

const struct master_keys *customer_keys_masters(const struct customer_keys *keys) {
    return &keys->masters;
}

// --- keys --------------------------------------------------------------------------------------

static struct seal_place place_of_key(struct view shop, struct view customer,
                                      const struct id *key_id) {
    return (struct seal_place){
        .kind = key_kind, .shop = shop, .customer = customer, .subject = *key_id};
}

static bool seal_key(const struct master_key *master, struct view shop, struct view customer,
                     const struct id *key_id, const struct seal_key *key, int64_t created_at,
                     struct customer_keys_made *ret) {
    const struct seal_place place = place_of_key(shop, customer, key_id);
    ret->record = (struct customer_key){
        .shop_id = shop,
        .customer_id = customer,
        .key_id = *key_id,
        .master_id = {(const char *)master->id, MASTER_ID_LEN},
        .nonce = {(const char *)ret->nonce, sizeof(ret->nonce)},
        .sealed = {(const char *)ret->sealed, sizeof(ret->sealed)},
        .created_at = created_at,
    };
    return seal_close(&master->key, &place, key->bytes, SEAL_KEY_LEN, ret->nonce, ret->sealed);
}

enum customer_keys_reseal customer_keys_reseal(const struct master_keys *masters,
                                               const struct customer_key *record,
                                               struct customer_keys_made *ret) {
    const struct master_key *master = master_keys_find(masters, record->master_id);
    const struct seal_place place =
        place_of_key(record->shop_id, record->customer_id, &record->key_id);
    struct seal_key key;
    if (master == &masters->keys[0])
        return CUSTOMER_KEYS_IS_SO;
    if (!master || record->sealed.len != sizeof(ret->sealed) ||
        !seal_open(&master->key, &place, record->nonce, record->sealed, key.bytes))
        return CUSTOMER_KEYS_NO_MASTER;
    bool ok = seal_key(&masters->keys[0], record->shop_id, record->customer_id, &record->key_id,
                       &key, record->created_at, ret);
    seal_forget(&key, sizeof(key));
    return ok ? CUSTOMER_KEYS_RESEALED : CUSTOMER_KEYS_NO_MASTER;
}

bool customer_keys_make(const struct master_keys *masters, struct view shop, struct view customer,
                        int64_t now_us, struct customer_keys_made *ret) {
    struct seal_key random;
    struct seal_key key;
    if (!seal_key_make(&random) || !seal_key_make(&key))
        return false;
    // The id is nothing secret, but random as well: no two keys have the same.
    const struct id key_id = id_hash((const struct id_part[]){{shop.ptr, shop.len},
                                                              {customer.ptr, customer.len},
                                                              {random.bytes, sizeof(random.bytes)}},
                                     3);
    bool ok = seal_key(&masters->keys[0], shop, customer, &key_id, &key, now_us, ret);
    seal_forget(&key, sizeof(key));
    return ok;
}

static struct view view_of(const char *text, size_t length) {
    return (struct view){text, (uint32_t)length};
}

// Outside the lock: opening takes longer than a look-up.
static enum customer_keys_state open_key(const struct customer_keys *keys, const char *shop,
                                         const char *customer, size_t customer_len,
                                         const struct kept_key *kept, struct seal_key *ret) {
    const struct master_key *master =
        master_keys_find(&keys->masters, view_of((const char *)kept->master_id, MASTER_ID_LEN));
    const struct seal_place place =
        place_of_key(view_of(shop, strlen(shop)), view_of(customer, customer_len), &kept->id);
    return master &&
                   seal_open(&master->key, &place,
                             view_of((const char *)kept->nonce, sizeof(kept->nonce)),
                             view_of((const char *)kept->sealed, sizeof(kept->sealed)), ret->bytes)
               ? CUSTOMER_KEYS_FOUND
               : CUSTOMER_KEYS_LOCKED;
}

// key_id NULL: the current one.
static enum customer_keys_state look_up(struct customer_keys *keys, const char *shop,
                                        const char *customer, size_t customer_len,
                                        const struct id *key_id, struct kept_key *ret) {
    char name[TOPIC_KEY_MAX];
    size_t shop_len = strlen(shop);
    if (shop_len > TOPIC_SHOP_MAX || !customer_id_valid(customer, customer_len))
        return CUSTOMER_KEYS_NONE;
    size_t name_len = topic_sku_key(shop, shop_len, customer, customer_len, name);
    (void)pthread_rwlock_rdlock(&keys->lock);
    struct customer_row *row = strmap_find(&keys->rows, name, name_len);
    const struct kept_key *kept = !row     ? NULL
                                  : key_id ? find_key(keys, row, name, name_len, key_id)
                                           : (row->has_key ? &row->current : NULL);
    enum customer_keys_state state = row && row->is_erased ? CUSTOMER_KEYS_ERASED
                                     : kept                ? CUSTOMER_KEYS_FOUND
                                                           : CUSTOMER_KEYS_NONE;
    if (state == CUSTOMER_KEYS_FOUND)
        *ret = *kept;
    (void)pthread_rwlock_unlock(&keys->lock);
    return state;
}

enum customer_keys_state customer_keys_current(struct customer_keys *keys, const char *shop,
                                               const char *customer, size_t customer_len,
                                               struct customer_keys_found *ret) {
    struct kept_key kept;
    enum customer_keys_state state = look_up(keys, shop, customer, customer_len, NULL, &kept);
    if (state != CUSTOMER_KEYS_FOUND)
        return state;
    ret->id = kept.id;
    ret->created_at = kept.created_at;
    return open_key(keys, shop, customer, customer_len, &kept, &ret->key);
}

enum customer_keys_state customer_keys_find(struct customer_keys *keys, const char *shop,
                                            const char *customer, size_t customer_len,
                                            const struct id *key_id, struct seal_key *ret) {
    struct kept_key kept;
    enum customer_keys_state state = look_up(keys, shop, customer, customer_len, key_id, &kept);
    if (state != CUSTOMER_KEYS_FOUND)
        return state;
    return open_key(keys, shop, customer, customer_len, &kept, ret);
}

size_t customer_keys_list(struct customer_keys *keys, const char *customer, size_t customer_len,
                          struct id *ret, size_t max) {
    size_t count = 0;
    (void)pthread_rwlock_rdlock(&keys->lock);
    const struct customer_row *row = strmap_find(&keys->rows, customer, customer_len);
    if (row && row->has_key && count++ < max)
        ret[0] = row->current.id;
    for (size_t i = 0; row && row->others_count > 0 && i < keys->others_count; i++)
        if (is_of(&keys->others[i], customer, customer_len) && count++ < max)
            ret[count - 1] = keys->others[i].key.id;
    (void)pthread_rwlock_unlock(&keys->lock);
    return count;
}

bool customer_keys_is_erased(struct customer_keys *keys, const char *customer,
                             size_t customer_len) {
    (void)pthread_rwlock_rdlock(&keys->lock);
    const struct customer_row *row = strmap_find(&keys->rows, customer, customer_len);
    bool is_erased = row && row->is_erased;
    (void)pthread_rwlock_unlock(&keys->lock);
    return is_erased;
}
