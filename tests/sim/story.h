// SPDX-License-Identifier: Apache-2.0
//
// What happened to whom a failure is about: its records in the order they were written.
#ifndef ORDERLOG_TESTS_SIM_STORY_H
#define ORDERLOG_TESTS_SIM_STORY_H

#include "world.h"

void story_trouble(const struct world *world, enum trouble_kind kind, uint32_t number);
void story_tell(struct world *world);

#endif
