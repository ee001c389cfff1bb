// SPDX-License-Identifier: Apache-2.0
//
// What holds for every event of every topic, and the tables that folds share.
#include "cli/verify.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

enum { ARENA_BYTES_MAX = 64 << 20 };

// 64 bits of each event id, open addressing. Two different ids among 20 million look the same with
// a chance of one in 100,000; a violation says which events, so that one can look.
struct verify_log {
    uint64_t *slots; // owned; 0 = free
    size_t slots_count;
    size_t used;
};

uint64_t verify_hash(const void *bytes, size_t len) {
    const uint64_t hash = XXH3_64bits(bytes, len);
    return hash ? hash : 1;
}

uint64_t verify_hash_view(struct view text) {
    return text.ptr ? verify_hash(text.ptr, text.len) : 0;
}

uint64_t verify_hash_text(const char *text) {
    return text ? verify_hash(text, strlen(text)) : 0;
}

// ---- uniqueness ---------------------------------------------------------------------------------

static bool insert(struct verify_log *log, uint64_t fingerprint) {
    size_t slot = fingerprint & (log->slots_count - 1);
    while (log->slots[slot] != 0) {
        if (log->slots[slot] == fingerprint)
            return false;
        slot = (slot + 1) & (log->slots_count - 1);
    }
    log->slots[slot] = fingerprint;
    log->used++;
    return true;
}

static bool grow(struct verify_log *log) {
    struct verify_log wider = {.slots_count = log->slots_count ? log->slots_count * 2 : 1 << 16};
    wider.slots = calloc(wider.slots_count, sizeof(*wider.slots));
    if (!wider.slots)
        return false;
    for (size_t i = 0; i < log->slots_count; i++)
        if (log->slots[i])
            (void)insert(&wider, log->slots[i]);
    free(log->slots);
    *log = wider;
    return true;
}

// False: out of memory.
static bool check_unique(struct verify *verify, enum topic_id topic, const struct id *event_id,
                         const struct log_record *record) {
    struct verify_log *log = verify->log;
    if (log->used * 2 >= log->slots_count && !grow(log))
        return false;
    verify->report->checked[CHECK_EVENT_IDS]++;
    if (!insert(log, verify_hash(event_id->bytes, sizeof(event_id->bytes))))
        verify_violation(verify->report, CHECK_EVENT_IDS,
                         "%s[%d] offset %lld: event %s occurs again", topics[topic].name,
                         record->partition, (long long)record->offset, id_text(event_id).text);
    return true;
}

// ---- tables -------------------------------------------------------------------------------------

// Room for item `count` of a zeroed array.
static bool reserve(void **array, uint32_t count, uint32_t *capacity, size_t size) {
    if (count < *capacity)
        return true;
    const uint32_t wanted = *capacity ? *capacity * 2 : 1024;
    char *grown = realloc(*array, wanted * size);
    if (!grown)
        return false;
    memset(grown + *capacity * size, 0, (wanted - *capacity) * size);
    *array = grown;
    *capacity = wanted;
    return true;
}

struct verify_order *verify_order_get(struct verify *verify, const struct id *order_id) {
    const uint32_t known = verify->order_ids.count;
    const uint32_t number =
        intern_add(&verify->order_ids, order_id->bytes, sizeof(order_id->bytes));
    if (number == INTERN_NONE || !reserve((void **)&verify->orders, number,
                                          &verify->orders_capacity, sizeof(*verify->orders)))
        return NULL;
    struct verify_order *order = &verify->orders[number];
    if (number == known) {
        order->id = *order_id;
        for (int i = 0; i < ORDER_NUMBERS_COUNT; i++)
            order->numbers[i] = VERIFY_NULL;
        order->numbers[ORDER_VERSION] = 0;
        order->effects.authorized_minor = VERIFY_NULL;
        order->effects.captured_minor = VERIFY_NULL;
    }
    return order;
}

