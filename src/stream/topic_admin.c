// SPDX-License-Identifier: Apache-2.0
//
// Uses librdkafka's admin API, one request at a time and each with a time limit: this is not a hot
// path, and what went wrong should be said per topic.
#include "stream/topic_admin.h"

#include "stream/kafka_conf.h"
#include "stream/offset_metadata.h"
#include "stream/rights.h"

#include <assert.h>
#include <errno.h>
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { REQUEST_MS = 30000, PARTITIONS_MAX = 1024, PAUSE_MS = 200, ATTEMPTS_MAX = 100 };

struct topic_admin {
    const struct config *config; // borrowed
    rd_kafka_t *client;          // owned
    rd_kafka_queue_t *queue;     // owned
    int32_t existing[TOPIC_COUNT];
};

struct topic_setting {
    enum topic_kind kind;
    const char *name;
    const char *value;
};

// To change a setting of all topics of a kind: here. Existing topics keep what they have.
static const struct topic_setting settings[] = {
    {TOPIC_INBOX, "cleanup.policy", "delete"},
    {TOPIC_INBOX, "retention.ms", "604800000"},
    {TOPIC_EVENTS, "cleanup.policy", "delete"},
    {TOPIC_EVENTS, "retention.ms", "-1"},
    {TOPIC_EVENTS, "retention.bytes", "-1"},
    {TOPIC_DEADLETTERS, "cleanup.policy", "delete"},
    {TOPIC_DEADLETTERS, "retention.ms", "-1"},
    {TOPIC_DEADLETTERS, "retention.bytes", "-1"},
    // A dead letter holds the largest record whole, and says why.
    {TOPIC_DEADLETTERS, "max.message.bytes", "4194304"},
    {TOPIC_STATE, "cleanup.policy", "compact"},
    // What is in the segment that is written to is not cleaned: a take-over reads all of that.
    {TOPIC_STATE, "segment.bytes", "8388608"},
    {TOPIC_STATE, "segment.ms", "600000"},
    {TOPIC_STATE, "max.compaction.lag.ms", "3600000"},
    // Half of it may be rows that were replaced: each pass of the cleaner reads and writes all of
    // it, so that a tenth would mean to write every row ten times over.
    {TOPIC_STATE, "min.cleanable.dirty.ratio", "0.5"},
    {TOPIC_TABLE, "cleanup.policy", "compact"},
    {TOPIC_TABLE, "segment.bytes", "33554432"},
    {TOPIC_TABLE, "segment.ms", "3600000"},
    {TOPIC_TABLE, "max.compaction.lag.ms", "3600000"},
    {TOPIC_TABLE, "min.cleanable.dirty.ratio", "0.1"},
    // What was overwritten is to be gone soon, and whoever looks into the files is to see it as it
    // is.
    {TOPIC_KEYS, "cleanup.policy", "compact"},
    {TOPIC_KEYS, "segment.bytes", "33554432"},
    {TOPIC_KEYS, "min.cleanable.dirty.ratio", "0.01"},
    {TOPIC_KEYS, "file.delete.delay.ms", "1000"},
    {TOPIC_KEYS, "compression.type", "uncompressed"},
};

static bool refresh(struct topic_admin *admin, struct error *err) {
    const struct rd_kafka_metadata *metadata = NULL;
    const rd_kafka_resp_err_t code =
        rd_kafka_metadata(admin->client, /* all_topics= */ 1, NULL, &metadata, REQUEST_MS);
    if (code)
        return kafka_unanswered(admin->client, code, err);
    memset(admin->existing, 0, sizeof(admin->existing));
    for (int i = 0; i < metadata->topic_cnt; i++)
        for (int topic = 0; topic < TOPIC_COUNT; topic++)
            if (strcmp(metadata->topics[i].topic, topics[topic].name) == 0)
                admin->existing[topic] = metadata->topics[i].partition_cnt;
    rd_kafka_metadata_destroy(metadata);
    return true;
}

