// SPDX-License-Identifier: Apache-2.0
//
// CRC-32C (Castagnoli, RFC 3720 appendix B.4), which guards record batches.
#ifndef ORDERLOG_WIRE_CRC32C_H
#define ORDERLOG_WIRE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

uint32_t wire_crc32c(const void *bytes, size_t len);

#endif
