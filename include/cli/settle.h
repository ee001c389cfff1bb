// SPDX-License-Identifier: Apache-2.0
//
// Asks the workers to retry or drop parked letters: one command per key, appended to the inbox like
// any other, so that the order of what happens to the key is kept.
#ifndef ORDERLOG_CLI_SETTLE_H
#define ORDERLOG_CLI_SETTLE_H

#include "cli/letters.h"

enum settle_how { SETTLE_RETRY, SETTLE_DROP };

struct settle_outcome {
    size_t asked; // letters
    size_t keys;
    size_t settled;
    size_t failed_again;
    size_t waiting; // behind those
    size_t unknown; // nothing was heard of them in time
};

// chosen: one flag per letter; only parked ones are taken. A retry is always of the whole key: all
// letters that are parked under the key of a chosen one count as asked. Does nothing but count with
// dry_run. Waits up to wait_ms for the outcome.
bool settle_letters(const struct config *config, struct letters *letters, const bool *chosen,
                    enum settle_how how, bool dry_run, int64_t wait_ms, struct settle_outcome *ret,
                    struct error *err);

#endif
