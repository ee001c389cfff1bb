// SPDX-License-Identifier: Apache-2.0
//
// I4: every input yields exactly its outputs, none lost, doubled or torn. A committed input is
// decided once more on the fold of committed events (the shadow), and must have led to just what
// the worker wrote. After each commit and each take-over the worker's state must be that fold, byte
// by byte.
#include "world.h"

#include <string.h>

void check_begin(struct world *world) {
    memset(&world->shadow, 0, sizeof(world->shadow));
    memset(world->order_books, 0, sizeof(world->order_books));
    memset(world->sku_books, 0, sizeof(world->sku_books));
    memset(world->key_books, 0, sizeof(world->key_books));
    memset(world->ids, 0, sizeof(world->ids));
    world->ids_count = 0;
    for (int i = 0; i < ORDERS_MAX; i++) {
        world->order_books[i].ended = RECORD_COUNT;
        world->order_books[i].status = ORDER_STATUS_COUNT;
    }
}

// ---- what an input should have led to ----------------------------------------------------------

static const struct record *record_of(const struct output *output) {
    return &output->topic->records[output->offset];
}

static void compare_output(struct world *world, const struct decided *should,
                           const struct record *is) {
    if (should->type != is->type || !id_equal(should->body, is->body))
        world_fail(world, is->order, is->sku, "I4: wrote %s where it should have been %s",
                   record_types[is->type]->name, record_types[should->type]->name);
    if (world->codec && !log_same_bytes(world, is->type, should->body, is->body))
        world_fail(world, is->order, is->sku, "I4: %s has other content than decided anew",
                   record_types[is->type]->name);
}

static void check_decision(struct world *world, const struct worker *worker,
                           const struct turn *turn, const struct record *input,
                           const struct decision *should) {
    int order = input ? input->order : turn->order;
    int sku = input ? input->sku : NOBODY;
    const char *cause = input ? record_types[input->type]->name : "a deadline";
    if (should->events_count != turn->events_count ||
        should->messages_count != turn->messages_count)
        world_fail(world, order, sku,
                   "I4: %s led to %u events and %u messages, should have been %u and %u", cause,
                   turn->events_count, turn->messages_count, should->events_count,
                   should->messages_count);
    const struct output *outputs = &worker->outputs[turn->first];
    for (uint32_t i = 0; i < turn->events_count; i++)
        compare_output(world, &should->events[i], record_of(&outputs[i]));
    for (uint32_t i = 0; i < turn->messages_count; i++)
        compare_output(world, &should->messages[i], record_of(&outputs[turn->events_count + i]));
}

static void decide_again(struct world *world, const struct worker *worker, const struct turn *turn,
                         const struct record *input) {
    struct decision should;
    arena_reset(&world->scratch);
    decision_begin(&should, &world->scratch, &world->policy, turn->now_us);
    if (input)
        aggregate_decide(world, &world->shadow, worker->role, input, &should);
    else
        aggregate_decide_deadline(world, &world->shadow, turn->order, &should);
    check_decision(world, worker, turn, input, &should);
}

// A request to provider or carrier: at most one event, one answer, one request to watch, with ids
// that follow from the request's.
static void check_reply(struct world *world, const struct worker *worker, const struct turn *turn,
                        const struct record *request) {
    const struct id *request_id = request->body;
    uint32_t count = turn->events_count + turn->messages_count;
    uint32_t answers = 0;
    for (uint32_t i = 0; i < count; i++) {
        const struct record *is = record_of(&worker->outputs[turn->first + i]);
        bool answer = is->type == RECORD_PAYMENT_ANSWERED || is->type == RECORD_SHIPMENT_ANSWERED;
        uint64_t index = i < turn->events_count ? 1 : answer ? 2 : 3;
        struct id id = id_derive(request_id, index);
        if (!id_equal(&id, is->body))
            world_fail(world, request->order, NOBODY, "I4: the id of %s does not follow from %s",
                       record_types[is->type]->name, record_types[request->type]->name);
        answers += answer;
    }
    bool answered = answers == 1 || (worker->role == ROLE_SHIPPING && answers == 0);
    if (turn->events_count > 1 || !answered)
        world_fail(world, request->order, NOBODY, "I4: a request led to %u events and %u answers",
                   turn->events_count, answers);
}

// ---- a transaction -----------------------------------------------------------------------------

static void consume(struct world *world, struct record *input) {
    const char *name = record_types[input->type]->name;
    if (input->txn && input->txn->state != TXN_COMMITTED)
        world_fail(world, input->order, input->sku, "I5: acted on %s, which was not committed",
                   name);
    if (input->consumed)
        world_fail(world, input->order, input->sku, "I4: %s was handled twice", name);
    input->consumed = true;
}

static void check_turn(struct world *world, const struct worker *worker, const struct turn *turn) {
    struct record *input = NULL;
    if (turn->input != NOBODY) {
        input = &world->inbox[worker->role][turn->partition].records[turn->input];
        consume(world, input);
    }
    if (worker->role == ROLE_ORDER || worker->role == ROLE_INVENTORY)
        decide_again(world, worker, turn, input);
    else
        check_reply(world, worker, turn, input);
    const struct output *outputs = &worker->outputs[turn->first];
    for (uint32_t i = 0; i < turn->events_count; i++)
        check_event(world, worker->role, record_of(&outputs[i]));
    for (uint32_t i = 0; i < turn->messages_count; i++)
        check_message(world, record_of(&outputs[turn->events_count + i]));
}

