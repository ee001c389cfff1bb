// SPDX-License-Identifier: Apache-2.0
#include "projector_input.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "service/clock.h"
#include "service/log.h"
#include "stream/kafka_conf.h"

// How long a projector that is far behind waits for its batch to fill, and for the last records
// when it is not far behind any more.
enum { FAR_BEHIND_RECORDS = 20000, FILL_MS_MAX = 2000, FILL_LAST_MS = 100, FILL_POLL_MS = 20 };

static void set_partitions(struct projector_input *input,
                           const rd_kafka_topic_partition_list_t *list) {
    for (size_t i = 0; i < PARTITIONS_MAX; i++)
        input->slot_of[i] = -1;
    input->partitions_count = 0;
    for (int i = 0; list && i < list->cnt; i++) {
        int32_t partition = list->elems[i].partition;
        assert(partition < PARTITIONS_MAX);
        input->slot_of[partition] = (int)input->partitions_count;
        input->partitions[input->partitions_count++] =
            (struct projector_partition){.partition = partition, .committed = -1};
    }
}

// An empty assignment is the answer the group waits for; what is ours is taken up later.
static void assign_nothing(rd_kafka_t *consumer) {
    rd_kafka_topic_partition_list_t *nothing = rd_kafka_topic_partition_list_new(1);
    rd_kafka_assign(consumer, nothing);
    rd_kafka_topic_partition_list_destroy(nothing);
}

static void rebalanced(rd_kafka_t *consumer, rd_kafka_resp_err_t code,
                       rd_kafka_topic_partition_list_t *list, void *opaque) {
    struct projector_input *input = opaque;
    if (code == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS) {
        LOG(INFO, "partitions assigned, reading their stored positions",
            F_STR("topic", input->topic), F_INT("partitions", list->cnt));
        set_partitions(input, list);
        input->is_member = true;
        assign_nothing(consumer);
    } else {
        LOG(INFO, "partitions given up", F_STR("topic", input->topic));
        set_partitions(input, NULL);
        input->is_member = false;
        rd_kafka_assign(consumer, NULL);
    }
    input->is_stale = true;
}

static rd_kafka_conf_t *make_conf(struct projector_input *input, const struct config *config,
                                  int worker, struct error *err) {
    char client[64], group[128], instance[64], session[32], heartbeat[32];
    snprintf(client, sizeof(client), "orderlog-project-%d-%d", (int)config->slot, worker);
    snprintf(group, sizeof(group), "orderlog.projector.%s", input->topic);
    snprintf(instance, sizeof(instance), "project-%d-%d", (int)config->slot, worker);
    snprintf(session, sizeof(session), "%d", (int)config->session_timeout_ms);
    // The default of 3 s would outlast a short session.
    snprintf(heartbeat, sizeof(heartbeat), "%d", (int)(config->session_timeout_ms / 4));
    const struct kafka_setting settings[] = {
        {"group.id", group},
        {"group.instance.id", instance},
        {"session.timeout.ms", session},
        {"heartbeat.interval.ms", heartbeat},
        {"partition.assignment.strategy", "range"},
        {"isolation.level", "read_committed"},
        {"enable.auto.commit", "false"},
        {"enable.auto.offset.store", "false"},
        {"auto.offset.reset", "error"},
        {"enable.partition.eof", "true"},
        {NULL, NULL},
    };
    const struct kafka_setting tuning[] = {
        {"fetch.queue.backoff.ms", "5"}, // the default stalls a full queue for a second
        {"queued.max.messages.kbytes", "32768"},
        {NULL, NULL},
    };
    rd_kafka_conf_t *conf = kafka_conf_new(config, client, err);
    if (!conf)
        return NULL;
    if (!kafka_conf_set(conf, settings, err) || !kafka_conf_suggest(conf, config, tuning, err)) {
        rd_kafka_conf_destroy(conf);
        return NULL;
    }
    rd_kafka_conf_set_rebalance_cb(conf, rebalanced);
    rd_kafka_conf_set_opaque(conf, input);
    return conf;
}

