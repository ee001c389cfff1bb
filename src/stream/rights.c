// SPDX-License-Identifier: Apache-2.0
//
// To give a role a new topic: one row. A role that lacks one says so when it starts, and
// tests/system/secured.py finds rights that are not here and topics that nobody has.
#include "stream/rights.h"

const char *const right_user_names[RIGHT_USERS] = {
    [RIGHT_USER_GATEWAY] = "gateway",     [RIGHT_USER_ORDER] = "order",
    [RIGHT_USER_INVENTORY] = "inventory", [RIGHT_USER_PAYMENT] = "payment",
    [RIGHT_USER_SHIPPING] = "shipping",   [RIGHT_USER_PROJECT] = "project",
    [RIGHT_USER_QUERY] = "query",         [RIGHT_USER_READER] = "reader",
};

const char *const right_resource_names[] = {
    [RIGHT_TOPIC] = "topic",
    [RIGHT_GROUP] = "group",
    [RIGHT_GROUPS] = "groups",
    [RIGHT_TRANSACTIONS] = "transactions",
};

const char *const right_operation_names[] = {
    [RIGHT_READ] = "read", [RIGHT_WRITE] = "write", [RIGHT_DESCRIBE] = "describe"};

#define TOPIC(user, topic, operation)                                                              \
    { RIGHT_USER_##user, RIGHT_TOPIC, topic, RIGHT_##operation }
#define GROUP(user, group, operation)                                                              \
    { RIGHT_USER_##user, RIGHT_GROUP, group, RIGHT_##operation }

// What a processor of a domain does with the domain's own: reads its input, to which it adds what
// was parked and what a carrier reports later, and takes over what it wrote before, under its
// group, in its transactions.
#define PROCESSOR(user, role, domain)                                                              \
    TOPIC(user, domain ".inbox", READ), TOPIC(user, domain ".inbox", WRITE),                       \
        TOPIC(user, domain ".events", READ), TOPIC(user, domain ".events", WRITE),                 \
        TOPIC(user, domain ".deadletters", READ), TOPIC(user, domain ".deadletters", WRITE),       \
        GROUP(user, "orderlog." role, READ), {                                                     \
        RIGHT_USER_##user, RIGHT_TRANSACTIONS, "orderlog." role ".", RIGHT_WRITE                   \
    }

#define SNAPSHOTS(user, domain)                                                                    \
    TOPIC(user, domain ".state", READ), TOPIC(user, domain ".state", WRITE)

const struct right rights[] = {
    TOPIC(GATEWAY, "orders.inbox", WRITE),
    TOPIC(GATEWAY, "inventory.inbox", WRITE),
    TOPIC(GATEWAY, "products", READ),
    TOPIC(GATEWAY, "access.keys", READ),
    TOPIC(GATEWAY, "customers", WRITE),
    TOPIC(GATEWAY, "customers.keys", READ),
    TOPIC(GATEWAY, "customers.keys", WRITE),
    GROUP(GATEWAY, "orderlog.table", DESCRIBE),
    GROUP(GATEWAY, "orderlog.order", DESCRIBE), // how far behind it is
    GROUP(GATEWAY, "orderlog.inventory", DESCRIBE),

    PROCESSOR(ORDER, "order", "orders"),
    SNAPSHOTS(ORDER, "orders"),
    TOPIC(ORDER, "inventory.inbox", WRITE),
    TOPIC(ORDER, "payments.inbox", WRITE),
    TOPIC(ORDER, "shipping.inbox", WRITE),

    PROCESSOR(INVENTORY, "inventory", "inventory"),
    SNAPSHOTS(INVENTORY, "inventory"),
    TOPIC(INVENTORY, "orders.inbox", WRITE),
    TOPIC(INVENTORY, "products", WRITE),

    PROCESSOR(PAYMENT, "payment", "payments"),
    TOPIC(PAYMENT, "orders.inbox", WRITE),

    PROCESSOR(SHIPPING, "shipping", "shipping"),
    TOPIC(SHIPPING, "orders.inbox", WRITE),

    TOPIC(PROJECT, "orders.events", READ),
    TOPIC(PROJECT, "inventory.events", READ),
    TOPIC(PROJECT, "customers", READ),
    {RIGHT_USER_PROJECT, RIGHT_GROUPS, "orderlog.projector.", RIGHT_READ},

    TOPIC(QUERY, "access.keys", READ),
    TOPIC(QUERY, "customers.keys", READ),
    GROUP(QUERY, "orderlog.table", DESCRIBE),

    TOPIC(READER, "orders.inbox", READ),
    TOPIC(READER, "orders.events", READ),
    TOPIC(READER, "orders.state", READ),
    TOPIC(READER, "orders.deadletters", READ),
    TOPIC(READER, "inventory.inbox", READ),
    TOPIC(READER, "inventory.events", READ),
    TOPIC(READER, "inventory.state", READ),
    TOPIC(READER, "inventory.deadletters", READ),
    TOPIC(READER, "payments.inbox", READ),
    TOPIC(READER, "payments.events", READ),
    TOPIC(READER, "payments.deadletters", READ),
    TOPIC(READER, "shipping.inbox", READ),
    TOPIC(READER, "shipping.events", READ),
    TOPIC(READER, "shipping.deadletters", READ),
    TOPIC(READER, "products", READ),
    TOPIC(READER, "customers", READ),
    {RIGHT_USER_READER, RIGHT_GROUPS, "orderlog.", RIGHT_DESCRIBE},
};

const size_t rights_count = sizeof(rights) / sizeof(rights[0]);
