// SPDX-License-Identifier: Apache-2.0
//
// The requests that we make, one row each, and whether a broker takes them.
#ifndef ORDERLOG_WIRE_API_H
#define ORDERLOG_WIRE_API_H

#include "wire/wire_connection.h"

struct wire_api_row {
    int16_t key;
    int16_t version;
    bool tagged; // its header has tagged fields
    bool tagged_response;
};

extern const struct wire_api_row wire_apis[WIRE_API_COUNT];

// Reads a response to ApiVersions: whether the broker has the versions that we speak, and its
// cluster the second version of transactions switched on.
bool wire_api_suffices(struct wire_reader *reader);

#endif
