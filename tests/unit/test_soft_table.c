// SPDX-License-Identifier: Apache-2.0
//
// Soft state must go back to exactly what it was: an order that an aborted transaction touched is
// decided again from it.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "stream/soft_table.h"

// ---- a model: what a dictionary with a copy per transaction would hold
// ---------------------------

enum { KEYS = 400, BLOCK_MAX = 200, STEPS = 60000 };

struct model_entry {
    size_t size; // 0: no such key
    uint8_t block[BLOCK_MAX];
};

struct model {
    struct model_entry now[KEYS];
    struct model_entry committed[KEYS];
    bool changed[KEYS]; // put or removed since the last commit
};

static uint64_t random_state;

static uint32_t draw(uint32_t below) {
    random_state = random_state * 6364136223846793005ULL + 1442695040888963407ULL;
    return (uint32_t)(random_state >> 33) % below;
}

// Keys of different lengths, some a prefix of others.
static size_t key_of(uint32_t number, char key[32]) {
    return (size_t)snprintf(key, 32, "%s%u", number % 3 ? "k" : "a longer key than most: ", number);
}

static struct model_entry *
put_with(void *(*call)(struct soft_table *table, const void *key, size_t key_len, size_t size),
         struct soft_table *table, struct model *model, uint32_t number) {
    char key[32];
    size_t key_len = key_of(number, key), size = 1 + draw(BLOCK_MAX);
    struct model_entry *entry = &model->now[number];
    uint8_t *block = call(table, key, key_len, size);
    assert_int_equal((uintptr_t)block % 16, 0);
    entry->size = size;
    for (size_t i = 0; i < size; i++)
        block[i] = entry->block[i] = (uint8_t)draw(256);
    return entry;
}

static void put(struct soft_table *table, struct model *model, uint32_t number) {
    (void)put_with(soft_table_put, table, model, number);
    model->changed[number] = true;
}

// No undo takes it back, but of a key that the transaction has changed before.
static void put_for_good(struct soft_table *table, struct model *model, uint32_t number) {
    const struct model_entry *entry = put_with(soft_table_put_for_good, table, model, number);
    if (!model->changed[number])
        model->committed[number] = *entry;
}

static void remove_key(struct soft_table *table, struct model *model, uint32_t number) {
    char key[32];
    size_t key_len = key_of(number, key);
    soft_table_remove(table, key, key_len);
    model->changed[number] |= model->now[number].size != 0;
    model->now[number].size = 0;
}

static void compare(const struct soft_table *table, const struct model *model) {
    size_t count = 0;
    for (uint32_t number = 0; number < KEYS; number++) {
        char key[32];
        size_t key_len = key_of(number, key), size = 0;
        const uint8_t *block = soft_table_get(table, key, key_len, &size);
        assert_int_equal(size, model->now[number].size);
        assert_int_equal(block != NULL, size != 0);
        if (block)
            assert_memory_equal(block, model->now[number].block, size);
        count += size != 0;
    }
    assert_int_equal(soft_table_count(table), count);
}

struct visits {
    const struct model *model;
    bool seen[KEYS];
};

static void visit(void *opaque, const void *key, size_t key_len, const void *block, size_t size) {
    struct visits *visits = opaque;
    const char *digits = key;
    size_t at = key_len;
    while (at > 0 && digits[at - 1] >= '0' && digits[at - 1] <= '9')
        at--;
    char text[12] = {0};
    memcpy(text, digits + at, key_len - at);
    uint32_t number = (uint32_t)strtoul(text, NULL, 10);
    assert_false(visits->seen[number]);
    visits->seen[number] = true;
    assert_true(size > 0);
    assert_int_equal(size, visits->model->committed[number].size);
    assert_memory_equal(block, visits->model->committed[number].block,
                        visits->model->committed[number].size);
}

static void undo(struct soft_table *table, struct model *model) {
    struct visits visits = {.model = model};
    soft_table_undo(table, visit, &visits);
    memcpy(model->now, model->committed, sizeof(model->now));
    for (uint32_t number = 0; number < KEYS; number++) {
        assert_int_equal(visits.seen[number],
                         model->changed[number] && model->committed[number].size > 0);
        model->changed[number] = false;
    }
    compare(table, model);
}

static void any_history_reads_back_and_undoes_exactly(void **state) {
    (void)state;
    const char *given = getenv("ORDERLOG_TEST_SEED");
    uint64_t seed = given ? strtoull(given, NULL, 10) : (uint64_t)time(NULL);
    printf("seed: ORDERLOG_TEST_SEED=%llu\n", (unsigned long long)seed);
    random_state = seed;

    struct soft_table *table = soft_table_new();
    static struct model model;
    memset(&model, 0, sizeof(model));
    for (int step = 0; step < STEPS; step++) {
        uint32_t number = draw(KEYS);
        switch (draw(40)) {
        case 0:
            soft_table_commit(table);
            memcpy(model.committed, model.now, sizeof(model.now));
            memset(model.changed, 0, sizeof(model.changed));
            break;
        case 1:
            undo(table, &model);
            break;
        case 2:
            compare(table, &model);
            break;
        case 3:
            put_for_good(table, &model, number);
            break;
        default:
            if (draw(3) > 0)
                put(table, &model, number);
            else
                remove_key(table, &model, number);
        }
    }
    compare(table, &model);
    soft_table_free(table);
}

