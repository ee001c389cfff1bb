// SPDX-License-Identifier: Apache-2.0
//
// Who is in a consumer group now, as its coordinator knows it: what runs, for status. A member that
// was killed is in it until its session times out.
#ifndef ORDERLOG_STREAM_GROUP_MEMBERS_H
#define ORDERLOG_STREAM_GROUP_MEMBERS_H

#include "service/config.h"
#include "service/error.h"

#include <stddef.h>
#include <stdint.h>

struct group_member {
    const char *group;
    const char *instance; // "order-0"; "" for a member without a name
    const char *host;
    const int32_t *partitions;
    size_t partitions_count;
};

// Visits the members of these groups; one that does not exist has none. Everything is valid during
// the visit only.
bool group_members_each(const struct config *config, const char *const *groups, size_t groups_count,
                        void (*visit)(void *opaque, const struct group_member *member),
                        void *opaque, struct error *err);

#endif
