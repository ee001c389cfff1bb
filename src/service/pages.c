// SPDX-License-Identifier: Apache-2.0
#include "service/pages.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { HUGE_PAGE = 2 << 20 };

void *pages_zeroed(size_t count, size_t size) {
    if (size == 0 || count < HUGE_PAGE / size)
        return calloc(count, size);
    if (count > (SIZE_MAX - HUGE_PAGE) / size)
        return NULL;
    const size_t bytes = (count * size + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
    void *pages = aligned_alloc(HUGE_PAGE, bytes);
    if (!pages)
        return NULL;
    // A kernel that has none goes on with ordinary ones.
    (void)madvise(pages, bytes, MADV_HUGEPAGE);
    return memset(pages, 0, bytes);
}
