// SPDX-License-Identifier: Apache-2.0
//
// One command that had its outcome, accepted or refused: for the window after it, its key stands
// for it. A retry changes nothing, another command under the key is refused. Whoever decides looks
// the key up, hands in a copy (all zero: nothing is remembered) and keeps what it became. Expiry is
// judged at look-up, so that it needs no event.
#ifndef ORDERLOG_DOMAIN_REMEMBERED_H
#define ORDERLOG_DOMAIN_REMEMBERED_H

#include "domain/decision.h"

struct remembered_command {
    struct id key_id; // nil: none
    struct id command_id;
    int64_t at_us;
};

// Does the key still stand for the command that is remembered?
static inline bool remembered_stands(const struct remembered_command *remembered,
                                     const struct id *key_id, const struct decision *decision) {
    return !id_is_nil(key_id) && id_equal(&remembered->key_id, key_id) &&
           decision->now_us - remembered->at_us <= decision->policy->command_window_us;
}

#endif
