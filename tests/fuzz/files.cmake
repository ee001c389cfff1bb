# SPDX-License-Identifier: Apache-2.0
# Files that people hand to the program: orders as CSV, and configuration.
orderlog_fuzz(fuzz_order_file SOURCES fuzz_order_file.c LIBS orderlog_cli)
orderlog_fuzz(fuzz_config SOURCES fuzz_config.c LIBS orderlog_service)
