// SPDX-License-Identifier: Apache-2.0
//
// The transaction loop as the product's works: a worker takes a batch of turns, writes what they
// lead to and the offsets in one transaction, and ends it. What can go wrong with that goes wrong
// here. Built with SIM_MUTANT the loop has one of the faults that the checks must find.
#include "world.h"

#include <string.h>

#ifndef SIM_MUTANT
#define SIM_MUTANT 0
#endif

enum {
    MUTANT_NO_UNDO = 1,
    MUTANT_NO_REWIND,
    MUTANT_KEPT_AFTER_FAILED_COMMIT,
    MUTANT_DROPPED_AFTER_COMMIT,
    MUTANT_EARLY_DEADLINE,
    MUTANT_READS_ABORTED,
    MUTANT_EVENT_LOST,
    MUTANT_MESSAGES_OUTSIDE,
    MUTANT_OFFSETS_OUTSIDE,
    MUTANT_ZOMBIE_COMMITS,
};

static bool mutant(int which) {
    return SIM_MUTANT == which;
}

static bool is_executor(enum role role) {
    return role == ROLE_PAYMENT || role == ROLE_SHIPPING;
}

void loop_begin(struct world *world) {
    for (int role = 0; role < ROLES; role++) {
        for (int slot = 0; slot < WORKERS; slot++) {
            struct worker *worker = &world->workers[role][slot];
            worker->role = (enum role)role;
            worker->slot = slot;
            worker->dice = dice_new(world->request->seed, 1000 + (uint64_t)(role * WORKERS + slot));
            worker->ahead_us = worker->down_us = 0;
            worker->turns_count = worker->outputs_count = 0;
            worker->crashed = worker->fate_committed = false;
            worker->txn = NULL;
        }
        for (int p = 0; p < PARTITIONS_MAX; p++) {
            struct partition *partition = &world->partitions[role][p];
            partition->owner = p % WORKERS;
            partition->position = partition->committed = 0;
            partition->deadline_us = INT64_MAX;
            partition->undo.used = 0;
        }
    }
}

// ---- a turn ------------------------------------------------------------------------------------

static void txn_begin(struct world *world, struct worker *worker) {
    worker->txn = world_alloc(world, sizeof(*worker->txn));
    worker->txn->state = TXN_OPEN;
    worker->txn->number = ++world->txns;
    worker->turns_count = worker->outputs_count = 0;
    memset(worker->touched, 0, sizeof(worker->touched));
}

struct turn *loop_turn(struct world *world, struct worker *worker, uint8_t partition,
                       int32_t input) {
    if (!worker->txn)
        txn_begin(world, worker);
    worker->touched[partition] = true;
    struct turn *turn = &worker->turns[worker->turns_count++];
    *turn = (struct turn){
        // No two decisions at the same moment, and never one in the clock's past by accident.
        .now_us = world->now_us++ + worker->ahead_us,
        .input = input,
        .order = NOBODY,
        .partition = partition,
        .first = worker->outputs_count,
    };
    if (input != NOBODY) {
        const struct record *record = &world->inbox[worker->role][partition].records[input];
        turn->copy = record->copy;
        // Whom it is about if an assertion fails now.
        world->outcome->order = record->order;
        world->outcome->sku = record->sku;
    }
    return turn;
}

static void put_output(struct world *world, struct worker *worker, struct topic *topic,
                       const struct decided *decided, struct txn *txn, bool copy) {
    const void *body = log_travelled(world, decided->type, decided->body);
    uint32_t offset = log_append(world, topic, decided->type, body, txn, copy);
    worker->outputs[worker->outputs_count++] = (struct output){.topic = topic, .offset = offset};
}

void loop_emit(struct world *world, struct worker *worker, struct turn *turn,
               const struct decision *decision) {
    turn->events_count = decision->events_count;
    turn->messages_count = decision->messages_count;
    if (mutant(MUTANT_EVENT_LOST) && decision->events_count > 1)
        turn->events_count--;
    for (uint32_t i = 0; i < turn->events_count; i++)
        put_output(world, worker, &world->events[worker->role][turn->partition],
                   &decision->events[i], worker->txn, turn->copy);
    for (uint32_t i = 0; i < decision->messages_count; i++) {
        const struct decided *message = &decision->messages[i];
        int16_t order, sku;
        log_names(message->type, message->body, &order, &sku);
        enum role to = log_role_of(message->type);
        put_output(world, worker, &world->inbox[to][log_partition_of(world, to, order, sku)],
                   message, mutant(MUTANT_MESSAGES_OUTSIDE) ? NULL : worker->txn, turn->copy);
    }
}