// ---- snapshots ---------------------------------------------------------------------------------

// What a compacted topic would hold: each key's last row.
struct stored {
    struct model_entry rows[KEYS];
    struct model_entry staged[KEYS]; // of the open transaction
    bool is_staged[KEYS];
};

static uint32_t number_of(const void *key, size_t key_len) {
    const char *digits = key;
    size_t at = key_len;
    while (at > 0 && digits[at - 1] >= '0' && digits[at - 1] <= '9')
        at--;
    char text[12] = {0};
    memcpy(text, digits + at, key_len - at);
    return (uint32_t)strtoul(text, NULL, 10);
}

// Takes up to max rows; true when the pass has ended.
static bool take(struct soft_table *table, const struct model *model, struct stored *stored,
                 uint32_t max) {
    struct soft_change change;
    for (uint32_t i = 0; i < max; i++) {
        if (!soft_table_take_changed(table, &change))
            return true;
        uint32_t number = number_of(change.key, change.key_len);
        const struct model_entry *now = &model->now[number];
        assert_int_equal(change.block != NULL, now->size != 0);
        if (change.block) {
            assert_int_equal(change.size, now->size);
            assert_memory_equal(change.block, now->block, now->size);
        }
        stored->staged[number] = *now;
        stored->is_staged[number] = true;
    }
    return false;
}

static void end_transaction(struct soft_table *table, struct model *model, struct stored *stored,
                            bool commits) {
    for (uint32_t number = 0; number < KEYS; number++) {
        if (commits && stored->is_staged[number])
            stored->rows[number] = stored->staged[number];
        stored->is_staged[number] = false;
    }
    if (commits) {
        soft_table_commit(table);
        memcpy(model->committed, model->now, sizeof(model->now));
        memset(model->changed, 0, sizeof(model->changed));
    } else {
        undo(table, model);
    }
}

static void any_change(struct soft_table *table, struct model *model) {
    uint32_t number = draw(KEYS);
    if (draw(4) > 0)
        put(table, model, number);
    else
        remove_key(table, model, number);
}

// A pass in which nothing else happens ends with rows that are just what the table holds.
static void compare_stored(struct soft_table *table, struct model *model, struct stored *stored) {
    end_transaction(table, model, stored, true);
    soft_table_begin_pass(table);
    assert_true(take(table, model, stored, KEYS + 1));
    end_transaction(table, model, stored, true);
    assert_int_equal(soft_table_changed(table), 0);
    for (uint32_t number = 0; number < KEYS; number++) {
        assert_int_equal(stored->rows[number].size, model->now[number].size);
        assert_memory_equal(stored->rows[number].block, model->now[number].block,
                            model->now[number].size);
    }
}

// Passes of several transactions, some of which are undone: what did not change since a pass began
// is stored when it has ended.
static void passes_store_what_has_changed(void **state) {
    (void)state;
    const char *given = getenv("ORDERLOG_TEST_SEED");
    random_state = given ? strtoull(given, NULL, 10) : (uint64_t)time(NULL);
    printf("seed: ORDERLOG_TEST_SEED=%llu\n", (unsigned long long)random_state);
    struct soft_table *table = soft_table_new();
    static struct model model, begun;
    static struct stored stored;
    memset(&model, 0, sizeof(model));
    memset(&stored, 0, sizeof(stored));
    bool running = false, ended = false;
    size_t passes = 0;
    for (int step = 0; step < 20000; step++) {
        for (uint32_t i = draw(20); i > 0; i--)
            any_change(table, &model);
        if (!running && draw(4) == 0) {
            soft_table_begin_pass(table);
            begun = model;
            running = true;
        }
        if (running)
            ended = take(table, &model, &stored, draw(60));
        bool commits = draw(5) > 0;
        end_transaction(table, &model, &stored, commits);
        if (!commits)
            running = ended = false;
        if (!ended)
            continue;
        for (uint32_t number = 0; number < KEYS; number++) {
            bool unchanged = begun.now[number].size == model.now[number].size &&
                             memcmp(begun.now[number].block, model.now[number].block,
                                    model.now[number].size) == 0;
            // It may have changed and come back meanwhile: then any of its states may be stored.
            if (unchanged && stored.rows[number].size == model.now[number].size)
                continue;
            assert_true(!unchanged || soft_table_changed(table) > 0);
        }
        running = ended = false;
        passes++;
        if (draw(50) == 0)
            compare_stored(table, &model, &stored);
    }
    assert_true(passes > 100);
    compare_stored(table, &model, &stored);
    soft_table_free(table);
}

