// SPDX-License-Identifier: Apache-2.0
//
// The program `orderlog`: one table of subcommands, from which help and dispatch are made.
#include "cli/commands.h"
#include "service/service.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

struct command_group {
    const char *title;
    const struct command *commands; // ends with name NULL
};

static const struct command roles[] = {
    {"gateway", cmd_gateway, "Take commands over HTTP and put them into the log"},
    {"process", cmd_process, "Decide or act: process order|inventory|payment|shipping"},
    {"project", cmd_project, "Feed the read models in PostgreSQL from the event topics"},
    {"query", cmd_query, "Serve reads over HTTP"},
    {NULL, NULL, NULL},
};

static const struct command operations[] = {
    {"setup", cmd_setup, "Create topics, first offsets, schemas and tables: whatever is missing"},
    {"keys", cmd_keys, "Create, list and revoke API keys"},
    {"reseal", cmd_reseal, "Seal customers' keys anew, with another master key"},
    {"rights", cmd_rights, "Print what each role may do in Kafka and PostgreSQL"},
    {"generate", cmd_generate, "Write a shop's day of invented orders as CSV"},
    {"replay", cmd_replay,
     "Place a file's orders through the gateway and count what becomes of them"},
    {"bench", cmd_bench, "Place invented orders at a fixed rate and tell how long each took"},
    {"events", cmd_events, "Print the life of one order from the log"},
    {"deadletters", cmd_deadletters, "List, show, retry or drop what could not be handled"},
    {"status", cmd_status, "Print how far behind processors and read models are"},
    {"projection", cmd_projection, "Pause, resume or reset a read model"},
    {"rebuild", cmd_rebuild, "Make a read model anew beside the live one, compare and swap"},
    {"metrics", cmd_metrics, "Print the list of metrics"},
    {"verify", cmd_verify, "Fold the whole log and check what is promised about it"},
    {"ledger", cmd_ledger, "Print the books of the simulated provider or carrier"},
    {"simulate", cmd_simulate, "Play a payment provider or a carrier over HTTP"},
    {NULL, NULL, NULL},
};

static const struct command_group groups[] = {
    {"Roles that run until they are stopped", roles},
    {"Setting up, looking and checking", operations},
};

enum { GROUPS_COUNT = sizeof(groups) / sizeof(groups[0]), NAME_MAX_LEN = 32 };

static void print_help(FILE *out) {
    (void)fprintf(out, "usage: orderlog COMMAND [OPTION...] [ARGUMENT...]\n\n"
                       "An order management system whose source of truth is a Kafka log.\n");
    for (size_t g = 0; g < GROUPS_COUNT; g++) {
        (void)fprintf(out, "\n%s:\n", groups[g].title);
        for (const struct command *c = groups[g].commands; c->name; c++)
            (void)fprintf(out, "  %-11s %s\n", c->name, c->summary);
    }
    (void)fprintf(out,
                  "\n`orderlog COMMAND --help` tells a command's options, `--print-config` their "
                  "values.\nOptions also come from a file (--config) and the environment "
                  "(ORDERLOG_…).\n");
}

static size_t smallest(size_t a, size_t b, size_t c) {
    const size_t ab = a < b ? a : b;
    return ab < c ? ab : c;
}

// Levenshtein's distance; names longer than NAME_MAX_LEN are as far as can be.
static size_t distance(const char *a, const char *b) {
    const size_t a_len = strlen(a);
    const size_t b_len = strlen(b);
    if (a_len > NAME_MAX_LEN || b_len > NAME_MAX_LEN)
        return NAME_MAX_LEN;

    size_t row[NAME_MAX_LEN + 1];
    for (size_t j = 0; j <= b_len; j++)
        row[j] = j;
    for (size_t i = 1; i <= a_len; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b_len; j++) {
            const size_t substituted = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            row[j] = smallest(row[j] + 1, row[j - 1] + 1, substituted);
        }
    }
    return row[b_len];
}

static const struct command *find_command(const char *name, const struct command **ret_nearest) {
    size_t best = NAME_MAX_LEN;
    for (size_t g = 0; g < GROUPS_COUNT; g++) {
        for (const struct command *c = groups[g].commands; c->name; c++) {
            const size_t d = distance(c->name, name);
            if (d == 0)
                return c;
            if (d < best) {
                best = d;
                *ret_nearest = c;
            }
        }
    }
    return NULL;
}

int main(int argc, char **argv) {
    if (argc < 2) {
        print_help(stderr);
        return EXIT_USAGE;
    }

    const char *name = argv[1];
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0) {
        print_help(stdout);
        return EXIT_OK;
    }
    if (strcmp(name, "--version") == 0 || strcmp(name, "version") == 0) {
        printf("orderlog %s\n", ORDERLOG_VERSION);
        return EXIT_OK;
    }

    const struct command *nearest = NULL;
    const struct command *command = find_command(name, &nearest);
    if (!command) {
        (void)fprintf(stderr, "orderlog: unknown command '%s'. ", name);
        if (nearest)
            (void)fprintf(stderr, "The nearest is '%s'. ", nearest->name);
        (void)fprintf(stderr, "`orderlog --help` lists all.\n");
        return EXIT_USAGE;
    }
    return command->run(argc - 2, argv + 2);
}
