// SPDX-License-Identifier: Apache-2.0
#include "query_sample.h"

#include <stdio.h>
#include <string.h>

#include "http/event_stream.h"
#include "service/backoff.h"

enum { EVENT_BYTES_MAX = 4096, SECOND_US = 1000000, PARTS_OF_A_SECOND = 5 };

// In this look: some are left for what happens later in the second.
static size_t allowed(const struct query_sample *sample) {
    const int64_t left = sample->rate - sample->shown;
    const int64_t at_once = (sample->rate + PARTS_OF_A_SECOND - 1) / PARTS_OF_A_SECOND;
    return (size_t)(left < at_once ? left : at_once);
}

void query_sample_begin(struct query_sample *sample) {
    sample->offered = 0;
    sample->count = 0;
}

// xorshift64: which ones are shown matters to nobody, as long as it is no rule.
static uint64_t roll(struct query_sample *sample) {
    sample->dice ^= sample->dice << 13;
    sample->dice ^= sample->dice >> 7;
    sample->dice ^= sample->dice << 17;
    return sample->dice;
}

void query_sample_offer(struct query_sample *sample, const struct id *order_id) {
    const size_t room = allowed(sample);
    sample->changes++;
    sample->offered++;
    for (size_t i = 0; i < sample->count; i++)
        if (id_equal(&sample->chosen[i], order_id))
            return;
    if (sample->count < room) {
        sample->chosen[sample->count++] = *order_id;
        return;
    }
    const uint64_t place = room > 0 ? roll(sample) % (uint64_t)sample->offered : 0;
    if (place < room)
        sample->chosen[place] = *order_id;
}

void query_sample_want(const struct query_sample *sample, struct pg_array *ids,
                       struct pg_array *shops, struct pg_array *numbers) {
    for (size_t i = 0; i < sample->count; i++) {
        pg_array_add(ids, sample->chosen[i].bytes, sizeof(sample->chosen[i].bytes));
        pg_array_add(shops, sample->shop, strlen(sample->shop));
        pg_array_add_int4(numbers, sample->number);
    }
}

// What there is no room for is not shown: it is a sample.
void query_sample_show(struct query_sample *sample, struct event_stream *out, const char *json,
                       size_t length) {
    char text[EVENT_BYTES_MAX];
    int written = snprintf(text, sizeof(text), "event: order\ndata: %.*s\n\n", (int)length, json);
    if (written >= (int)sizeof(text) || !event_stream_push(out, text, (size_t)written))
        return;
    sample->shown++;
}

void query_sample_tell(struct query_sample *sample, struct event_stream *out, int64_t now_us) {
    char text[128];
    if (now_us - sample->told_us < SECOND_US)
        return;
    int written =
        snprintf(text, sizeof(text), "event: rate\ndata: {\"changes\":%lld,\"shown\":%lld}\n\n",
                 (long long)sample->changes, (long long)sample->shown);
    if (!event_stream_push(out, text, (size_t)written))
        return;
    sample->told_us = now_us;
    sample->changes = sample->shown = 0;
}
