// SPDX-License-Identifier: Apache-2.0
#include "stream/group_members.h"

#include "stream/kafka_conf.h"

#include <librdkafka/rdkafka.h>
#include <string.h>

enum { REQUEST_MS = 10000, GROUPS_MAX = 16, PARTITIONS_MAX = 1024 };

static void visit_group(const rd_kafka_ConsumerGroupDescription_t *group,
                        void (*visit)(void *opaque, const struct group_member *member),
                        void *opaque) {
    const size_t count = rd_kafka_ConsumerGroupDescription_member_count(group);
    for (size_t i = 0; i < count; i++) {
        const rd_kafka_MemberDescription_t *found =
            rd_kafka_ConsumerGroupDescription_member(group, i);
        const rd_kafka_topic_partition_list_t *list =
            rd_kafka_MemberAssignment_partitions(rd_kafka_MemberDescription_assignment(found));
        const char *instance = rd_kafka_MemberDescription_group_instance_id(found);
        const char *host = rd_kafka_MemberDescription_host(found);
        int32_t partitions[PARTITIONS_MAX];
        size_t partitions_count = 0;
        for (int p = 0; list && p < list->cnt && partitions_count < PARTITIONS_MAX; p++)
            partitions[partitions_count++] = list->elems[p].partition;
        const struct group_member member = {
            .group = rd_kafka_ConsumerGroupDescription_group_id(group),
            .instance = instance ? instance : "",
            .host = host ? host + (host[0] == '/') : "",
            .partitions = partitions,
            .partitions_count = partitions_count,
        };
        visit(opaque, &member);
    }
}

static bool visit_all(rd_kafka_event_t *event,
                      void (*visit)(void *opaque, const struct group_member *member), void *opaque,
                      struct error *err) {
    if (!event)
        return error_set(err, DISP_RETRY, 0, "no broker says who is in the groups");
    if (rd_kafka_event_error(event))
        return error_set(err, DISP_RETRY, rd_kafka_event_error(event), "members of groups: %s",
                         rd_kafka_event_error_string(event));
    size_t count = 0;
    const rd_kafka_ConsumerGroupDescription_t **found =
        rd_kafka_DescribeConsumerGroups_result_groups(
            rd_kafka_event_DescribeConsumerGroups_result(event), &count);
    for (size_t i = 0; i < count; i++)
        if (!rd_kafka_error_code(rd_kafka_ConsumerGroupDescription_error(found[i])))
            visit_group(found[i], visit, opaque);
    return true;
}

bool group_members_each(const struct config *config, const char *const *groups, size_t groups_count,
                        void (*visit)(void *opaque, const struct group_member *member),
                        void *opaque, struct error *err) {
    rd_kafka_conf_t *conf = kafka_conf_new(config, "orderlog.admin", err);
    rd_kafka_t *client = conf ? kafka_client_new(RD_KAFKA_PRODUCER, conf, err) : NULL;
    if (!client)
        return false;
    const char *names[GROUPS_MAX];
    for (size_t i = 0; i < groups_count && i < GROUPS_MAX; i++)
        names[i] = groups[i];
    rd_kafka_queue_t *answers = rd_kafka_queue_new(client);
    rd_kafka_AdminOptions_t *options =
        rd_kafka_AdminOptions_new(client, RD_KAFKA_ADMIN_OP_DESCRIBECONSUMERGROUPS);
    char ignored[64];
    (void)rd_kafka_AdminOptions_set_request_timeout(options, REQUEST_MS, ignored, sizeof(ignored));
    rd_kafka_DescribeConsumerGroups(client, names, groups_count, options, answers);
    rd_kafka_event_t *event = rd_kafka_queue_poll(answers, REQUEST_MS + 1000);
    bool ok = visit_all(event, visit, opaque, err);
    if (event)
        rd_kafka_event_destroy(event);
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_queue_destroy(answers);
    kafka_client_free(client);
    return ok;
}
