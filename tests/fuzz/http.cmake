# SPDX-License-Identifier: Apache-2.0
# Whatever strangers send over HTTP: requests to us, and answers to our own.
orderlog_fuzz(fuzz_router SOURCES fuzz_router.c LIBS orderlog_http orderlog_service)
orderlog_fuzz(fuzz_command
  SOURCES fuzz_command.c support/fuzz_ids.c
  LIBS orderlog_http orderlog_event orderlog_service)

set(servers_are_played
  MHD_lookup_connection_value MHD_get_connection_values_n MHD_suspend_connection
  MHD_resume_connection command_writer_send backlog_wait backlog_forget backlog_over backlog_lag_ms
  backlog_inbox catalogue_age_ms catalogue_find db_query db_is_connected
  query_versions_is query_versions_look query_versions_note query_lookup_order)
orderlog_fuzz(fuzz_request
  SOURCES fuzz_request.c support/fuzz_http.c support/fuzz_ids.c
  LIBS orderlog_http orderlog_store orderlog_stream orderlog_event orderlog_service
  WRAPS ${servers_are_played})
orderlog_fuzz(fuzz_batch
  SOURCES fuzz_batch.c support/fuzz_http.c support/fuzz_ids.c
  LIBS orderlog_http orderlog_store orderlog_stream orderlog_event orderlog_service
  WRAPS ${servers_are_played} respond_file_take)

orderlog_fuzz(fuzz_answer
  SOURCES fuzz_answer.c
  LIBS orderlog_process orderlog_event orderlog_service
  WRAPS http_calls_new http_calls_free http_calls_take http_calls_ready http_calls_poll
    http_calls_done http_calls_release)
orderlog_fuzz(fuzz_token
  SOURCES fuzz_token.c
  LIBS orderlog_http orderlog_event orderlog_service
  WRAPS jwks_verify)
