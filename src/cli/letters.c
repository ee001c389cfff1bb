// SPDX-License-Identifier: Apache-2.0
#include "cli/letters.h"

#include "event/message.h"
#include "service/service.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ARENA_BYTES_MAX = 64 << 20, LETTERS_MAX = 10000000 };

const char *const letter_state_names[LETTER_STATES_COUNT] = {
    [LETTER_ASIDE] = "set aside",
    [LETTER_PARKED] = "parked",
    [LETTER_RETRIED] = "retried",
    [LETTER_DROPPED] = "dropped",
};

struct place {
    int64_t offset;
    int32_t domain;
    int32_t partition;
    int32_t index;
    int32_t unused; // zero: places are compared as bytes
};

static bool out_of_memory(struct error *err) {
    return error_set(err, DISP_FATAL, 0, "out of memory for dead letters");
}

// Keys of bad input are any bytes: what a terminal or JSON would not take becomes '?'.
static bool replace_text(char **text, struct view by) {
    char *copy = calloc(1, by.len + 1);
    if (!copy)
        return false;
    const bool valid = codec_text_is_valid(by.ptr, by.len);
    for (uint32_t i = 0; i < by.len; i++) {
        const unsigned char c = (unsigned char)by.ptr[i];
        copy[i] = c < 0x20 || c == 0x7f || (c >= 0x80 && !valid) ? '?' : (char)c;
    }
    free(*text);
    *text = copy;
    return true;
}

static struct letter *find_or_add(struct letters *letters, const struct place *place) {
    size_t *known = strmap_find(&letters->places, place, sizeof(*place));
    if (known)
        return &letters->items[*known];
    if (letters->count == LETTERS_MAX)
        return NULL;
    if (letters->count == letters->capacity) {
        size_t capacity = letters->capacity ? letters->capacity * 2 : 64;
        struct letter *items = realloc(letters->items, capacity * sizeof(*items));
        if (!items)
            return NULL;
        letters->items = items;
        letters->capacity = capacity;
    }
    size_t *at = strmap_put(&letters->places, place, sizeof(*place));
    if (!at)
        return NULL;
    *at = letters->count++;
    letters->items[*at] = (struct letter){.domain = (enum domain)place->domain,
                                          .partition = place->partition,
                                          .offset = place->offset,
                                          .index = place->index};
    return &letters->items[*at];
}

static bool take_letter(struct letters *letters, enum domain domain, const struct dead_letter *dead,
                        struct error *err) {
    const struct place place = {.offset = dead->offset,
                                .domain = (int32_t)domain,
                                .partition = dead->partition,
                                .index = dead->index};
    struct letter *letter = find_or_add(letters, &place);
    if (!letter || !replace_text(&letter->error, dead->error) ||
        !replace_text(&letter->key, dead->parked_key.ptr ? dead->parked_key : dead->key))
        return out_of_memory(err);
    letter->state = dead->parked_key.ptr ? LETTER_PARKED : LETTER_ASIDE;
    letter->failed_at_us = dead->failed_at;
    letter->settled_at_us = 0;
    letter->retry_id = dead->retry_id;
    letter->failures++;
    if (!letters->with_values || !dead->value.ptr || letter->value)
        return true;
    letter->value = malloc(dead->value.len + 1);
    if (!letter->value)
        return out_of_memory(err);
    memcpy(letter->value, dead->value.ptr, dead->value.len);
    letter->value_len = dead->value.len;
    return true;
}

static void take_settled(struct letters *letters, enum domain domain,
                         const struct dead_letter_settled *settled) {
    const struct place place = {.offset = settled->offset,
                                .domain = (int32_t)domain,
                                .partition = settled->partition,
                                .index = settled->index};
    const size_t *known = strmap_find(&letters->places, &place, sizeof(place));
    if (!known)
        return;
    struct letter *letter = &letters->items[*known];
    letter->state = settled->how == DEAD_LETTER_END_RETRIED ? LETTER_RETRIED : LETTER_DROPPED;
    letter->settled_at_us = settled->settled_at;
}

