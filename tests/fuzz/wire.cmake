# SPDX-License-Identifier: Apache-2.0
# What a broker, or whoever answers in its place, sends to a producer of ours.
orderlog_fuzz(fuzz_wire SOURCES fuzz_wire.c LIBS orderlog_wire orderlog_service
  WRAPS wire_connection_open wire_connection_is_alive wire_connection_send
    wire_connection_send_writer wire_connection_push)
