// SPDX-License-Identifier: Apache-2.0
#include "lanes.h"

#include <stdlib.h>
#include <string.h>

bool lanes_init(struct lanes *lanes, uint32_t max) {
    uint32_t buckets = 1;
    while (buckets < max)
        buckets *= 2;
    *lanes = (struct lanes){
        .places = calloc(max, sizeof(*lanes->places)),
        .buckets = calloc(buckets, sizeof(*lanes->buckets)),
        .buckets_count = buckets,
    };
    if (!lanes->places || !lanes->buckets)
        return false;
    for (uint32_t i = 0; i < buckets; i++)
        lanes->buckets[i] = LANES_NONE;
    return true;
}

void lanes_done(struct lanes *lanes) {
    free(lanes->places);
    free(lanes->buckets);
    *lanes = (struct lanes){0};
}

static uint32_t *bucket_of(const struct lanes *lanes, const struct id *id) {
    uint64_t hash;
    memcpy(&hash, id->bytes + 8, sizeof(hash));
    hash *= UINT64_C(0x9e3779b97f4a7c15);
    return &lanes->buckets[(hash >> 32) & (lanes->buckets_count - 1)];
}

static void become_head(struct lanes *lanes, uint32_t place, uint32_t last) {
    struct lane_place *head = &lanes->places[place];
    uint32_t *bucket = bucket_of(lanes, &head->id);
    head->last = last;
    head->chain = *bucket;
    *bucket = place;
}

bool lanes_join(struct lanes *lanes, uint32_t place, const struct id *id) {
    lanes->places[place] = (struct lane_place){.id = *id, .next = LANES_NONE};
    uint32_t head = *bucket_of(lanes, id);
    while (head != LANES_NONE && !id_equal(&lanes->places[head].id, id))
        head = lanes->places[head].chain;
    if (head == LANES_NONE) {
        become_head(lanes, place, place);
        return true;
    }
    lanes->places[lanes->places[head].last].next = place;
    lanes->places[head].last = place;
    return false;
}

uint32_t lanes_leave(struct lanes *lanes, uint32_t place) {
    const struct lane_place *head = &lanes->places[place];
    uint32_t *link = bucket_of(lanes, &head->id);
    while (*link != place)
        link = &lanes->places[*link].chain;
    *link = head->chain;
    if (head->next != LANES_NONE)
        become_head(lanes, head->next, head->last);
    return head->next;
}
