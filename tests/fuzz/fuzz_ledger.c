// SPDX-License-Identifier: Apache-2.0
//
// A ledger file of any content: read, or refused with what is wrong; and what is added to it is
// found again by the next who reads it.
#include "process/ledger.h"

#include <assert.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const actions[] = {"AUTHORIZE", "CAPTURE"};
static const char *const results[] = {"AUTHORIZED", "DECLINED", "CAPTURED"};
static const struct ledger_words words = {actions, 2, results, 3};

static struct ledger *open_again(const char *path) {
    struct error err = {0};
    struct ledger *ledger = ledger_open(path, &words, &err);
    assert(ledger || err.msg[0]);
    return ledger;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    int fd = memfd_create("ledger", MFD_CLOEXEC);
    assert(fd >= 0);
    ssize_t written = write(fd, data, size);
    assert(written == (ssize_t)size);
    char path[64];
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    struct ledger *ledger = open_again(path);
    if (ledger) {
        struct ledger_entry entry = {.at_us = 1, .action = 1, .result = 2, .amount_minor = 5};
        struct error err = {0};
        memset(entry.effect_id.bytes, 0x5A, sizeof(entry.effect_id.bytes));
        bool appended = ledger_begin(ledger, &err) && ledger_append(ledger, &entry, &err) &&
                        ledger_commit(ledger, &err);
        assert(appended);
        (void)ledger_free(ledger);
        ledger = open_again(path);
        bool begun = ledger && ledger_begin(ledger, &err);
        assert(begun);
        struct ledger_facts facts = ledger_find(ledger, &entry.effect_id);
        assert(facts.happened & ledger_bit(entry.action, entry.result));
        ledger_abandon(ledger);
        (void)ledger_free(ledger);
    }
    close(fd);
    return 0;
}
