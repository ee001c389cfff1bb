// SPDX-License-Identifier: Apache-2.0
#include "wire/wire_produced.h"

static bool read_one(struct wire_reader *reader, struct wire_view topic, wire_produced_fn *take,
                     void *opaque) {
    struct wire_produced produced = {.topic = topic};
    produced.partition = wire_get_i32(reader);
    produced.code = wire_get_i16(reader);
    produced.base_offset = wire_get_i64(reader);
    (void)wire_get_i64(reader); // time of append
    (void)wire_get_i64(reader); // where the log begins
    for (size_t errors = wire_get_count(reader); errors > 0 && !reader->broken; errors--) {
        (void)wire_get_i32(reader);
        (void)wire_get_string(reader);
        wire_get_skip_tags(reader);
    }
    (void)wire_get_string(reader); // what is wrong
    wire_get_skip_tags(reader);
    return !reader->broken && take(opaque, &produced);
}

bool wire_produced_read(struct wire_reader *reader, wire_produced_fn *take, void *opaque) {
    for (size_t topics = wire_get_count(reader); topics > 0 && !reader->broken; topics--) {
        const struct wire_view topic = wire_get_string(reader);
        for (size_t left = wire_get_count(reader); left > 0; left--)
            if (!read_one(reader, topic, take, opaque))
                return false;
        wire_get_skip_tags(reader);
    }
    return !reader->broken;
}
