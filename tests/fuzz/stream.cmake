# SPDX-License-Identifier: Apache-2.0
# What foreign clients of the cluster may leave for us: texts of committed offsets, and records in
# an inbox.
orderlog_fuzz(fuzz_offset_metadata SOURCES fuzz_offset_metadata.c LIBS orderlog_stream)
orderlog_fuzz(fuzz_input SOURCES fuzz_input.c LIBS orderlog_stream)
