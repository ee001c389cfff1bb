// SPDX-License-Identifier: Apache-2.0
//
// `orderlog verify --erased`: that nobody can read what is personal of a customer. Sealed copies
// may lie anywhere, in the log, its dead letters, the read models, and stay: they are counted. What
// must be gone is the one thing that opens them, the keys: from what brokers give to clients, and
// from the files in which brokers keep it. Orders stay, whole: that is checked too.
#include "cli/segment.h"
#include "cli/verify.h"
#include "event/message.h"
#include "privacy/customer_keys.h"
#include "store/db.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ARENA_BYTES_MAX = 64 << 20, PATH_BYTES_MAX = 1024, KEPT_MAX = 10 };

struct erased {
    const struct config *config;
    const struct schema_ids *ids;
    const char *shop;
    const char *customer;
    char name[TOPIC_KEY_MAX]; // SHOP/CUSTOMER
    size_t name_len;
    bool is_marked;
    int64_t faults;

    int64_t keys_in_log;
    int64_t keys_in_files;
    int64_t files;
    int64_t file_records;
    const char *path; // of the file at hand

    int64_t sealed; // in the topic at hand
};

__attribute__((format(printf, 2, 3))) static void fault(struct erased *erased, const char *fmt,
                                                        ...) {
    va_list args;
    if (erased->faults++ >= KEPT_MAX)
        return;
    printf("  NOT ERASED: ");
    va_start(args, fmt);
    (void)vprintf(fmt, args);
    va_end(args);
    printf("\n");
}

static bool is_theirs(const struct erased *erased, struct view shop, struct view customer) {
    return shop.len == strlen(erased->shop) && memcmp(shop.ptr, erased->shop, shop.len) == 0 &&
           customer.len == strlen(erased->customer) &&
           memcmp(customer.ptr, erased->customer, customer.len) == 0;
}

static bool is_their_key(const struct erased *erased, const void *key, size_t key_len) {
    size_t customer_len = 0;
    struct id key_id;
    return key && customer_key_name_parse(key, key_len, &customer_len, &key_id) &&
           customer_len == erased->name_len && memcmp(key, erased->name, customer_len) == 0;
}

// ---- topics -------------------------------------------------------------------------------------

typedef void visit_fn(struct erased *erased, enum topic_id topic, const struct log_record *record,
                      struct arena *arena);

static bool read_topic(struct erased *erased, enum topic_id topic, visit_fn *visit,
                       struct error *err) {
    struct log_reader *reader = log_reader_open(erased->config, topic, LOG_READER_ALL, err);
    if (!reader)
        return false;
    struct arena arena;
    arena_init(&arena, ARENA_BYTES_MAX);
    enum log_reader_result result = LOG_READER_RECORD;
    while (result == LOG_READER_RECORD) {
        struct log_record record;
        result = log_reader_next(reader, 0, &record, err);
        arena_reset(&arena);
        if (result == LOG_READER_RECORD)
            visit(erased, topic, &record, &arena);
    }
    arena_done(&arena);
    log_reader_close(reader);
    return result == LOG_READER_END;
}

static bool decode(const struct erased *erased, const void *value, size_t value_len,
                   struct arena *arena, struct message *ret) {
    struct error ignored;
    return value && message_decode(erased->ids, value, value_len, arena, ret, &ignored);
}

// Old records that the cleaner has not removed are given to clients like any other.
static void visit_key(struct erased *erased, enum topic_id topic, const struct log_record *record,
                      struct arena *arena) {
    struct message message;
    if (is_their_key(erased, record->key, record->key_len) && record->value) {
        erased->keys_in_log++;
        fault(erased, "%s[%d] offset %lld still holds a key", topics[topic].name, record->partition,
              (long long)record->offset);
    }
    if (record->key && record->key_len == erased->name_len &&
        memcmp(record->key, erased->name, erased->name_len) == 0 &&
        decode(erased, record->value, record->value_len, arena, &message) &&
        message.type == RECORD_CUSTOMER_ERASED)
        erased->is_marked = true;
}

static void count_sealed(struct erased *erased, const struct message *message,
                         struct arena *arena) {
    const struct customer *customer = message->body;
    const struct place_order *place = message->body;
    const struct order_placed *placed = message->body;
    const struct dead_letter *letter = message->body;
    struct message inner;
    switch ((int)message->type) {
    case RECORD_CUSTOMER:
        erased->sealed +=
            customer->has_personal && is_theirs(erased, customer->shop_id, customer->customer_id);
        break;
    case RECORD_PLACE_ORDER:
        erased->sealed +=
            place->has_shipping_address && is_theirs(erased, place->shop_id, place->customer_id);
        break;
    case RECORD_ORDER_PLACED:
        erased->sealed +=
            placed->has_shipping_address && is_theirs(erased, placed->shop_id, placed->customer_id);
        break;
    case RECORD_DEAD_LETTER:
        if (decode(erased, letter->value.ptr, letter->value.len, arena, &inner) &&
            inner.type != RECORD_DEAD_LETTER)
            count_sealed(erased, &inner, arena);
        break;
    }
}

