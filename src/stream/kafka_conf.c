// SPDX-License-Identifier: Apache-2.0
//
// One log for everything: librdkafka's lines arrive through log.c with its facility as a field.
#include "stream/kafka_conf.h"

#include "kafka_revive.h"
#include "service/log.h"
#include "service/metrics.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

// A broker has refused what this process says it is. Set once: it is only asked why nobody answers.
static _Atomic bool is_refused;

static void log_line(const rd_kafka_t *client, int level, const char *facility, const char *text) {
    if (!log_enabled(log_level_from_syslog(level)))
        return;
    const struct log_field fields[] = {F_STR("client", client ? rd_kafka_name(client) : NULL),
                                       F_STR("facility", facility), F_STR("detail", text)};
    log_write(log_level_from_syslog(level), "librdkafka", fields, 3);
}

// A conf with an error callback does not log connection errors twice.
static void error_raised(rd_kafka_t *client, int code, const char *reason, void *opaque) {
    (void)opaque;
    if (code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN)
        kafka_revive();
    if (code == RD_KAFKA_RESP_ERR__AUTHENTICATION || code == RD_KAFKA_RESP_ERR__SSL)
        atomic_store(&is_refused, true);
    metrics_add(METRIC_ERRORS, ERROR_CLIENT, 1);
    LOG(WARN, "Kafka client reports an error, it goes on trying",
        F_STR("client", rd_kafka_name(client)),
        F_STR("code", rd_kafka_err2name((rd_kafka_resp_err_t)code)), F_STR("detail", reason));
}

bool kafka_conf_set(rd_kafka_conf_t *conf, const struct kafka_setting *settings,
                    struct error *err) {
    char reason[256];
    for (; settings->name; settings++)
        if (rd_kafka_conf_set(conf, settings->name, settings->value, reason, sizeof(reason)) !=
            RD_KAFKA_CONF_OK)
            return error_set(err, DISP_FATAL, 0, "kafka.%s = %s: %s", settings->name,
                             settings->value, reason);
    return true;
}

bool kafka_conf_suggest(rd_kafka_conf_t *conf, const struct config *config,
                        const struct kafka_setting *settings, struct error *err) {
    for (; settings->name; settings++) {
        const struct kafka_setting one[] = {*settings, {NULL, NULL}};
        if (!config_settings_find(&config->kafka, settings->name) &&
            !kafka_conf_set(conf, one, err))
            return false;
    }
    return true;
}

rd_kafka_conf_t *kafka_conf_new(const struct config *config, const char *client_id,
                                struct error *err) {
    // A client connects twice at start, to a bootstrap server and to that broker by its id, and
    // rests half of this in between. It is where resting begins: it doubles while a broker is away.
    const struct kafka_setting first[] = {{"reconnect.backoff.ms", "20"}, {NULL, NULL}};
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    if (!kafka_conf_set(conf, first, err)) {
        rd_kafka_conf_destroy(conf);
        return NULL;
    }
    char reason[256];
    for (size_t i = 0; i < config->kafka.count; i++) {
        const struct config_setting *setting = &config->kafka.items[i];
        if (rd_kafka_conf_set(conf, setting->name, setting->value, reason, sizeof(reason)) ==
            RD_KAFKA_CONF_OK)
            continue;
        error_set(err, DISP_FATAL, 0, "kafka.%s (from %s): %s", setting->name, setting->source,
                  reason);
        rd_kafka_conf_destroy(conf);
        return NULL;
    }
    const struct kafka_setting own[] = {{"client.id", client_id}, {NULL, NULL}};
    if (!kafka_conf_set(conf, own, err)) {
        rd_kafka_conf_destroy(conf);
        return NULL;
    }
    rd_kafka_conf_set_log_cb(conf, log_line);
    rd_kafka_conf_set_error_cb(conf, error_raised);
    return conf;
}

