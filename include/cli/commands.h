// SPDX-License-Identifier: Apache-2.0
//
// The subcommands. Each is one function in the file of its name (src/cli/cmd_NAME.c), called with
// the words after its own, and returns the exit status (service/service.h). To add one: write its
// file, declare it here, add a row to the table in main.c.
#ifndef ORDERLOG_CLI_COMMANDS_H
#define ORDERLOG_CLI_COMMANDS_H

typedef int command_fn(int argc, char **argv);

struct command {
    const char *name;
    command_fn *run;
    const char *summary; // one line of --help
};

command_fn cmd_gateway;
command_fn cmd_process;
command_fn cmd_project;
command_fn cmd_query;

command_fn cmd_setup;
command_fn cmd_keys;
command_fn cmd_reseal;
command_fn cmd_rights;

command_fn cmd_generate;
command_fn cmd_replay;
command_fn cmd_bench;
command_fn cmd_events;
command_fn cmd_deadletters;
command_fn cmd_status;
command_fn cmd_metrics;
command_fn cmd_projection;
command_fn cmd_rebuild;
command_fn cmd_verify;
command_fn cmd_ledger;
command_fn cmd_simulate;

#endif
