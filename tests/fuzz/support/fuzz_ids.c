// SPDX-License-Identifier: Apache-2.0
#include "fuzz_ids.h"

#include "stream/topics.h"

#include <assert.h>

void fuzz_ids_add(struct schema_ids *ids) {
    for (size_t record = 0; record < RECORD_COUNT; record++)
        for (size_t topic = 0; topic < TOPIC_COUNT; topic++)
            if (topic_allows(&topics[topic], record_dirs[record])) {
                struct error err;
                bool added =
                    schema_ids_add(ids, topic, (enum record_id)record, (int32_t)record + 1, &err);
                assert(added);
            }
}

const struct schema_ids *fuzz_ids(void) {
    static struct schema_ids *ids;
    if (!ids) {
        ids = schema_ids_new(NULL, &clock_system);
        assert(ids);
        fuzz_ids_add(ids);
    }
    return ids;
}
