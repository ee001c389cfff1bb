// SPDX-License-Identifier: Apache-2.0
//
// Shared by the two halves of the PostgreSQL side of verify.
#ifndef ORDERLOG_CLI_VERIFY_MODEL_H
#define ORDERLOG_CLI_VERIFY_MODEL_H

#include "cli/verify.h"
#include "store/db.h"

struct db *verify_model_db(struct verify_model *model);

// Cells of a binary result, nulls as verify.h has them.
uint64_t verify_model_text(const PGresult *result, int row, int column);
int64_t verify_model_number(const PGresult *result, int row, int column);
int64_t verify_model_time(const PGresult *result, int row, int column);

// Compares order_lines; marks lines_seen.
bool verify_model_lines(struct verify_model *model, struct verify *verify, struct error *err);

#endif