static bool subscribe(struct projector_input *input, struct error *err) {
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, input->topic, RD_KAFKA_PARTITION_UA);
    rd_kafka_resp_err_t code = rd_kafka_subscribe(input->consumer, list);
    rd_kafka_topic_partition_list_destroy(list);
    return !code || error_set(err, DISP_FATAL, code, "cannot subscribe to %s: %s", input->topic,
                              rd_kafka_err2str(code));
}

bool projector_input_open(struct projector_input *input, const struct config *config,
                          const char *topic, int worker, struct error *err) {
    *input = (struct projector_input){.topic = topic,
                                      .is_stale = true,
                                      .messages_max = (size_t)config->projector_batch_records_max};
    input->partitions = calloc(PARTITIONS_MAX, sizeof(*input->partitions));
    set_partitions(input, NULL);
    rd_kafka_conf_t *conf = input->partitions
                                ? make_conf(input, config, worker, err)
                                : (error_set(err, DISP_FATAL, 0, "out of memory"), NULL);
    if (conf)
        input->consumer = kafka_client_new(RD_KAFKA_CONSUMER, conf, err);
    if (!input->consumer) {
        projector_input_close(input);
        return false;
    }
    rd_kafka_poll_set_consumer(input->consumer);
    input->queue = rd_kafka_queue_get_consumer(input->consumer);
    if (subscribe(input, err))
        return true;
    projector_input_close(input);
    return false;
}

void projector_input_close(struct projector_input *input) {
    if (input->queue)
        rd_kafka_queue_destroy(input->queue);
    if (input->consumer) {
        rd_kafka_consumer_close(input->consumer);
        kafka_client_free(input->consumer);
    }
    free(input->partitions);
    *input = (struct projector_input){0};
}

struct projector_partition *projector_input_find(struct projector_input *input, int32_t partition) {
    if (partition < 0 || partition >= PARTITIONS_MAX || input->slot_of[partition] < 0)
        return NULL;
    return &input->partitions[input->slot_of[partition]];
}

int64_t projector_input_min(const struct projector_input *input,
                            const struct projector_partition *partition, size_t projections) {
    int64_t min = INT64_MAX;
    for (size_t i = 0; i < projections; i++)
        if (!(input->paused & 1u << i) && partition->next[i] < min)
            min = partition->next[i];
    return min;
}

static bool read_topic_id(rd_kafka_event_t *event, char ret[TOPIC_ID_MAX], struct error *err) {
    if (!event)
        return error_set(err, DISP_RETRY, 0, "no broker answered in time");
    if (rd_kafka_event_error(event))
        return error_set(err, DISP_RETRY, rd_kafka_event_error(event), "%s",
                         rd_kafka_event_error_string(event));
    size_t count;
    const rd_kafka_TopicDescription_t **found =
        rd_kafka_DescribeTopics_result_topics(rd_kafka_event_DescribeTopics_result(event), &count);
    const rd_kafka_error_t *error = count == 1 ? rd_kafka_TopicDescription_error(found[0]) : NULL;
    if (count != 1 || rd_kafka_error_code(error))
        return error_set(err, DISP_RETRY, 0, "%s",
                         count == 1 ? rd_kafka_error_string(error) : "no such topic");
    snprintf(ret, TOPIC_ID_MAX, "%s",
             rd_kafka_Uuid_base64str(rd_kafka_TopicDescription_topic_id(found[0])));
    return true;
}

