// SPDX-License-Identifier: Apache-2.0
//
// Schema ids without a registry: every record on every topic that carries it.
#ifndef ORDERLOG_TESTS_FUZZ_IDS_H
#define ORDERLOG_TESTS_FUZZ_IDS_H

#include "event/schema_ids.h"

// The id of a record is its number and one.
void fuzz_ids_add(struct schema_ids *ids);

// The same ones for the whole process.
const struct schema_ids *fuzz_ids(void);

#endif
