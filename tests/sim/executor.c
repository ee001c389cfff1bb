// SPDX-License-Identifier: Apache-2.0
//
// Payment and shipping: requests become calls, what was answered becomes turns. No transaction is
// open while calls run.
#include "world.h"

#include "domain/executor.h"

static bool make_calls(struct world *world, struct worker *worker, uint8_t p) {
    struct partition *partition = &world->partitions[worker->role][p];
    struct topic *inbox = &world->inbox[worker->role][p];
    bool any = false;
    const struct record *request;
    for (uint32_t i = 0; i < world->batch_max && (request = log_read(inbox, &partition->position));
         i++) {
        // Answered before the crash: the bits beside the offset say so.
        if (!request->consumed)
            outside_call(world, worker->role, p, partition->position, request);
        partition->position++;
        any = true;
    }
    return any;
}

static void reply_payment(struct decision *decision, const struct record *request,
                          const struct call *call) {
    const struct payment_reply reply = {
        .result = call->timed_out ? PAYMENT_RESULT_UNKNOWN : (enum payment_result)call->result};
    payment_decide_reply(decision, request->body, &reply);
}

static void reply_shipment(struct decision *decision, const struct plan *plan,
                           const struct record *request, const struct call *call) {
    const struct shipment_reply reply = {
        .result = (enum shipment_result)call->result,
        .tracking = {.ptr = "SIM", .len = 3},
        .track_ready = !plan->manual && call->action == SHIPMENT_ACTION_BOOK &&
                       call->result == SHIPMENT_RESULT_BOOKED,
        .track_delivered = !plan->manual && call->action == SHIPMENT_ACTION_DISPATCH &&
                           call->result == SHIPMENT_RESULT_DISPATCHED,
    };
    shipment_decide_reply(decision, request->body, &reply);
}

static void take_answer(struct world *world, struct worker *worker, struct call *call) {
    struct turn *turn = loop_turn(world, worker, call->partition, (int32_t)call->offset);
    struct record request = world->inbox[worker->role][call->partition].records[call->offset];
    struct decision decision;
    decision_begin(&decision, &world->arena, &world->policy, turn->now_us);
    if (worker->role == ROLE_PAYMENT)
        reply_payment(&decision, &request, call);
    else
        reply_shipment(&decision, &world->plans[call->order], &request, call);
    call->state = CALL_TAKEN;
    loop_emit(world, worker, turn, &decision);
}

static bool take_answers(struct world *world, struct worker *worker) {
    bool taken = false, left = false;
    for (uint32_t i = 0; i < world->calls_count; i++) {
        struct call *call = &world->calls[i];
        if (call->role != worker->role || call->state != CALL_DONE || call->forgotten)
            continue;
        bool mine = world->partitions[worker->role][call->partition].owner == worker->slot;
        if (!mine || worker->turns_count == TURNS_MAX) {
            left = true;
            continue;
        }
        take_answer(world, worker, call);
        taken = true;
    }
    world->answers_ready[worker->role] = left;
    return taken;
}

bool executor_gather(struct world *world, struct worker *worker) {
    bool any = false;
    for (uint8_t p = 0; p < world->partitions_count; p++)
        if (world->partitions[worker->role][p].owner == worker->slot)
            any |= make_calls(world, worker, p);
    if (world->answers_ready[worker->role])
        any |= take_answers(world, worker);
    return any;
}
