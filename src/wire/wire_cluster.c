// SPDX-License-Identifier: Apache-2.0
#include "wire/wire_cluster.h"

#include "service/clock.h"
#include "wire/wire_code.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DEFAULT_PORT = 9092 };

bool wire_cluster_init(struct wire_cluster *cluster, const struct wire_settings *settings,
                       const char *const *names, size_t count, struct error *err) {
    *cluster = (struct wire_cluster){.settings = settings, .topics_count = count};
    cluster->topics = calloc(count, sizeof(*cluster->topics));
    assert(cluster->topics);
    for (size_t i = 0; i < count; i++)
        cluster->topics[i].name = names[i];
    if (settings->tls)
        cluster->tls = wire_tls_new(settings, err);
    return !settings->tls || cluster->tls;
}

static void forget_nodes(struct wire_node *nodes, size_t count) {
    for (size_t i = 0; i < count; i++)
        wire_connection_done(&nodes[i].connection);
    free(nodes);
}

void wire_cluster_done(struct wire_cluster *cluster) {
    forget_nodes(cluster->nodes, cluster->nodes_count);
    for (size_t i = 0; i < cluster->topics_count; i++)
        free(cluster->topics[i].leaders);
    free(cluster->topics);
    wire_writer_done(&cluster->writer);
    wire_tls_free(cluster->tls);
    *cluster = (struct wire_cluster){0};
}

struct wire_node *wire_cluster_node(struct wire_cluster *cluster, int32_t id) {
    for (size_t i = 0; i < cluster->nodes_count; i++)
        if (cluster->nodes[i].id == id)
            return &cluster->nodes[i];
    return NULL;
}

void wire_cluster_disconnect(struct wire_cluster *cluster) {
    for (size_t i = 0; i < cluster->nodes_count; i++)
        wire_connection_close(&cluster->nodes[i].connection);
}

void wire_cluster_renew(struct wire_cluster *cluster, int64_t now_ms) {
    for (size_t i = 0; i < cluster->nodes_count; i++) {
        struct wire_connection *connection = &cluster->nodes[i].connection;
        if (connection->fd >= 0 &&
            (now_ms >= connection->renew_ms || !wire_connection_is_alive(connection)))
            wire_connection_close(connection);
    }
}

// ---- leaders -----------------------------------------------------------------------------------

static void ask_metadata(struct wire_cluster *cluster, struct wire_connection *connection) {
    static const uint8_t no_id[16] = {0};
    struct wire_writer *writer = &cluster->writer;
    size_t asked = 0;
    for (size_t i = 0; i < cluster->topics_count; i++)
        asked += cluster->topics[i].name != NULL;
    wire_connection_request(connection, WIRE_METADATA, writer);
    wire_put_count(writer, asked);
    for (size_t i = 0; i < cluster->topics_count; i++) {
        if (!cluster->topics[i].name)
            continue;
        wire_put_bytes(writer, no_id, sizeof(no_id));
        wire_put_string(writer, cluster->topics[i].name);
        wire_put_no_tags(writer);
    }
    wire_put_i8(writer, false); // topics are not created by asking for them
    wire_put_i8(writer, false); // our rights are not asked for
    wire_put_no_tags(writer);
}

// A node that is where it was keeps its connection.
static void take_nodes(struct wire_cluster *cluster, struct wire_reader *reader) {
    const size_t count = wire_get_count(reader);
    if (count > WIRE_NODES_MAX) {
        reader->broken = true;
        return;
    }
    struct wire_node *nodes = calloc(count ? count : 1, sizeof(*nodes));
    assert(nodes);
    for (size_t i = 0; i < count; i++) {
        struct wire_node *node = &nodes[i];
        node->id = wire_get_i32(reader);
        const struct wire_view host = wire_get_string(reader);
        const int32_t port = wire_get_i32(reader);
        (void)wire_get_string(reader); // rack
        wire_get_skip_tags(reader);
        char name[WIRE_HOST_MAX];
        (void)snprintf(name, sizeof(name), "%.*s", (int)(host.len < WIRE_HOST_MAX ? host.len : 0),
                       host.ptr ? host.ptr : "");
        struct wire_node *known = wire_cluster_node(cluster, node->id);
        if (known && known->connection.port == port && strcmp(known->connection.host, name) == 0) {
            node->connection = known->connection;
            known->connection = (struct wire_connection){.fd = -1};
        } else {
            wire_connection_init(&node->connection, cluster->settings, cluster->tls, name, port);
        }
    }
    forget_nodes(cluster->nodes, cluster->nodes_count);
    cluster->nodes = nodes;
    cluster->nodes_count = count;
}

