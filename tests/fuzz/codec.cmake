# SPDX-License-Identifier: Apache-2.0
# Messages and their schemas, as anybody may put them into a topic or a registry.
orderlog_fuzz(fuzz_codec
  SOURCES fuzz_codec.c ${CMAKE_SOURCE_DIR}/tests/unit/codec_cases.c
  LIBS orderlog_event orderlog_service)

set(curl_is_played curl_easy_setopt curl_easy_perform curl_easy_getinfo)
orderlog_fuzz(fuzz_message
  SOURCES fuzz_message.c support/fuzz_ids.c support/fuzz_curl.c
  LIBS orderlog_stream orderlog_event orderlog_service dep::curl
  WRAPS ${curl_is_played})
orderlog_fuzz(fuzz_registry
  SOURCES fuzz_registry.c support/fuzz_ids.c support/fuzz_curl.c
  LIBS orderlog_stream orderlog_event orderlog_service dep::curl
  WRAPS ${curl_is_played})
orderlog_fuzz(fuzz_schema SOURCES fuzz_schema.c LIBS orderlog_event orderlog_service)
