// SPDX-License-Identifier: Apache-2.0
#include "story.h"

#include <stdlib.h>
#include <string.h>

static const char *const role_names[ROLES] = {"order", "inventory", "payment", "shipping"};

struct line {
    const struct record *record;
    const char *topic;
    enum role role;
    uint32_t partition;
    uint32_t offset;
};

// ---- one record --------------------------------------------------------------------------------

static void tell_id(FILE *out, const char *name, const struct id *id) {
    if (!id_is_nil(id))
        (void)fprintf(out, " %s=%.8s", name, id_text(id).text + 28);
}

static void tell_array(FILE *out, const struct field_type *field, const char *record) {
    uint32_t count;
    memcpy(&count, record + field->aux_offset, sizeof(count));
    if (field->kind != FIELD_RECORD || count == 0)
        return;
    const char *items;
    memcpy(&items, record + field->offset, sizeof(items));
    (void)fprintf(out, " %s=", field->name);
    for (uint32_t i = 0; i < count; i++) {
        // Lines, reservations and shortages begin alike: what, then how much of it.
        const struct reserved_line *line = (const void *)(items + i * field->record->struct_size);
        (void)fprintf(out, "%s%.*s", i ? "," : "", (int)line->sku.len, line->sku.ptr);
        if (field->record->fields[1].kind == FIELD_LONG)
            (void)fprintf(out, ":%lld", (long long)line->quantity);
    }
}

static void tell_field(FILE *out, const struct field_type *field, const char *record) {
    const char *at = record + field->offset;
    if (field->is_array) {
        tell_array(out, field, record);
        return;
    }
    switch (field->kind) {
    case FIELD_INT:
        (void)fprintf(out, " %s=%d", field->name, *(const int32_t *)at);
        return;
    case FIELD_LONG:
        (void)fprintf(out, " %s=%lld", field->name, (long long)*(const int64_t *)at);
        return;
    case FIELD_ENUM:
        (void)fprintf(out, " %s=%s", field->name, field->symbols[*(const int *)at]);
        return;
    case FIELD_STRING: {
        const struct view *text = (const void *)at;
        if (text->len && strcmp(field->name, "shop_id") != 0 &&
            strcmp(field->name, "idempotency_key") != 0)
            (void)fprintf(out, " %s=%.*s", field->name, (int)text->len, text->ptr);
        return;
    }
    case FIELD_UUID:
        if (strstr("message_id event_id causation_id command_id key_id payment_id", field->name))
            tell_id(out, field->name, (const void *)at);
        return;
    default:
        return;
    }
}

static void tell_record(FILE *out, const struct world *world, const struct line *line) {
    static const char *const states[] = {" OPEN", "", " ABORTED"};
    const struct record *record = line->record;
    const struct record_type *type = record_types[record->type];
    (void)fprintf(out, "%6llu %+9.3f s  %s.%s %u:%u", (unsigned long long)record->serial,
                  (double)(record->at_us - world->plans_begin_us) / 1e6, role_names[line->role],
                  line->topic, line->partition, line->offset);
    if (record->txn)
        (void)fprintf(out, " t%llu%s", (unsigned long long)record->txn->number,
                      states[record->txn->state]);
    (void)fprintf(out, "%s\n       %s", record->copy ? " COPY" : "", type->name);
    for (size_t i = 0; i < type->fields_count; i++)
        tell_field(out, &type->fields[i], record->body);
    (void)fputc('\n', out);
}

// ---- all of them -------------------------------------------------------------------------------

static bool concerns(const struct world *world, const struct record *record) {
    const struct sim_outcome *outcome = world->outcome;
    if (outcome->order != NOBODY)
        return record->order == outcome->order ||
               (record->order == NOBODY && record->sku != NOBODY && record->sku == outcome->sku);
    return outcome->sku == NOBODY || record->sku == outcome->sku;
}

static uint32_t collect(const struct world *world, struct line *lines, uint32_t max) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < 2 * ROLES * world->partitions_count; i++) {
        enum role role = (enum role)(i / 2 / world->partitions_count);
        uint32_t p = i / 2 % world->partitions_count;
        const struct topic *topic = i % 2 ? &world->events[role][p] : &world->inbox[role][p];
        for (uint32_t at = 0; at < topic->count && count < max; at++)
            if (concerns(world, &topic->records[at]))
                lines[count++] = (struct line){
                    .record = &topic->records[at],
                    .topic = i % 2 ? "events" : "inbox",
                    .role = role,
                    .partition = p,
                    .offset = at,
                };
    }
    return count;
}

static int compare(const void *a, const void *b) {
    const struct line *left = a;
    const struct line *right = b;
    return left->record->serial < right->record->serial ? -1 : 1;
}

void story_tell(struct world *world) {
    enum { LINES_MAX = 1000 };
    static struct line lines[LINES_MAX];
    FILE *out = world->request->tell;
    const struct sim_outcome *outcome = world->outcome;
    uint32_t count = collect(world, lines, LINES_MAX);
    qsort(lines, count, sizeof(*lines), compare);
    if (outcome->order != NOBODY)
        (void)fprintf(out, "order %d", outcome->order);
    if (outcome->sku != NOBODY)
        (void)fprintf(out, "%sSKU S%d", outcome->order != NOBODY ? ", " : "", outcome->sku);
    (void)fprintf(out, "\n");
    for (uint32_t i = 0; i < count; i++)
        tell_record(out, world, &lines[i]);
    (void)fprintf(out, "BROKEN at %llu: %s\n", (unsigned long long)world->serial, outcome->failure);
}

void story_trouble(const struct world *world, enum trouble_kind kind, uint32_t number) {
    (void)fprintf(
        world->request->tell, "%6llu %+9.3f s  trouble %u: %s\n", (unsigned long long)world->serial,
        (double)(world->now_us - world->plans_begin_us) / 1e6, number, trouble_names[kind]);
}