static struct wire_topic *topic_named(struct wire_cluster *cluster, struct wire_view name) {
    for (size_t i = 0; i < cluster->topics_count; i++)
        if (cluster->topics[i].name && wire_view_is(name, cluster->topics[i].name))
            return &cluster->topics[i];
    return NULL;
}

static void skip_ids(struct wire_reader *reader) {
    wire_get_skip(reader, wire_get_count(reader) * sizeof(int32_t));
}

static void take_partitions(struct wire_topic *topic, struct wire_reader *reader) {
    const size_t count = wire_get_count(reader);
    if (count > WIRE_PARTITIONS_MAX) {
        reader->broken = true;
        return;
    }
    if (topic) {
        topic->leaders = realloc(topic->leaders, (count ? count : 1) * sizeof(*topic->leaders));
        assert(topic->leaders);
        topic->partitions = (int32_t)count;
        for (size_t i = 0; i < count; i++)
            topic->leaders[i] = -1;
    }
    for (size_t i = 0; i < count; i++) {
        (void)wire_get_i16(reader); // whoever has no leader is -1, too
        const int32_t index = wire_get_i32(reader);
        const int32_t leader = wire_get_i32(reader);
        (void)wire_get_i32(reader); // epoch
        skip_ids(reader);           // replicas
        skip_ids(reader);           // in sync
        skip_ids(reader);           // offline
        wire_get_skip_tags(reader);
        if (topic && index >= 0 && (size_t)index < count)
            topic->leaders[index] = leader;
    }
}

static void take_metadata(struct wire_cluster *cluster, struct wire_reader *reader) {
    (void)wire_get_i32(reader); // throttled for
    take_nodes(cluster, reader);
    (void)wire_get_string(reader); // cluster id
    (void)wire_get_i32(reader);    // controller
    for (size_t left = wire_get_count(reader); left > 0 && !reader->broken; left--) {
        const int16_t code = wire_get_i16(reader);
        struct wire_topic *topic = topic_named(cluster, wire_get_string(reader));
        if (topic)
            topic->code = code;
        wire_get_skip(reader, 16); // its id
        (void)wire_get_i8(reader); // whether the broker's own
        take_partitions(topic, reader);
        (void)wire_get_i32(reader); // rights
        wire_get_skip_tags(reader);
    }
}

static bool ask_leaders(struct wire_cluster *cluster, struct wire_connection *connection,
                        int64_t deadline_ms, struct error *err) {
    if (!wire_connection_open(connection, deadline_ms, err))
        return false;
    ask_metadata(cluster, connection);
    // The bootstrap connection is nobody's node, so that taking nodes leaves its memory alone.
    struct wire_reader reader;
    if (!wire_connection_send_writer(connection, WIRE_METADATA, &cluster->writer, deadline_ms,
                                     err) ||
        !wire_connection_receive(connection, &reader, deadline_ms, err))
        return false;
    take_metadata(cluster, &reader);
    return !reader.broken || wire_connection_broken(connection, err);
}

// "HOST:PORT", "[ADDRESS]:PORT", with or without a protocol in front, whose port may be missing.
static void split_server(const char *text, size_t len, char host[WIRE_HOST_MAX], int *ret_port) {
    const char *end = text + len;
    for (const char *at = text; at + 3 <= end; at++)
        if (memcmp(at, "://", 3) == 0)
            text = at + 3;
    const char *colon = NULL;
    for (const char *at = text; at < end; at++)
        if (*at == ':')
            colon = at;
    const char *bracket = memchr(text, ']', (size_t)(end - text));
    if (bracket && colon && colon < bracket)
        colon = NULL;
    *ret_port = colon ? atoi(colon + 1) : DEFAULT_PORT;
    const char *host_end = colon ? colon : end;
    if (bracket && *text == '[') {
        text++;
        host_end = bracket;
    }
    const size_t host_len = (size_t)(host_end - text);
    (void)snprintf(host, WIRE_HOST_MAX, "%.*s", (int)(host_len < WIRE_HOST_MAX ? host_len : 0),
                   text);
}

// Who is asked may take one of so many parts of the time that is left.
static bool ask_host(struct wire_cluster *cluster, const char *host, int port, size_t parts,
                     int64_t deadline_ms, struct error *err) {
    const int64_t now_ms = clock_monotonic_ms();
    const int64_t share_ms = deadline_ms > now_ms ? (deadline_ms - now_ms) / (int64_t)parts : 0;
    struct wire_connection connection;
    wire_connection_init(&connection, cluster->settings, cluster->tls, host, port);
    const bool learned = ask_leaders(cluster, &connection, now_ms + share_ms, err);
    wire_connection_done(&connection);
    return learned;
}

