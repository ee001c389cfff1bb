// SPDX-License-Identifier: Apache-2.0
//
// `orderlog rights`: what each role may do in Kafka and PostgreSQL, from the tables that setup
// makes ACLs and grants from.
#include "cli/commands.h"
#include "service/service.h"
#include "store/grants.h"
#include "stream/rights.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

int cmd_rights(int argc, char **argv) {
    if (argc > 0) {
        bool help = strcmp(argv[0], "--help") == 0 || strcmp(argv[0], "-h") == 0;
        (void)fprintf(help ? stdout : stderr,
                      "usage: orderlog rights\n\n"
                      "Prints what each role may do, one right per line: user, in what, kind, "
                      "name, operation. `setup` with setup.users.prefix gives these.\n");
        return help ? EXIT_OK : EXIT_USAGE;
    }
    for (size_t i = 0; i < rights_count; i++)
        printf("%-10s kafka       %-13s %-24s %s\n", right_user_names[rights[i].user],
               right_resource_names[rights[i].resource], rights[i].name,
               right_operation_names[rights[i].operation]);
    for (size_t i = 0; i < grants_count; i++) {
        printf("%-10s postgresql  %-13s %-24s %s\n", grants[i].user, "database", "*",
               grants[i].database);
        printf("%-10s postgresql  %-13s %-24s %s\n", grants[i].user, "tables", "*",
               grants[i].privileges);
    }
    return EXIT_OK;
}
