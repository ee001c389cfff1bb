// SPDX-License-Identifier: Apache-2.0
//
// A broker that answers Fetch with any bytes: two partitions are read to their ends, or until it is
// refused. And any bytes as the records of a batch, in every compression, and as headers of a
// record.
#include "played_broker.h"
#include "wire/wire_fetch.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { END = 1000, CALLS_MAX = 10000 };

// No fuzzer finds checksums.
bool __wrap_wire_batch_is_sound(const struct wire_batch_head *head, struct error *err);
bool __wrap_wire_batch_is_sound(const struct wire_batch_head *head, struct error *err) {
    (void)err;
    assert(head->checked.len >= head->records.len);
    return true;
}

static unsigned sum;

static void look_at(const void *bytes, size_t len) {
    for (size_t i = 0; bytes && i < len; i++)
        sum += ((const uint8_t *)bytes)[i];
}

static void look_at_records(const struct wire_records *records) {
    int64_t before = -1;
    for (size_t i = 0; i < records->count; i++) {
        const struct wire_read_record *read = &records->items[i];
        assert(read->offset > before);
        before = read->offset;
        look_at(read->record.key, read->record.key_len);
        look_at(read->record.value, read->record.value_len);
        const struct wire_view found = wire_header_find(&read->record.headers, "h");
        look_at(found.ptr, found.len);
    }
}

static void fuzz_records(const uint8_t *data, size_t size) {
    struct wire_reader reader = {.at = data, .end = data + size};
    struct wire_unpacker unpacker = {0};
    struct wire_records records = {0};
    struct wire_batch_head head;
    struct error err = {0};
    while (wire_batch_head_read(&reader, &head)) {
        if (wire_records_read(&head, &unpacker, &records, &err))
            look_at_records(&records);
        else
            assert(records.count == 0 && err.what == DISP_RETRY && err.msg[0]);
    }
    wire_records_done(&records);
    wire_unpacker_done(&unpacker);
}

static void fuzz_unpack(const uint8_t *data, size_t size) {
    struct wire_unpacker unpacker = {0};
    struct wire_room room = {0};
    size_t len = 0;
    // Twice, as memory and contexts are kept from what was broken.
    for (size_t i = 0; i < 2; i++)
        if (wire_unpack(&unpacker, data[0] % 8, data + 1, size - 1, &room, &len)) {
            assert(len <= room.capacity);
            look_at(room.bytes, len);
        }
    wire_room_done(&room);
    wire_unpacker_done(&unpacker);
}

static void fuzz_fetch(const uint8_t *data, size_t size) {
    const struct wire_settings settings = {.servers = "broker:1", .client_id = "fuzz"};
    const struct wire_span spans[] = {{.partition = 0, .end = END}, {.partition = 1, .end = END}};
    struct wire_records records = {0};
    struct error err = {0};
    size_t span = 0;
    played_broker_says(data, size);
    struct wire_fetch *fetch = wire_fetch_new(&settings, "a", spans, 2, &err);
    assert(fetch);
    for (int calls = 0; calls < CALLS_MAX; calls++) {
        const enum wire_fetched found = wire_fetch_next(fetch, &records, &span, INT64_MAX, &err);
        if (found == WIRE_FETCHED) {
            assert(span < 2);
            look_at_records(&records);
            for (size_t i = 0; i < records.count; i++)
                assert(records.items[i].offset < END);
        }
        if (found == WIRE_FETCH_FAILED)
            assert(err.msg[0]);
        if (found == WIRE_FETCH_FAILED || found == WIRE_FETCH_ENDED)
            break;
    }
    wire_fetch_free(fetch);
    wire_records_done(&records);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 2)
        return 0;
    switch (data[0] % 4) {
    case 0:
        fuzz_records(data + 1, size - 1);
        break;
    case 1:
        fuzz_unpack(data + 1, size - 1);
        break;
    default:
        fuzz_fetch(data + 1, size - 1);
    }
    return 0;
}
