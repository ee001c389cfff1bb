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
    bool changed[KEYS]; // put, edited or removed since the last commit
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

static void put(struct soft_table *table, struct model *model, uint32_t number) {
    char key[32];
    size_t key_len = key_of(number, key), size = 1 + draw(BLOCK_MAX);
    struct model_entry *entry = &model->now[number];
    uint8_t *block = soft_table_put(table, key, key_len, size);
    assert_int_equal((uintptr_t)block % 16, 0);
    if (size > entry->size)
        memset(entry->block + entry->size, 0, size - entry->size);
    entry->size = size;
    assert_memory_equal(block, entry->block, size);
    block[draw((uint32_t)size)] = (uint8_t)draw(256);
    memcpy(entry->block, block, size);
    model->changed[number] = true;
}

static void edit(struct soft_table *table, struct model *model, uint32_t number) {
    char key[32];
    size_t key_len = key_of(number, key);
    struct model_entry *entry = &model->now[number];
    uint8_t *block = soft_table_edit(table, key, key_len);
    assert_int_equal(block != NULL, entry->size != 0);
    if (!block)
        return;
    size_t at = draw((uint32_t)entry->size);
    block[at] = entry->block[at] = (uint8_t)draw(256);
    model->changed[number] = true;
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

static void visit(void *opaque, const void *key, size_t key_len, void *block) {
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
    assert_true(visits->model->committed[number].size > 0);
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
        default:
            switch (draw(3)) {
            case 0:
                put(table, &model, number);
                break;
            case 1:
                edit(table, &model, number);
                break;
            case 2:
                remove_key(table, &model, number);
                break;
            }
        }
    }
    compare(table, &model);
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

static void count_entry(void *opaque, const void *key, size_t key_len, void *block, size_t size) {
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
        cmocka_unit_test(churn_does_not_grow_the_table),
        cmocka_unit_test(an_undo_survives_growth),
        cmocka_unit_test(undone_entries_do_not_pile_up),
        cmocka_unit_test(each_visits_the_living),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