struct topic_admin *topic_admin_open(const struct config *config, struct error *err) {
    rd_kafka_conf_t *conf = kafka_conf_new(config, "orderlog.admin", err);
    if (!conf)
        return NULL;
    // A consumer with a group, although it never joins: librdkafka 2.15.1 looks for its own group
    // when a coordinator answers an offset query with NOT_COORDINATOR, and crashes without one.
    const struct kafka_setting own[] = {{"group.id", "orderlog.admin"}, {NULL, NULL}};
    if (!kafka_conf_set(conf, own, err)) {
        rd_kafka_conf_destroy(conf);
        return NULL;
    }
    rd_kafka_t *client = kafka_client_new(RD_KAFKA_CONSUMER, conf, err);
    if (!client)
        return NULL;

    struct topic_admin *admin = calloc(1, sizeof(*admin));
    if (!admin) {
        kafka_client_free(client);
        (void)error_set(err, DISP_FATAL, ENOMEM, "out of memory");
        return NULL;
    }
    *admin = (struct topic_admin){
        .config = config, .client = client, .queue = rd_kafka_queue_new(client)};
    if (!refresh(admin, err)) {
        topic_admin_close(admin);
        return NULL;
    }
    return admin;
}

void topic_admin_close(struct topic_admin *admin) {
    if (!admin)
        return;
    rd_kafka_queue_destroy(admin->queue);
    kafka_client_free(admin->client);
    free(admin);
}

int32_t topic_admin_partitions(const struct config *config, const struct topic *topic) {
    switch (topic->partitions) {
    case PARTITIONS_ORDERS:
        return (int32_t)config->topics_partitions_orders;
    case PARTITIONS_INVENTORY:
        return (int32_t)config->topics_partitions_inventory;
    case PARTITIONS_OTHER:
        break;
    }
    return (int32_t)config->topics_partitions_other;
}

int32_t topic_admin_existing(const struct topic_admin *admin, enum topic_id topic) {
    return admin->existing[topic];
}

static const char *partitions_option(const struct topic *topic) {
    static const char *const names[] = {
        [PARTITIONS_ORDERS] = "topics.partitions.orders",
        [PARTITIONS_INVENTORY] = "topics.partitions.inventory",
        [PARTITIONS_OTHER] = "topics.partitions.other",
    };
    return names[topic->partitions];
}

static bool check_partitions(const struct topic_admin *admin, enum topic_id topic,
                             struct error *err) {
    const int32_t wanted = topic_admin_partitions(admin->config, &topics[topic]);
    if (admin->existing[topic] == wanted)
        return true;
    return error_set(err, DISP_FATAL, 0,
                     "topic %s has %d partitions and %s is %d: the count is set once, since keys "
                     "would move; set %s to %d",
                     topics[topic].name, admin->existing[topic], partitions_option(&topics[topic]),
                     wanted, partitions_option(&topics[topic]), admin->existing[topic]);
}

// Waits for the answer to the one request that is under way; NULL: it did not come in time.
static rd_kafka_event_t *wait_answer(struct topic_admin *admin, const char *what,
                                     struct error *err) {
    rd_kafka_event_t *event = rd_kafka_queue_poll(admin->queue, REQUEST_MS + 1000);
    if (!event) {
        (void)error_set(err, DISP_RETRY, 0, "%s: no answer from Kafka within %d s", what,
                        REQUEST_MS / 1000);
        return NULL;
    }
    if (rd_kafka_event_error(event)) {
        (void)error_set(err, DISP_RETRY, rd_kafka_event_error(event), "%s: %s", what,
                        rd_kafka_event_error_string(event));
        rd_kafka_event_destroy(event);
        return NULL;
    }
    return event;
}

static rd_kafka_AdminOptions_t *new_options(struct topic_admin *admin, rd_kafka_admin_op_t op) {
    rd_kafka_AdminOptions_t *options = rd_kafka_AdminOptions_new(admin->client, op);
    char text[256];
    const rd_kafka_resp_err_t code =
        rd_kafka_AdminOptions_set_request_timeout(options, REQUEST_MS, text, sizeof(text));
    assert(!code);
    return options;
}

