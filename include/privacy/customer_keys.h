// SPDX-License-Identifier: Apache-2.0
//
// The keys that customers' personal data is sealed with: a fold of the compacted topic
// customers.keys, kept by gateways and query services in memory, sealed as they are in the log.
//
// Gateways write keys without asking each other, so what the log says is made to have one meaning:
//
//   SHOP/CUSTOMER/KEY-ID   CustomerKey     a key. Of several the first in the log is the current
//   one,
//                          tombstone       with which all seal; the others open what they sealed
//                                          it is destroyed
//   SHOP/CUSTOMER          CustomerErased  erased for ever: no key of theirs counts, before or
//   after
//
// All records of a customer lie in one partition (that of SHOP/CUSTOMER), so that all readers see
// them in one order. Whoever makes a key uses the current one only after having read the topic up
// to that key: so two gateways that make one at the same time end with the same. An erasure that
// races with a write ends erased: what is sealed with a destroyed key opens for nobody, and no
// later record takes the mark of the erasure away, as nothing else has its key.
//
// Memory: about 250 bytes and the names per customer that has a key or was erased.
#ifndef ORDERLOG_PRIVACY_CUSTOMER_KEYS_H
#define ORDERLOG_PRIVACY_CUSTOMER_KEYS_H

#include "event/schema_ids.h"
#include "event/types.h"
#include "privacy/master_keys.h"
#include "privacy/seal.h"
#include "service/config.h"
#include "service/error.h"
#include "stream/topics.h"

enum { CUSTOMER_ID_MAX = TOPIC_NAME_MAX, CUSTOMER_KEY_NAME_MAX = TOPIC_KEY_MAX + 1 + ID_TEXT_LEN };

// 1 to 64 bytes, no control character, no '/': what may have personal data.
bool customer_id_valid(const char *text, size_t length);

// SHOP/CUSTOMER/KEY-ID from SHOP/CUSTOMER. Returns its length.
size_t customer_key_name(const char *customer, size_t customer_len, const struct id *key_id,
                         char ret[CUSTOMER_KEY_NAME_MAX]);

// The other way round. False: it is not of that form.
bool customer_key_name_parse(const char *name, size_t length, size_t *ret_customer_len,
                             struct id *ret_key_id);

struct customer_keys;

enum customer_keys_change {
    CUSTOMER_KEYS_ADDED,
    CUSTOMER_KEYS_DESTROYED,
    CUSTOMER_KEYS_ERASED_NOW,
};

// In the reader's thread after the fold has changed; also while it begins. customer: SHOP/CUSTOMER.
struct customer_keys_watch {
    void (*changed)(void *state, struct customer_keys *keys, enum customer_keys_change change,
                    const char *customer, size_t customer_len, const struct id *key_id);
    void *state;
};

// Returns true when the topic has been read to its end for the first time. config and ids are
// borrowed; watch may be NULL. False with DISP_FATAL when the file of master keys is not as it
// should be.
bool customer_keys_start(const struct config *config, const struct schema_ids *ids,
                         const struct customer_keys_watch *watch, struct customer_keys **ret,
                         struct error *err);
void customer_keys_stop(struct customer_keys *keys); // NULL is fine

// The rest: any thread.

enum customer_keys_state {
    CUSTOMER_KEYS_NONE,
    CUSTOMER_KEYS_FOUND,
    CUSTOMER_KEYS_ERASED,
    CUSTOMER_KEYS_LOCKED, // under a master key that is not in the file
};

struct customer_keys_found {
    struct id id;
    struct seal_key key; // seal_forget() it
    int64_t created_at;
};

// What to seal with. *ret is set when FOUND.
enum customer_keys_state customer_keys_current(struct customer_keys *keys, const char *shop,
                                               const char *customer, size_t customer_len,
                                               struct customer_keys_found *ret);

// The key that something was sealed with.
enum customer_keys_state customer_keys_find(struct customer_keys *keys, const char *shop,
                                            const char *customer, size_t customer_len,
                                            const struct id *key_id, struct seal_key *ret);

// Ids of all keys that are not destroyed, erased or not; customer: SHOP/CUSTOMER. Returns how many
// there are, of which at most max are in ret.
size_t customer_keys_list(struct customer_keys *keys, const char *customer, size_t customer_len,
                          struct id *ret, size_t max);
bool customer_keys_is_erased(struct customer_keys *keys, const char *customer, size_t customer_len);

// Since the fold was last known to be complete, in milliseconds.
int64_t customer_keys_age_ms(const struct customer_keys *keys);

// The keys for those who seal and open, and how old the fold may be for that.
struct customer_keys_view {
    struct customer_keys *keys; // borrowed; NULL: no master key is configured
    int64_t keys_age_ms_max;
};

// A new key, sealed with the first master key: a record whose views point into itself. It counts
// once it is in the log. False: no random numbers.
struct customer_keys_made {
    struct customer_key record;
    uint8_t nonce[SEAL_NONCE_LEN];
    uint8_t sealed[SEAL_KEY_LEN + SEAL_TAG_LEN];
};
bool customer_keys_make(const struct master_keys *masters, struct view shop, struct view customer,
                        int64_t now_us, struct customer_keys_made *ret);

// The same key as a record of the log has it, sealed anew with the first master key. Views of the
// record that stay are borrowed.
enum customer_keys_reseal {
    CUSTOMER_KEYS_RESEALED,
    CUSTOMER_KEYS_IS_SO,    // it is sealed with the first one already
    CUSTOMER_KEYS_NO_MASTER // it does not open with any
};
enum customer_keys_reseal customer_keys_reseal(const struct master_keys *masters,
                                               const struct customer_key *record,
                                               struct customer_keys_made *ret);
const struct master_keys *customer_keys_masters(const struct customer_keys *keys);

#endif