static bool has_room(const struct worker *worker) {
    return worker->turns_count < TURNS_MAX && worker->outputs_count + 64 < OUTPUTS_MAX;
}

static void note_deadline(struct world *world, struct partition *partition, int order) {
    if (order == NOBODY || !world->live.orders[order])
        return;
    int64_t deadline_us = order_deadline_us(world->live.orders[order]);
    if (deadline_us < partition->deadline_us)
        partition->deadline_us = deadline_us;
}

static void take_input(struct world *world, struct worker *worker, uint8_t p,
                       const struct record *input, uint32_t offset) {
    struct partition *partition = &world->partitions[worker->role][p];
    struct turn *turn = loop_turn(world, worker, p, (int32_t)offset);
    struct decision decision;
    decision_begin(&decision, &world->arena, &world->policy, turn->now_us);
    aggregate_save(world, partition, worker->role, input, NOBODY);
    aggregate_decide(world, &world->live, worker->role, input, &decision);
    if (worker->role == ROLE_ORDER)
        note_deadline(world, partition, input->order);
    loop_emit(world, worker, turn, &decision);
}

// ---- deadlines ---------------------------------------------------------------------------------

// Is everything read that was in the inbox when the deadline passed? Undecided records count.
static bool caught_up(struct world *world, uint8_t p) {
    struct partition *partition = &world->partitions[ROLE_ORDER][p];
    struct topic *inbox = &world->inbox[ROLE_ORDER][p];
    if (mutant(MUTANT_EARLY_DEADLINE))
        return true;
    return !log_read(inbox, &partition->position) && partition->position == inbox->count;
}

static void fire_deadlines(struct world *world, struct worker *worker, uint8_t p) {
    struct partition *partition = &world->partitions[ROLE_ORDER][p];
    int64_t now_us = world->now_us + worker->ahead_us;
    if (partition->deadline_us > now_us || !caught_up(world, p))
        return;
    for (uint32_t i = p; i < world->orders_count && has_room(worker);
         i += world->partitions_count) {
        struct order *order = world->live.orders[i];
        if (!order || order_deadline_us(order) > now_us)
            continue;
        struct turn *turn = loop_turn(world, worker, p, NOBODY);
        turn->order = (int16_t)i;
        world->outcome->order = (int)i;
        check_deadline(world, p, (int)i);
        struct decision decision;
        decision_begin(&decision, &world->arena, &world->policy, turn->now_us);
        aggregate_save(world, partition, ROLE_ORDER, NULL, (int)i);
        aggregate_decide_deadline(world, &world->live, (int)i, &decision);
        loop_emit(world, worker, turn, &decision);
    }
    partition->deadline_us = aggregate_deadline_us(world, p);
}

// ---- a batch -----------------------------------------------------------------------------------

static struct record *read_input(struct topic *inbox, uint32_t *position) {
    if (mutant(MUTANT_READS_ABORTED))
        return *position < inbox->count ? &inbox->records[*position] : NULL;
    return log_read(inbox, position);
}

static bool gather(struct world *world, struct worker *worker) {
    uint32_t left = 1 + dice_below(&worker->dice, world->batch_max);
    for (uint8_t p = 0; p < world->partitions_count; p++) {
        struct partition *partition = &world->partitions[worker->role][p];
        if (partition->owner != worker->slot)
            continue;
        struct topic *inbox = &world->inbox[worker->role][p];
        struct record *input;
        while (left > 0 && has_room(worker) && (input = read_input(inbox, &partition->position))) {
            // What is written meanwhile may move the records.
            struct record taken = *input;
            take_input(world, worker, p, &taken, partition->position++);
            left--;
        }
        if (worker->role == ROLE_ORDER)
            fire_deadlines(world, worker, p);
        worker->next[p] = partition->position;
    }
    return worker->txn != NULL;
}

// ---- the end of a transaction ------------------------------------------------------------------

static void rewind_to_committed(struct world *world, struct worker *worker, uint8_t p) {
    struct partition *partition = &world->partitions[worker->role][p];
    partition->position = partition->committed;
    if (is_executor(worker->role))
        outside_forget(world, worker->role, p);
}

// The executors' offset is that of the first request without an answer.
static uint32_t first_unanswered(struct topic *inbox, uint32_t from) {
    struct record *record;
    while ((record = log_read(inbox, &from)) && record->consumed)
        from++;
    return from;
}

