// SPDX-License-Identifier: Apache-2.0
//
// Memory for tables that are reached at random: every look-up in one that is larger than the
// processor's caches also misses the cache of page addresses, unless its pages are huge.
#ifndef ORDERLOG_SERVICE_PAGES_H
#define ORDERLOG_SERVICE_PAGES_H

#include <stddef.h>

// Zeroed, and for free(). From a huge page's size on it lies in huge pages, where the kernel has
// them (madvise(2), MADV_HUGEPAGE). NULL: out of memory.
void *pages_zeroed(size_t count, size_t size);

#endif
