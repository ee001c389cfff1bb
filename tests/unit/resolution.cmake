# SPDX-License-Identifier: Apache-2.0
# Reading other versions' messages, judged by fastavro.
add_executable(resolution_tool resolution_tool.c)
target_link_libraries(resolution_tool PRIVATE orderlog_flags orderlog_event orderlog_service)
foreach(kind "" _long)
  if(kind)
    set(long LONG TIMEOUT 1200)
  endif()
  orderlog_test(NAME test_resolution_fastavro${kind} LABEL unit ${long}
    COMMAND ${orderlog_cache}/venv/bin/python3 ${CMAKE_CURRENT_SOURCE_DIR}/resolution_fastavro.py
      $<TARGET_FILE:resolution_tool>)
endforeach()

orderlog_test(NAME test_resolution LABEL unit SOURCES test_resolution.c simulated.c
  LIBS orderlog_event orderlog_service dep::jansson)

# Groups are read so too.
orderlog_test(NAME test_input LABEL unit SOURCES test_input.c simulated.c
  LIBS orderlog_stream orderlog_event orderlog_service)

orderlog_test(NAME test_schemas_shipped LABEL unit
  COMMAND ${orderlog_cache}/venv/bin/python3 ${CMAKE_CURRENT_SOURCE_DIR}/schemas_shipped.py
    $<TARGET_FILE:orderlog_generate>)
