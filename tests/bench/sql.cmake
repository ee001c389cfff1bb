# SPDX-License-Identifier: Apache-2.0
# Bare SQL, to measure the projector against.
add_executable(bench_sql bench_sql.c)
target_link_libraries(bench_sql PRIVATE orderlog_flags dep::pq)
