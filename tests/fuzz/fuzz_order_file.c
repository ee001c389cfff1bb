// SPDX-License-Identifier: Apache-2.0
//
// A file of orders from anywhere: read whole or refused with a reason, never half.
#include "cli/order_file.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char header[] = "order_id,customer_id,ordered_at,line_no,sku,description,quantity,"
                                 "unit_price_minor,currency,line_total_minor\n";
    int fd = memfd_create("orders", MFD_CLOEXEC);
    assert(fd >= 0);
    // Most inputs would not get past the header: half of them are given one.
    bool with_header = size > 0 && (data[0] & 1);
    ssize_t written = with_header ? write(fd, header, strlen(header)) : 0;
    written += write(fd, data, size);
    assert(written >= (ssize_t)size);
    char path[64];
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    struct order_file file;
    struct error err = {0};
    if (order_file_read(path, &file, &err))
        order_file_done(&file);
    else
        assert(err.msg[0]);
    close(fd);
    return 0;
}
