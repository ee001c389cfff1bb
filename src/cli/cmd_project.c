// SPDX-License-Identifier: Apache-2.0
//
// `orderlog project [NAME…]`: keeps read models up to date, all of them or those named.
#include <stdio.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/read_models.h"
#include "cli/tool_schemas.h"
#include "http/admin.h"
#include "http/server.h"
#include "service/config.h"
#include "service/service.h"
#include "store/projection.h"
#include "store/projector.h"

// What read models can be made of: the events of all domains, and customers.
enum { PROJECTED_COUNT = DOMAIN_COUNT + 1, PROJECTORS_MAX = PROJECTED_COUNT * 64 };

static enum topic_id projected(size_t index) {
    return index < DOMAIN_COUNT ? domains[index].events : TOPIC_CUSTOMERS;
}

struct project {
    const struct config *config;
    const char *const *names; // NULL: all
    struct tool_schemas schemas;
    struct http_server *admin;
    struct projector *projectors[PROJECTORS_MAX];
    size_t projectors_count;
};

static bool schemas_start(void *state, struct error *err) {
    struct project *project = state;
    enum topic_id topic_ids[PROJECTED_COUNT];
    for (size_t i = 0; i < PROJECTED_COUNT; i++)
        topic_ids[i] = projected(i);
    return tool_schemas_open(project->config, topic_ids, PROJECTED_COUNT, &project->schemas, err);
}

static void schemas_stop(void *state) {
    tool_schemas_close(&((struct project *)state)->schemas);
}

static void projectors_stop(void *state) {
    struct project *project = state;
    for (size_t i = 0; i < project->projectors_count; i++)
        projector_stop(project->projectors[i]);
    project->projectors_count = 0;
}

static bool projector_add(struct project *project, enum topic_id topic, int worker,
                          struct error *err) {
    const struct projector_options options = {.config = project->config,
                                              .ids = project->schemas.ids,
                                              .topic = topics[topic].name,
                                              .files = projection_files,
                                              .files_count = projection_files_count,
                                              .names = project->names,
                                              .worker = worker};
    struct projector *projector;
    if (!projector_start(&options, &projector, err))
        return false;
    if (projector)
        project->projectors[project->projectors_count++] = projector;
    return true;
}

static bool projectors_start(void *state, struct error *err) {
    struct project *project = state;
    for (size_t i = 0; i < PROJECTED_COUNT; i++)
        for (int worker = 0; worker < (int)project->config->projector_threads; worker++)
            if (!projector_add(project, projected(i), worker, err)) {
                projectors_stop(project);
                return false;
            }
    return true;
}

static bool is_projecting(void *state, char reason[SERVICE_REASON_MAX]) {
    const struct project *project = state;
    for (size_t i = 0; i < project->projectors_count; i++) {
        if (projector_is_running(project->projectors[i]))
            continue;
        (void)snprintf(reason, SERVICE_REASON_MAX, "waiting for the group or the database");
        return false;
    }
    return true;
}

static bool ready_start(void *state, struct error *err) {
    (void)err;
    service_check_add("projectors", is_projecting, state);
    return true;
}

static void ready_stop(void *state) {
    (void)state;
    service_check_remove("projectors");
}

static bool listener_start(void *state, struct error *err) {
    struct project *project = state;
    return admin_start(project->config, &project->admin, err);
}

static void listener_stop(void *state) {
    http_server_free(((struct project *)state)->admin);
}

static const struct service_part parts[] = {
    {"open listener", listener_start, listener_stop},
    {"schemas", schemas_start, schemas_stop},
    {"projectors", projectors_start, projectors_stop},
    {"readiness", ready_start, ready_stop},
    {NULL, NULL, NULL},
};

int cmd_project(int argc, char **argv) {
    const struct config_command command = {
        .usage = "project [NAME...]",
        .about = "Keeps read models in PostgreSQL up to date: all of them, or those named.",
        .role = ROLE_PROJECT,
        .arguments_max = PROJECTIONS_MAX};
    struct config config;
    char **arguments;
    int arguments_count;
    int exit_code;
    if (!config_from_command_line(&command, argc, argv, &config, &arguments, &arguments_count,
                                  &exit_code))
        return exit_code;
    const char *names[PROJECTIONS_MAX + 1] = {NULL};
    for (int i = 0; i < arguments_count; i++) {
        names[i] = arguments[i];
        if (read_model_is_known("project", arguments[i]))
            continue;
        config_free(&config);
        return EXIT_USAGE;
    }
    struct project project = {.config = &config, .names = arguments_count > 0 ? names : NULL};
    exit_code = service_run("project", &config, parts, &project);
    config_free(&config);
    return exit_code;
}
