# SPDX-License-Identifier: Apache-2.0
# The containers, as far as they can be checked without docker.
orderlog_test(NAME containers LABEL unit
  COMMAND ${orderlog_cache}/linters/venv/bin/python3 ${CMAKE_CURRENT_SOURCE_DIR}/containers.py
    $<TARGET_FILE:orderlog> ${orderlog_cache}/linters/venv/bin)
