// SPDX-License-Identifier: Apache-2.0
//
// A database of its own for each test program, and events of made-up orders, as values.
#ifndef ORDERLOG_TESTS_STORE_FIXTURE_H
#define ORDERLOG_TESTS_STORE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "event/types.h"
#include "store/db.h"
#include "store/migrate.h"
#include "store/projection.h"

#define VIEW(text_) ((struct view){(text_), sizeof(text_) - 1})

enum { FIXTURE_DSN_MAX = 512 };

static char fixture_dsn[FIXTURE_DSN_MAX];
static char fixture_database[64];

static inline void fixture_fail(const char *what, const struct error *err) {
    fprintf(stderr, "%s: %s\n", what, err->msg);
    abort();
}

static inline struct db *fixture_connect(void) {
    struct error err;
    struct db *db = db_new(fixture_dsn, "test", NULL);
    if (!db || !db_connect(db, &err))
        fixture_fail("connecting", &err);
    return db;
}

static inline void fixture_exec(struct db *db, const char *sql) {
    struct error err;
    if (!db_exec(db, sql, &err))
        fixture_fail(sql, &err);
}

// ORDERLOG_POSTGRES, with an empty database in place of the one it names; migrated.
static inline int fixture_create(void **state) {
    (void)state;
    const char *admin = getenv("ORDERLOG_POSTGRES");
    if (!admin) {
        fprintf(stderr, "ORDERLOG_POSTGRES is not set: run this through ctest or tests/run\n");
        return -1;
    }
    snprintf(fixture_dsn, sizeof(fixture_dsn), "%s", admin);
    snprintf(fixture_database, sizeof(fixture_database), "test_%d", (int)getpid());
    char sql[128];
    snprintf(sql, sizeof(sql), "CREATE DATABASE %s TEMPLATE template0", fixture_database);
    struct db *db = fixture_connect();
    fixture_exec(db, sql);
    db_free(db);

    snprintf(fixture_dsn, sizeof(fixture_dsn), "%s dbname=%s", admin, fixture_database);
    struct error err;
    db = fixture_connect();
    if (!store_migrate(db, NULL, &err))
        fixture_fail("migrating", &err);
    db_free(db);
    return 0;
}

static inline int fixture_drop(void **state) {
    (void)state;
    char sql[128];
    snprintf(sql, sizeof(sql), "DROP DATABASE %s WITH (FORCE)", fixture_database);
    snprintf(fixture_dsn, sizeof(fixture_dsn), "%s", getenv("ORDERLOG_POSTGRES"));
    struct db *db = fixture_connect();
    fixture_exec(db, sql);
    db_free(db);
    return 0;
}

// A query of one bigint.
static inline int64_t fixture_count(struct db *db, const char *sql) {
    DB_RESULT result = PQexec(db_conn(db), sql);
    if (PQresultStatus(result) != PGRES_TUPLES_OK || PQntuples(result) != 1) {
        fprintf(stderr, "%s: %s\n", sql, PQresultErrorMessage(result));
        abort();
    }
    return strtoll(PQgetvalue(result, 0, 0), NULL, 10);
}

// All rows of a table, whatever they are, as one text: equal before and after means unchanged.
static inline char *fixture_dump(struct db *db, const char *table) {
    char sql[256];
    snprintf(sql, sizeof(sql),
             "SELECT coalesce(string_agg(t::text, E'\\n' ORDER BY t::text), '') FROM %s t", table);
    DB_RESULT result = PQexec(db_conn(db), sql);
    if (PQresultStatus(result) != PGRES_TUPLES_OK)
        fixture_fail(PQresultErrorMessage(result), &(struct error){.msg = ""});
    return strdup(PQgetvalue(result, 0, 0));
}

// --- events -------------------------------------------------------------------------------------

static inline struct id fixture_id(uint64_t kind, uint64_t n) {
    struct id seed = {{0}};
    memcpy(seed.bytes, &kind, sizeof(kind));
    return id_derive(&seed, n);
}

static inline struct id fixture_order_id(uint64_t n) {
    return fixture_id('O', n);
}

// Of the command that placed the order.
static inline struct id fixture_command_id(uint64_t n) {
    return fixture_id('C', n);
}

// Yesterday: outcomes of commands that are older than a week are purged.
static inline int64_t fixture_t0_us(void) {
    static int64_t t0_us;
    if (t0_us == 0)
        t0_us = ((int64_t)time(NULL) - 86400) * 1000000;
    return t0_us;
}

static const struct order_line fixture_lines[] = {
    {.sku = {"apple", 5},
     .quantity = 3,
     .unit_price_minor = 100,
     .has_price_version = true,
     .price_version = 7},
    {.sku = {"pear", 4}, .quantity = 1, .unit_price_minor = 250},
};

static inline struct order_placed fixture_placed(uint64_t n) {
    return (struct order_placed){
        .event_id = fixture_id('E', n * 100 + 1),
        .shop_id = VIEW("main"),
        .order_id = fixture_order_id(n),
        .version = 1,
        .occurred_at = fixture_t0_us() + (int64_t)n * 1000000,
        .causation_id = fixture_command_id(n),
        .correlation_id = fixture_command_id(n),
        .status = ORDER_STATUS_PLACED,
        .reservation_status = RESERVATION_STATUS_PENDING,
        .payment_status = PAYMENT_STATUS_NONE,
        .shipment_status = SHIPMENT_STATUS_NONE,
        .has_key_id = true,
        .key_id = fixture_id('K', n),
        .customer_id = n % 2 ? VIEW("odd") : VIEW("even"),
        .currency = VIEW("GBP"),
        .payment_method = VIEW("tok_ok"),
        .lines = (struct order_line *)fixture_lines,
        .lines_count = 2,
        .items_minor = 550,
        .shipping_minor = 50,
        .total_minor = 600,
        .reservation_deadline = fixture_t0_us(),
    };
}

static inline struct order_cancelled fixture_cancelled(uint64_t n, int64_t version) {
    return (struct order_cancelled){
        .event_id = fixture_id('E', n * 100 + (uint64_t)version),
        .shop_id = VIEW("main"),
        .order_id = fixture_order_id(n),
        .version = version,
        .occurred_at = fixture_t0_us() + (int64_t)n * 1000000 + version,
        .causation_id = fixture_id('X', n),
        .correlation_id = fixture_command_id(n),
        .status = ORDER_STATUS_CANCELLED,
        .reservation_status = RESERVATION_STATUS_RELEASED,
        .payment_status = PAYMENT_STATUS_NONE,
        .shipment_status = SHIPMENT_STATUS_NONE,
        .has_key_id = true,
        .key_id = fixture_id('Q', n),
        .reason = CANCEL_REASON_CUSTOMER,
        .note = VIEW("changed my mind"),
    };
}

// Of a second cancellation: outside the order's versions.
static inline struct order_command_refused fixture_refused(uint64_t n) {
    return (struct order_command_refused){
        .event_id = fixture_id('R', n),
        .shop_id = VIEW("main"),
        .order_id = fixture_order_id(n),
        .occurred_at = fixture_t0_us() + (int64_t)n * 1000000 + 9,
        .causation_id = fixture_id('Y', n),
        .correlation_id = fixture_id('Y', n),
        .key_id = fixture_id('S', n),
        .reason = ORDER_REFUSAL_ALREADY_CLOSED,
        .detail = VIEW("it is cancelled"),
    };
}

#endif
