// SPDX-License-Identifier: Apache-2.0
//
// The four processors: each brings its domain to the transaction loop. Made from the configuration,
// freed after the loop has stopped.
#ifndef ORDERLOG_PROCESS_ROLES_H
#define ORDERLOG_PROCESS_ROLES_H

#include "service/config.h"
#include "stream/role.h"

// NULL with err when the role cannot be made (a ledger that cannot be opened).
struct role *order_role_new(const struct config *config, struct error *err);
void order_role_free(struct role *role);

struct role *inventory_role_new(const struct config *config, struct error *err);
void inventory_role_free(struct role *role);

// Both are executors of effects.
struct role *payment_role_new(const struct config *config, struct error *err);
struct role *shipping_role_new(const struct config *config, struct error *err);
void executor_role_free(struct role *role);

#endif
