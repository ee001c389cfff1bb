// SPDX-License-Identifier: Apache-2.0
//
// A broker that answers with any bytes: a producer is made, writes, sends offsets and commits; or
// one without transactions is made, writes and hears what became of it. Requests go nowhere;
// answers come through a socket, so that they are cut as a network cuts them. And any bytes as what
// a server says in SCRAM, and as a response to ApiVersions.
#include "../../src/wire/wire_api.h"
#include "played_broker.h"
#include "wire/wire_producer.h"
#include "wire/wire_scram.h"
#include "wire/wire_txn.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { TOPICS = 2, PARTITIONS = 3, NEVER_MS = 1 };

static void written(void *opaque, size_t topic, int32_t partition, int32_t first, int32_t count,
                    int64_t base_offset) {
    (void)opaque;
    (void)base_offset;
    assert(topic < TOPICS && partition >= 0 && first >= 0 && count > 0);
}

static void fuzz_transaction(void) {
    static const char *const topics[TOPICS] = {"a", "b"};
    const struct wire_settings wire = {.servers = "broker:1", .client_id = "fuzz"};
    const struct wire_txn_settings settings = {.wire = &wire,
                                               .transactional_id = "t",
                                               .group = "g",
                                               .timeout_ms = 1000,
                                               .topics = topics,
                                               .topics_count = TOPICS,
                                               .written = written};
    struct error err = {0};
    struct wire_txn *txn = wire_txn_new(&settings, &err);
    assert(txn);
    bool good = wire_txn_init(txn, INT64_MAX, &err);
    const struct wire_record record = {.value = "value", .value_len = 5};
    wire_txn_begin(txn);
    for (int32_t p = 0; good && p < PARTITIONS; p++)
        for (size_t topic = 0; topic < TOPICS; topic++)
            (void)wire_txn_append(txn, topic, p, &record, 0, INT64_MAX, &err);
    const struct wire_group_member member = {.member_id = "m", .instance_id = "i", .topic = "a"};
    const struct wire_offset offset = {.metadata = "x"};
    good = good && wire_txn_offsets(txn, &member, &offset, 1, INT64_MAX, &err);
    good = wire_txn_end(txn, good, NEVER_MS, &err) && good;
    assert(good || err.msg[0]);
    wire_txn_free(txn);
}

// Parcels that are over, each of which was under way.
static int take_all(struct wire_producer *producer, bool (*under_way)[PARTITIONS]) {
    int count = 0;
    for (struct wire_parcel *parcel; (parcel = wire_producer_take(producer)); count++) {
        assert(under_way[parcel->topic][parcel->partition]);
        under_way[parcel->topic][parcel->partition] = false;
        wire_batch_done(&parcel->batch);
    }
    return count;
}

static void fuzz_producer(void) {
    static const char *const topics[TOPICS] = {"a", "b"};
    static struct wire_parcel parcels[TOPICS][PARTITIONS];
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    bool under_way[TOPICS][PARTITIONS] = {{false}};
    int left = 0, code;
    const struct wire_settings wire = {.servers = "broker:1", .client_id = "fuzz"};
    const struct wire_producer_settings settings = {
        .wire = &wire, .lock = &lock, .topics = topics, .topics_count = TOPICS};
    const struct wire_record record = {.value = "value", .value_len = 5};
    struct error err = {0};
    struct wire_producer *producer = wire_producer_new(&settings, &err);
    assert(producer);
    const bool good = wire_producer_keep(producer, NEVER_MS, &err);
    assert(good || err.msg[0]);
    for (size_t topic = 0; wire_producer_is_ready(producer) && topic < TOPICS; topic++)
        for (int32_t p = 0; p < PARTITIONS; p++) {
            if (p >= wire_producer_partitions(producer, topic, &code))
                continue;
            struct wire_parcel *parcel = &parcels[topic][p];
            *parcel = (struct wire_parcel){.topic = topic, .partition = p, .deadline_ms = 1};
            wire_batch_append(&parcel->batch, &record, 0);
            wire_producer_put(producer, parcel);
            under_way[topic][p] = true;
            left++;
        }
    wire_producer_send(producer, 0);
    wire_producer_serve(producer, 0);
    left -= take_all(producer, under_way);
    (void)wire_producer_keep(producer, NEVER_MS, &err);
    wire_producer_serve(producer, 0);
    wire_producer_expire(producer, 1);
    left -= take_all(producer, under_way);
    assert(left == 0);
    wire_producer_free(producer);
}

static void fuzz_scram(const char *text, size_t len) {
    struct wire_scram scram;
    struct error err = {0};
    char out[WIRE_SCRAM_TEXT_MAX];
    assert(wire_scram_first(&scram, len % 2, "user", out, &err));
    memcpy(scram.nonce, "abc", 4);
    if (wire_scram_final(&scram, text, len, "password", out, &err))
        assert(strlen(out) < WIRE_SCRAM_TEXT_MAX);
    else
        assert(err.msg[0]);
    (void)wire_scram_verify(&scram, text, len, &err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 2)
        return 0;
    struct wire_reader reader = {.at = data + 1, .end = data + size};
    switch (data[0] % 4) {
    case 0:
        fuzz_scram((const char *)data + 1, size - 1);
        break;
    case 1:
        (void)wire_api_suffices(&reader);
        break;
    case 2:
        played_broker_says(data + 1, size - 1);
        fuzz_transaction();
        break;
    default:
        played_broker_says(data + 1, size - 1);
        fuzz_producer();
    }
    return 0;
}
