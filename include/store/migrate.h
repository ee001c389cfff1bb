// SPDX-License-Identifier: Apache-2.0
//
// Creates and changes the tables of projections/: 000_base.sql first, then every NAME/table*.sql in
// name order, each once, all in one transaction under an advisory lock, so that any number of
// processes may call this at any time.
#ifndef ORDERLOG_STORE_MIGRATE_H
#define ORDERLOG_STORE_MIGRATE_H

#include <stdbool.h>
#include <stddef.h>

#include "service/error.h"
#include "store/db.h"
#include "store/projection_files.h"

// *ret_applied (may be NULL) is how many files were new. DISP_FATAL when a file that was applied
// before has changed since: a change comes as a further file, table_2.sql.
bool store_migrate(struct db *db, int *ret_applied, struct error *err);

// The same with other files: for tests.
bool store_migrate_files(struct db *db, const struct projection_file *files, size_t files_count,
                         int *ret_applied, struct error *err);

#endif
