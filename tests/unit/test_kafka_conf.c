// SPDX-License-Identifier: Apache-2.0
//
// librdkafka's own mock cluster stands in for brokers.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "service/clock.h"
#include "stream/kafka_conf.h"

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>

enum { PARTITION = 1, LEADER = 1, NOBODY = -1, TIMEOUT_MS = 5000, PATIENCE_MS = 20000 };

static const char TOPIC[] = "t";

struct world {
    rd_kafka_t *owner; // of the mock cluster
    rd_kafka_mock_cluster_t *cluster;
    rd_kafka_t *client;
};

static rd_kafka_t *consumer_of(const char *bootstrap) {
    const struct config config = {0};
    struct error err;
    rd_kafka_conf_t *conf = kafka_conf_new(&config, "test", &err);
    assert_non_null(conf);
    const struct kafka_setting settings[] = {{"bootstrap.servers", bootstrap}, {NULL, NULL}};
    assert_true(kafka_conf_set(conf, settings, &err));
    rd_kafka_t *client = kafka_client_new(RD_KAFKA_CONSUMER, conf, &err);
    assert_non_null(client);
    return client;
}

static int set_up(void **state) {
    static struct world world;
    *state = &world;
    world.owner = rd_kafka_new(RD_KAFKA_PRODUCER, rd_kafka_conf_new(), NULL, 0);
    assert_non_null(world.owner);
    world.cluster = rd_kafka_mock_cluster_new(world.owner, 1);
    assert_non_null(world.cluster);
    assert_int_equal(rd_kafka_mock_topic_create(world.cluster, TOPIC, PARTITION + 1, 1), 0);
    world.client = consumer_of(rd_kafka_mock_cluster_bootstraps(world.cluster));
    return 0;
}

static int tear_down(void **state) {
    struct world *world = *state;
    kafka_client_free(world->client);
    rd_kafka_mock_cluster_destroy(world->cluster);
    rd_kafka_destroy(world->owner);
    return 0;
}

static bool bounds_are_told(const struct world *world) {
    int64_t low = -1, end = -1;
    struct error err;
    if (!kafka_bounds(world->client, TOPIC, PARTITION, TIMEOUT_MS, &low, &end, &err)) {
        assert_int_equal(err.what, DISP_RETRY);
        return false;
    }
    assert_int_equal(low, 0);
    assert_int_equal(end, 0);
    return true;
}

static void a_partition_that_had_no_leader_is_found_again_once_it_has_one(void **state) {
    const struct world *world = *state;
    assert_true(bounds_are_told(world));

    assert_int_equal(rd_kafka_mock_partition_set_leader(world->cluster, TOPIC, PARTITION, NOBODY),
                     0);
    // The client happens to look just now, as after a broken connection.
    const struct rd_kafka_metadata *seen = NULL;
    assert_int_equal(rd_kafka_metadata(world->client, 1, NULL, &seen, TIMEOUT_MS), 0);
    rd_kafka_metadata_destroy(seen);
    assert_false(bounds_are_told(world));

    assert_int_equal(rd_kafka_mock_partition_set_leader(world->cluster, TOPIC, PARTITION, LEADER),
                     0);
    int64_t deadline_ms = clock_monotonic_ms() + PATIENCE_MS;
    while (!bounds_are_told(world))
        if (clock_monotonic_ms() > deadline_ms)
            fail_msg("the partition has a leader, and the client does not learn it");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            a_partition_that_had_no_leader_is_found_again_once_it_has_one, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
