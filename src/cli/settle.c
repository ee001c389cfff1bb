// SPDX-License-Identifier: Apache-2.0
#include "cli/settle.h"

#include "cli/tool_producer.h"
#include "event/message.h"
#include "service/clock.h"
#include "service/service.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum { FOLLOW_MS = 100, PLACES_MAX = 1000 };

// All parked letters of one key, first to last in the list.
struct group {
    enum domain domain;
    char *key;       // owned
    size_t *members; // owned: indices of letters
    size_t count;
    size_t capacity;
    bool chosen;
    struct id command_id;
};

struct groups {
    struct strmap places; // domain and key -> index
    struct group *items;  // owned
    size_t count;
    size_t capacity;
};

struct settling {
    struct letters *letters;
    const bool *chosen;
    enum settle_how how;
    struct groups groups;
};

static bool out_of_memory(struct error *err) {
    return error_set(err, DISP_FATAL, 0, "out of memory, or of random numbers");
}

static bool random_id(struct id *ret) {
    if (getrandom(ret, sizeof(*ret), 0) != (ssize_t)sizeof(*ret))
        return false;
    ret->bytes[6] = (uint8_t)((ret->bytes[6] & 0x0f) | 0x40);
    ret->bytes[8] = (uint8_t)((ret->bytes[8] & 0x3f) | 0x80);
    return true;
}

static struct group *group_of(struct groups *groups, const struct letter *letter) {
    char name[1 + TOPIC_KEY_MAX];
    const size_t len = strlen(letter->key);
    if (len > TOPIC_KEY_MAX)
        return NULL;
    name[0] = (char)letter->domain;
    memcpy(name + 1, letter->key, len);
    size_t *at = strmap_find(&groups->places, name, len + 1);
    if (at)
        return &groups->items[*at];
    if (groups->count == groups->capacity) {
        size_t capacity = groups->capacity ? groups->capacity * 2 : 16;
        struct group *items = realloc(groups->items, capacity * sizeof(*items));
        if (!items)
            return NULL;
        groups->items = items;
        groups->capacity = capacity;
    }
    struct group group = {.domain = letter->domain, .key = strdup(letter->key)};
    at = group.key ? strmap_put(&groups->places, name, len + 1) : NULL;
    if (!at || !random_id(&group.command_id)) {
        free(group.key);
        return NULL;
    }
    *at = groups->count++;
    groups->items[*at] = group;
    return &groups->items[*at];
}

static bool group_add(struct group *group, size_t letter) {
    if (group->count == group->capacity) {
        size_t capacity = group->capacity ? group->capacity * 2 : 4;
        size_t *members = realloc(group->members, capacity * sizeof(*members));
        if (!members)
            return false;
        group->members = members;
        group->capacity = capacity;
    }
    group->members[group->count++] = letter;
    return true;
}

// A retry takes all that a key has, a drop what was chosen.
static bool gather(struct settling *settling, struct error *err) {
    const struct letters *letters = settling->letters;
    for (size_t i = 0; i < letters->count; i++) {
        const struct letter *letter = &letters->items[i];
        if (letter->state != LETTER_PARKED ||
            (settling->how == SETTLE_DROP && !settling->chosen[i]))
            continue;
        struct group *group = group_of(&settling->groups, letter);
        if (!group || !group_add(group, i))
            return out_of_memory(err);
        group->chosen = group->chosen || settling->chosen[i];
    }
    return true;
}

static bool send_one(const struct settling *settling, const struct group *group,
                     struct tool_producer *producer, enum record_id type, const void *body,
                     struct error *err) {
    const enum topic_id inbox = domains[group->domain].inbox;
    const size_t size = message_size_max(record_types[type], body);
    uint8_t *bytes = malloc(size);
    const uint8_t *end =
        bytes ? message_encode(schema_ids_of(settling->letters->schemas.ids, inbox, type),
                               record_types[type], body, bytes, bytes + size)
              : NULL;
    bool ok = end ? tool_producer_send(producer, inbox, type, group->key, strlen(group->key), bytes,
                                       (size_t)(end - bytes), err)
                  : out_of_memory(err);
    free(bytes);
    return ok;
}