rd_kafka_t *kafka_client_new(rd_kafka_type_t type, rd_kafka_conf_t *conf, struct error *err) {
    char reason[512];
    rd_kafka_t *client = rd_kafka_new(type, conf, reason, sizeof(reason));
    if (!client) {
        rd_kafka_conf_destroy(conf);
        error_set(err, DISP_FATAL, 0, "cannot create a Kafka client: %s", reason);
        return NULL;
    }
    kafka_revive_add(client);
    return client;
}

void kafka_client_free(rd_kafka_t *client) {
    kafka_revive_remove(client);
    rd_kafka_destroy(client);
}

void kafka_hear(rd_kafka_t *client) {
    (void)rd_kafka_poll(client, 0);
}

bool kafka_unanswered(rd_kafka_t *client, rd_kafka_resp_err_t code, struct error *err) {
    char servers[256];
    size_t size = sizeof(servers);
    if (rd_kafka_conf_get(rd_kafka_conf(client), "bootstrap.servers", servers, &size) !=
        RD_KAFKA_CONF_OK)
        (void)snprintf(servers, sizeof(servers), "kafka.bootstrap.servers");
    kafka_hear(client);
    if (atomic_load(&is_refused))
        return error_set(err, DISP_RETRY, code,
                         "the Kafka brokers at %s do not let us in: check kafka.sasl.username and "
                         "kafka.sasl.password, and that kafka.ssl.ca.location names the authority "
                         "of their certificates",
                         servers);
    return error_set(err, DISP_RETRY, code,
                     "no Kafka broker answers at %s (%s): start one, or set "
                     "kafka.bootstrap.servers and kafka.security.protocol",
                     servers, rd_kafka_err2str(code));
}

bool kafka_partitions(rd_kafka_t *client, const char *topic, int timeout_ms, int32_t *ret,
                      struct error *err) {
    rd_kafka_topic_t *handle = rd_kafka_topic_new(client, topic, NULL);
    if (!handle)
        return error_set(err, DISP_FATAL, 0, "topic %s: %s", topic,
                         rd_kafka_err2str(rd_kafka_last_error()));
    const struct rd_kafka_metadata *metadata = NULL;
    rd_kafka_resp_err_t code = rd_kafka_metadata(client, 0, handle, &metadata, timeout_ms);
    rd_kafka_topic_destroy(handle);
    if (code)
        return kafka_unanswered(client, code, err);
    bool found = metadata->topic_cnt == 1 && !metadata->topics[0].err &&
                 metadata->topics[0].partition_cnt > 0;
    if (found)
        *ret = metadata->topics[0].partition_cnt;
    else if (metadata->topic_cnt == 1 &&
             metadata->topics[0].err == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED)
        error_set(err, DISP_FATAL, 0,
                  "this Kafka user has no right to topic %s: see `orderlog rights`, and run "
                  "`orderlog setup` with setup.users.prefix",
                  topic);
    else
        error_set(err, DISP_FATAL, 0, "topic %s does not exist: run `orderlog setup`", topic);
    rd_kafka_metadata_destroy(metadata);
    return found;
}

bool kafka_bounds(rd_kafka_t *client, const char *topic, int32_t partition, int timeout_ms,
                  int64_t *ret_low, int64_t *ret_end, struct error *err) {
    rd_kafka_resp_err_t code =
        rd_kafka_query_watermark_offsets(client, topic, partition, ret_low, ret_end, timeout_ms);
    if (!code)
        return true;
    error_set(err, DISP_RETRY, code, "end of %s[%d]: %s", topic, partition, rd_kafka_err2str(code));
    if (code == RD_KAFKA_RESP_ERR__TIMED_OUT || code == RD_KAFKA_RESP_ERR__TRANSPORT ||
        code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN)
        return false;
    // A partition that had no leader when the client last looked is unknown to it, and it asks
    // nobody again until its next regular look, minutes later: it has to look now.
    int32_t partitions;
    struct error why;
    (void)kafka_partitions(client, topic, timeout_ms, &partitions, &why);
    return false;
}
