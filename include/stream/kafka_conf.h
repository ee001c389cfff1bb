// SPDX-License-Identifier: Apache-2.0
//
// How every librdkafka client of ours begins: the operator's kafka.* settings, our log, our name.
// The caller then sets what its own correctness depends on; those keys are refused from outside by
// the option table (service/config.h).
#ifndef ORDERLOG_STREAM_KAFKA_CONF_H
#define ORDERLOG_STREAM_KAFKA_CONF_H

#include <librdkafka/rdkafka.h>

#include "service/config.h"
#include "service/error.h"

// Returns an owned conf (rd_kafka_new takes it on success; else rd_kafka_conf_destroy), NULL with
// err (DISP_FATAL) naming the setting that librdkafka refused and where it came from.
rd_kafka_conf_t *kafka_conf_new(const struct config *config, const char *client_id,
                                struct error *err);

// Sets pairs until a NULL name. False with err on the first that is refused (our bug, or a
// librdkafka that is too old).
struct kafka_setting {
    const char *name;
    const char *value;
};
bool kafka_conf_set(rd_kafka_conf_t *conf, const struct kafka_setting *settings, struct error *err);

// The same for tuning: what the operator has set is left as it is.
bool kafka_conf_suggest(rd_kafka_conf_t *conf, const struct config *config,
                        const struct kafka_setting *settings, struct error *err);

// rd_kafka_new that takes conf in any case and sends the log through our log; and rd_kafka_destroy for
// such a client. Between them it finds brokers again however it has lost them (kafka_revive.h).
rd_kafka_t *kafka_client_new(rd_kafka_type_t type, rd_kafka_conf_t *conf, struct error *err);
void kafka_client_free(rd_kafka_t *client);

// Calls the callbacks of a client that is only asked and never polled, as it hears only by them
// that it has lost all brokers. Nothing may be assigned to it: messages would get in the way.
void kafka_hear(rd_kafka_t *client);

// Says why a request was not answered: nobody there, or nobody who knows us. Returns false, with
// DISP_RETRY. For clients as of kafka_hear().
bool kafka_unanswered(rd_kafka_t *client, rd_kafka_resp_err_t code, struct error *err);

// Partition count of a topic, asked of the broker. False: DISP_FATAL, "run `orderlog setup`" when
// the topic is missing, or what is missing when we have no right to it; DISP_RETRY when no broker
// answers.
bool kafka_partitions(rd_kafka_t *client, const char *topic, int timeout_ms, int32_t *ret,
                      struct error *err);

// Where a partition begins and ends, asked of the broker; a client with read_committed is told the
// last stable offset as its end. False: DISP_RETRY. Waits for at most twice the time-out.
bool kafka_bounds(rd_kafka_t *client, const char *topic, int32_t partition, int timeout_ms,
                  int64_t *ret_low, int64_t *ret_end, struct error *err);

#endif