// The time that records may stay in a segment that is still written to, and the time after which
// the cleaner may wait no longer. Gateways see to it that something is written after an erasure:
// without that a segment is never closed.
static bool bound_erasure(rd_kafka_NewTopic_t *request, const struct config *config) {
    char ms[24];
    (void)snprintf(ms, sizeof(ms), "%lld",
                   (long long)(config->customers_erasure_ms / TOPIC_ERASURE_PARTS));
    return !rd_kafka_NewTopic_set_config(request, "segment.ms", ms) &&
           !rd_kafka_NewTopic_set_config(request, "max.compaction.lag.ms", ms);
}

static bool add_settings(rd_kafka_NewTopic_t *request, const struct topic *topic,
                         const struct config *config) {
    int64_t replication = config->topics_replication;
    bool ok = topic->kind != TOPIC_KEYS || bound_erasure(request, config);
    for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++)
        if (settings[i].kind == topic->kind)
            ok = ok && !rd_kafka_NewTopic_set_config(request, settings[i].name, settings[i].value);
    // With acks=all a record survives the loss of all replicas but this many.
    return ok && !rd_kafka_NewTopic_set_config(request, "min.insync.replicas",
                                               replication >= 3 ? "2" : "1");
}

static bool create(struct topic_admin *admin, const struct topic *topic, bool *ret_created,
                   struct error *err) {
    char text[256];
    rd_kafka_NewTopic_t *request =
        rd_kafka_NewTopic_new(topic->name, topic_admin_partitions(admin->config, topic),
                              (int)admin->config->topics_replication, text, sizeof(text));
    if (!request)
        return error_set(err, DISP_FATAL, 0, "topic %s: %s", topic->name, text);
    if (!add_settings(request, topic, admin->config)) {
        rd_kafka_NewTopic_destroy(request);
        return error_set(err, DISP_FATAL, 0, "topic %s: a setting was refused", topic->name);
    }
    rd_kafka_AdminOptions_t *options = new_options(admin, RD_KAFKA_ADMIN_OP_CREATETOPICS);
    (void)rd_kafka_AdminOptions_set_operation_timeout(options, REQUEST_MS, text, sizeof(text));
    rd_kafka_CreateTopics(admin->client, &request, 1, options, admin->queue);
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_NewTopic_destroy(request);

    rd_kafka_event_t *event = wait_answer(admin, topic->name, err);
    if (!event)
        return false;
    size_t count = 0;
    const rd_kafka_topic_result_t **results =
        rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event), &count);
    const rd_kafka_resp_err_t code = rd_kafka_topic_result_error(results[0]);
    bool ok = true;
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
        *ret_created = true;
    else if (code != RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS)
        ok = error_set(err, DISP_FATAL, code,
                       "topic %s cannot be created: %s (topics.replication = %lld; are there as "
                       "many brokers, and may this client create topics?)",
                       topic->name, rd_kafka_topic_result_error_string(results[0]),
                       (long long)admin->config->topics_replication);
    rd_kafka_event_destroy(event);
    return ok;
}

// Nothing is under way, so this only waits.
static void pause_a_little(struct topic_admin *admin) {
    rd_kafka_event_t *none = rd_kafka_queue_poll(admin->queue, PAUSE_MS);
    if (none)
        rd_kafka_event_destroy(none);
}

// A topic that was just made is not known to every broker at once.
static bool await_metadata(struct topic_admin *admin, enum topic_id topic, struct error *err) {
    for (int attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
        if (!refresh(admin, err))
            return false;
        if (admin->existing[topic] > 0)
            return true;
        pause_a_little(admin);
    }
    return error_set(err, DISP_RETRY, 0, "topic %s was created but no broker shows it",
                     topics[topic].name);
}

bool topic_admin_ensure(struct topic_admin *admin, enum topic_id topic, bool *ret_created,
                        struct error *err) {
    bool created = false;
    if (admin->existing[topic] == 0 &&
        (!create(admin, &topics[topic], &created, err) || !await_metadata(admin, topic, err)))
        return false;
    if (!check_partitions(admin, topic, err))
        return false;
    *ret_created = created;
    return true;
}

