# SPDX-License-Identifier: Apache-2.0
# Tests of the order share a world to put it in.
file(GLOB order_tests CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/test_order_*.c)
foreach(source ${order_tests})
  cmake_path(GET source STEM name)
  orderlog_test(NAME ${name} LABEL unit SOURCES ${source} order_world.c
    LIBS orderlog_domain orderlog_event)
endforeach()
