// SPDX-License-Identifier: Apache-2.0
#include "executor_role.h"

#include "process/roles.h"
#include "process/slots.h"
#include "service/metrics.h"
#include "stream/topics.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum {
    POLL_MAX = 1024,
    DECISION_BYTES_MAX = 1 << 20,
};

struct executor {
    struct role role;
    const struct executor_kind *kind;
    void *outside; // owned, freed by kind
    struct policy policy;
    struct arena arena;
    struct slots calls;
    uint8_t *replies; // owned: POLL_MAX of them
};

static void *partition_new(void *context, int32_t partition) {
    (void)partition;
    return context; // there is no state
}

static void partition_free(void *context, void *state) {
    (void)context;
    (void)state;
}

static bool handle(void *context, void *state, const struct stream_input *input,
                   struct output *output, struct error *err) {
    (void)state;
    (void)output;
    struct executor *self = context;
    if (input->type != self->kind->request)
        return error_set(err, DISP_POISON, 0, "%s does not know what to do with a %s",
                         domains[self->kind->domain].name, record_types[input->type]->name);
    uint64_t place;
    struct executor_call *call = slots_take(&self->calls, &place);
    call->token = input->token;
    call->asked_us = input->now_us;
    if (self->kind->submit(self->outside, input->body, place, call, err))
        return true;
    slots_give_back(&self->calls, call);
    return false;
}

static bool has_room(void *context, size_t messages_max) {
    struct executor *self = context;
    return self->calls.free_count >= messages_max &&
           self->kind->room(self->outside) >= messages_max;
}

static size_t poll_calls(void *context, int64_t now_us, struct stream_completion *out, size_t max) {
    struct executor *self = context;
    const struct executor_kind *kind = self->kind;
    metrics_set(METRIC_OUTSIDE_CALLS, 0, EXECUTOR_CALLS_MAX - self->calls.free_count);
    size_t count =
        kind->poll(self->outside, now_us, self->replies, max < POLL_MAX ? max : (size_t)POLL_MAX);
    for (size_t i = 0; i < count; i++) {
        const uint8_t *reply = self->replies + i * kind->reply_size;
        uint64_t place;
        memcpy(&place, reply, sizeof(place));
        struct executor_call *call = slots_at(&self->calls, place);
        memcpy((uint8_t *)call + kind->reply_offset, reply, kind->reply_size);
        out[i] = (struct stream_completion){.token = call->token, .what = call};
    }
    return count;
}

static void discard(void *context, const struct stream_completion *completion) {
    struct executor *self = context;
    slots_give_back(&self->calls, completion->what);
}

static bool complete(void *context, const struct stream_completion *completion, int64_t now_us,
                     struct output *output, struct error *err) {
    struct executor *self = context;
    const struct executor_call *call = completion->what;
    metrics_observe_us(METRIC_STEP, STEP_CALL,
                       now_us > call->asked_us ? now_us - call->asked_us : 0);
    arena_reset(&self->arena);
    struct decision decision;
    decision_begin(&decision, &self->arena, &self->policy, now_us);
    self->kind->decide(&decision, completion->what);
    bool written = output_decision(output, completion->token.partition, &decision, err);
    discard(context, completion);
    return written;
}

static int64_t next_due_us(void *context) {
    struct executor *self = context;
    return self->kind->next_due_us(self->outside);
}

struct view executor_text(const char *text) {
    return (struct view){.ptr = text[0] ? text : NULL, .len = (uint32_t)strlen(text)};
}

struct role *executor_role_new(const struct executor_kind *kind, void *outside) {
    assert(kind->reply_offset + kind->reply_size <= kind->call_size);
    struct executor *self = calloc(1, sizeof(*self));
    assert(self);
    self->kind = kind;
    self->outside = outside;
    arena_init(&self->arena, DECISION_BYTES_MAX);
    slots_init(&self->calls, EXECUTOR_CALLS_MAX, kind->call_size);
    self->replies = calloc(POLL_MAX, kind->reply_size);
    assert(self->replies);
    self->role = (struct role){
        .domain = kind->domain,
        .context = self,
        .partition_new = partition_new,
        .partition_free = partition_free,
        .handle = handle,
        .has_room = has_room,
        .poll = poll_calls,
        .complete = complete,
        .discard = discard,
        .next_due_us = next_due_us,
    };
    return &self->role;
}

void executor_role_free(struct role *role) {
    if (!role)
        return;
    struct executor *self = role->context;
    self->kind->free(self->outside);
    slots_done(&self->calls);
    arena_done(&self->arena);
    free(self->replies);
    free(self);
}