static bool list_offsets(struct topic_admin *admin, enum topic_id topic, int32_t count,
                         int64_t spec, int64_t *offsets, struct error *err) {
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(count);
    for (int32_t p = 0; p < count; p++)
        rd_kafka_topic_partition_list_add(list, topics[topic].name, p)->offset = spec;
    rd_kafka_AdminOptions_t *options = new_options(admin, RD_KAFKA_ADMIN_OP_LISTOFFSETS);
    // The end as written, not the last stable one: a read_committed answer would hide the rest.
    rd_kafka_error_t *refused = rd_kafka_AdminOptions_set_isolation_level(
        options, RD_KAFKA_ISOLATION_LEVEL_READ_UNCOMMITTED);
    assert(!refused);
    rd_kafka_ListOffsets(admin->client, list, options, admin->queue);
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_topic_partition_list_destroy(list);

    rd_kafka_event_t *event = wait_answer(admin, topics[topic].name, err);
    if (!event)
        return false;
    size_t results_count = 0;
    const rd_kafka_ListOffsetsResultInfo_t **results =
        rd_kafka_ListOffsets_result_infos(rd_kafka_event_ListOffsets_result(event), &results_count);
    bool ok = true;
    for (size_t i = 0; i < results_count && ok; i++) {
        const rd_kafka_topic_partition_t *at =
            rd_kafka_ListOffsetsResultInfo_topic_partition(results[i]);
        if (at->err)
            ok = error_set(err, DISP_RETRY, at->err, "offsets of %s[%d]: %s", at->topic,
                           at->partition, rd_kafka_err2str(at->err));
        else
            offsets[at->partition] = at->offset;
    }
    rd_kafka_event_destroy(event);
    return ok;
}

bool topic_admin_ends(struct topic_admin *admin, enum topic_id topic, int32_t count, int64_t *ends,
                      struct error *err) {
    return list_offsets(admin, topic, count, RD_KAFKA_OFFSET_SPEC_LATEST, ends, err);
}

static void group_name(enum domain domain, char *out, size_t size) {
    (void)snprintf(out, size, "orderlog.%s", domains[domain].name);
}

static bool try_list_committed(struct topic_admin *admin, enum domain domain, int32_t count,
                               struct topic_position *positions, struct error *err) {
    char group[64];
    group_name(domain, group, sizeof(group));
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(count);
    for (int32_t p = 0; p < count; p++) {
        rd_kafka_topic_partition_list_add(list, topics[domains[domain].inbox].name, p);
        positions[p].committed = -1;
    }
    rd_kafka_ListConsumerGroupOffsets_t *request =
        rd_kafka_ListConsumerGroupOffsets_new(group, list);
    rd_kafka_topic_partition_list_destroy(list);
    rd_kafka_AdminOptions_t *options =
        new_options(admin, RD_KAFKA_ADMIN_OP_LISTCONSUMERGROUPOFFSETS);
    rd_kafka_ListConsumerGroupOffsets(admin->client, &request, 1, options, admin->queue);
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_ListConsumerGroupOffsets_destroy(request);

    rd_kafka_event_t *event = wait_answer(admin, group, err);
    if (!event)
        return false;
    size_t groups_count = 0;
    const rd_kafka_group_result_t **groups = rd_kafka_ListConsumerGroupOffsets_result_groups(
        rd_kafka_event_ListConsumerGroupOffsets_result(event), &groups_count);
    const rd_kafka_error_t *failed = rd_kafka_group_result_error(groups[0]);
    bool ok = true;
    if (failed)
        ok = error_set(err, DISP_RETRY, rd_kafka_error_code(failed), "offsets of group %s: %s",
                       group, rd_kafka_error_string(failed));
    const rd_kafka_topic_partition_list_t *found =
        ok ? rd_kafka_group_result_partitions(groups[0]) : NULL;
    for (int i = 0; found && i < found->cnt; i++)
        if (found->elems[i].partition < count && found->elems[i].offset >= 0)
            positions[found->elems[i].partition].committed = found->elems[i].offset;
    rd_kafka_event_destroy(event);
    return ok;
}

