// SPDX-License-Identifier: Apache-2.0
//
// Makes the topics of the table in stream/topics.h, and the first committed offsets of the roles'
// groups. Everything here may be done again and then changes nothing. One thread.
#ifndef ORDERLOG_STREAM_TOPIC_ADMIN_H
#define ORDERLOG_STREAM_TOPIC_ADMIN_H

#include "service/config.h"
#include "service/error.h"
#include "stream/topics.h"

#include <stdbool.h>
#include <stdint.h>

struct topic_admin;

// Connects and reads which topics there are. NULL: no broker answers (DISP_RETRY).
struct topic_admin *topic_admin_open(const struct config *config, struct error *err);
void topic_admin_close(struct topic_admin *admin); // NULL is fine

// What the configuration asks for.
int32_t topic_admin_partitions(const struct config *config, const struct topic *topic);

// Creates the topic where it is missing. An existing one with another partition count is refused:
// keys would move to other partitions.
bool topic_admin_ensure(struct topic_admin *admin, enum topic_id topic, bool *ret_created,
                        struct error *err);

// Commits offset 0 for the role's group wherever the inbox partition has never held a record and
// nothing is committed, so that workers may have auto.offset.reset=error. A partition that holds
// records but has no committed offset is refused: nobody can know how far they were handled.
bool topic_admin_ensure_offsets(struct topic_admin *admin, enum domain domain,
                                int32_t *ret_committed_count, struct error *err);

// Gives the users of stream/rights.h their rights (ACLs), those that begin with prefix; what they
// have already stays. DISP_FATAL: the cluster has no authorizer, or this client may not.
bool topic_admin_ensure_rights(struct topic_admin *admin, const char *prefix, struct error *err);

// Offsets of one partition of an inbox, for status.
struct topic_position {
    int64_t low;
    int64_t end;       // high watermark
    int64_t committed; // -1: none
};

// Fills positions[0..count) for partitions 0..count-1 of the domain's inbox.
bool topic_admin_positions(struct topic_admin *admin, enum domain domain, int32_t count,
                           struct topic_position *positions, struct error *err);

// High watermarks of any topic.
bool topic_admin_ends(struct topic_admin *admin, enum topic_id topic, int32_t count, int64_t *ends,
                      struct error *err);

// Partition count of an existing topic; 0: it does not exist.
int32_t topic_admin_existing(const struct topic_admin *admin, enum topic_id topic);

#endif
