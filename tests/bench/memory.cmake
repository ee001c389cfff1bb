# SPDX-License-Identifier: Apache-2.0
add_executable(bench_memory bench_memory.c)
target_include_directories(bench_memory PRIVATE ${CMAKE_SOURCE_DIR}/src)
target_link_libraries(bench_memory PRIVATE orderlog_flags orderlog_process dep::jemalloc)