static void visit_any(struct erased *erased, enum topic_id topic, const struct log_record *record,
                      struct arena *arena) {
    (void)topic;
    struct message message;
    if (decode(erased, record->value, record->value_len, arena, &message))
        count_sealed(erased, &message, arena);
}

static bool read_sealed(struct erased *erased, struct error *err) {
    static const enum topic_id topic_ids[] = {TOPIC_CUSTOMERS, TOPIC_ORDERS_INBOX,
                                              TOPIC_ORDERS_EVENTS, TOPIC_ORDERS_DEADLETTERS,
                                              TOPIC_INVENTORY_DEADLETTERS};
    for (size_t i = 0; i < sizeof(topic_ids) / sizeof(topic_ids[0]); i++) {
        erased->sealed = 0;
        if (!read_topic(erased, topic_ids[i], visit_any, err))
            return false;
        printf("%-32s %12lld sealed with their keys\n", topics[topic_ids[i]].name,
               (long long)erased->sealed);
    }
    return true;
}

// ---- files of brokers ---------------------------------------------------------------------------

static void visit_file_record(void *state, const struct segment_record *record) {
    struct erased *erased = state;
    if (!record->value || !is_their_key(erased, record->key, record->key_len))
        return;
    erased->keys_in_files++;
    fault(erased, "%s still holds a key, offset %lld", erased->path, (long long)record->offset);
}

static bool read_file(struct erased *erased, const char *path, struct error *err) {
    struct stat stat;
    struct segment_counts counts;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return true; // the broker has removed it meanwhile
    if (fd < 0 || fstat(fd, &stat) != 0) {
        (void)error_set(err, DISP_FATAL, errno, "%s: %s", path, strerror(errno));
        if (fd >= 0)
            (void)close(fd);
        return false;
    }
    const size_t size = (size_t)stat.st_size;
    void *bytes = size > 0 ? mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0) : NULL;
    (void)close(fd);
    if (bytes == MAP_FAILED)
        return error_set(err, DISP_FATAL, errno, "%s: %s", path, strerror(errno));
    erased->path = path;
    segment_read(bytes, size, visit_file_record, erased, &counts);
    erased->files++;
    erased->file_records += counts.records;
    if (counts.compressed > 0)
        fault(erased, "%s: %lld compressed batches cannot be looked into", path,
              (long long)counts.compressed);
    if (counts.unread > 0)
        fault(erased, "%s: its last %zu bytes are no records; look again", path, counts.unread);
    if (bytes)
        (void)munmap(bytes, size);
    return true;
}

static bool join(char path[PATH_BYTES_MAX], const char *folder, const char *name,
                 struct error *err) {
    int length = snprintf(path, PATH_BYTES_MAX, "%s/%s", folder, name);
    return (length > 0 && length < PATH_BYTES_MAX) ||
           error_set(err, DISP_FATAL, ENAMETOOLONG, "%s: its files have too long names", folder);
}

// Segments, and what a broker makes of them while it cleans: .log, .log.deleted, .log.swap, …
static bool read_partition(struct erased *erased, const char *folder, struct error *err) {
    char path[PATH_BYTES_MAX];
    DIR *dir = opendir(folder);
    if (!dir)
        return error_set(err, DISP_FATAL, errno, "%s: %s", folder, strerror(errno));
    bool ok = true;
    for (const struct dirent *entry; ok && (entry = readdir(dir));) {
        if (!strstr(entry->d_name, ".log"))
            continue;
        ok = join(path, folder, entry->d_name, err) && read_file(erased, path, err);
    }
    (void)closedir(dir);
    return ok;
}

static bool read_folder(struct erased *erased, const char *folder, struct error *err) {
    char path[PATH_BYTES_MAX];
    const char *topic = topics[TOPIC_CUSTOMERS_KEYS].name;
    DIR *dir = opendir(folder);
    if (!dir)
        return error_set(err, DISP_FATAL, errno, "%s: %s", folder, strerror(errno));
    bool ok = true;
    int64_t before = erased->files;
    for (const struct dirent *entry; ok && (entry = readdir(dir));) {
        if (strncmp(entry->d_name, topic, strlen(topic)) != 0 ||
            entry->d_name[strlen(topic)] != '-')
            continue;
        ok = join(path, folder, entry->d_name, err) && read_partition(erased, path, err);
    }
    (void)closedir(dir);
    if (ok && erased->files == before)
        fault(erased, "%s holds no segment of %s", folder, topic);
    return ok;
}

