// SPDX-License-Identifier: Apache-2.0
//
// `orderlog setup`: topics, first offsets, schemas, tables and, where asked for, a first API key.
// May be run at any time, any number of times; it says what it did and, when a step fails, what to
// do about it. Order matters: workers need all four, and whoever sees a topic may write to it.
#include "cli/access_key.h"
#include "cli/commands.h"
#include "event/registry.h"
#include "event/schema_ids.h"
#include "service/config.h"
#include "service/log.h"
#include "service/service.h"
#include "store/db.h"
#include "store/grants.h"
#include "store/migrate.h"
#include "stream/topic_admin.h"

#include <stdio.h>

enum { REGISTRY_TIMEOUT_MS = 10000 };

static bool setup_topics(const struct config *config, struct error *err) {
    struct topic_admin *admin = topic_admin_open(config, err);
    if (!admin)
        return false;

    int created_count = 0;
    bool ok = true;
    for (int topic = 0; topic < TOPIC_COUNT && ok; topic++) {
        bool created = false;
        ok = topic_admin_ensure(admin, (enum topic_id)topic, &created, err);
        if (created)
            printf("topic %s created with %d partitions\n", topics[topic].name,
                   topic_admin_existing(admin, (enum topic_id)topic));
        created_count += created;
    }
    if (ok)
        printf("topics: %d created, %d were there\n", created_count, TOPIC_COUNT - created_count);

    int32_t committed_count = 0;
    for (int domain = 0; domain < DOMAIN_COUNT && ok; domain++) {
        int32_t count = 0;
        ok = topic_admin_ensure_offsets(admin, (enum domain)domain, &count, err);
        committed_count += count;
    }
    if (ok)
        printf("first offsets: %d committed\n", committed_count);
    if (ok && config->setup_users_prefix[0]) {
        ok = topic_admin_ensure_rights(admin, config->setup_users_prefix, err);
        if (ok)
            printf("rights in Kafka: given to users %s…\n", config->setup_users_prefix);
    }
    topic_admin_close(admin);
    return ok;
}

static bool setup_schemas(const struct config *config, struct error *err) {
    struct registry *registry = registry_new(config->registry_url, REGISTRY_TIMEOUT_MS, err);
    if (!registry)
        return false;
    struct schema_topic schema_topics[TOPIC_COUNT];
    topics_for_schemas(schema_topics);
    const bool ok = schema_ids_register(registry, schema_topics, TOPIC_COUNT, err);
    if (ok)
        printf("schemas: registered at %s\n", registry_url(registry));
    registry_free(registry);
    return ok || error_wrap(err, "schemas cannot be registered (registry.url)");
}

static bool setup_tables(const struct config *config, struct error *err) {
    struct db *db = db_new(config->postgres_dsn, "orderlog setup", NULL);
    if (!db)
        return error_set(err, DISP_FATAL, 0, "out of memory");
    int applied = 0;
    bool ok = db_connect(db, err) && store_migrate(db, &applied, err);
    if (ok)
        printf("tables: %d migrations applied\n", applied);
    if (ok && config->setup_users_prefix[0]) {
        ok = store_grant(db, config->setup_users_prefix, err);
        if (ok)
            printf("rights in PostgreSQL: given to roles %s…\n", config->setup_users_prefix);
    }
    db_free(db);
    return ok || error_wrap(err, "tables cannot be made (postgres.conninfo)");
}

static bool setup_key(const struct config *config, struct error *err) {
    if (!config->api_key)
        return true;
    bool created = false;
    if (!access_key_ensure(config, config->api_key, &created, err))
        return error_wrap(err, "the API key given as api.key cannot be stored");
    printf("API key: %s\n", created ? "stored" : "was there");
    return true;
}

int cmd_setup(int argc, char **argv) {
    const struct config_command command = {
        .usage = "setup",
        .about =
            "Creates what is missing: topics, first offsets, schemas and tables. With api.key, "
            "also stores that API key with all scopes; with setup.users.prefix, gives each role "
            "its "
            "rights and no more. Running it again changes nothing.",
        .role = ROLE_SETUP,
    };
    struct config config;
    int exit_code = EXIT_OK;
    if (!config_from_command_line(&command, argc, argv, &config, NULL, NULL, &exit_code))
        return exit_code;
    log_init_from_words(config.log_level, config.log_format, "setup", -1);

    struct error err = {0};
    if (!setup_topics(&config, &err) || !setup_schemas(&config, &err) ||
        !setup_tables(&config, &err) || !setup_key(&config, &err)) {
        (void)fflush(stdout);
        (void)fprintf(stderr, "orderlog setup: %s\n", err.msg);
        exit_code = err.what == DISP_RETRY ? EXIT_UNAVAILABLE : EXIT_CONFIG;
    }
    config_free(&config);
    return exit_code;
}
