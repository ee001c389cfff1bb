// SPDX-License-Identifier: Apache-2.0
//
// What each role may do in PostgreSQL. Who owns the tables is who ran setup; nobody else changes
// their form.
#ifndef ORDERLOG_STORE_GRANTS_H
#define ORDERLOG_STORE_GRANTS_H

#include <stdbool.h>
#include <stddef.h>

#include "service/error.h"
#include "store/db.h"

struct grant {
    const char *user;       // setup.users.prefix goes before it
    const char *database;   // privileges on the database
    const char *privileges; // on every table
};

extern const struct grant grants[];
extern const size_t grants_count;

// Gives the database roles that begin with prefix their rights on what there is and on what setup
// makes later, and takes from everybody what PostgreSQL gives everybody. DISP_FATAL: a role does
// not exist.
bool store_grant(struct db *db, const char *prefix, struct error *err);

#endif
