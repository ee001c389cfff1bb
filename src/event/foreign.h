// SPDX-License-Identifier: Apache-2.0
//
// Schema ids that were not loaded at the start: written by a newer or older program, registered
// under another subject, or garbage. Rare, so everything here is under one lock.
#ifndef ORDERLOG_EVENT_FOREIGN_H
#define ORDERLOG_EVENT_FOREIGN_H

#include "event/registry.h"
#include "event/resolution.h"
#include "event/types.h"
#include "service/clock.h"

struct foreign;

struct foreign *foreign_new(struct registry *registry, const struct clock *clock);
void foreign_free(struct foreign *foreign);

// Keeps what was found; takes the resolution over (NULL: the record stands in our own form), also
// when there is no room and it returns false.
typedef bool foreign_add(void *context, int32_t id, enum record_id record,
                         struct resolution *resolution);

// Asks the registry unless the answer is remembered. When the schema turns out to be one of ours,
// or another version of one that can be read, calls add under the lock. Otherwise fails with
// DISP_POISON.
bool foreign_resolve(struct foreign *foreign, int32_t id, foreign_add *add, void *context,
                     struct error *err);

// A copy of the schema's text; NULL if it was not fetched.
char *foreign_text(struct foreign *foreign, int32_t id);

#endif
