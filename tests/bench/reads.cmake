# SPDX-License-Identifier: Apache-2.0
# Reads over HTTP.
add_executable(bench_reads bench_reads.c bench_http.c)
target_link_libraries(bench_reads PRIVATE orderlog_flags orderlog_service)
add_executable(bench_paced bench_paced.c bench_http.c)
target_link_libraries(bench_paced PRIVATE orderlog_flags orderlog_cli orderlog_service)