static bool read_files(struct erased *erased, const char *log_dirs, struct error *err) {
    if (!log_dirs) {
        printf("%-32s    not looked into: give --log-dirs on each broker\n", "files of brokers");
        return true;
    }
    char *folders = strdup(log_dirs);
    bool ok = folders || error_set(err, DISP_FATAL, ENOMEM, "out of memory");
    char *rest = NULL;
    for (char *folder = ok ? strtok_r(folders, ",", &rest) : NULL; ok && folder;
         folder = strtok_r(NULL, ",", &rest))
        ok = read_folder(erased, folder, err);
    free(folders);
    if (ok)
        printf("%-32s %12lld keys in %lld files, %lld records\n", "files of brokers",
               (long long)erased->keys_in_files, (long long)erased->files,
               (long long)erased->file_records);
    return ok;
}

// ---- the rest -----------------------------------------------------------------------------------

static bool read_database(struct erased *erased, struct error *err) {
    static const char sql[] =
        "SELECT (SELECT count(*) FROM customers WHERE shop_id = $1::text AND customer_id = "
        "$2::text AND key_id IS NOT NULL), (SELECT count(*) FROM order_addresses WHERE shop_id = "
        "$1::text AND customer_id = $2::text)";
    struct db_params params = {0};
    db_params_text(&params, erased->shop, strlen(erased->shop));
    db_params_text(&params, erased->customer, strlen(erased->customer));
    struct db *db = db_new(erased->config->postgres_dsn, "orderlog verify", NULL);
    if (!db)
        return error_set(err, DISP_FATAL, ENOMEM, "out of memory");
    DB_RESULT result = db_query(db, sql, &params, err);
    if (result)
        printf("%-32s %12lld sealed with their keys\n%-32s %12lld\n", "customers in PostgreSQL",
               (long long)db_int8(result, 0, 0), "order_addresses in PostgreSQL",
               (long long)db_int8(result, 0, 1));
    db_free(db);
    return result != NULL;
}

// Their orders by the log, all events of each.
static bool read_orders(struct erased *erased, struct error *err) {
    struct verify_report *report = calloc(1, sizeof(*report));
    if (!report)
        return error_set(err, DISP_FATAL, ENOMEM, "out of memory");
    struct verify verify = {.config = erased->config, .ids = erased->ids, .report = report};
    bool ok = verify_log_read(&verify, TOPIC_ORDERS_EVENTS, NULL, NULL, err);
    int64_t orders = 0;
    for (uint32_t i = 0; ok && i < verify.order_ids.count; i++)
        orders += verify.orders[i].texts[ORDER_SHOP_ID] == verify_hash_text(erased->shop) &&
                  verify.orders[i].texts[ORDER_CUSTOMER_ID] == verify_hash_text(erased->customer);
    const int64_t broken = report->violations[CHECK_ORDER_VERSIONS] +
                           report->violations[CHECK_AMOUNTS] + report->violations[CHECK_PLACE];
    if (ok)
        printf("%-32s %12lld of theirs; versions and amounts of all %u: %s\n", "orders",
               (long long)orders, verify.order_ids.count, broken ? "BROKEN" : "whole");
    if (ok && broken)
        fault(erased, "orders are not whole: `orderlog verify` says which");
    verify_log_done(&verify);
    free(report);
    return ok;
}

bool verify_erased(const struct config *config, const struct schema_ids *ids, const char *shop,
                   const char *customer, const char *log_dirs, bool *ret_erased,
                   struct error *err) {
    struct erased erased = {.config = config, .ids = ids, .shop = shop, .customer = customer};
    if (strlen(shop) > TOPIC_NAME_MAX || !customer_id_valid(customer, strlen(customer)))
        return error_set(err, DISP_FATAL, 0, "a customer id has 1 to %d bytes, without '/'",
                         CUSTOMER_ID_MAX);
    erased.name_len = topic_sku_key(shop, strlen(shop), customer, strlen(customer), erased.name);
    if (!read_topic(&erased, TOPIC_CUSTOMERS_KEYS, visit_key, err))
        return false;
    printf("%-32s %12lld keys%s\n", topics[TOPIC_CUSTOMERS_KEYS].name,
           (long long)erased.keys_in_log, erased.is_marked ? ", marked as erased" : "");
    if (!erased.is_marked)
        fault(&erased, "%.*s is not marked as erased: DELETE /v1/customers/%s",
              (int)erased.name_len, erased.name, customer);
    if (!read_files(&erased, log_dirs, err) || !read_sealed(&erased, err) ||
        !read_database(&erased, err) || !read_orders(&erased, err))
        return false;
    *ret_erased = erased.faults == 0;
    printf(*ret_erased ? "\nErased: nobody can read anything personal of %.*s.\n"
                       : "\n%.*s is not erased, or not yet: keys are gone from the log within "
                         "customers.erasure.ms of the erasure.\n",
           (int)erased.name_len, erased.name);
    return true;
}
