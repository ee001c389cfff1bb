# SPDX-License-Identifier: Apache-2.0
# The processors alone, from placed to booked.
add_executable(bench_saga bench_saga.c)
target_link_libraries(bench_saga PRIVATE orderlog_cli -Wl,--no-as-needed dep::jemalloc -Wl,--as-needed)
