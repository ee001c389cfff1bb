// SPDX-License-Identifier: Apache-2.0
//
// A ring of the last FOREIGN_MAX unknown ids. Garbage on a topic can name any number of ids, so
// what it may cost is bounded three ways: entries, look-ups per second, and no look-up at all for
// a while after the registry failed to answer.
#include "foreign.h"

#include <jansson.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { FOREIGN_MAX = 1024, LOOKUPS_PER_SECOND = 20, RETRY_AFTER_MS = 10 * 1000 };

struct entry {
    bool is_used;
    int32_t id;
    char *text;             // NULL: the registry has no such schema
    int64_t retry_after_ms; // when text is NULL
    struct error err;       // what was answered
};

struct foreign {
    pthread_mutex_t lock;
    struct registry *registry; // may be NULL
    const struct clock *clock;
    struct entry entries[FOREIGN_MAX];
    size_t next; // the entry to overwrite
    int64_t second_began_ms;
    int lookups_in_second;
    int64_t down_until_ms;
    struct error down_err;
};

struct foreign *foreign_new(struct registry *registry, const struct clock *clock) {
    struct foreign *foreign = calloc(1, sizeof(*foreign));
    if (!foreign)
        return NULL;
    (void)pthread_mutex_init(&foreign->lock, NULL);
    foreign->registry = registry;
    foreign->clock = clock;
    int64_t now_ms = clock->monotonic_ms(clock);
    foreign->second_began_ms = now_ms;
    foreign->down_until_ms = now_ms;
    return foreign;
}

void foreign_free(struct foreign *foreign) {
    if (!foreign)
        return;
    for (size_t i = 0; i < FOREIGN_MAX; i++)
        free(foreign->entries[i].text);
    (void)pthread_mutex_destroy(&foreign->lock);
    free(foreign);
}

// Drops what does not change the bytes: two schemas that then are equal have one encoding.
static void strip(json_t *schema) {
    const char *key;
    json_t *value;
    size_t i;
    if (json_is_array(schema)) {
        json_array_foreach(schema, i, value) strip(value);
        return;
    }
    if (!json_is_object(schema))
        return;
    static const char *const dropped[] = {"doc", "default", "aliases"};
    for (i = 0; i < sizeof(dropped) / sizeof(dropped[0]); i++)
        (void)json_object_del(schema, dropped[i]);
    json_object_foreach(schema, key, value) strip(value);
}

static bool is_ours(const char *text, enum record_id *ret_record) {
    json_t *theirs = json_loads(text, 0, NULL);
    strip(theirs);
    bool found = false;
    for (int i = 0; theirs && !found && i < RECORD_COUNT; i++) {
        json_t *ours = json_loadb(record_types[i]->schema, record_types[i]->schema_len, 0, NULL);
        strip(ours);
        found = json_equal(ours, theirs);
        if (found)
            *ret_record = (enum record_id)i;
        json_decref(ours);
    }
    json_decref(theirs);
    return found;
}

static void describe(struct error *err, int32_t id, const char *text) {
    json_t *schema = json_loads(text, 0, NULL);
    const char *space = json_string_value(json_object_get(schema, "namespace"));
    const char *name = json_string_value(json_object_get(schema, "name"));
    error_set(err, DISP_POISON, 0,
              "schema id %d is %.100s%s%.100s in the registry, in a form that this program does "
              "not know",
              id, space ? space : "", space ? "." : "", name ? name : "a schema without a name");
    json_decref(schema);
}

static struct entry *entry_find(struct foreign *foreign, int32_t id) {
    for (size_t i = 0; i < FOREIGN_MAX; i++)
        if (foreign->entries[i].is_used && foreign->entries[i].id == id)
            return &foreign->entries[i];
    return NULL;
}

static struct entry *entry_take(struct foreign *foreign, int32_t id) {
    struct entry *entry = entry_find(foreign, id);
    if (!entry) {
        entry = &foreign->entries[foreign->next];
        foreign->next = (foreign->next + 1) % FOREIGN_MAX;
    }
    free(entry->text);
    *entry = (struct entry){.is_used = true, .id = id};
    return entry;
}

static bool may_ask(struct foreign *foreign, int32_t id, int64_t now_ms, struct error *err) {
    if (!foreign->registry)
        return error_set(err, DISP_POISON, 0, "schema id %d is unknown", id);
    if (now_ms < foreign->down_until_ms) {
        if (err)
            *err = foreign->down_err;
        return error_wrap(err, "schema id %d is unknown", id);
    }
    if (now_ms - foreign->second_began_ms >= 1000) {
        foreign->second_began_ms = now_ms;
        foreign->lookups_in_second = 0;
    }
    if (foreign->lookups_in_second == LOOKUPS_PER_SECOND)
        return error_set(err, DISP_POISON, 0,
                         "schema id %d is unknown, and was not looked up because %d unknown ids "
                         "were within a second",
                         id, LOOKUPS_PER_SECOND);
    foreign->lookups_in_second++;
    return true;
}

static bool ask(struct foreign *foreign, int32_t id, enum record_id *ret_record,
                struct error *err) {
    int64_t now_ms = foreign->clock->monotonic_ms(foreign->clock);
    if (!may_ask(foreign, id, now_ms, err))
        return false;

    char *text = NULL;
    struct error why = {0};
    if (registry_get(foreign->registry, id, &text, &why)) {
        if (is_ours(text, ret_record)) {
            free(text);
            return true;
        }
        struct entry *entry = entry_take(foreign, id);
        entry->text = text;
        describe(&entry->err, id, text);
        if (err)
            *err = entry->err;
        return false;
    }

    // For the message it is all the same: it cannot be read now, and the loop must go on.
    bool is_down = why.what == DISP_RETRY;
    why.what = DISP_POISON;
    now_ms = foreign->clock->monotonic_ms(foreign->clock);
    if (is_down) {
        foreign->down_until_ms = now_ms + RETRY_AFTER_MS;
        foreign->down_err = why;
    }
    if (err)
        *err = why;
    error_wrap(err, "schema id %d is unknown", id);
    if (!is_down) {
        struct entry *entry = entry_take(foreign, id);
        entry->retry_after_ms = now_ms + RETRY_AFTER_MS;
        entry->err = why;
        error_wrap(&entry->err, "schema id %d is unknown", id);
    }
    return false;
}

bool foreign_resolve(struct foreign *foreign, int32_t id,
                     bool (*add)(void *context, int32_t id, enum record_id record), void *context,
                     enum record_id *ret_record, struct error *err) {
    (void)pthread_mutex_lock(&foreign->lock);
    const struct entry *entry = entry_find(foreign, id);
    bool is_answered = entry && (entry->text || foreign->clock->monotonic_ms(foreign->clock) <
                                                    entry->retry_after_ms);
    bool ok = false;
    if (is_answered) {
        if (err)
            *err = entry->err;
    } else {
        ok = ask(foreign, id, ret_record, err);
    }
    // A full table only means that the next message asks again.
    if (ok)
        (void)add(context, id, *ret_record);
    (void)pthread_mutex_unlock(&foreign->lock);
    return ok;
}

char *foreign_text(struct foreign *foreign, int32_t id) {
    (void)pthread_mutex_lock(&foreign->lock);
    const struct entry *entry = entry_find(foreign, id);
    char *copy = entry && entry->text ? strdup(entry->text) : NULL;
    (void)pthread_mutex_unlock(&foreign->lock);
    return copy;
}
