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

orderlog_test(NAME test_codec_generate LABEL unit SOURCES test_codec_generate.c)
add_dependencies(test_codec_generate orderlog_generate)
target_compile_definitions(test_codec_generate PRIVATE
  ORDERLOG_GENERATE="$<TARGET_FILE:orderlog_generate>")

# The same comparison over a schema that uses everything the generator supports.
set(every_kind ${CMAKE_CURRENT_BINARY_DIR}/every_kind)
set(every_kind_schema ${CMAKE_CURRENT_SOURCE_DIR}/codec_schemas/all/every_kind.avsc)
file(MAKE_DIRECTORY ${every_kind}/event)
add_custom_command(
  OUTPUT ${every_kind}/event/types.h ${every_kind}/event/encode.c ${every_kind}/event/decode.c
         ${every_kind}/event/tables.c
  COMMAND orderlog_generate ${CMAKE_CURRENT_SOURCE_DIR}/codec_schemas ${every_kind}/event
  DEPENDS orderlog_generate ${every_kind_schema}
  VERBATIM)
orderlog_test(NAME test_codec_every_kind LABEL unit
  SOURCES test_codec_avroc.c codec_avroc.c ${codec_cases} ${every_kind}/event/types.h
          ${every_kind}/event/encode.c ${every_kind}/event/decode.c ${every_kind}/event/tables.c
  LIBS orderlog_event dep::avro)
target_include_directories(test_codec_every_kind BEFORE PRIVATE ${every_kind})
