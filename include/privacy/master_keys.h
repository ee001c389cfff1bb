// SPDX-License-Identifier: Apache-2.0
//
// The file of master keys, which seal the keys of customers and nothing else. One key per line, 64
// hex digits; empty lines and those that begin with '#' are for people. The first key seals; the
// others open what was sealed with them before. A key goes by 8 bytes of a hash of it.
//
// The file must be a regular one that nobody but its owner may read or write. Who loses it has
// erased every customer: keep a copy of it where no copy of the log is kept.
#ifndef ORDERLOG_PRIVACY_MASTER_KEYS_H
#define ORDERLOG_PRIVACY_MASTER_KEYS_H

#include "privacy/seal.h"
#include "service/error.h"

enum { MASTER_KEYS_MAX = 16, MASTER_ID_LEN = 8, MASTER_FILE_BYTES_MAX = 16384 };

struct master_key {
    uint8_t id[MASTER_ID_LEN];
    struct seal_key key;
};

struct master_keys {
    struct master_key keys[MASTER_KEYS_MAX];
    size_t count;
};

// False: DISP_FATAL, saying what is wrong with the file and what to do.
bool master_keys_load(const char *path, struct master_keys *ret, struct error *err);
void master_keys_forget(struct master_keys *keys);

// What load does with the text of the file.
bool master_keys_parse(const char *text, size_t length, struct master_keys *ret, struct error *err);

// NULL: not among them.
const struct master_key *master_keys_find(const struct master_keys *keys, struct view id);

#endif