bool projector_input_topic_id(struct projector_input *input, int timeout_ms, char ret[TOPIC_ID_MAX],
                              struct error *err) {
    const char *names[] = {input->topic};
    rd_kafka_TopicCollection_t *topics = rd_kafka_TopicCollection_of_topic_names(names, 1);
    rd_kafka_AdminOptions_t *options =
        rd_kafka_AdminOptions_new(input->consumer, RD_KAFKA_ADMIN_OP_DESCRIBETOPICS);
    rd_kafka_queue_t *answers = rd_kafka_queue_new(input->consumer);
    char ignored[64];
    rd_kafka_AdminOptions_set_request_timeout(options, timeout_ms, ignored, sizeof(ignored));
    rd_kafka_DescribeTopics(input->consumer, topics, options, answers);
    rd_kafka_event_t *event = rd_kafka_queue_poll(answers, timeout_ms + 1000);
    bool ok = read_topic_id(event, ret, err);
    if (event)
        rd_kafka_event_destroy(event);
    rd_kafka_queue_destroy(answers);
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_TopicCollection_destroy(topics);
    return ok || error_wrap(err, "asking for the id of topic %s", input->topic);
}

bool projector_input_resume(struct projector_input *input, size_t projections, struct error *err) {
    rd_kafka_topic_partition_list_t *list =
        rd_kafka_topic_partition_list_new((int)input->partitions_count);
    for (size_t i = 0; i < input->partitions_count; i++) {
        struct projector_partition *partition = &input->partitions[i];
        partition->seen = projector_input_min(input, partition, projections);
        rd_kafka_topic_partition_list_add(list, input->topic, partition->partition)->offset =
            partition->seen;
    }
    rd_kafka_resp_err_t code = rd_kafka_assign(input->consumer, list);
    rd_kafka_topic_partition_list_destroy(list);
    if (code)
        return error_set(err, DISP_RETRY, code, "cannot take up %s: %s", input->topic,
                         rd_kafka_err2str(code));
    input->is_stale = false;
    return true;
}

void projector_input_pause(struct projector_input *input) {
    if (!input->is_stale)
        assign_nothing(input->consumer);
    input->is_stale = true;
}

// True: the message is a record. Anything else is destroyed here.
static bool take_message(struct projector_input *input, rd_kafka_message_t *message,
                         struct error *err) {
    bool is_record = false;
    struct projector_partition *partition = projector_input_find(input, message->partition);
    switch (message->err) {
    case RD_KAFKA_RESP_ERR_NO_ERROR:
        is_record = partition != NULL && !input->is_stale;
        break;
    case RD_KAFKA_RESP_ERR__PARTITION_EOF:
        if (partition && message->offset > partition->seen)
            partition->seen = message->offset;
        break;
    case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET:
        error_set(err, DISP_FATAL, message->err,
                  "the stored position of %s partition %d is outside the log (%s): if the log was "
                  "truncated or replaced on purpose, empty the read models' tables, delete their "
                  "rows in projection_offsets, and start again",
                  input->topic, message->partition, rd_kafka_message_errstr(message));
        break;
    case RD_KAFKA_RESP_ERR__FATAL: {
        char reason[256];
        rd_kafka_resp_err_t fatal = rd_kafka_fatal_error(input->consumer, reason, sizeof(reason));
        error_set(err, DISP_FATAL, fatal, "%s", reason);
        break;
    }
    default:
        LOG(WARN, "Kafka consumer reports an error, it goes on trying",
            F_STR("topic", input->topic), F_STR("detail", rd_kafka_message_errstr(message)));
    }
    if (!is_record)
        rd_kafka_message_destroy(message);
    return is_record;
}

int64_t projector_input_waiting(const struct projector_input *input,
                                const rd_kafka_message_t *last) {
    int64_t low, high;
    return rd_kafka_get_watermark_offsets(input->consumer, input->topic, last->partition, &low,
                                          &high) == RD_KAFKA_RESP_ERR_NO_ERROR &&
                   high > last->offset
               ? high - last->offset
               : 0;
}