// The coordinator of a young cluster is still loading, or being made.
static bool list_committed(struct topic_admin *admin, enum domain domain, int32_t count,
                           struct topic_position *positions, struct error *err) {
    for (int attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
        if (try_list_committed(admin, domain, count, positions, err))
            return true;
        if (err->what != DISP_RETRY)
            return false;
        pause_a_little(admin);
    }
    return false;
}

bool topic_admin_positions(struct topic_admin *admin, enum domain domain, int32_t count,
                           struct topic_position *positions, struct error *err) {
    assert(count <= PARTITIONS_MAX);
    int64_t offsets[PARTITIONS_MAX];
    const enum topic_id inbox = domains[domain].inbox;
    if (!list_committed(admin, domain, count, positions, err) ||
        !list_offsets(admin, inbox, count, RD_KAFKA_OFFSET_SPEC_EARLIEST, offsets, err))
        return false;
    for (int32_t p = 0; p < count; p++)
        positions[p].low = offsets[p];
    if (!topic_admin_ends(admin, inbox, count, offsets, err))
        return false;
    for (int32_t p = 0; p < count; p++)
        positions[p].end = offsets[p];
    return true;
}

// What the first transaction of a partition expects to find beside offset 0.
static void add_first_metadata(rd_kafka_topic_partition_t *at) {
    static const struct offset_metadata first;
    char text[OFFSET_METADATA_MAX];
    offset_metadata_format(&first, text);
    at->metadata = strdup(text); // freed with its list
    at->metadata_size = at->metadata ? strlen(text) : 0;
}

static bool commit_first(struct topic_admin *admin, enum domain domain,
                         const rd_kafka_topic_partition_list_t *list, struct error *err) {
    char group[64];
    group_name(domain, group, sizeof(group));
    rd_kafka_AlterConsumerGroupOffsets_t *request =
        rd_kafka_AlterConsumerGroupOffsets_new(group, list);
    rd_kafka_AdminOptions_t *options =
        new_options(admin, RD_KAFKA_ADMIN_OP_ALTERCONSUMERGROUPOFFSETS);
    rd_kafka_AlterConsumerGroupOffsets(admin->client, &request, 1, options, admin->queue);
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_AlterConsumerGroupOffsets_destroy(request);

    rd_kafka_event_t *event = wait_answer(admin, group, err);
    if (!event)
        return false;
    size_t count = 0;
    const rd_kafka_group_result_t **groups = rd_kafka_AlterConsumerGroupOffsets_result_groups(
        rd_kafka_event_AlterConsumerGroupOffsets_result(event), &count);
    const rd_kafka_error_t *failed = rd_kafka_group_result_error(groups[0]);
    const char *reason = failed ? rd_kafka_error_string(failed) : NULL;
    const rd_kafka_topic_partition_list_t *done =
        failed ? NULL : rd_kafka_group_result_partitions(groups[0]);
    for (int i = 0; done && i < done->cnt && !reason; i++)
        if (done->elems[i].err)
            reason = rd_kafka_err2str(done->elems[i].err);
    const bool ok = !reason || error_set(err, DISP_RETRY, 0,
                                         "first offsets of group %s: %s. Stop the %s workers, then "
                                         "run setup again",
                                         group, reason, domains[domain].name);
    rd_kafka_event_destroy(event);
    return ok;
}

bool topic_admin_ensure_offsets(struct topic_admin *admin, enum domain domain,
                                int32_t *ret_committed_count, struct error *err) {
    const enum topic_id inbox = domains[domain].inbox;
    const int32_t count = admin->existing[inbox];
    struct topic_position positions[PARTITIONS_MAX];
    if (!topic_admin_positions(admin, domain, count, positions, err))
        return false;

    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(count);
    int32_t lost = -1;
    for (int32_t p = 0; p < count; p++) {
        if (positions[p].committed >= 0)
            continue;
        if (positions[p].end > 0) {
            lost = p;
            continue;
        }
        rd_kafka_topic_partition_t *at =
            rd_kafka_topic_partition_list_add(list, topics[inbox].name, p);
        at->offset = 0;
        add_first_metadata(at);
    }
    const int32_t commits = list->cnt;
    const bool ok = commits == 0 || commit_first(admin, domain, list, err);
    rd_kafka_topic_partition_list_destroy(list);
    if (!ok)
        return false;
    if (lost >= 0)
        return error_set(
            err, DISP_FATAL, 0,
            "%s[%d] holds records but group orderlog.%s has no committed offset there: "
            "nobody can know how far they were handled. Restore the group's offsets "
            "from a backup of the cluster; were the records never meant to be handled, "
            "delete and re-create the topic",
            topics[inbox].name, lost, domains[domain].name);
    *ret_committed_count = commits;
    return true;
}

