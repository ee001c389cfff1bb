// SPDX-License-Identifier: Apache-2.0
//
// The dead letters as a tool sees them: every input that was set aside or parked, once, with what
// became of it. Folded from the dead letters topics; may be kept up with. One thread.
#ifndef ORDERLOG_CLI_LETTERS_H
#define ORDERLOG_CLI_LETTERS_H

#include "cli/tool_schemas.h"
#include "service/config.h"
#include "stream/log_reader.h"
#include "stream/topics.h"

#include "service/strmap.h"

enum letter_state {
    LETTER_ASIDE, // bytes that are no message of ours: nothing waits for them
    LETTER_PARKED,
    LETTER_RETRIED,
    LETTER_DROPPED,
    LETTER_STATES_COUNT,
};

extern const char *const letter_state_names[LETTER_STATES_COUNT];

struct letter {
    enum domain domain;
    int32_t partition;
    int64_t offset; // of the inbox
    int32_t index;
    enum letter_state state;
    int64_t failed_at_us;  // last
    int64_t settled_at_us; // 0: it is not
    uint32_t failures;
    struct id retry_id; // in which it failed last; nil: none
    char *key;          // owned: what is parked, or else the record's key; "" if it has none
    char *error;        // owned: the last one
    uint8_t *value;     // owned: the message; NULL if there is none, or none was asked for
    size_t value_len;
};

struct letters {
    struct letter *items; // owned
    size_t count;
    size_t capacity;
    struct strmap places; // place -> index in items
    struct tool_schemas schemas;
    struct log_reader *readers[DOMAIN_COUNT]; // NULL: not asked for
    bool with_values;
};

// Which letters are meant. NULL, or the widest range: any.
struct letters_filter {
    int domain; // DOMAIN_COUNT: any
    const char *key;
    const char *error; // text that the error contains
    int64_t since_us;
    int64_t until_us; // not included
    bool settled;     // also those that wait no more
};

bool letters_match(const struct letters_filter *filter, const struct letter *letter);

// Reads all of them, of one domain or (DOMAIN_COUNT) of all, sorted by place.
bool letters_open(const struct config *config, int domain, bool with_values, struct letters *ret,
                  struct error *err);
void letters_close(struct letters *letters);

// Takes in what has been written since, waiting up to timeout_ms for it. Letters keep their index;
// new ones are added behind.
bool letters_follow(struct letters *letters, int timeout_ms, struct error *err);

#endif
