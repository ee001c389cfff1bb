# SPDX-License-Identifier: Apache-2.0
# What foreign clients of the cluster may leave for us: texts of committed offsets, and records in
# an inbox, among the dead letters, or in a table; and trace context, callers' too.
orderlog_fuzz(fuzz_trace SOURCES fuzz_trace.c LIBS orderlog_service)
orderlog_fuzz(fuzz_offset_metadata SOURCES fuzz_offset_metadata.c LIBS orderlog_stream)
orderlog_fuzz(fuzz_input SOURCES fuzz_input.c support/fuzz_ids.c LIBS orderlog_stream)
orderlog_fuzz(fuzz_parked
  SOURCES fuzz_parked.c support/fuzz_ids.c
  LIBS orderlog_stream orderlog_event orderlog_service
  WRAPS log_span_bounds log_span_read)
orderlog_fuzz(fuzz_table
  SOURCES fuzz_table.c support/fuzz_ids.c
  LIBS orderlog_http orderlog_privacy orderlog_stream orderlog_event orderlog_service
  WRAPS table_reader_start table_reader_stop table_reader_wait master_keys_load)
