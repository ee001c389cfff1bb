// SPDX-License-Identifier: Apache-2.0
//
// The parts that status_gather() is made of.
#ifndef ORDERLOG_CLI_STATUS_PARTS_H
#define ORDERLOG_CLI_STATUS_PARTS_H

#include "cli/status.h"

bool status_gather_readers(const struct config *config, struct db *db, struct status *status,
                           struct error *err);
bool status_gather_workers(const struct config *config, struct status *status, struct error *err);
void status_gather_services(const struct config *config, struct status *status);

#endif