static void offsets_commit(struct world *world, struct worker *worker) {
    for (uint8_t p = 0; p < world->partitions_count; p++) {
        struct partition *partition = &world->partitions[worker->role][p];
        if (!worker->touched[p])
            continue;
        partition->committed =
            is_executor(worker->role)
                ? first_unanswered(&world->inbox[worker->role][p], partition->committed)
                : worker->next[p];
    }
}

// In the log: the same for everybody, whatever the worker comes to know of it.
static void log_commit(struct world *world, struct worker *worker) {
    worker->txn->state = TXN_COMMITTED;
    world->outcome->transactions++;
    check_transaction(world, worker);
    offsets_commit(world, worker);
}

static void log_abort(struct world *world, struct worker *worker) {
    worker->txn->state = TXN_ABORTED;
    if (mutant(MUTANT_OFFSETS_OUTSIDE) && !is_executor(worker->role))
        offsets_commit(world, worker);
}

// In the worker's memory.
static void keep(struct world *world, struct worker *worker) {
    for (uint8_t p = 0; p < world->partitions_count; p++)
        if (worker->touched[p])
            world->partitions[worker->role][p].undo.used = 0;
    if (is_executor(worker->role))
        outside_sweep(world);
}

static void undo(struct world *world, struct worker *worker, bool mutated) {
    for (uint8_t p = 0; p < world->partitions_count; p++) {
        struct partition *partition = &world->partitions[worker->role][p];
        if (!worker->touched[p] || partition->owner != worker->slot)
            continue;
        if (mutated && mutant(MUTANT_NO_UNDO))
            partition->undo.used = 0;
        aggregate_undo(partition);
        if (!(mutated && mutant(MUTANT_NO_REWIND)))
            rewind_to_committed(world, worker, p);
    }
}

static void commit_known(struct world *world, struct worker *worker) {
    log_commit(world, worker);
    keep(world, worker);
    check_soft_state(world, worker);
    worker->txn = NULL;
}

// The worker's producer failed it; it asks for the stable offsets and finds this transaction's.
static void commit_unknown(struct world *world, struct worker *worker) {
    log_commit(world, worker);
    if (mutant(MUTANT_DROPPED_AFTER_COMMIT))
        undo(world, worker, false);
    keep(world, worker);
    worker->txn = NULL;
}

static void abort_known(struct world *world, struct worker *worker) {
    log_abort(world, worker);
    undo(world, worker, true);
    worker->txn = NULL;
}

// It finds the offsets of the transaction before.
static void abort_unknown(struct world *world, struct worker *worker) {
    log_abort(world, worker);
    if (mutant(MUTANT_KEPT_AFTER_FAILED_COMMIT))
        keep(world, worker);
    else
        undo(world, worker, false);
    worker->txn = NULL;
}

// ---- crashes and take-overs --------------------------------------------------------------------

static void go_down(struct world *world, struct worker *worker, bool crashed) {
    worker->crashed = crashed;
    worker->down_us = world->now_us + 1 + dice_us(&worker->dice, 3000000);
    if (!crashed)
        return;
    for (uint8_t p = 0; p < world->partitions_count; p++)
        if (world->partitions[worker->role][p].owner == worker->slot && is_executor(worker->role))
            outside_forget(world, worker->role, p);
}

// Step by step as in the design: the pending transaction is decided first, then the state is folded
// up to the marks, then input is taken from the committed offset.
static void restore(struct world *world, enum role role, uint8_t p) {
    struct partition *partition = &world->partitions[role][p];
    partition->undo.used = 0;
    partition->position = partition->committed;
    partition->deadline_us = 0;
    if (is_executor(role)) {
        outside_forget(world, role, p);
        return;
    }
    aggregate_restore(world, role, p);
    check_partition(world, role, p);
}

static void decide_pending(struct world *world, struct worker *worker) {
    if (!worker->txn)
        return;
    if (worker->fate_committed) {
        log_commit(world, worker);
        if (!worker->crashed)
            keep(world, worker);
    } else {
        log_abort(world, worker);
        if (!worker->crashed)
            undo(world, worker, false);
    }
    worker->txn = NULL;
}

static void restart(struct world *world, struct worker *worker) {
    worker->down_us = 0;
    if (!worker->crashed)
        return;
    worker->crashed = false;
    decide_pending(world, worker);
    for (uint8_t p = 0; p < world->partitions_count; p++)
        if (world->partitions[worker->role][p].owner == worker->slot)
            restore(world, worker->role, p);
}

