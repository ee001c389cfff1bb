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
#include "query_state.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "service/clock.h"
#include "store/pg_array.h"

enum { ROWS = 16384, ASKED_MAX = 1024 };

enum { LOOK_EVERY_MS = 10, TRUE_FOR_MS = 50, IDLE_AFTER_MS = 1000 };

struct row {
    struct id order_id;
    int64_t version; // 0: empty
    uint64_t look;
    bool asked; // since the last look; then it stands in the list
    char shop[HTTP_SHOP_MAX];
};

struct query_versions {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    pthread_t thread;
    bool running;
    bool stopping;
    uint64_t look;      // entries of this one hold
    int64_t looked_ms;  // when it was last found to hold, counted from before the question
    int64_t wanted_ms;  // when somebody last asked
    size_t asked_count; // of the list
    uint32_t asked[ASKED_MAX];
    struct row rows[ROWS];
    // The thread's own.
    struct db *db;
    char *position; // owned; as text, NULL: not known
};

static uint32_t row_of(const struct id *order_id) {
    uint32_t hash; // order ids are hashes
    memcpy(&hash, order_id->bytes, sizeof(hash));
    return hash % ROWS;
}

static bool holds(const struct query_versions *versions) {
    return clock_monotonic_ms() - versions->looked_ms <= TRUE_FOR_MS;
}

// Under the lock.
static void want(struct query_versions *versions, int64_t now_ms) {
    bool idle = now_ms - versions->wanted_ms > IDLE_AFTER_MS;
    versions->wanted_ms = now_ms;
    if (idle)
        (void)pthread_cond_signal(&versions->changed);
}

bool query_versions_is(struct query_versions *versions, const struct id *order_id, const char *shop,
                       int64_t version) {
    struct row *row = &versions->rows[row_of(order_id)];
    (void)pthread_mutex_lock(&versions->lock);
    int64_t now_ms = clock_monotonic_ms();
    want(versions, now_ms);
    bool is = row->version == version && row->look == versions->look &&
              now_ms - versions->looked_ms <= TRUE_FOR_MS && id_equal(&row->order_id, order_id) &&
              strcmp(row->shop, shop) == 0;
    if (is && !row->asked && versions->asked_count < ASKED_MAX) {
        row->asked = true;
        versions->asked[versions->asked_count++] = (uint32_t)(row - versions->rows);
    }
    (void)pthread_mutex_unlock(&versions->lock);
    return is;
}

uint64_t query_versions_look(struct query_versions *versions) {
    (void)pthread_mutex_lock(&versions->lock);
    uint64_t look = holds(versions) ? versions->look : 0;
    (void)pthread_mutex_unlock(&versions->lock);
    return look;
}

void query_versions_note(struct query_versions *versions, const struct id *order_id,
                         const char *shop, int64_t version, uint64_t look) {
    struct row *row = &versions->rows[row_of(order_id)];
    (void)pthread_mutex_lock(&versions->lock);
    bool same = id_equal(&row->order_id, order_id);
    // Versions only grow. What was read before a later look proves nothing now, but that an older
    // version is over.
    if (look == versions->look || (same && version > row->version)) {
        row->order_id = *order_id;
        row->version = same && row->version > version ? row->version : version;
        row->look = look;
        memcpy(row->shop, shop, strlen(shop) + 1);
    }
    (void)pthread_mutex_unlock(&versions->lock);
}

// --- looking -----------------------------------------------------------------------------------

static const char sql_position[] =
    "SELECT COALESCE(string_agg(generation || ':' || partition || ':' || next_offset, ' ' "
    "ORDER BY generation, partition), '') FROM projection_offsets "
    "WHERE projection = 'orders' AND topic = 'orders.events'";

static const char sql_again[] =
    "SELECT order_id, version FROM orders WHERE order_id = ANY($1::uuid[])";

// Empties the list into ids. Under the lock.
static size_t take_asked(struct query_versions *versions, struct pg_array *ids) {
    size_t count = versions->asked_count;
    versions->asked_count = 0;
    for (size_t i = 0; i < count; i++) {
        struct row *row = &versions->rows[versions->asked[i]];
        row->asked = false;
        pg_array_add(ids, row->order_id.bytes, sizeof(row->order_id.bytes));
    }
    return count;
}

// Under the lock: what was read after the new look.
static void renew(struct query_versions *versions, const PGresult *again) {
    for (int i = 0; i < PQntuples(again); i++) {
        const struct id order_id = db_uuid(again, i, 0);
        const int64_t version = db_int8(again, i, 1);
        struct row *row = &versions->rows[row_of(&order_id)];
        if (!id_equal(&row->order_id, &order_id) || row->version > version)
            continue;
        row->version = version;
        row->look = versions->look;
    }
}

static void begin_look(struct query_versions *versions, int64_t looked_ms, const PGresult *again) {
    (void)pthread_mutex_lock(&versions->lock);
    versions->look++;
    versions->looked_ms = looked_ms;
    if (again)
        renew(versions, again);
    (void)pthread_mutex_unlock(&versions->lock);
}

// Without an answer nothing is renewed, and what was known lapses.
static void look(struct query_versions *versions) {
    struct error err;
    struct pg_array ids = {0};
    int64_t now_ms = clock_monotonic_ms();
    (void)pthread_mutex_lock(&versions->lock);
    size_t count = take_asked(versions, &ids);
    (void)pthread_mutex_unlock(&versions->lock);
    DB_RESULT position = db_query(versions->db, sql_position, NULL, &err);
    if (position && versions->position &&
        strcmp(PQgetvalue(position, 0, 0), versions->position) == 0) {
        (void)pthread_mutex_lock(&versions->lock);
        versions->looked_ms = now_ms;
        (void)pthread_mutex_unlock(&versions->lock);
    } else if (position) {
        struct db_params params = {.count = 0};
        bool asks = count > 0 && pg_array_finish(&ids, PG_UUID);
        db_params_bytes(&params, ids.bytes, ids.length);
        DB_RESULT again = asks ? db_query(versions->db, sql_again, &params, &err) : NULL;
        free(versions->position);
        versions->position = strdup(PQgetvalue(position, 0, 0));
        begin_look(versions, now_ms, again);
    }
    pg_array_done(&ids);
}

// Until the next look is due, or a stop is asked for. Under the lock.
static void rest(struct query_versions *versions) {
    if (clock_monotonic_ms() - versions->wanted_ms > IDLE_AFTER_MS) {
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

bool query_versions_start(const struct config *config, struct query_versions **ret,
                          struct error *err) {
    struct query_versions *versions = calloc(1, sizeof(*versions));
    pthread_condattr_t monotonic;
    if (!versions)
        return error_set(err, DISP_FATAL, 0, "out of memory");
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_mutex_init(&versions->lock, NULL);
    (void)pthread_cond_init(&versions->changed, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
    versions->look = 1;
    versions->wanted_ms = versions->looked_ms = INT64_MIN / 2;
    versions->db = db_new(config->postgres_dsn, "orderlog query versions", query_session_settings);
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
    free(versions);
}
