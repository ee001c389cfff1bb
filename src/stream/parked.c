// SPDX-License-Identifier: Apache-2.0
//
// A map from key to its letters, sorted by place. A journal of what was added and settled since the
// last commit is read backwards to undo it. Keys and letters are few, if all is well: searching a
// key's letters one by one is no matter.
#include "stream/parked.h"

#include "service/strmap.h"
#include "stream/topics.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct letters {
    struct parked_letter **items; // owned, in order
    size_t count;
    size_t capacity;
    struct letters *previous; // of all keys, in no order
    struct letters *next;
};

struct change {
    bool settled; // else added
    char key[TOPIC_KEY_MAX];
    size_t key_len;
    struct parked_letter *letter; // owned once it is settled
};

struct called {
    struct parked_letter *letter; // borrowed
    char key[TOPIC_KEY_MAX];
    size_t key_len;
};

struct parked {
    struct strmap keys; // struct letters
    struct letters *all;
    size_t letters_max;
    size_t bytes_max;
    size_t count;
    size_t bytes;
    uint64_t serial;
    uint64_t freed;
    struct change *journal; // owned
    size_t journal_count;
    size_t journal_capacity;
    struct called *called; // owned
    size_t called_count;
    size_t called_capacity;
};

static void *must(void *memory) {
    assert(memory && "out of memory for parked letters");
    return memory;
}

// Room for one more item.
static void *room(void *items, size_t count, size_t *capacity, size_t size) {
    if (count < *capacity)
        return items;
    *capacity = *capacity ? *capacity * 2 : 16;
    return must(realloc(items, *capacity * size));
}

struct parked *parked_new(size_t letters_max, size_t bytes_max) {
    struct parked *parked = must(calloc(1, sizeof(*parked)));
    parked->letters_max = letters_max;
    parked->bytes_max = bytes_max;
    strmap_init(&parked->keys, sizeof(struct letters));
    return parked;
}

size_t parked_count(const struct parked *parked) {
    return parked->count;
}

size_t parked_keys(const struct parked *parked) {
    return parked->keys.count;
}

size_t parked_bytes(const struct parked *parked) {
    return parked->bytes;
}

bool parked_is_full(const struct parked *parked) {
    return parked->count >= parked->letters_max || parked->bytes >= parked->bytes_max;
}

uint64_t parked_freed(const struct parked *parked) {
    return parked->freed;
}

static size_t size_of(const struct parked_letter *letter) {
    return sizeof(*letter) + letter->key.len + letter->value.len;
}

// The place of the first letter that is not before `at`.
static size_t place_of(const struct letters *letters, struct parked_at at) {
    size_t place = letters->count;
    while (place > 0 && !parked_at_is_before(letters->items[place - 1]->at, at))
        place--;
    return place;
}

static struct letters *letters_of(const struct parked *parked, const void *key, size_t key_len) {
    return parked->count ? strmap_find(&parked->keys, key, key_len) : NULL;
}

bool parked_has(const struct parked *parked, const void *key, size_t key_len) {
    return letters_of(parked, key, key_len) != NULL;
}

struct parked_letter *parked_first(const struct parked *parked, const void *key, size_t key_len) {
    const struct letters *letters = letters_of(parked, key, key_len);
    for (size_t i = 0; letters && i < letters->count; i++)
        if (!letters->items[i]->called)
            return letters->items[i];
    return NULL;
}

bool parked_holds(const struct parked *parked, const void *key, size_t key_len,
                  struct parked_at at) {
    const struct parked_letter *first = parked_first(parked, key, key_len);
    return first && parked_at_is_before(first->at, at);
}

struct parked_letter *parked_find(const struct parked *parked, const void *key, size_t key_len,
                                  struct parked_at at) {
    const struct letters *letters = letters_of(parked, key, key_len);
    size_t place = letters ? place_of(letters, at) : 0;
    if (!letters || place == letters->count || parked_at_is_before(at, letters->items[place]->at))
        return NULL;
    return letters->items[place];
}

const struct parked_letter *parked_last(const struct parked *parked) {
    const struct parked_letter *last = NULL;
    for (const struct letters *letters = parked->all; letters; letters = letters->next) {
        const struct parked_letter *its_last = letters->items[letters->count - 1];
        if (!last || parked_at_is_before(last->at, its_last->at))
            last = its_last;
    }
    return last;
}

static void insert(struct parked *parked, const void *key, size_t key_len,
                   struct parked_letter *letter) {
    struct letters *letters = must(strmap_put(&parked->keys, key, key_len));
    if (letters->count == 0) {
        letters->next = parked->all;
        if (parked->all)
            parked->all->previous = letters;
        parked->all = letters;
    }
    size_t place = place_of(letters, letter->at);
    letters->items =
        room(letters->items, letters->count, &letters->capacity, sizeof(letters->items[0]));
    memmove(letters->items + place + 1, letters->items + place,
            (letters->count - place) * sizeof(letters->items[0]));
    letters->items[place] = letter;
    letters->count++;
    parked->count++;
    parked->bytes += size_of(letter);
}

