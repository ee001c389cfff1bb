// SPDX-License-Identifier: Apache-2.0
//
// A table of orders and their versions, each true at a known look. A look asks how far the read
// model of orders is: when that has not moved, no order has changed, and all that was known stays
// known. When it has, the orders that were asked for since are read again, in one query; the rest
// is known no more. Looks are a few milliseconds apart as long as somebody asks, and none is made
// otherwise.
//
// An entry is of the look before it was read, as the order may have changed right after that look:
//
//   look 7          the model's position is P                    entries of look 7 hold
//   read of X       X has version 3: entry (X, 3, look 7)
//   look 8          still P: X cannot have changed               look 7 is renewed
//   look 9          Q: X is read again, or forgotten             entries of look 9 hold
#include "query_pulse.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "service/clock.h"
#include "store/pg_array.h"

enum { ROWS_PER_BUCKET = 4, BUCKETS = 4096, LOCKS = 64 };

enum { LOOK_EVERY_MS = 10, TRUE_FOR_MS = 100, IDLE_AFTER_MS = 1000, AGAIN_MAX = 1024 };

struct row {
    struct id order_id;
    int64_t version; // 0: empty
    uint64_t look;
    uint64_t asked; // the turn in which it was last asked for
    char shop[HTTP_SHOP_MAX];
    char customer[HTTP_CUSTOMER_MAX];
};

struct bucket {
    struct row rows[ROWS_PER_BUCKET];
};

struct query_versions {
    pthread_mutex_t locks[LOCKS]; // of the buckets, in turn
    struct bucket buckets[BUCKETS];
    _Atomic uint64_t look; // rows of this one hold
    _Atomic int64_t
        looked_ms; // as of then: before the question that found it to hold; written last
    _Atomic int64_t wanted_ms; // when somebody last asked
    _Atomic uint64_t turn;     // grows with every question
    pthread_mutex_t lock;      // of what follows
    pthread_cond_t changed;
    bool stopping;
    pthread_t thread;
    bool running;
    // The thread's own.
    struct db *db;
    char *position; // owned; as text, NULL: not known
};

// Order ids are hashes.
static uint32_t bucket_of(const struct id *order_id) {
    uint32_t hash;
    memcpy(&hash, order_id->bytes, sizeof(hash));
    return hash % BUCKETS;
}

static pthread_mutex_t *lock_of(struct query_versions *versions, uint32_t bucket) {
    return &versions->locks[bucket % LOCKS];
}

// Under the bucket's lock. Without such a row: the one to be given up for it, or NULL.
static struct row *find(struct bucket *bucket, const struct id *order_id, bool make) {
    struct row *oldest = &bucket->rows[0];
    for (size_t i = 0; i < ROWS_PER_BUCKET; i++) {
        struct row *row = &bucket->rows[i];
        if (row->version > 0 && id_equal(&row->order_id, order_id))
            return row;
        if (row->look < oldest->look)
            oldest = row;
    }
    return make ? oldest : NULL;
}

static bool is_recent(const struct query_versions *versions, int64_t now_ms) {
    return now_ms - atomic_load(&versions->looked_ms) <= TRUE_FOR_MS;
}

static void want(struct query_versions *versions, int64_t now_ms) {
    int64_t before_ms = atomic_exchange(&versions->wanted_ms, now_ms);
    if (now_ms - before_ms <= IDLE_AFTER_MS)
        return;
    (void)pthread_mutex_lock(&versions->lock);
    (void)pthread_cond_signal(&versions->changed);
    (void)pthread_mutex_unlock(&versions->lock);
}

