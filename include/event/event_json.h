// SPDX-License-Identifier: Apache-2.0
//
// Any record as JSON, for tools and people: times as ISO 8601 in UTC with microseconds, ids as
// text, enums by name, bytes as base64, null as null.
#ifndef ORDERLOG_EVENT_EVENT_JSON_H
#define ORDERLOG_EVENT_EVENT_JSON_H

#include <jansson.h>

#include "event/codec.h"

// A new reference; NULL when memory is out. Strings must be UTF-8, as decode has checked.
json_t *event_json(const struct record_type *type, const void *record);

#endif
