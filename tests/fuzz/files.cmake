# SPDX-License-Identifier: Apache-2.0
# Files that the program is pointed to: orders as CSV, configuration, the books of a simulation, a
# broker's segments and the master keys.
orderlog_fuzz(fuzz_order_file
  SOURCES fuzz_order_file.c
    ${CMAKE_SOURCE_DIR}/src/cli/order_file.c ${CMAKE_SOURCE_DIR}/src/cli/csv.c
    ${CMAKE_SOURCE_DIR}/src/cli/intern.c
  LIBS orderlog_domain orderlog_service dep::zlib dep::xxhash)
orderlog_fuzz(fuzz_config SOURCES fuzz_config.c LIBS orderlog_service)
orderlog_fuzz(fuzz_ledger SOURCES fuzz_ledger.c LIBS orderlog_process orderlog_service)
orderlog_fuzz(fuzz_segment
  SOURCES fuzz_segment.c ${CMAKE_SOURCE_DIR}/src/cli/segment.c
  LIBS orderlog_privacy orderlog_service)
