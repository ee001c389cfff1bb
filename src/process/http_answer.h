// SPDX-License-Identifier: Apache-2.0
//
// What provider and carrier say, read with suspicion: an answer counts only if it is a JSON object
// that names the very payment or shipment that was asked about. Inner to their clients.
#ifndef ORDERLOG_PROCESS_HTTP_ANSWER_H
#define ORDERLOG_PROCESS_HTTP_ANSWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "event/id.h"
#include "http_wire.h"

struct http_answer {
    char status[24];      // "authorized"
    char reason[64];      // valid UTF-8 without control characters, cut to fit; "" if none
    char tracking[32];    // likewise
    bool reports;         // the carrier will say by itself when
    int64_t ask_again_ms; // 0: not said
};

// False: nothing that can be relied on.
bool http_answer_read(const struct wire_reply *reply, const char *id_name, const struct id *id,
                      struct http_answer *ret);

// A refusal by status alone: this request had no effect, and never will have.
bool http_answer_refuses(long status);

// An id as it stands in paths and keys, and the word of an action in lower case.
#define HTTP_ACTION_MAX 24
const char *http_answer_lower(const char *word, char out[HTTP_ACTION_MAX]);

#endif
