# SPDX-License-Identifier: Apache-2.0
orderlog_fuzz(fuzz_codec
  SOURCES fuzz_codec.c ${CMAKE_SOURCE_DIR}/tests/unit/codec_cases.c
  LIBS orderlog_event orderlog_service)