static size_t servers_in(const char *text) {
    size_t count = 0;
    for (; *text; text += strcspn(text, ", "), text += *text != '\0')
        count += strcspn(text, ", ") > 0;
    return count;
}

bool wire_cluster_learn(struct wire_cluster *cluster, int64_t deadline_ms, struct error *err) {
    error_set(err, DISP_RETRY, 0, "kafka.bootstrap.servers names no broker");
    const char *at = cluster->settings->servers ? cluster->settings->servers : "";
    size_t servers = servers_in(at);
    char host[WIRE_HOST_MAX];
    int port;
    while (*at) {
        const size_t len = strcspn(at, ", ");
        if (len > 0) {
            split_server(at, len, host, &port);
            if (ask_host(cluster, host, port, servers-- + (cluster->nodes_count > 0), deadline_ms,
                         err))
                return true;
        }
        at += len + (at[len] != '\0');
    }
    // An answer changes the nodes, even one that cannot be read to its end.
    for (size_t i = 0; i < cluster->nodes_count; i++) {
        const struct wire_connection *known = &cluster->nodes[i].connection;
        (void)snprintf(host, sizeof(host), "%s", known->host);
        if (ask_host(cluster, host, known->port, i + 1 < cluster->nodes_count ? 2 : 1, deadline_ms,
                     err))
            return true;
    }
    return false;
}

// ---- coordinators ------------------------------------------------------------------------------

bool wire_cluster_call(struct wire_cluster *cluster, struct wire_node *node, enum wire_api api,
                       struct wire_reader *ret, int64_t deadline_ms, struct error *err) {
    return wire_connection_send_writer(&node->connection, api, &cluster->writer, deadline_ms,
                                       err) &&
           wire_connection_receive(&node->connection, ret, deadline_ms, err);
}

bool wire_cluster_epoch(struct wire_cluster *cluster, struct wire_node *node, enum wire_api api,
                        const char *name, const char *about, int64_t *ret_producer_id,
                        int16_t *ret_epoch, int64_t deadline_ms, struct error *err) {
    struct wire_reader reader;
    if (!wire_cluster_call(cluster, node, api, &reader, deadline_ms, err))
        return false;
    (void)wire_get_i32(&reader); // throttled for
    const int16_t code = wire_get_i16(&reader);
    const int64_t producer_id = wire_get_i64(&reader);
    const int16_t epoch = wire_get_i16(&reader);
    if (reader.broken)
        return wire_connection_broken(&node->connection, err);
    if (code)
        return wire_code_error(code, name, about, err);
    *ret_producer_id = producer_id;
    *ret_epoch = epoch;
    return true;
}

bool wire_cluster_coordinator(struct wire_cluster *cluster, enum wire_coordinator kind,
                              const char *name, int32_t *ret_node, int64_t deadline_ms,
                              struct error *err) {
    if (cluster->nodes_count == 0)
        return error_set(err, DISP_RETRY, 0, "the cluster has no brokers");
    // Any broker knows: the first that answers.
    for (size_t i = 0; i < cluster->nodes_count; i++) {
        struct wire_node *node = &cluster->nodes[i];
        if (!wire_connection_open(&node->connection, deadline_ms, err))
            continue;
        struct wire_writer *writer = &cluster->writer;
        wire_connection_request(&node->connection, WIRE_FIND_COORDINATOR, writer);
        wire_put_i8(writer, (int8_t)kind);
        wire_put_count(writer, 1);
        wire_put_string(writer, name);
        wire_put_no_tags(writer);
        struct wire_reader reader;
        if (!wire_cluster_call(cluster, node, WIRE_FIND_COORDINATOR, &reader, deadline_ms, err))
            continue;
        (void)wire_get_i32(&reader); // throttled for
        if (wire_get_count(&reader) < 1)
            reader.broken = true;
        (void)wire_get_string(&reader); // the name
        *ret_node = wire_get_i32(&reader);
        (void)wire_get_string(&reader); // host
        (void)wire_get_i32(&reader);    // port
        const int16_t code = wire_get_i16(&reader);
        if (reader.broken) {
            (void)wire_connection_broken(&node->connection, err);
            continue;
        }
        if (!code && wire_cluster_node(cluster, *ret_node))
            return true;
        return wire_code_error(code ? code : WIRE_COORDINATOR_NOT_AVAILABLE, "FindCoordinator",
                               name, err);
    }
    return false;
}
