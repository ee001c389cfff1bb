// SPDX-License-Identifier: Apache-2.0
//
// Puts commands into the log: one idempotent producer (wire/wire_producer.h) with acks=all. Every
// command gets exactly one answer, within gateway.request.timeout.ms and a second.
#ifndef ORDERLOG_HTTP_COMMAND_WRITER_H
#define ORDERLOG_HTTP_COMMAND_WRITER_H

#include "http/command.h"
#include "service/config.h"
#include "service/trace.h"

enum writer_outcome {
    WRITER_WRITTEN,     // all in-sync replicas have it
    WRITER_NOT_WRITTEN, // certainly not: it never left this process, or was refused each time
    WRITER_UNKNOWN,     // it was sent, and nobody has said what came of it
};

// In the writer's thread, that of whoever serves it, or within command_writer_send(). Quick, no
// waiting.
typedef void writer_done_fn(void *state, enum writer_outcome outcome);

struct command_writer;

// False: DISP_RETRY when no broker answers, DISP_FATAL when a topic is missing.
bool command_writer_start(const struct config *config, struct command_writer **ret,
                          struct error *err);

// Lets somebody else's thread take the brokers' answers: command_writer_serve(writer) is to be
// called there when the descriptor that is returned can be read from. Until it is taken back.
int command_writer_lend(struct command_writer *writer);
void command_writer_serve(void *writer);
void command_writer_take_back(struct command_writer *writer);

// What a thread sends between the two goes to the brokers together, at the end.
void command_writer_together_begin(void *writer);
void command_writer_together_end(void *writer);

// Waits until every command has its answer. NULL is fine.
void command_writer_stop(struct command_writer *writer);

// Of a topic it writes.
int32_t command_writer_partitions(const struct command_writer *writer, enum topic_id topic);

// Takes command->bytes. trace: of what caused it; NULL: nothing is known, then a new order may be
// traced by itself. Any thread, does not block.
void command_writer_send(struct command_writer *writer, struct command *command,
                         const struct trace_context *trace, writer_done_fn *done, void *state);

#endif
