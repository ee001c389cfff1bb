# SPDX-License-Identifier: Apache-2.0
set(unit ${CMAKE_SOURCE_DIR}/tests/unit)
add_executable(bench_codec bench_codec.c ${unit}/codec_avroc.c ${unit}/codec_cases.c)
target_include_directories(bench_codec PRIVATE ${CMAKE_SOURCE_DIR}/tests)
target_link_libraries(bench_codec PRIVATE orderlog_flags orderlog_event orderlog_service dep::avro)
