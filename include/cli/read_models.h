// SPDX-License-Identifier: Apache-2.0
//
// Names of read models, as people type them.
#ifndef ORDERLOG_CLI_READ_MODELS_H
#define ORDERLOG_CLI_READ_MODELS_H

#include <stdbool.h>

// False: said on stderr, with those that there are. tool: "project".
bool read_model_is_known(const char *tool, const char *name);

#endif