// The letter itself stays.
static void take_out(struct parked *parked, const void *key, size_t key_len,
                     struct parked_letter *letter) {
    struct letters *letters = letters_of(parked, key, key_len);
    assert(letters && parked_find(parked, key, key_len, letter->at) == letter);
    size_t place = place_of(letters, letter->at);
    letters->count--;
    memmove(letters->items + place, letters->items + place + 1,
            (letters->count - place) * sizeof(letters->items[0]));
    parked->count--;
    parked->bytes -= size_of(letter);
    if (letters->count > 0)
        return;
    if (letters->previous)
        letters->previous->next = letters->next;
    else
        parked->all = letters->next;
    if (letters->next)
        letters->next->previous = letters->previous;
    free(letters->items);
    (void)strmap_remove(&parked->keys, key, key_len);
    parked->freed++;
}

static void note(struct parked *parked, bool settled, const void *key, size_t key_len,
                 struct parked_letter *letter) {
    assert(key_len <= TOPIC_KEY_MAX);
    parked->journal = room(parked->journal, parked->journal_count, &parked->journal_capacity,
                           sizeof(parked->journal[0]));
    struct change *change = &parked->journal[parked->journal_count++];
    *change = (struct change){.settled = settled, .key_len = key_len, .letter = letter};
    memcpy(change->key, key, key_len);
}

static struct view copy_view(struct view from, uint8_t **at) {
    struct view to = {.ptr = from.ptr ? (const char *)*at : NULL, .len = from.len};
    if (from.len > 0)
        memcpy(*at, from.ptr, from.len);
    *at += from.len;
    return to;
}

void parked_add(struct parked *parked, const void *key, size_t key_len,
                const struct parked_letter *letter) {
    if (parked_find(parked, key, key_len, letter->at))
        return;
    struct parked_letter *copy = must(malloc(size_of(letter)));
    uint8_t *at = (uint8_t *)(copy + 1);
    *copy = (struct parked_letter){
        .at = letter->at, .serial = ++parked->serial, .trace = letter->trace};
    copy->key = copy_view(letter->key, &at);
    copy->value = copy_view(letter->value, &at);
    insert(parked, key, key_len, copy);
    note(parked, false, key, key_len, copy);
}

void parked_call(struct parked *parked, const void *key, size_t key_len,
                 struct parked_letter *letter, uint64_t retry, const struct id *retry_id) {
    assert(!letter->called && key_len <= TOPIC_KEY_MAX);
    letter->called = true;
    letter->retry = retry;
    letter->retry_id = *retry_id;
    parked->called = room(parked->called, parked->called_count, &parked->called_capacity,
                          sizeof(parked->called[0]));
    struct called *called = &parked->called[parked->called_count++];
    *called = (struct called){.letter = letter, .key_len = key_len};
    memcpy(called->key, key, key_len);
}

struct parked_letter *parked_called(const struct parked *parked, uint64_t serial,
                                    struct view *ret_key) {
    for (size_t i = 0; i < parked->called_count; i++) {
        const struct called *called = &parked->called[i];
        if (called->letter->serial != serial)
            continue;
        *ret_key = (struct view){.ptr = called->key, .len = (uint32_t)called->key_len};
        return called->letter;
    }
    return NULL;
}

bool parked_is_calling(const struct parked *parked, uint64_t retry) {
    for (size_t i = 0; i < parked->called_count; i++)
        if (parked->called[i].letter->retry == retry)
            return true;
    return false;
}

void parked_settle(struct parked *parked, const void *key, size_t key_len,
                   struct parked_letter *letter) {
    take_out(parked, key, key_len, letter);
    note(parked, true, key, key_len, letter);
    // Last: the key may be the one kept here.
    for (size_t i = 0; i < parked->called_count; i++)
        if (parked->called[i].letter == letter) {
            parked->called[i] = parked->called[--parked->called_count];
            break;
        }
}

void parked_commit(struct parked *parked) {
    for (size_t i = 0; i < parked->journal_count; i++)
        if (parked->journal[i].settled)
            free(parked->journal[i].letter);
    parked->journal_count = 0;
}

void parked_undo(struct parked *parked) {
    for (size_t i = 0; i < parked->called_count; i++)
        parked->called[i].letter->called = false;
    parked->called_count = 0;
    while (parked->journal_count > 0) {
        struct change *change = &parked->journal[--parked->journal_count];
        if (change->settled) {
            change->letter->called = false;
            insert(parked, change->key, change->key_len, change->letter);
        } else {
            take_out(parked, change->key, change->key_len, change->letter);
            free(change->letter);
        }
    }
}

void parked_free(struct parked *parked) {
    if (!parked)
        return;
    parked_commit(parked);
    for (struct letters *letters = parked->all; letters; letters = letters->next) {
        for (size_t i = 0; i < letters->count; i++)
            free(letters->items[i]);
        free(letters->items);
    }
    strmap_done(&parked->keys);
    free(parked->journal);
    free(parked->called);
    free(parked);
}
