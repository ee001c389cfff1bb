// SPDX-License-Identifier: Apache-2.0
//
// Puts commands into the log: one idempotent producer with acks=all. Every command gets exactly one
// answer, within gateway.request.timeout.ms and a second.
#ifndef ORDERLOG_HTTP_COMMAND_WRITER_H
#define ORDERLOG_HTTP_COMMAND_WRITER_H

#include "http/command.h"
#include "service/config.h"
#include "service/trace.h"

enum writer_outcome {
    WRITER_WRITTEN,     // all in-sync replicas have it
    WRITER_NOT_WRITTEN, // certainly not: it never left this process
    WRITER_UNKNOWN,     // it was sent, and no answer came
};

// In the writer's thread, or within command_writer_send(). Quick, no waiting.
typedef void writer_done_fn(void *state, enum writer_outcome outcome);

struct command_writer;

// False: DISP_RETRY when no broker answers, DISP_FATAL when a topic is missing.
bool command_writer_start(const struct config *config, struct command_writer **ret,
                          struct error *err);

// Waits until every command has its answer. NULL is fine.
void command_writer_stop(struct command_writer *writer);

// Of a topic it writes.
int32_t command_writer_partitions(const struct command_writer *writer, enum topic_id topic);

// Takes command->bytes. trace: of what caused it; NULL: nothing is known, then a new order may be
// traced by itself. Any thread, does not block.
void command_writer_send(struct command_writer *writer, struct command *command,
                         const struct trace_context *trace, writer_done_fn *done, void *state);

#endif
