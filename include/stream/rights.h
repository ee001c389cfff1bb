// SPDX-License-Identifier: Apache-2.0
//
// The one table of what each role may do in Kafka: a stolen credential of one role is worth what
// stands here and no more. From it setup makes the ACLs (KIP-11) and `orderlog rights` its list.
//
// A role's user is setup.users.prefix and the role's name: with "orderlog-", User:orderlog-gateway.
#ifndef ORDERLOG_STREAM_RIGHTS_H
#define ORDERLOG_STREAM_RIGHTS_H

#include <stddef.h>

enum right_user {
    RIGHT_USER_GATEWAY,
    RIGHT_USER_ORDER,
    RIGHT_USER_INVENTORY,
    RIGHT_USER_PAYMENT,
    RIGHT_USER_SHIPPING,
    RIGHT_USER_PROJECT,
    RIGHT_USER_QUERY,
    RIGHT_USER_READER, // tools that only look: events, status, verify
    RIGHT_USERS,
};

extern const char *const right_user_names[RIGHT_USERS];

enum right_resource {
    RIGHT_TOPIC,
    RIGHT_GROUP,
    RIGHT_GROUPS,       // all whose name begins so
    RIGHT_TRANSACTIONS, // transactional ids that begin so
};

// Both others imply to describe.
enum right_operation { RIGHT_READ, RIGHT_WRITE, RIGHT_DESCRIBE };

struct right {
    enum right_user user;
    enum right_resource resource;
    const char *name;
    enum right_operation operation;
};

extern const struct right rights[];
extern const size_t rights_count;

// "topic", "group", "groups", "transactions"; "read", "write", "describe".
extern const char *const right_resource_names[];
extern const char *const right_operation_names[];

#endif