bool query_versions_is(struct query_versions *versions, const struct id *order_id,
                       const struct http_caller *caller, int64_t version) {
    uint32_t bucket = bucket_of(order_id);
    int64_t now_ms = clock_monotonic_ms();
    want(versions, now_ms);
    if (!is_recent(versions, now_ms))
        return false;
    uint64_t look = atomic_load(&versions->look); // after the time: it may only be newer
    (void)pthread_mutex_lock(lock_of(versions, bucket));
    struct row *row = find(&versions->buckets[bucket], order_id, /* make= */ false);
    bool is = row && row->version == version && row->look == look &&
              http_caller_owns(caller, row->shop, row->customer);
    if (row)
        row->asked = atomic_load_explicit(&versions->turn, memory_order_relaxed);
    (void)pthread_mutex_unlock(lock_of(versions, bucket));
    return is;
}

uint64_t query_versions_look(struct query_versions *versions) {
    return atomic_load(&versions->look);
}

void query_versions_note(struct query_versions *versions, const struct id *order_id,
                         const char *shop, const char *customer, int64_t version, uint64_t look) {
    uint32_t bucket = bucket_of(order_id);
    if (strlen(shop) >= HTTP_SHOP_MAX || strlen(customer) >= HTTP_CUSTOMER_MAX)
        return; // nobody's token can say so
    (void)pthread_mutex_lock(lock_of(versions, bucket));
    struct row *row = find(&versions->buckets[bucket], order_id, /* make= */ true);
    bool same = row->version > 0 && id_equal(&row->order_id, order_id);
    // Versions only grow. What was read before a later look proves nothing now, but that an older
    // version is over.
    bool news = same ? version > row->version || (version == row->version && look > row->look)
                     : look == atomic_load(&versions->look);
    if (news) {
        row->version = version;
        row->look = look;
        row->order_id = *order_id;
        memcpy(row->shop, shop, strlen(shop) + 1);
        memcpy(row->customer, customer, strlen(customer) + 1);
    }
    (void)pthread_mutex_unlock(lock_of(versions, bucket));
}

// --- looking -----------------------------------------------------------------------------------

static const char sql_position[] =
    "SELECT COALESCE(string_agg(generation || ':' || partition || ':' || next_offset, ' ' "
    "ORDER BY generation, partition), '') FROM projection_offsets "
    "WHERE projection = 'orders' AND topic = 'orders.events'";

static const char sql_again[] =
    "SELECT order_id, version FROM orders WHERE order_id = ANY($1::uuid[])";

// The orders asked for in the last turn.
static size_t list_asked(struct query_versions *versions, uint64_t turn, struct pg_array *ids) {
    size_t count = 0;
    for (uint32_t lock = 0; lock < LOCKS; lock++) {
        (void)pthread_mutex_lock(&versions->locks[lock]);
        for (uint32_t bucket = lock; bucket < BUCKETS; bucket += LOCKS) {
            for (size_t i = 0; i < ROWS_PER_BUCKET; i++) {
                const struct row *row = &versions->buckets[bucket].rows[i];
                if (row->version == 0 || row->asked != turn || count == AGAIN_MAX)
                    continue;
                pg_array_add(ids, row->order_id.bytes, sizeof(row->order_id.bytes));
                count++;
            }
        }
        (void)pthread_mutex_unlock(&versions->locks[lock]);
    }
    return count;
}

static void renew(struct query_versions *versions, const PGresult *again, uint64_t look) {
    for (int i = 0; i < PQntuples(again); i++) {
        const struct id order_id = db_uuid(again, i, 0);
        const int64_t version = db_int8(again, i, 1);
        uint32_t bucket = bucket_of(&order_id);
        (void)pthread_mutex_lock(lock_of(versions, bucket));
        struct row *row = find(&versions->buckets[bucket], &order_id, /* make= */ false);
        if (row && row->version <= version) {
            row->version = version;
            row->look = look;
        }
        (void)pthread_mutex_unlock(lock_of(versions, bucket));
    }
}

// The position has moved: what was asked for lately is read again, all else is known no more.
static void begin_look(struct query_versions *versions, uint64_t turn) {
    struct error err;
    struct pg_array ids = {0};
    struct db_params params = {.count = 0};
    uint64_t next = atomic_load(&versions->look) + 1;
    if (list_asked(versions, turn, &ids) > 0 && pg_array_finish(&ids, PG_UUID)) {
        db_params_bytes(&params, ids.bytes, ids.length);
        DB_RESULT again = db_query(versions->db, sql_again, &params, &err);
        if (again)
            renew(versions, again, next);
    }
    pg_array_done(&ids);
    atomic_store(&versions->look, next);
}

