# SPDX-License-Identifier: Apache-2.0
# The load generator of tests/bench/run.
add_executable(bench_load
  bench_load.c bench_latency.c bench_throughput.c bench_watch.c)
target_link_libraries(bench_load PRIVATE
  orderlog_flags orderlog_cli orderlog_event orderlog_service dep::rdkafka dep::pq)
