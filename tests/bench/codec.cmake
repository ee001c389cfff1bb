# SPDX-License-Identifier: Apache-2.0
add_executable(bench_codec bench_codec.c bench_codec_avroc.c)
target_link_libraries(bench_codec PRIVATE orderlog_flags orderlog_event orderlog_service dep::avro)
