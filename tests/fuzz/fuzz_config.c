// SPDX-License-Identifier: Apache-2.0
//
// A configuration file of any content: every line is taken or named.
#include "service/config.h"

#include <assert.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    int fd = memfd_create("config", MFD_CLOEXEC);
    assert(fd >= 0);
    ssize_t written = write(fd, data, size);
    assert(written == (ssize_t)size);
    char path[64];
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    char flag[] = "--config";
    char *argv[] = {flag, path, NULL};
    const struct config_command command = {
        .usage = "fuzz", .about = "Reads a file.", .role = ROLE_ORDER};
    struct config config;
    enum config_action action;
    struct error err = {0};
    int arguments_count = 0;
    if (config_load(&command, 2, argv, NULL, &config, &arguments_count, &action, &err))
        config_free(&config);
    else
        assert(err.msg[0]);
    close(fd);
    return 0;
}
