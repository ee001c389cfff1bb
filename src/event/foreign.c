// SPDX-License-Identifier: Apache-2.0
//
// A ring of the last FOREIGN_MAX unknown ids. Garbage on a topic can name any number of ids, so
// what it may cost is bounded three ways: entries, look-ups per second, and no look-up at all for
// a while after the registry failed to answer.
#include "foreign.h"

#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "service/log.h"

enum {
    FOREIGN_MAX = 1024,
    LOOKUPS_PER_SECOND = 20,
    RETRY_AFTER_MS = 10 * 1000,
    KEPT_BYTES_MAX = 64 << 10, // of a schema that cannot be read: a registry answers with megabytes
};

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

static bool is_called(const struct record_type *type, const char *full_name) {
    if (strcmp(type->full_name, full_name) == 0)
        return true;
    json_t *ours = json_loadb(type->schema, type->schema_len, 0, NULL);
    const json_t *aliases = json_object_get(ours, "aliases");
    bool found = false;
    for (size_t i = 0; !found && i < json_array_size(aliases); i++) {
        const char *alias = json_string_value(json_array_get(aliases, i));
        found = alias && (strcmp(alias, full_name) == 0 ||
                          (!strchr(alias, '.') && strncmp(full_name, "orderlog.", 9) == 0 &&
                           strcmp(alias, full_name + 9) == 0));
    }
    json_decref(ours);
    return found;
}

static void read_full_name(const char *text, char *out, size_t size) {
    json_t *schema = json_loads(text, 0, NULL);
    const char *space = json_string_value(json_object_get(schema, "namespace"));
    const char *name = json_string_value(json_object_get(schema, "name"));
    bool whole = !space || !space[0] || !name || strchr(name, '.');
    (void)snprintf(out, size, "%.100s%s%.100s", whole ? "" : space, whole ? "" : ".",
                   name ? name : "a schema without a name");
    json_decref(schema);
}

// Another version of one of ours, made readable. False: err says what it is, or why it cannot be
// read.
static bool is_readable(int32_t id, const char *text, enum record_id *ret_record,
                        struct resolution **ret_resolution, struct error *err) {
    char name[256];
    read_full_name(text, name, sizeof(name));
    for (int i = 0; i < RECORD_COUNT; i++) {
        const struct record_type *type = record_types[i];
        if (!is_called(type, name))
            continue;
        *ret_record = (enum record_id)i;
        *ret_resolution = resolution_new(text, strlen(text), type->schema, type->schema_len, err);
        return *ret_resolution || error_wrap(err,
                                             "schema id %d is a version of %s that cannot "
                                             "be read",
                                             id, name);
    }
    return error_set(err, DISP_POISON, 0,
                     "schema id %d is %s in the registry, a record that this program does not know",
                     id, name);
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

// A full table only means that the next message asks again.
static bool keep(struct foreign *foreign, int32_t id, char *text_take, foreign_add *add,
                 void *context, struct error *err) {
    enum record_id record = RECORD_COUNT;
    struct resolution *resolution = NULL;
    struct error why = {0};
    if (is_ours(text_take, &record) || is_readable(id, text_take, &record, &resolution, &why)) {
        free(text_take);
        if (resolution)
            LOG(INFO, "messages in another version of a schema: they are read by its rules",
                F_STR("record", record_types[record]->full_name), F_INT("schema_id", id));
        return add(context, id, record, resolution) ||
               error_set(err, DISP_POISON, 0, "schema id %d is one too many versions", id);
    }
    struct entry *entry = entry_take(foreign, id);
    entry->err = why;
    if (strlen(text_take) <= KEPT_BYTES_MAX) {
        entry->text = text_take;
    } else {
        free(text_take);
        entry->retry_after_ms = foreign->clock->monotonic_ms(foreign->clock) + RETRY_AFTER_MS;
    }
    if (err)
        *err = why;
    return false;
}

static bool ask(struct foreign *foreign, int32_t id, foreign_add *add, void *context,
                struct error *err) {
    int64_t now_ms = foreign->clock->monotonic_ms(foreign->clock);
    if (!may_ask(foreign, id, now_ms, err))
        return false;

    char *text = NULL;
    struct error why = {0};
    if (registry_get(foreign->registry, id, &text, &why))
        return keep(foreign, id, text, add, context, err);

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

bool foreign_resolve(struct foreign *foreign, int32_t id, foreign_add *add, void *context,
                     struct error *err) {
    (void)pthread_mutex_lock(&foreign->lock);
    const struct entry *entry = entry_find(foreign, id);
    bool is_answered = entry && (entry->text || foreign->clock->monotonic_ms(foreign->clock) <
                                                    entry->retry_after_ms);
    bool ok = false;
    if (!is_answered)
        ok = ask(foreign, id, add, context, err);
    else if (err)
        *err = entry->err;
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
