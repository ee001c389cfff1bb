// SPDX-License-Identifier: Apache-2.0
//
// A thread per connection; each takes the next question that nobody has. The calling thread is one
// of them, with the registry's own connection: where no more can be had it asks alone.
#include "schema_lookup.h"

#include <pthread.h>
#include <stdatomic.h>

enum { CONNECTIONS = 4 };

struct asking {
    struct schema_lookup *lookups;
    size_t count;
    _Atomic size_t next;
    _Atomic bool failed;
};

struct asker {
    struct asking *asking;
    struct registry *registry;
    pthread_t thread;
    bool failed;
    struct error err;
};

static void *ask(void *arg) {
    struct asker *asker = arg;
    struct asking *asking = asker->asking;
    size_t i;
    while (!atomic_load(&asking->failed) &&
           (i = atomic_fetch_add(&asking->next, 1)) < asking->count) {
        struct schema_lookup *lookup = &asking->lookups[i];
        const struct record_type *type = record_types[lookup->record];
        if (registry_lookup(asker->registry, lookup->subject, type->schema, type->schema_len,
                            &lookup->id, &asker->err))
            continue;
        asker->failed = true;
        atomic_store(&asking->failed, true);
    }
    return NULL;
}

bool schema_lookup_all(struct registry *registry, struct schema_lookup *lookups, size_t count,
                       struct error *err) {
    struct asking asking = {.lookups = lookups, .count = count};
    struct asker askers[CONNECTIONS] = {{.asking = &asking, .registry = registry}};
    int started = 1;
    for (; started < CONNECTIONS; started++) {
        struct asker *asker = &askers[started];
        *asker = (struct asker){.asking = &asking, .registry = registry_again(registry, err)};
        if (asker->registry && pthread_create(&asker->thread, NULL, ask, asker) == 0)
            continue;
        (void)registry_free(asker->registry);
        break;
    }
    (void)ask(&askers[0]);
    bool good = true;
    for (int i = 0; i < started; i++) {
        if (i > 0) {
            (void)pthread_join(askers[i].thread, NULL);
            (void)registry_free(askers[i].registry);
        }
        if (askers[i].failed)
            *err = askers[i].err;
        good = good && !askers[i].failed;
    }
    return good;
}
