# SPDX-License-Identifier: Apache-2.0
# The topic of customers' keys is played: the test is the log.
orderlog_test(NAME test_customer_keys LABEL unit SOURCES test_customer_keys.c
  LIBS orderlog_http orderlog_privacy orderlog_stream orderlog_event orderlog_service)
foreach(function table_reader_start table_reader_stop table_reader_wait table_reader_age_ms)
  target_link_options(test_customer_keys PRIVATE -Wl,--wrap=${function})
endforeach()
