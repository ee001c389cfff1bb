// SPDX-License-Identifier: Apache-2.0
//
// Messages as they stand in Kafka: a zero byte, the schema's id in the registry (4 bytes, big
// endian), the Avro binary. Any Avro client reads them.
#ifndef ORDERLOG_EVENT_MESSAGE_H
#define ORDERLOG_EVENT_MESSAGE_H

#include "event/schema_ids.h"
#include "event/types.h"

enum { MESSAGE_HEADER_LEN = 5 };

struct message {
    enum record_id type;
    void *body; // struct of that record, in the arena; its views point into the bytes or the arena
};

// Room that message_encode needs for this value; SIZE_MAX if it would refuse it.
size_t message_size_max(const struct record_type *type, const void *record);

// Returns the end of what it wrote; NULL if [at, end) holds less than message_size_max or the
// message is larger than a reader accepts.
uint8_t *message_encode(int32_t schema_id, const struct record_type *type, const void *record,
                        uint8_t *at, const uint8_t *end);

// Fails with DISP_POISON when the bytes are no message of ours, with DISP_RETRY when the arena is
// full. Any thread, with an arena of its own. An unknown schema id is looked up (rarely: see
// schema_ids.h), so this may block for the registry's time-out.
bool message_decode(const struct schema_ids *ids, const uint8_t *bytes, size_t len,
                    struct arena *arena, struct message *ret, struct error *err);

#endif
