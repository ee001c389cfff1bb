# SPDX-License-Identifier: Apache-2.0
# The brokers that an idempotent producer meets are played by its test.
orderlog_test(NAME test_wire_producer LABEL unit SOURCES test_wire_producer.c wire_brokers.c
  LIBS orderlog_wire orderlog_service)
target_link_options(test_wire_producer PRIVATE -Wl,--wrap=wire_connection_open)

# A broker is played: its answers lie ready in a socket.
orderlog_test(NAME test_wire_fetch_answers LABEL unit SOURCES test_wire_fetch_answers.c
  LIBS orderlog_wire orderlog_service)
foreach(call wire_connection_open wire_connection_send_writer)
  target_link_options(test_wire_fetch_answers PRIVATE -Wl,--wrap=${call})
endforeach()

# Its reader of the wire is played.
orderlog_test(NAME test_span_feed LABEL unit THREADS SOURCES test_span_feed.c
  LIBS orderlog_stream orderlog_service)
foreach(call wire_fetch_next wire_fetch_free message_decode)
  target_link_options(test_span_feed PRIVATE -Wl,--wrap=${call})
endforeach()