// At rest and under load, waiting a little for more would make batches no bigger and reads later.
// Far behind, what the client has fetched ahead is less than a batch may hold; and the few records
// that are left when the end comes near would be a batch of their own, after a rest.
static size_t poll_more(struct projector_input *input, rd_kafka_message_t **messages) {
    size_t polled = 1;
    int64_t until_ms = clock_monotonic_ms() + FILL_MS_MAX;
    int timeout_ms = 0;
    bool was_far = false;
    while (polled < input->messages_max && clock_monotonic_ms() < until_ms) {
        ssize_t more = rd_kafka_consume_batch_queue(input->queue, timeout_ms, messages + polled,
                                                    input->messages_max - polled);
        polled += more > 0 ? (size_t)more : 0;
        timeout_ms = FILL_POLL_MS;
        if (projector_input_waiting(input, messages[polled - 1]) >= FAR_BEHIND_RECORDS) {
            was_far = true;
            continue;
        }
        if (!was_far || more <= 0)
            break;
        const int64_t last_ms = clock_monotonic_ms() + FILL_LAST_MS;
        until_ms = until_ms < last_ms ? until_ms : last_ms;
    }
    return polled;
}

bool projector_input_poll(struct projector_input *input, int timeout_ms,
                          rd_kafka_message_t **messages, size_t *ret_count, struct error *err) {
    *ret_count = 0;
    messages[0] = rd_kafka_consumer_poll(input->consumer, timeout_ms);
    if (!messages[0])
        return true;
    const size_t polled = poll_more(input, messages);
    size_t kept = 0;
    struct error fatal = {.what = DISP_NONE};
    for (size_t i = 0; i < polled; i++)
        if (take_message(input, messages[i], &fatal))
            messages[kept++] = messages[i];
    // The group may have taken everything away in the meantime.
    if (input->is_stale || fatal.what != DISP_NONE)
        while (kept > 0)
            rd_kafka_message_destroy(messages[--kept]);
    if (fatal.what != DISP_NONE) {
        *err = fatal;
        return false;
    }
    *ret_count = kept;
    return true;
}

void projector_input_commit(struct projector_input *input, size_t projections) {
    rd_kafka_topic_partition_list_t *list =
        rd_kafka_topic_partition_list_new((int)input->partitions_count);
    for (size_t i = 0; i < input->partitions_count && !input->is_stale; i++) {
        struct projector_partition *partition = &input->partitions[i];
        int64_t next = projector_input_min(input, partition, projections);
        int64_t position = partition->seen > next ? partition->seen : next;
        if (position == partition->committed)
            continue;
        rd_kafka_topic_partition_list_add(list, input->topic, partition->partition)->offset =
            position;
        partition->committed = position;
    }
    if (list->cnt > 0)
        rd_kafka_commit(input->consumer, list, 1);
    rd_kafka_topic_partition_list_destroy(list);
}

int64_t projector_input_lag(struct projector_input *input, size_t projections,
                            int64_t *ret_oldest_ms) {
    int64_t lag = 0;
    int64_t oldest_ms = 0;
    const int64_t now_ms = clock_now_us() / 1000;
    for (size_t i = 0; i < input->partitions_count; i++) {
        struct projector_partition *partition = &input->partitions[i];
        int64_t low, high;
        if (rd_kafka_get_watermark_offsets(input->consumer, input->topic, partition->partition,
                                           &low, &high) ||
            high < 0)
            continue;
        int64_t next = projector_input_min(input, partition, projections);
        int64_t position = partition->seen > next ? partition->seen : next;
        if (high <= position) {
            partition->drained_ms = now_ms;
            continue;
        }
        lag += high - position;
        // What waits was written after the last one applied, and after the moment when none waited.
        int64_t since_ms = partition->last_timestamp_ms > partition->drained_ms
                               ? partition->last_timestamp_ms
                               : partition->drained_ms;
        int64_t behind_ms = since_ms > 0 ? now_ms - since_ms : 0;
        if (behind_ms > oldest_ms)
            oldest_ms = behind_ms;
    }
    *ret_oldest_ms = oldest_ms;
    return lag;
}
