// SPDX-License-Identifier: Apache-2.0
//
// An inbox record of any bytes: a command, a group, or garbage. The first byte picks the topic.
#include "fuzz/support/fuzz_ids.h"
#include "stream/input.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct arena arena;
    const struct schema_ids *ids = fuzz_ids();
    if (!arena.bytes_max)
        arena_init(&arena, 64 << 20);
    if (size < 1)
        return 0;
    arena_reset(&arena);
    enum topic_id topic = domains[data[0] % DOMAIN_COUNT].inbox;
    rd_kafka_message_t raw = {.payload = (void *)(uintptr_t)(data + 1), .len = size - 1};
    struct input_record record;
    struct error err;
    if (!input_open(ids, &raw, &arena, &record, &err))
        return 0;
    for (uint32_t i = 0; i < record.messages_count; i++) {
        struct message message;
        if (input_decode(ids, topic, 0, 1, record.messages[i], &arena, &message, &err))
            assert(topic_allows(&topics[topic], record_dirs[message.type]));
        else
            assert(err.msg[0]);
    }
    return 0;
}