static bool send_drop(const struct settling *settling, const struct group *group,
                      struct tool_producer *producer, const struct drop_parked *asked,
                      struct error *err) {
    struct parked_place places[PLACES_MAX];
    for (size_t i = 0; i < group->count;) {
        struct drop_parked drop = *asked;
        drop.letters = places;
        for (; i < group->count && drop.letters_count < PLACES_MAX; i++) {
            const struct letter *letter = &settling->letters->items[group->members[i]];
            places[drop.letters_count++] =
                (struct parked_place){.offset = letter->offset, .index = letter->index};
        }
        if (!send_one(settling, group, producer, RECORD_DROP_PARKED, &drop, err))
            return false;
    }
    return true;
}

static bool send_all(const struct settling *settling, struct tool_producer *producer,
                     struct error *err) {
    for (size_t i = 0; i < settling->groups.count; i++) {
        const struct group *group = &settling->groups.items[i];
        if (!group->chosen)
            continue;
        const struct view key = {.ptr = group->key, .len = (uint32_t)strlen(group->key)};
        const struct drop_parked drop = {
            .command_id = group->command_id, .parked_key = key, .asked_at = clock_now_us()};
        const struct retry_parked retry = {
            .command_id = group->command_id, .parked_key = key, .asked_at = clock_now_us()};
        if (settling->how == SETTLE_RETRY
                ? !send_one(settling, group, producer, RECORD_RETRY_PARKED, &retry, err)
                : !send_drop(settling, group, producer, &drop, err))
            return false;
    }
    return tool_producer_flush(producer, err);
}

static void count_group(const struct settling *settling, const struct group *group,
                        struct settle_outcome *ret) {
    bool failed = false;
    ret->keys++;
    ret->asked += group->count;
    for (size_t i = 0; i < group->count; i++) {
        const struct letter *letter = &settling->letters->items[group->members[i]];
        if (letter->state != LETTER_PARKED) {
            ret->settled++;
        } else if (failed) {
            ret->waiting++;
        } else if (id_equal(&letter->retry_id, &group->command_id)) {
            failed = true;
            ret->failed_again++;
        } else {
            ret->unknown++;
        }
    }
}

static void count_all(const struct settling *settling, struct settle_outcome *ret) {
    *ret = (struct settle_outcome){0};
    for (size_t i = 0; i < settling->groups.count; i++)
        if (settling->groups.items[i].chosen)
            count_group(settling, &settling->groups.items[i], ret);
}

static bool carry_out(const struct config *config, const struct settling *settling, int64_t wait_ms,
                      struct settle_outcome *ret, struct error *err) {
    struct tool_producer *producer = tool_producer_open(config, err);
    bool ok = producer && send_all(settling, producer, err);
    tool_producer_close(producer);
    const int64_t until_ms = clock_monotonic_ms() + wait_ms;
    while (ok && ret->unknown > 0 && clock_monotonic_ms() < until_ms && !service_stopping()) {
        ok = letters_follow(settling->letters, FOLLOW_MS, err);
        count_all(settling, ret);
    }
    return ok;
}

bool settle_letters(const struct config *config, struct letters *letters, const bool *chosen,
                    enum settle_how how, bool dry_run, int64_t wait_ms, struct settle_outcome *ret,
                    struct error *err) {
    struct settling settling = {.letters = letters, .chosen = chosen, .how = how};
    strmap_init(&settling.groups.places, sizeof(size_t));
    bool ok = gather(&settling, err);
    count_all(&settling, ret);
    if (ok && ret->asked > 0 && !dry_run)
        ok = carry_out(config, &settling, wait_ms, ret, err);
    for (size_t i = 0; i < settling.groups.count; i++) {
        free(settling.groups.items[i].members);
        free(settling.groups.items[i].key);
    }
    free(settling.groups.items);
    strmap_done(&settling.groups.places);
    return ok;
}
