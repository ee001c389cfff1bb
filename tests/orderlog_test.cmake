# SPDX-License-Identifier: Apache-2.0
# Registers a test with ctest.
#
#   orderlog_test(NAME name (SOURCES file... [LIBS target...] | COMMAND command...)
#                 LABEL unit|sim|stream|store|http|system
#                 [NEEDS kafka postgres registry] [TIMEOUT seconds] [LONG] [THREADS]
#                 [AMONG] [BESIDE])
#
# SOURCES builds a cmocka program of that name; COMMAND runs something else, such as a script.
# NEEDS names the real servers it talks to, found through ORDERLOG_KAFKA_BOOTSTRAP,
# ORDERLOG_POSTGRES and ORDERLOG_REGISTRY: tests/run starts them once for all tests, and a test run
# alone with ctest starts its own. LONG keeps it for `tests/run long`, and sets ORDERLOG_TEST_LONG=1.
# THREADS: of the unit tests, ThreadSanitizer runs these. Tests of the system run alone, but for
# those that measure nothing (AMONG), and one so long that it begins first and others go on beside it
# (BESIDE).
#
#   orderlog_tests(LABEL label [NEEDS kafka postgres registry])
#
# registers every test_*.c of the current folder that is not registered already, linked with the
# libraries, ours and others', whose headers it includes; THREADS if that is pthread.h.
function(orderlog_test)
  cmake_parse_arguments(PARSE_ARGV 0 arg "LONG;THREADS;AMONG;BESIDE" "NAME;LABEL;TIMEOUT"
    "SOURCES;LIBS;COMMAND;NEEDS")
  if(arg_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "orderlog_test: unknown arguments: ${arg_UNPARSED_ARGUMENTS}")
  endif()

  set(timeout_unit 300)
  set(timeout_sim 300)
  set(timeout_stream 600)
  set(timeout_store 300)
  set(timeout_http 600)
  set(timeout_system 900)
  if(NOT DEFINED timeout_${arg_LABEL})
    message(FATAL_ERROR "orderlog_test(${arg_NAME}): LABEL must be unit, sim, stream, store, http or system")
  endif()
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT ${timeout_${arg_LABEL}})
  endif()

  if(arg_SOURCES)
    add_executable(${arg_NAME} ${arg_SOURCES})
    target_include_directories(${arg_NAME} PRIVATE ${CMAKE_SOURCE_DIR}/tests)
    target_link_libraries(${arg_NAME} PRIVATE orderlog_flags ${arg_LIBS} dep::cmocka)
    set(arg_COMMAND $<TARGET_FILE:${arg_NAME}>)
  endif()
  if(arg_NEEDS)
    set(arg_COMMAND ${CMAKE_SOURCE_DIR}/tests/support/services run ${arg_NEEDS} -- ${arg_COMMAND})
  endif()

  set(labels ${arg_LABEL})
  if(arg_LONG)
    set(labels long)
  endif()
  if(arg_THREADS)
    list(APPEND labels threads)
  endif()
  foreach(need ${arg_NEEDS})
    list(APPEND labels needs-${need})
  endforeach()
  add_test(NAME ${arg_NAME} COMMAND ${arg_COMMAND})
  set_tests_properties(${arg_NAME} PROPERTIES LABELS "${labels}" TIMEOUT ${arg_TIMEOUT})
  if(arg_BESIDE)
    set_tests_properties(${arg_NAME} PROPERTIES PROCESSORS 2 COST 1000)
  elseif(arg_LABEL STREQUAL system AND NOT arg_AMONG)
    set_tests_properties(${arg_NAME} PROPERTIES RUN_SERIAL ON)
  endif()
  if(arg_LONG)
    set_tests_properties(${arg_NAME} PROPERTIES ENVIRONMENT ORDERLOG_TEST_LONG=1)
  endif()
endfunction()

function(orderlog_tests)
  cmake_parse_arguments(PARSE_ARGV 0 arg "" "LABEL" "NEEDS")
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/test_*.c)
  foreach(source ${sources})
    cmake_path(GET source STEM name)
    if(TARGET ${name})
      continue()
    endif()
    file(STRINGS ${source} includes REGEX "^#include ")
    set(libs "")
    foreach(include ${includes})
      if(include MATCHES "\"(service|event|domain|wire|stream|privacy|process|store|http|cli)/")
        list(APPEND libs orderlog_${CMAKE_MATCH_1})
      elseif(include MATCHES "<(jansson|microhttpd|avro|zlib)\\.h>")
        list(APPEND libs dep::${CMAKE_MATCH_1})
      elseif(include MATCHES "<(curl|openssl)/|<lib(rdkafka|pq)[-/]")
        string(REPLACE openssl crypto lib "${CMAKE_MATCH_1}${CMAKE_MATCH_2}")
        list(APPEND libs dep::${lib})
      endif()
    endforeach()
    list(REMOVE_DUPLICATES libs)
    set(threads "")
    if("#include <pthread.h>" IN_LIST includes)
      set(threads THREADS)
    endif()
    orderlog_test(NAME ${name} SOURCES ${source} LIBS ${libs} LABEL ${arg_LABEL}
      NEEDS ${arg_NEEDS} ${threads})
  endforeach()
endfunction()
