# SPDX-License-Identifier: Apache-2.0
# Loads of HTTP requests, and the bare servers and clients that stand beside our services.
set(jemalloc -Wl,--no-as-needed dep::jemalloc -Wl,--as-needed) # as the program has it
add_executable(bench_requests bench_requests.c bench_http.c)
target_link_libraries(bench_requests PRIVATE
  orderlog_flags orderlog_cli orderlog_event orderlog_service dep::pq)
add_executable(bench_bare_http bench_bare_http.c)
target_link_libraries(bench_bare_http PRIVATE orderlog_flags dep::microhttpd ${jemalloc})
add_executable(bench_produce bench_produce.c bench_kafka.c)
target_link_libraries(bench_produce PRIVATE orderlog_flags dep::rdkafka ${jemalloc})
add_executable(bench_copy bench_copy.c bench_kafka.c)
target_link_libraries(bench_copy PRIVATE orderlog_flags dep::rdkafka ${jemalloc})
