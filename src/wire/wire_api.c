// SPDX-License-Identifier: Apache-2.0
#include "wire_api.h"

enum { TRANSACTION_VERSION = 2, TAG_FINALIZED_FEATURES = 2 };

// A transaction's second version (KIP-890) is what producers' requests need: a partition or an
// offset joins the transaction by being sent, and each transaction has an epoch of its own.
const struct wire_api_row wire_apis[WIRE_API_COUNT] = {
    [WIRE_PRODUCE] = {0, 12, true, true},
    [WIRE_FETCH] = {1, 12, true, true}, // the last version that knows topics by their names
    [WIRE_METADATA] = {3, 12, true, true},
    [WIRE_FIND_COORDINATOR] = {10, 4, true, true},
    [WIRE_SASL_HANDSHAKE] = {17, 1, false, false},
    [WIRE_API_VERSIONS] = {18, 3, true, false}, // its response begins as it always has
    [WIRE_INIT_PRODUCER_ID] = {22, 5, true, true},
    [WIRE_END_TXN] = {26, 5, true, true},
    [WIRE_TXN_OFFSET_COMMIT] = {28, 5, true, true},
    [WIRE_SASL_AUTHENTICATE] = {36, 2, true, true},
};

static int16_t read_transaction_version(struct wire_reader *features) {
    int16_t found = 0;
    for (size_t left = wire_get_count(features); left > 0 && !features->broken; left--) {
        const struct wire_view name = wire_get_string(features);
        const int16_t level = wire_get_i16(features);
        (void)wire_get_i16(features); // the lowest
        wire_get_skip_tags(features);
        if (wire_view_is(name, "transaction.version"))
            found = level;
    }
    return found;
}

bool wire_api_suffices(struct wire_reader *reader) {
    bool has[WIRE_API_COUNT] = {false};
    // Where there is no SASL nobody needs its requests.
    has[WIRE_SASL_HANDSHAKE] = has[WIRE_SASL_AUTHENTICATE] = true;
    const int16_t code = wire_get_i16(reader);
    for (size_t left = wire_get_count(reader); left > 0 && !reader->broken; left--) {
        const int16_t key = wire_get_i16(reader);
        const int16_t low = wire_get_i16(reader);
        const int16_t high = wire_get_i16(reader);
        wire_get_skip_tags(reader);
        for (size_t api = 0; api < WIRE_API_COUNT; api++)
            if (wire_apis[api].key == key)
                has[api] = low <= wire_apis[api].version && wire_apis[api].version <= high;
    }
    (void)wire_get_i32(reader); // throttled for
    int16_t transactions = 0;
    struct wire_tags tags;
    wire_get_tags(reader, &tags);
    while (wire_get_tag(reader, &tags))
        if (tags.tag == TAG_FINALIZED_FEATURES)
            transactions = read_transaction_version(&tags.value);
    bool all = code == 0 && !reader->broken && transactions >= TRANSACTION_VERSION;
    for (size_t api = 0; api < WIRE_API_COUNT; api++)
        all = all && has[api];
    return all;
}