// Without an answer nothing is renewed, and what was known lapses.
static void look(struct query_versions *versions) {
    struct error err;
    int64_t now_ms = clock_monotonic_ms();
    uint64_t turn = atomic_fetch_add(&versions->turn, 1);
    DB_RESULT position = db_query(versions->db, sql_position, NULL, &err);
    if (!position)
        return;
    const char *text = PQgetvalue(position, 0, 0);
    if (!versions->position || strcmp(text, versions->position) != 0) {
        begin_look(versions, turn);
        free(versions->position);
        versions->position = strdup(text);
    }
    atomic_store(&versions->looked_ms, now_ms);
}

// Until the next look is due, or a stop is asked for. Under the lock.
static void rest(struct query_versions *versions) {
    if (clock_monotonic_ms() - atomic_load(&versions->wanted_ms) > IDLE_AFTER_MS) {
        (void)pthread_cond_wait(&versions->changed, &versions->lock);
        return;
    }
    struct timespec until;
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += LOOK_EVERY_MS * 1000000L;
    if (until.tv_nsec >= 1000000000L) {
        until.tv_nsec -= 1000000000L;
        until.tv_sec++;
    }
    while (!versions->stopping &&
           pthread_cond_timedwait(&versions->changed, &versions->lock, &until) != ETIMEDOUT) {
    }
}

static void *run(void *opaque) {
    struct query_versions *versions = opaque;
    (void)pthread_mutex_lock(&versions->lock);
    while (!versions->stopping) {
        rest(versions);
        (void)pthread_mutex_unlock(&versions->lock);
        look(versions);
        (void)pthread_mutex_lock(&versions->lock);
    }
    (void)pthread_mutex_unlock(&versions->lock);
    return NULL;
}

// --- start and stop ----------------------------------------------------------------------------

bool query_versions_start(const struct query_pulse *pulse, struct query_versions **ret,
                          struct error *err) {
    struct query_versions *versions = calloc(1, sizeof(*versions));
    pthread_condattr_t monotonic;
    if (!versions)
        return error_set(err, DISP_FATAL, 0, "out of memory");
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_mutex_init(&versions->lock, NULL);
    for (size_t i = 0; i < LOCKS; i++)
        (void)pthread_mutex_init(&versions->locks[i], NULL);
    (void)pthread_cond_init(&versions->changed, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
    atomic_store(&versions->look, 1);
    atomic_store(&versions->turn, 1);
    atomic_store(&versions->wanted_ms, INT64_MIN / 2);
    atomic_store(&versions->looked_ms, INT64_MIN / 2);
    versions->db = query_pulse_connection(pulse, "orderlog query versions", query_session_settings);
    versions->running = versions->db && pthread_create(&versions->thread, NULL, run, versions) == 0;
    if (!versions->running) {
        query_versions_stop(versions);
        return error_set(err, DISP_FATAL, 0, "cannot start the thread of order versions");
    }
    *ret = versions;
    return true;
}

void query_versions_stop(struct query_versions *versions) {
    if (!versions)
        return;
    (void)pthread_mutex_lock(&versions->lock);
    versions->stopping = true;
    (void)pthread_cond_signal(&versions->changed);
    (void)pthread_mutex_unlock(&versions->lock);
    if (versions->running)
        (void)pthread_join(versions->thread, NULL);
    db_free(versions->db);
    free(versions->position);
    (void)pthread_cond_destroy(&versions->changed);
    (void)pthread_mutex_destroy(&versions->lock);
    for (size_t i = 0; i < LOCKS; i++)
        (void)pthread_mutex_destroy(&versions->locks[i]);
    free(versions);
}
