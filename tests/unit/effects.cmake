# SPDX-License-Identifier: Apache-2.0
# The clients of provider and carrier meet the real simulator, as a child process.
foreach(name provider carrier)
  orderlog_test(NAME test_${name}_http LABEL unit THREADS SOURCES test_${name}_http.c simulated.c
    LIBS orderlog_process orderlog_event orderlog_service)
  add_dependencies(test_${name}_http orderlog)
  set_tests_properties(test_${name}_http PROPERTIES
    ENVIRONMENT ORDERLOG_PROGRAM=$<TARGET_FILE:orderlog>)
endforeach()

# What is inner to the processors.
foreach(name breaker closed_orders command_memory orders_deadlines orders_traces snapshots)
  orderlog_test(NAME test_${name} LABEL unit SOURCES test_${name}.c LIBS orderlog_process)
  target_include_directories(test_${name} PRIVATE ${CMAKE_SOURCE_DIR}/src)
endforeach()