static void take_over(struct world *world, struct worker *from, struct worker *to, uint8_t p) {
    if (!mutant(MUTANT_ZOMBIE_COMMITS) || from->crashed)
        decide_pending(world, from);
    world->partitions[from->role][p].owner = to->slot;
    restore(world, from->role, p);
}

static void maybe_take_over(struct world *world, struct worker *worker) {
    struct worker *other = &world->workers[worker->role][!worker->slot];
    bool away = other->down_us != 0;
    if (!dice_one_in(&worker->dice, away ? 8 : world->trouble.move_one_in))
        return;
    uint8_t p = (uint8_t)dice_below(&worker->dice, world->partitions_count);
    if (world->partitions[worker->role][p].owner != other->slot)
        return;
    // The living hand over between transactions.
    if (!away && other->txn)
        return;
    if (world_trouble(world, away ? TROUBLE_TAKEN_OVER : TROUBLE_MOVED))
        take_over(world, other, worker, p);
}

// ---- a step ------------------------------------------------------------------------------------

static bool end_transaction(struct world *world, struct worker *worker) {
    enum trouble_kind kind =
        (enum trouble_kind)dice_below(&worker->dice, TROUBLE_STALL - TROUBLE_ABORT + 1);
    bool trouble = dice_one_in(&worker->dice, world->trouble.commit_one_in);
    if (!trouble || !world_trouble(world, kind)) {
        commit_known(world, worker);
        return true;
    }
    switch ((int)kind) {
    case TROUBLE_ABORT:
        abort_known(world, worker);
        break;
    case TROUBLE_UNKNOWN_COMMITTED:
        commit_unknown(world, worker);
        break;
    case TROUBLE_UNKNOWN_ABORTED:
        abort_unknown(world, worker);
        break;
    case TROUBLE_CRASH_AFTER:
        log_commit(world, worker);
        worker->txn = NULL;
        go_down(world, worker, true);
        break;
    case TROUBLE_STALL:
        // Whether its commit was on its way shows when another takes over.
        worker->fate_committed = dice_one_in(&worker->dice, 2);
        go_down(world, worker, false);
        break;
    default:
        worker->fate_committed = kind == TROUBLE_CRASH_DURING;
        go_down(world, worker, true);
    }
    return true;
}

bool loop_step(struct world *world, struct worker *worker) {
    if (worker->down_us) {
        if (world->now_us < worker->down_us)
            return false;
        restart(world, worker);
        return true;
    }
    if (dice_one_in(&worker->dice, world->trouble.clock_one_in) &&
        world_trouble(world, TROUBLE_CLOCK))
        worker->ahead_us = dice_us(&worker->dice, 2 * world->jump_us) - world->jump_us;
    if (worker->txn)
        return end_transaction(world, worker);
    worker->turns_count = worker->outputs_count = 0;
    maybe_take_over(world, worker);
    return is_executor(worker->role) ? executor_gather(world, worker) : gather(world, worker);
}

// Deadlines that have passed and were not judged wait for something else.
static int64_t deadline_due_us(const struct world *world, uint8_t p) {
    const struct partition *partition = &world->partitions[ROLE_ORDER][p];
    const struct worker *owner = &world->workers[ROLE_ORDER][partition->owner];
    if (partition->deadline_us == INT64_MAX || owner->down_us)
        return INT64_MAX;
    int64_t due_us = partition->deadline_us - owner->ahead_us;
    return due_us > world->now_us ? due_us : INT64_MAX;
}

int64_t loop_due_us(const struct world *world) {
    int64_t due_us = INT64_MAX;
    for (int role = 0; role < ROLES; role++)
        for (int slot = 0; slot < WORKERS; slot++) {
            int64_t down_us = world->workers[role][slot].down_us;
            if (down_us && down_us < due_us)
                due_us = down_us;
        }
    for (uint8_t p = 0; p < world->partitions_count; p++) {
        int64_t deadline_us = deadline_due_us(world, p);
        if (deadline_us < due_us)
            due_us = deadline_us;
    }
    return due_us;
}

// Clocks are set right and whoever is down comes back soon.
void loop_heal(struct world *world) {
    for (int role = 0; role < ROLES; role++)
        for (int slot = 0; slot < WORKERS; slot++) {
            struct worker *worker = &world->workers[role][slot];
            worker->ahead_us = 0;
            if (worker->down_us > world->now_us + 1000000)
                worker->down_us = world->now_us + 1000000;
        }
}