static bool take_record(struct letters *letters, enum domain domain,
                        const struct log_record *record, struct arena *arena, struct error *err) {
    struct message message;
    struct error why = {0};
    arena_reset(arena);
    if (!record->value || !message_decode(letters->schemas.ids, record->value, record->value_len,
                                          arena, &message, &why)) {
        (void)fprintf(stderr, "orderlog deadletters: %s[%d]:%lld is no dead letter: %s\n",
                      topics[domains[domain].deadletters].name, record->partition,
                      (long long)record->offset, why.msg);
        return true;
    }
    if (message.type == RECORD_DEAD_LETTER)
        return take_letter(letters, domain, message.body, err);
    if (message.type == RECORD_DEAD_LETTER_SETTLED)
        take_settled(letters, domain, message.body);
    return true;
}

// Until the end, or (following) until nothing has come for a while.
static bool read_on(struct letters *letters, int timeout_ms, struct error *err) {
    struct arena arena;
    arena_init(&arena, ARENA_BYTES_MAX);
    bool ok = true;
    for (int domain = 0; ok && domain < DOMAIN_COUNT; domain++) {
        enum log_reader_result result =
            letters->readers[domain] ? LOG_READER_RECORD : LOG_READER_END;
        while (ok && result == LOG_READER_RECORD && !service_stopping()) {
            struct log_record record;
            result = log_reader_next(letters->readers[domain], timeout_ms, &record, err);
            if (result == LOG_READER_RECORD)
                ok = take_record(letters, (enum domain)domain, &record, &arena, err);
        }
        ok = ok && result != LOG_READER_FAILED;
    }
    arena_done(&arena);
    return ok;
}

bool letters_follow(struct letters *letters, int timeout_ms, struct error *err) {
    return read_on(letters, timeout_ms, err);
}

static int compare(const void *a, const void *b) {
    const struct letter *x = a;
    const struct letter *y = b;
    if (x->domain != y->domain)
        return x->domain < y->domain ? -1 : 1;
    if (x->partition != y->partition)
        return x->partition < y->partition ? -1 : 1;
    if (x->offset != y->offset)
        return x->offset < y->offset ? -1 : 1;
    return (x->index > y->index) - (x->index < y->index);
}

static void sort(struct letters *letters) {
    if (letters->count > 0)
        qsort(letters->items, letters->count, sizeof(letters->items[0]), compare);
    for (size_t i = 0; i < letters->count; i++) {
        const struct letter *letter = &letters->items[i];
        const struct place place = {.offset = letter->offset,
                                    .domain = (int32_t)letter->domain,
                                    .partition = letter->partition,
                                    .index = letter->index};
        *(size_t *)strmap_find(&letters->places, &place, sizeof(place)) = i;
    }
}

bool letters_open(const struct config *config, int domain, bool with_values, struct letters *ret,
                  struct error *err) {
    enum topic_id wanted[2 * DOMAIN_COUNT];
    size_t count = 0;
    *ret = (struct letters){.with_values = with_values};
    strmap_init(&ret->places, sizeof(size_t));
    for (int d = 0; d < DOMAIN_COUNT; d++) {
        if (domain != DOMAIN_COUNT && domain != d)
            continue;
        wanted[count++] = domains[d].inbox;
        wanted[count++] = domains[d].deadletters;
    }
    bool ok = tool_schemas_open(config, wanted, count, &ret->schemas, err);
    for (int d = 0; ok && d < DOMAIN_COUNT; d++)
        if (domain == DOMAIN_COUNT || domain == d)
            ok = (ret->readers[d] =
                      log_reader_open(config, domains[d].deadletters, LOG_READER_ALL, err));
    ok = ok && read_on(ret, 0, err);
    if (ok)
        sort(ret);
    else
        letters_close(ret);
    return ok;
}

void letters_close(struct letters *letters) {
    for (size_t i = 0; i < letters->count; i++) {
        free(letters->items[i].key);
        free(letters->items[i].error);
        free(letters->items[i].value);
    }
    free(letters->items);
    strmap_done(&letters->places);
    for (int domain = 0; domain < DOMAIN_COUNT; domain++)
        log_reader_close(letters->readers[domain]);
    tool_schemas_close(&letters->schemas);
    *letters = (struct letters){0};
}

bool letters_match(const struct letters_filter *filter, const struct letter *letter) {
    bool waits = letter->state == LETTER_ASIDE || letter->state == LETTER_PARKED;
    return (filter->settled || waits) &&
           (filter->domain == DOMAIN_COUNT || filter->domain == (int)letter->domain) &&
           (!filter->key || strcmp(filter->key, letter->key) == 0) &&
           (!filter->error || strstr(letter->error, filter->error)) &&
           letter->failed_at_us >= filter->since_us && letter->failed_at_us < filter->until_us;
}