static void what_came_and_went_between_passes_is_not_stored(void **state) {
    (void)state;
    struct soft_table *table = soft_table_new();
    (void)soft_table_put(table, "a", 1, 8);
    soft_table_commit(table);
    soft_table_remove(table, "a", 1);
    soft_table_commit(table);
    soft_table_begin_pass(table);
    struct soft_change change;
    assert_false(soft_table_take_changed(table, &change));
    soft_table_commit(table);
    // What is stored is removed by a row, as often as it takes.
    (void)soft_table_put(table, "b", 1, 8);
    soft_table_commit(table);
    soft_table_all_stored(table);
    soft_table_remove(table, "b", 1);
    for (int i = 0; i < 3; i++) {
        soft_table_commit(table);
        soft_table_begin_pass(table);
        assert_true(soft_table_take_changed(table, &change));
        assert_null(change.block);
        assert_memory_equal(change.key, "b", change.key_len);
        soft_table_undo(table, NULL, NULL);
    }
    soft_table_free(table);
}

// ---- single promises ---------------------------------------------------------------------------

static void churn_does_not_grow_the_table(void **state) {
    (void)state;
    struct soft_table *table = soft_table_new();
    size_t early = 0;
    for (uint32_t i = 0; i < 200000; i++) {
        (void)soft_table_put(table, &i, sizeof(i), 64);
        if (i >= 100) {
            uint32_t old = i - 100;
            soft_table_remove(table, &old, sizeof(old));
        }
        soft_table_commit(table);
        if (i == 10000)
            early = soft_table_bytes(table);
    }
    assert_int_equal(soft_table_count(table), 100);
    assert_true(soft_table_bytes(table) < 2 * early);
    soft_table_free(table);
}

// Growing the index in the middle of a transaction must not lose what the transaction removed.
static void an_undo_survives_growth(void **state) {
    (void)state;
    struct soft_table *table = soft_table_new();
    for (uint32_t i = 0; i < 100; i++)
        *(uint32_t *)soft_table_put(table, &i, sizeof(i), sizeof(i)) = i * 7;
    soft_table_commit(table);
    for (uint32_t i = 0; i < 100; i += 2)
        soft_table_remove(table, &i, sizeof(i));
    for (uint32_t i = 1000; i < 50000; i++)
        *(uint32_t *)soft_table_put(table, &i, sizeof(i), sizeof(i)) = i;
    soft_table_undo(table, NULL, NULL);
    assert_int_equal(soft_table_count(table), 100);
    for (uint32_t i = 0; i < 100; i++) {
        const uint32_t *block = soft_table_get(table, &i, sizeof(i), NULL);
        assert_non_null(block);
        assert_int_equal(*block, i * 7);
    }
    soft_table_free(table);
}

// Memory held is given back: what was put and undone again and again costs nothing.
static void undone_entries_do_not_pile_up(void **state) {
    (void)state;
    struct soft_table *table = soft_table_new();
    size_t early = 0;
    for (uint32_t i = 0; i < 100000; i++) {
        (void)soft_table_put(table, &i, sizeof(i), 64);
        soft_table_undo(table, NULL, NULL);
        if (i == 10000)
            early = soft_table_bytes(table);
    }
    assert_int_equal(soft_table_count(table), 0);
    assert_true(soft_table_bytes(table) < 2 * early);
    soft_table_free(table);
}

static void count_entry(void *opaque, const void *key, size_t key_len, const void *block,
                        size_t size) {
    assert_int_equal(key_len, sizeof(uint32_t));
    assert_int_equal(size, 8);
    assert_memory_equal(key, block, sizeof(uint32_t));
    ++*(size_t *)opaque;
}

static void each_visits_the_living(void **state) {
    (void)state;
    struct soft_table *table = soft_table_new();
    for (uint32_t i = 0; i < 3000; i++)
        memcpy(soft_table_put(table, &i, sizeof(i), 8), &i, sizeof(i));
    for (uint32_t i = 0; i < 3000; i += 3)
        soft_table_remove(table, &i, sizeof(i));
    size_t count = 0;
    soft_table_each(table, count_entry, &count);
    assert_int_equal(count, 2000);
    soft_table_free(table);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_history_reads_back_and_undoes_exactly),
        cmocka_unit_test(passes_store_what_has_changed),
        cmocka_unit_test(what_came_and_went_between_passes_is_not_stored),
        cmocka_unit_test(churn_does_not_grow_the_table),
        cmocka_unit_test(an_undo_survives_growth),
        cmocka_unit_test(undone_entries_do_not_pile_up),
        cmocka_unit_test(each_visits_the_living),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
