// SPDX-License-Identifier: Apache-2.0
//
// Personal data between HTTP and the log. Going in: checked, written as canonical JSON (one form
// for one content), padded so that its length says little, sealed. Coming out: opened.
#ifndef ORDERLOG_HTTP_PERSONAL_H
#define ORDERLOG_HTTP_PERSONAL_H

#include "http/body.h"
#include "http/command.h"
#include "service/jsonout.h"

extern const char personal_of_customer[]; // kinds, for struct seal_place
extern const char personal_of_order[];

// An object's fields into out, as an object. What is wrong is in the part's problem.
void personal_read_address(const struct body_part *address, struct jsonout *out);

// name, email and addresses of the root: an object, too.
void personal_read_customer(const struct body_part *root, struct jsonout *out);

// Sealed for one place, with the customer's current key; record's views point into this.
struct personal_sealed {
    struct personal record;
    uint8_t nonce[SEAL_NONCE_LEN];
    uint8_t print[SEAL_PRINT_LEN]; // of the text, keyed: tells whether two are the same
    int64_t key_created_at;
    uint8_t *bytes; // owned
};
void personal_sealed_done(struct personal_sealed *sealed);

// False: the problem says why, or context->wants_key does. subject NULL: nil.
bool personal_seal(const struct command_context *context, const char *kind, struct view customer,
                   const struct id *subject, const struct jsonout *text,
                   struct personal_sealed *ret, struct problem *problem);

enum personal_state {
    PERSONAL_OPEN,
    PERSONAL_ERASED,      // for ever
    PERSONAL_UNAVAILABLE, // no key can be had now: the fold is old, the master key not the right
                          // one
};

// The text, without its padding: *ret is owned by the caller. subject NULL: nil.
enum personal_state personal_open(const struct customer_keys_view *people, const char *shop,
                                  struct view customer, const char *kind, const struct id *subject,
                                  const struct personal *sealed, char **ret, size_t *ret_length);

#endif
