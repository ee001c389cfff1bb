// SPDX-License-Identifier: Apache-2.0
//
// Schemas that have been shipped: ROOT/shipped/DIR/NAME.N.avsc. Messages in these forms are in
// logs, and programs that know no other run beside new ones, so each must read all and be read by
// all (FULL_TRANSITIVE).
#ifndef ORDERLOG_EVENT_GENERATE_SHIPPED_H
#define ORDERLOG_EVENT_GENERATE_SHIPPED_H

#include "schema.h"

// Prints file, field and broken rule, and exits, if one of the tree's schemas does not go with a
// shipped version of it, or a shipped record is gone.
void shipped_check(const struct schema_tree *tree, const char *root);

#endif
