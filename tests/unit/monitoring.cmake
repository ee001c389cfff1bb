# SPDX-License-Identifier: Apache-2.0
# What operators are given: alert rules and the dashboard, against the table of metrics.
orderlog_test(NAME monitoring LABEL unit
  COMMAND ${orderlog_cache}/linters/venv/bin/python3 ${CMAKE_CURRENT_SOURCE_DIR}/monitoring.py
    $<TARGET_FILE:orderlog> ${orderlog_cache}/linters/promtool)
orderlog_test(NAME projections_reset LABEL unit
  COMMAND ${orderlog_cache}/linters/venv/bin/python3 ${CMAKE_CURRENT_SOURCE_DIR}/projections_reset.py)
