# SPDX-License-Identifier: Apache-2.0
# HTTP servers and what they write: loads, and bare servers and clients beside them.
set(jemalloc -Wl,--no-as-needed dep::jemalloc -Wl,--as-needed) # as the program has it
add_executable(bench_requests bench_requests.c bench_http.c bench_orders.c)
target_link_libraries(bench_requests PRIVATE
  orderlog_flags orderlog_event orderlog_service dep::pq)
add_executable(bench_bare_http bench_bare_http.c)
target_link_libraries(bench_bare_http PRIVATE orderlog_flags dep::microhttpd ${jemalloc})
add_executable(bench_produce bench_produce.c)
target_link_libraries(bench_produce PRIVATE orderlog_flags dep::rdkafka ${jemalloc})