// What the offset passes must have been handled.
static void check_offset(struct world *world, enum role role, uint8_t p, uint32_t next) {
    const struct partition *partition = &world->partitions[role][p];
    const struct topic *inbox = &world->inbox[role][p];
    for (uint32_t i = partition->committed; i < next; i++) {
        const struct record *record = &inbox->records[i];
        bool aborted = record->txn && record->txn->state == TXN_ABORTED;
        if (!record->consumed && !aborted)
            world_fail(world, record->order, record->sku, "I4: %s was lost: the offset passed it",
                       record_types[record->type]->name);
    }
}

// Answers that come twice do so some time after the first.
static void maybe_repeat(struct world *world, struct worker *worker, const struct turn *turn) {
    const struct output *outputs = &worker->outputs[turn->first + turn->events_count];
    for (uint32_t i = 0; i < turn->messages_count; i++) {
        const struct record *message = record_of(&outputs[i]);
        if (log_role_of(message->type) == ROLE_ORDER &&
            dice_one_in(&worker->dice, world->trouble.copy_one_in) &&
            world_trouble(world, TROUBLE_COPY))
            people_later(world, world->now_us + dice_us(&worker->dice, 5000000), ROLE_ORDER,
                         message);
    }
}

void check_transaction(struct world *world, struct worker *worker) {
    bool processor = worker->role == ROLE_ORDER || worker->role == ROLE_INVENTORY;
    for (uint32_t i = 0; i < worker->turns_count; i++)
        check_turn(world, worker, &worker->turns[i]);
    for (uint8_t p = 0; processor && p < world->partitions_count; p++)
        if (worker->touched[p])
            check_offset(world, worker->role, p, worker->next[p]);
    for (uint32_t i = 0; worker->role != ROLE_ORDER && i < worker->turns_count; i++)
        maybe_repeat(world, worker, &worker->turns[i]);
}

// ---- state -------------------------------------------------------------------------------------

static void check_order(struct world *world, int order) {
    const struct order *live = world->live.orders[order];
    const struct order *fold = world->shadow.orders[order];
    if (!live && !fold)
        return;
    if (!live || !fold || order_size(live) != order_size(fold) ||
        memcmp(live, fold, order_size(fold)) != 0)
        world_fail(world, order, NOBODY, "I4: the worker's order is not the fold of its events");
}

static void check_sku(struct world *world, int sku, int order) {
    const struct state *live = &world->live;
    const struct state *fold = &world->shadow;
    if (memcmp(&live->stocks[sku], &fold->stocks[sku], sizeof(fold->stocks[sku])) != 0)
        world_fail(world, order, sku, "I4: the worker's stock is not the fold of its events");
    if (order != NOBODY &&
        live->reservations[order][sku].quantity != fold->reservations[order][sku].quantity)
        world_fail(world, order, sku, "I4: the worker's reservation is not the fold of its events");
}

void check_soft_state(struct world *world, const struct worker *worker) {
    for (uint32_t i = 0; i < worker->turns_count; i++) {
        const struct turn *turn = &worker->turns[i];
        const struct record *input =
            turn->input == NOBODY
                ? NULL
                : &world->inbox[worker->role][turn->partition].records[turn->input];
        if (worker->role == ROLE_ORDER)
            check_order(world, input ? input->order : turn->order);
        else if (worker->role == ROLE_INVENTORY)
            check_sku(world, input->sku, input->order);
    }
}

void check_partition(struct world *world, enum role role, uint8_t partition) {
    uint32_t step = world->partitions_count;
    for (uint32_t i = partition; role == ROLE_ORDER && i < world->orders_count; i += step)
        check_order(world, (int)i);
    for (uint32_t sku = partition; role == ROLE_INVENTORY && sku < world->skus_count; sku += step)
        for (uint32_t i = 0; i < world->orders_count; i++)
            check_sku(world, (int)sku, (int)i);
    for (uint32_t key = 0; key < world->keys_count; key++)
        if (aggregate_key_lies_in(world, role, partition, key) &&
            memcmp(&world->live.remembered[key], &world->shadow.remembered[key],
                   sizeof(world->live.remembered[key])) != 0)
            world_fail(world, world->key_orders[key], world->key_skus[key],
                       "I4: what is remembered of a command is not the fold of its events");
}

// No order times out while its answer sits unread.
void check_deadline(struct world *world, uint8_t p, int order) {
    const struct topic *inbox = &world->inbox[ROLE_ORDER][p];
    for (uint32_t i = world->partitions[ROLE_ORDER][p].position; i < inbox->count; i++) {
        const struct record *record = &inbox->records[i];
        if (record->order == order && !(record->txn && record->txn->state == TXN_ABORTED))
            world_fail(world, order, NOBODY, "a deadline was judged while %s sat unread",
                       record_types[record->type]->name);
    }
}
