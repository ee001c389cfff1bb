# SPDX-License-Identifier: Apache-2.0
# Tests of the order share a world to put it in.
foreach(name test_order_cells test_order_commands test_order_life test_order_random)
  orderlog_test(NAME ${name} LABEL unit SOURCES ${name}.c order_world.c
    LIBS orderlog_domain orderlog_event)
endforeach()
orderlog_test(NAME test_order_random_long LABEL unit LONG TIMEOUT 1200
  COMMAND $<TARGET_FILE:test_order_random>)
orderlog_test(NAME test_saga_long LABEL unit LONG TIMEOUT 1200 COMMAND $<TARGET_FILE:test_saga>)
orderlog_test(NAME test_ledger_long LABEL unit LONG COMMAND $<TARGET_FILE:test_ledger>)

# The domain is handed what it needs: it may include nothing that reads a clock, chance or the world.
orderlog_test(NAME domain_is_pure LABEL unit
  COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/domain_is_pure ${CMAKE_SOURCE_DIR})
