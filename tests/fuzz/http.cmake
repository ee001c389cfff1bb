# SPDX-License-Identifier: Apache-2.0
# Whatever strangers send over HTTP: a path, or a body.
orderlog_fuzz(fuzz_router SOURCES fuzz_router.c LIBS orderlog_http orderlog_service)
orderlog_fuzz(fuzz_command SOURCES fuzz_command.c LIBS orderlog_http orderlog_event orderlog_service)
