# SPDX-License-Identifier: Apache-2.0
# The codec's tests: they share the makers of values, and some need avro-c or Python.
set(codec_cases codec_cases.c)
orderlog_test(NAME test_codec_avroc LABEL unit
  SOURCES test_codec_avroc.c codec_avroc.c ${codec_cases} LIBS orderlog_event dep::avro)
orderlog_test(NAME test_codec_avroc_long LABEL unit LONG TIMEOUT 1200
  COMMAND $<TARGET_FILE:test_codec_avroc>)

orderlog_test(NAME test_codec_fastavro LABEL unit
  SOURCES test_codec_fastavro.c ${codec_cases} LIBS orderlog_event)
target_compile_definitions(test_codec_fastavro PRIVATE
  ORDERLOG_PYTHON_DEFAULT="${orderlog_cache}/venv/bin/python3"
  CODEC_FASTAVRO_PY="${CMAKE_CURRENT_SOURCE_DIR}/codec_fastavro.py"
  SCHEMAS_DIR="${CMAKE_SOURCE_DIR}/schemas")
orderlog_test(NAME test_codec_fastavro_long LABEL unit LONG TIMEOUT 1800
  COMMAND $<TARGET_FILE:test_codec_fastavro>)

orderlog_test(NAME test_codec_golden LABEL unit
  SOURCES test_codec_golden.c ${codec_cases} LIBS orderlog_event)
target_compile_definitions(test_codec_golden PRIVATE GOLDEN_DIR="${CMAKE_SOURCE_DIR}/tests/golden")

orderlog_test(NAME test_codec_malformed LABEL unit
  SOURCES test_codec_malformed.c ${codec_cases} LIBS orderlog_event)
