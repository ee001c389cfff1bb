// SPDX-License-Identifier: Apache-2.0
//
// The topic is small: it is read whole whenever somebody wants to know, the last record of an id
// counting. Writes are acknowledged by all replicas before anything is said to the operator.
#include "cli/access_key.h"

#include "cli/intern.h"
#include "cli/tool_producer.h"
#include "cli/tool_schemas.h"
#include "event/message.h"
#include "service/clock.h"
#include "stream/log_reader.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

enum { HASH_LEN = 32, KEYS_MAX = 1000000 };

static const enum topic_id keys_topic = TOPIC_ACCESS_KEYS;

// ---- writing ------------------------------------------------------------------------------------

// value NULL: a tombstone.
static bool produce(const struct config *config, const char *id, const void *value,
                    size_t value_len, struct error *err) {
    struct tool_producer *producer = tool_producer_open(config, err);
    bool ok = producer &&
              tool_producer_send(producer, keys_topic, RECORD_ACCESS_KEY, id, strlen(id), value,
                                 value_len, err) &&
              tool_producer_flush(producer, err);
    tool_producer_close(producer);
    return ok;
}

static void hash_secret(const struct access_token *token, uint8_t hash[HASH_LEN]) {
    (void)EVP_Digest(token->secret, strlen(token->secret), hash, NULL, EVP_sha256(), NULL);
}

static struct view view_of(const char *text) {
    return (struct view){.ptr = text, .len = text ? (uint32_t)strlen(text) : 0};
}

bool access_key_store(const struct config *config, const struct access_token *token,
                      const struct access_grant *grant, struct error *err) {
    uint8_t hash[HASH_LEN];
    hash_secret(token, hash);
    struct view scopes[ACCESS_SCOPES_MAX];
    for (uint32_t i = 0; i < grant->scopes_count; i++)
        scopes[i] = view_of(grant->scopes[i]);
    const struct access_key key = {
        .access_key_id = view_of(token->id),
        .shop_id = view_of(grant->shop_id),
        .secret_sha256 = {(const char *)hash, HASH_LEN},
        .scopes = scopes,
        .scopes_count = grant->scopes_count,
        .created_at = clock_now_us(),
        .note = view_of(grant->note),
    };

    struct tool_schemas schemas = {0};
    if (!tool_schemas_open(config, &keys_topic, 1, &schemas, err))
        return false;
    const int32_t schema_id = schema_ids_of(schemas.ids, keys_topic, RECORD_ACCESS_KEY);
    tool_schemas_close(&schemas);

    const size_t size = message_size_max(&access_key_type, &key);
    uint8_t *bytes = malloc(size);
    const uint8_t *end =
        bytes ? message_encode(schema_id, &access_key_type, &key, bytes, bytes + size) : NULL;
    const bool ok = end ? produce(config, token->id, bytes, (size_t)(end - bytes), err)
                        : error_set(err, DISP_FATAL, 0, "the key does not fit into a message");
    free(bytes);
    return ok;
}

bool access_key_revoke(const struct config *config, const char *id, struct error *err) {
    return produce(config, id, NULL, 0, err);
}

// ---- reading ------------------------------------------------------------------------------------

struct kept_key {
    bool revoked;
    char id[ACCESS_ID_MAX + 1];
    char shop_id[65];
    char scopes[SCOPES_TEXT_MAX];
    char note[256];
    int64_t created_at_us;
    uint8_t secret_sha256[HASH_LEN];
};

struct key_table {
    struct intern ids;
    struct kept_key *keys; // owned
    uint32_t capacity;
};

static void copy_view(struct view from, char *out, size_t size) {
    const size_t len = from.len < size - 1 ? from.len : size - 1;
    if (len > 0)
        memcpy(out, from.ptr, len);
    out[len] = '\0';
}

static void keep(struct kept_key *kept, const struct access_key *key) {
    *kept = (struct kept_key){.created_at_us = key->created_at};
    copy_view(key->access_key_id, kept->id, sizeof(kept->id));
    copy_view(key->shop_id, kept->shop_id, sizeof(kept->shop_id));
    copy_view(key->note, kept->note, sizeof(kept->note));
    if (key->secret_sha256.len == HASH_LEN)
        memcpy(kept->secret_sha256, key->secret_sha256.ptr, HASH_LEN);
    int scopes = 0;
    for (uint32_t i = 0; i < key->scopes_count; i++)
        scopes |= scopes_of_key_word(key->scopes[i].ptr, key->scopes[i].len);
    scopes_format(scopes, ",", kept->scopes);
}

