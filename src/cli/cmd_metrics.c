// SPDX-License-Identifier: Apache-2.0
//
// `orderlog metrics`: what /metrics may show, from the table that it is made from.
#include "cli/commands.h"
#include "service/metrics.h"
#include "service/service.h"

#include <stdio.h>
#include <string.h>

static void print_row(void *opaque, const char *name, const char *type, const char *label,
                      const char *help) {
    (void)opaque;
    printf("%-42s %-10s %-18s %s\n", name, type, label ? label : "-", help);
}

int cmd_metrics(int argc, char **argv) {
    if (argc > 0) {
        bool help = strcmp(argv[0], "--help") == 0 || strcmp(argv[0], "-h") == 0;
        (void)fprintf(help ? stdout : stderr, "usage: orderlog metrics\n\n"
                                              "Prints every metric that /metrics may show: its "
                                              "name, type, labels and meaning.\n");
        return help ? EXIT_OK : EXIT_USAGE;
    }
    metrics_each(print_row, NULL);
    return EXIT_OK;
}