struct verify_sku *verify_sku_get(struct verify *verify, struct view shop_id, struct view sku,
                                  uint32_t *ret_number) {
    char key[TOPIC_KEY_MAX];
    if (shop_id.len + sku.len + 1 > sizeof(key))
        return NULL;
    const size_t key_len = topic_sku_key(shop_id.ptr, shop_id.len, sku.ptr, sku.len, key);
    const uint32_t number = intern_add(&verify->sku_keys, key, key_len);
    if (number == INTERN_NONE ||
        !reserve((void **)&verify->skus, number, &verify->skus_capacity, sizeof(*verify->skus)))
        return NULL;
    *ret_number = number;
    return &verify->skus[number];
}

struct verify_item *verify_item_find(struct verify *verify, const struct verify_order *order,
                                     uint32_t sku) {
    for (uint32_t i = 0; i < order->items_count; i++)
        if (verify->items[order->items_first + i].sku == sku)
            return &verify->items[order->items_first + i];
    return NULL;
}

// ---- reading ------------------------------------------------------------------------------------

static verify_fold *fold_of(enum topic_id topic) {
    switch ((int)topic) {
    case TOPIC_ORDERS_EVENTS:
        return verify_fold_order;
    case TOPIC_INVENTORY_EVENTS:
        return verify_fold_stock;
    case TOPIC_PAYMENTS_EVENTS:
        return verify_fold_payment;
    default:
        return verify_fold_shipment;
    }
}

static bool is_in_its_partition(const struct log_record *record, int32_t partitions) {
    return record->key &&
           record->partition == topic_partition_of(record->key, record->key_len, partitions);
}

// True when the record is an event that belongs on this topic.
static bool decode(struct verify *verify, enum topic_id topic, const struct log_record *record,
                   struct arena *arena, struct message *ret) {
    struct error ignored;
    return record->value &&
           message_decode(verify->ids, record->value, record->value_len, arena, ret, &ignored) &&
           topic_allows(&topics[topic], record_dirs[ret->type]);
}

static bool take(struct verify *verify, enum topic_id topic, int32_t partitions,
                 const struct log_record *record, struct arena *arena, struct error *err) {
    struct message message;
    arena_reset(arena);
    verify->records[topic]++;
    if (!decode(verify, topic, record, arena, &message)) {
        verify->foreign[topic]++;
        return true;
    }
    verify->report->checked[CHECK_PLACE]++;
    if (!is_in_its_partition(record, partitions))
        verify_violation(verify->report, CHECK_PLACE,
                         "%s[%d] offset %lld: the key belongs elsewhere", topics[topic].name,
                         record->partition, (long long)record->offset);
    // Every event begins with its id.
    if (!check_unique(verify, topic, message.body, record) ||
        !fold_of(topic)(verify, &message, record))
        return error_set(err, DISP_FATAL, ENOMEM, "out of memory at %s[%d] offset %lld",
                         topics[topic].name, record->partition, (long long)record->offset);
    return true;
}

bool verify_log_read(struct verify *verify, enum topic_id topic, const int64_t *from,
                     const int64_t *until, struct error *err) {
    if (!verify->log)
        verify->log = calloc(1, sizeof(*verify->log));
    if (!verify->log)
        return error_set(err, DISP_FATAL, ENOMEM, "out of memory");
    struct log_reader *reader = log_reader_open(verify->config, topic, LOG_READER_ALL, err);
    if (!reader)
        return false;
    log_reader_bound(reader, from, until);
    struct arena arena;
    arena_init(&arena, ARENA_BYTES_MAX);

    bool ok = true;
    enum log_reader_result result = LOG_READER_RECORD;
    while (ok && result == LOG_READER_RECORD) {
        struct log_record record;
        result = log_reader_next(reader, 0, &record, err);
        if (result == LOG_READER_RECORD)
            ok = take(verify, topic, log_reader_partitions(reader), &record, &arena, err);
    }
    arena_done(&arena);
    log_reader_close(reader);
    return ok && result == LOG_READER_END;
}

void verify_log_done(struct verify *verify) {
    if (verify->log)
        free(verify->log->slots);
    free(verify->log);
    verify->log = NULL;
    intern_done(&verify->order_ids);
    intern_done(&verify->sku_keys);
    free(verify->orders);
    free(verify->skus);
    free(verify->items);
}