// The place of this id; NULL when there are too many.
static struct kept_key *find(struct key_table *table, const struct log_record *record) {
    if (!record->key || table->ids.count == KEYS_MAX)
        return NULL;
    const uint32_t number = intern_add(&table->ids, record->key, record->key_len);
    if (number == INTERN_NONE)
        return NULL;
    if (number >= table->capacity) {
        const uint32_t capacity = table->capacity ? table->capacity * 2 : 64;
        struct kept_key *keys = realloc(table->keys, capacity * sizeof(*keys));
        if (!keys)
            return NULL;
        memset(keys + table->capacity, 0, (capacity - table->capacity) * sizeof(*keys));
        table->keys = keys;
        table->capacity = capacity;
    }
    return &table->keys[number];
}

static void fold(struct key_table *table, const struct schema_ids *ids,
                 const struct log_record *record, struct arena *arena) {
    struct kept_key *kept = find(table, record);
    if (!kept)
        return;
    if (!record->value) {
        kept->revoked = true;
        return;
    }
    struct message message;
    struct error ignored;
    arena_reset(arena);
    // Bytes that are no key of ours stop nothing: the services skip them likewise.
    if (message_decode(ids, record->value, record->value_len, arena, &message, &ignored) &&
        message.type == RECORD_ACCESS_KEY)
        keep(kept, message.body);
}

static bool read_table(const struct config *config, struct key_table *table, struct error *err) {
    struct tool_schemas schemas = {0};
    if (!tool_schemas_open(config, &keys_topic, 1, &schemas, err))
        return false;
    struct log_reader *reader = log_reader_open(config, keys_topic, LOG_READER_ALL, err);
    struct arena arena;
    arena_init(&arena, 1 << 20);

    enum log_reader_result result = reader ? LOG_READER_RECORD : LOG_READER_FAILED;
    while (result == LOG_READER_RECORD) {
        struct log_record record;
        result = log_reader_next(reader, 0, &record, err);
        if (result == LOG_READER_RECORD)
            fold(table, schemas.ids, &record, &arena);
    }
    arena_done(&arena);
    log_reader_close(reader);
    tool_schemas_close(&schemas);
    return result == LOG_READER_END;
}

static void table_done(struct key_table *table) {
    intern_done(&table->ids);
    free(table->keys);
}

static int compare_keys(const void *a, const void *b) {
    const struct kept_key *left = a;
    const struct kept_key *right = b;
    return strcmp(left->id, right->id);
}

bool access_keys_list(const struct config *config,
                      void (*visit)(void *state, const struct access_key_row *row), void *state,
                      struct error *err) {
    struct key_table table = {0};
    const bool ok = read_table(config, &table, err);
    if (ok && table.ids.count > 0)
        qsort(table.keys, table.ids.count, sizeof(*table.keys), compare_keys);
    for (uint32_t i = 0; ok && i < table.ids.count; i++) {
        const struct kept_key *key = &table.keys[i];
        const struct access_key_row row = {.id = key->id,
                                           .shop_id = key->shop_id,
                                           .scopes = key->scopes,
                                           .note = key->note,
                                           .created_at_us = key->created_at_us,
                                           .secret_sha256 = key->secret_sha256};
        if (!key->revoked && key->id[0])
            visit(state, &row);
    }
    table_done(&table);
    return ok;
}

struct search {
    const char *id;
    const uint8_t *hash;
    bool found;
};

static void compare(void *state, const struct access_key_row *row) {
    struct search *search = state;
    if (strcmp(row->id, search->id) == 0 && memcmp(row->secret_sha256, search->hash, HASH_LEN) == 0)
        search->found = true;
}

bool access_key_ensure(const struct config *config, const char *token, bool *ret_created,
                       struct error *err) {
    struct access_token parsed;
    if (!access_token_parse(token, &parsed))
        return error_set(err, DISP_FATAL, 0,
                         "it is not of the form ol_ID_SECRET, with 16 to 128 letters and digits "
                         "for SECRET");
    uint8_t hash[HASH_LEN];
    hash_secret(&parsed, hash);
    struct search search = {.id = parsed.id, .hash = hash};
    if (!access_keys_list(config, compare, &search, err))
        return false;
    struct access_grant everything = {
        .shop_id = "main", .scopes_count = SCOPE_BITS, .note = "stored by setup"};
    for (int bit = 0; bit < SCOPE_BITS; bit++)
        everything.scopes[bit] = scope_word(bit);
    if (!search.found && !access_key_store(config, &parsed, &everything, err))
        return false;
    *ret_created = !search.found;
    return true;
}
