# SPDX-License-Identifier: Apache-2.0
# What a broker, or whoever answers in its place, sends to a producer of ours and to a processor's reader.
set(played wire_connection_open wire_connection_is_alive wire_connection_send
  wire_connection_send_writer wire_connection_push)
orderlog_fuzz(fuzz_wire SOURCES fuzz_wire.c played_broker.c LIBS orderlog_wire orderlog_service
  WRAPS ${played})
orderlog_fuzz(fuzz_fetch SOURCES fuzz_fetch.c played_broker.c LIBS orderlog_wire orderlog_service
  WRAPS ${played} wire_batch_is_sound)