// --- rights ------------------------------------------------------------------------------------

static rd_kafka_AclBinding_t *new_binding(const struct right *right, const char *prefix,
                                          struct error *err) {
    static const rd_kafka_ResourceType_t types[] = {
        [RIGHT_TOPIC] = RD_KAFKA_RESOURCE_TOPIC,
        [RIGHT_GROUP] = RD_KAFKA_RESOURCE_GROUP,
        [RIGHT_GROUPS] = RD_KAFKA_RESOURCE_GROUP,
        [RIGHT_TRANSACTIONS] = RD_KAFKA_RESOURCE_TRANSACTIONAL_ID,
    };
    static const rd_kafka_AclOperation_t operations[] = {
        [RIGHT_READ] = RD_KAFKA_ACL_OPERATION_READ,
        [RIGHT_WRITE] = RD_KAFKA_ACL_OPERATION_WRITE,
        [RIGHT_DESCRIBE] = RD_KAFKA_ACL_OPERATION_DESCRIBE,
    };
    const bool literal = right->resource == RIGHT_TOPIC || right->resource == RIGHT_GROUP;
    char principal[128], text[256];
    (void)snprintf(principal, sizeof(principal), "User:%s%s", prefix,
                   right_user_names[right->user]);
    rd_kafka_AclBinding_t *binding = rd_kafka_AclBinding_new(
        types[right->resource], right->name,
        literal ? RD_KAFKA_RESOURCE_PATTERN_LITERAL : RD_KAFKA_RESOURCE_PATTERN_PREFIXED, principal,
        "*", operations[right->operation], RD_KAFKA_ACL_PERMISSION_TYPE_ALLOW, text, sizeof(text));
    if (!binding)
        (void)error_set(err, DISP_FATAL, 0, "rights of %s: %s", principal, text);
    return binding;
}

static bool check_created(rd_kafka_event_t *event, struct error *err) {
    size_t count = 0;
    const rd_kafka_acl_result_t **results =
        rd_kafka_CreateAcls_result_acls(rd_kafka_event_CreateAcls_result(event), &count);
    for (size_t i = 0; i < count; i++) {
        const rd_kafka_error_t *error = rd_kafka_acl_result_error(results[i]);
        if (error)
            return error_set(err, DISP_FATAL, rd_kafka_error_code(error),
                             "rights cannot be given: %s (has the cluster an authorizer, and is "
                             "this client an administrator?)",
                             rd_kafka_error_string(error));
    }
    return true;
}

bool topic_admin_ensure_rights(struct topic_admin *admin, const char *prefix, struct error *err) {
    rd_kafka_AclBinding_t **bindings = calloc(rights_count, sizeof(*bindings));
    bool ok = bindings || error_set(err, DISP_FATAL, ENOMEM, "out of memory");
    for (size_t i = 0; i < rights_count && ok; i++) {
        bindings[i] = new_binding(&rights[i], prefix, err);
        ok = bindings[i] != NULL;
    }
    rd_kafka_event_t *event = NULL;
    if (ok) {
        rd_kafka_AdminOptions_t *options = new_options(admin, RD_KAFKA_ADMIN_OP_CREATEACLS);
        rd_kafka_CreateAcls(admin->client, bindings, rights_count, options, admin->queue);
        rd_kafka_AdminOptions_destroy(options);
        event = wait_answer(admin, "rights", err);
        ok = event && check_created(event, err);
    }
    if (event)
        rd_kafka_event_destroy(event);
    for (size_t i = 0; bindings && i < rights_count; i++)
        if (bindings[i])
            rd_kafka_AclBinding_destroy(bindings[i]);
    free(bindings);
    return ok;
}
