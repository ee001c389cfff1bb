// SPDX-License-Identifier: Apache-2.0
//
// What runs: members of the groups, and the two services, asked where tools find them.
#include "status_parts.h"

#include "cli/http_client.h"
#include "stream/group_members.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { READY_TIMEOUT_MS = 2000 };

static const char processor_prefix[] = "orderlog.";
static const char projector_prefix[] = "orderlog.projector.";

static int by_number(const void *a, const void *b) {
    const int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return x < y ? -1 : x > y;
}

// "0-3 7"; what does not fit ends in "…".
static void list_ranges(const int32_t *numbers, size_t count, char *out, size_t size) {
    size_t used = 0;
    out[0] = '\0';
    for (size_t i = 0; i < count;) {
        size_t last = i;
        while (last + 1 < count && numbers[last + 1] == numbers[last] + 1)
            last++;
        char range[32];
        int length = last == i ? snprintf(range, sizeof(range), "%s%d", used ? " " : "", numbers[i])
                               : snprintf(range, sizeof(range), "%s%d-%d", used ? " " : "",
                                          numbers[i], numbers[last]);
        if (used + (size_t)length + sizeof("…") > size) {
            (void)snprintf(out + used, size - used, "…");
            return;
        }
        memcpy(out + used, range, (size_t)length + 1);
        used += (size_t)length;
        i = last + 1;
    }
}

static void add_worker(void *opaque, const struct group_member *member) {
    struct status *status = opaque;
    if (status->workers_count == STATUS_WORKERS_MAX)
        return;
    struct status_worker *worker = &status->workers[status->workers_count++];
    bool projector = strncmp(member->group, projector_prefix, strlen(projector_prefix)) == 0;
    (void)snprintf(worker->role, sizeof(worker->role), "%s%.48s", projector ? "project " : "",
                   member->group + strlen(projector ? projector_prefix : processor_prefix));
    (void)snprintf(worker->instance, sizeof(worker->instance), "%.63s", member->instance);
    (void)snprintf(worker->host, sizeof(worker->host), "%.63s", member->host);
    int32_t *sorted = calloc(member->partitions_count + 1, sizeof(*sorted));
    if (!sorted)
        return;
    if (member->partitions_count > 0)
        memcpy(sorted, member->partitions, member->partitions_count * sizeof(*sorted));
    qsort(sorted, member->partitions_count, sizeof(*sorted), by_number);
    list_ranges(sorted, member->partitions_count, worker->partitions, sizeof(worker->partitions));
    worker->partitions_count = (int32_t)member->partitions_count;
    free(sorted);
}

static int by_name(const void *a, const void *b) {
    const struct status_worker *x = a, *y = b;
    int order = strcmp(x->role, y->role);
    return order ? order : strcmp(x->instance, y->instance);
}

bool status_gather_workers(const struct config *config, struct status *status, struct error *err) {
    char names[2 * DOMAIN_COUNT][96];
    const char *groups[2 * DOMAIN_COUNT];
    for (int domain = 0; domain < DOMAIN_COUNT; domain++) {
        (void)snprintf(names[domain], sizeof(names[0]), "%s%s", processor_prefix,
                       domains[domain].name);
        (void)snprintf(names[DOMAIN_COUNT + domain], sizeof(names[0]), "%s%s", projector_prefix,
                       topics[domains[domain].events].name);
    }
    for (size_t i = 0; i < 2 * DOMAIN_COUNT; i++)
        groups[i] = names[i];
    if (!group_members_each(config, groups, 2 * DOMAIN_COUNT, add_worker, status, err))
        return false;
    qsort(status->workers, status->workers_count, sizeof(status->workers[0]), by_name);
    return true;
}

static void ask_service(struct status_service *service, const char *name, const char *url) {
    *service = (struct status_service){.name = name, .url = url};
    struct http_client *client = http_client_new(url, "");
    const struct http_call call = {
        .method = "GET", .path = "/readyz", .timeout_ms = READY_TIMEOUT_MS};
    struct http_reply reply;
    struct error err = {0};
    if (!client || !http_client_call(client, &call, &reply, &err))
        (void)snprintf(service->reason, sizeof(service->reason), "no answer: %.140s", err.msg);
    else if (reply.status == 200)
        service->ready = true;
    else
        (void)snprintf(service->reason, sizeof(service->reason), "it answers %ld", reply.status);
    http_client_free(client);
}

void status_gather_services(const struct config *config, struct status *status) {
    ask_service(&status->services[0], "gateway", config->gateway_url);
    ask_service(&status->services[1], "query", config->query_url);
}
