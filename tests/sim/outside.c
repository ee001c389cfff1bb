// SPDX-License-Identifier: Apache-2.0
//
// The provider and the carrier, as bad as the design allows: a call may arrive long after its
// time-out or never, its answer may be slow or lost, and whoever asked may be gone. What they hold
// to is idempotency: one payment or shipment id, one effect. Calls of one order go one by one, as
// the executors make them; those a carrier is asked to watch (TRACK_*) hold up nothing.
//
//   waiting ──head of its lane──▶ started ──effect──▶ answer or time-out ──▶ done ──▶ taken
#include "world.h"

#include <string.h>

void outside_begin(struct world *world) {
    world->calls_count = 0;
    world->calls_due_us = INT64_MAX;
    memset(world->answers_ready, 0, sizeof(world->answers_ready));
    memset(world->lane_busy, 0, sizeof(world->lane_busy));
    memset(world->accounts, 0, sizeof(world->accounts));
}

// ---- asking ------------------------------------------------------------------------------------

static bool is_track(const struct call *call) {
    return call->role == ROLE_SHIPPING && (call->action == SHIPMENT_ACTION_TRACK_READY ||
                                           call->action == SHIPMENT_ACTION_TRACK_DELIVERED);
}

// Partitions that move again and again at one moment leave calls behind faster than they arrive.
static void lose_forgotten(struct world *world) {
    for (uint32_t i = 0; i < world->calls_count; i++)
        if (world->calls[i].forgotten)
            world->calls[i].effect_us = INT64_MAX;
    outside_sweep(world);
}

void outside_call(struct world *world, enum role role, uint8_t partition, uint32_t offset,
                  const struct record *request) {
    if (world->calls_count == CALLS_MAX)
        lose_forgotten(world);
    if (world->calls_count == CALLS_MAX)
        world_fail(world, request->order, NOBODY, "more than %d calls under way", CALLS_MAX);
    struct call *call = &world->calls[world->calls_count++];
    *call = (struct call){
        .role = role, .partition = partition, .offset = offset, .order = request->order};
    if (role == ROLE_PAYMENT) {
        const struct request_payment *payment = request->body;
        call->action = (int)payment->action;
        call->amount_minor = payment->amount_minor;
        call->effect_id = payment->payment_id;
    } else {
        const struct request_shipment *shipment = request->body;
        call->action = (int)shipment->action;
        call->effect_id = shipment->shipment_id;
    }
    call->in_lane = !is_track(call);
    world->calls_due_us = 0;
}

// ---- a call's luck -----------------------------------------------------------------------------

static int64_t usual_us(const struct world *world, const struct call *call, struct dice *dice) {
    if (is_track(call))
        return 1000 + dice_us(dice, world->spread_us / 4 + 100000);
    if (call->role == ROLE_PAYMENT && call->action == PAYMENT_ACTION_AUTHORIZE &&
        world->plans[call->order].method == METHOD_DELAY)
        return dice_us(dice, 2 * world->call_timeout_us);
    return dice_us(dice, 5000);
}

static void disturb(struct world *world, struct call *call, struct dice *dice) {
    static const enum trouble_kind kinds[] = {TROUBLE_CALL_LOST, TROUBLE_CALL_LATE,
                                              TROUBLE_ANSWER_LOST, TROUBLE_ANSWER_LATE};
    enum trouble_kind kind = kinds[dice_below(dice, 4)];
    if (!world_trouble(world, kind))
        return;
    world->accounts[call->order].disturbed++;
    int64_t late_us = world->call_timeout_us + dice_us(dice, 8 * world->call_timeout_us);
    switch ((int)kind) {
    case TROUBLE_CALL_LOST:
        call->effect_us = call->answer_us = INT64_MAX;
        break;
    case TROUBLE_CALL_LATE:
        call->effect_us += late_us;
        call->answer_us += late_us;
        break;
    case TROUBLE_ANSWER_LOST:
        call->answer_us = INT64_MAX;
        break;
    default:
        call->answer_us += late_us / 4;
    }
}

static void start(struct world *world, struct call *call) {
    struct account *account = &world->accounts[call->order];
    // Each call of each order has luck of its own, whatever happens to others.
    struct dice dice =
        dice_new(world->request->seed, 100000 + 1000 * (uint64_t)call->order + account->calls++);
    enum method method = world->plans[call->order].method;
    bool authorising = call->role == ROLE_PAYMENT && call->action == PAYMENT_ACTION_AUTHORIZE;
    call->state = CALL_STARTED;
    call->effect_us = world->now_us + dice_us(&dice, 2000);
    call->answer_us = call->effect_us + usual_us(world, call, &dice);
    // Carriers are asked again until they answer.
    call->timeout_us = call->role == ROLE_PAYMENT ? world->now_us + world->call_timeout_us
                                                  : call->answer_us + 4 * world->call_timeout_us;
    if (authorising && method == METHOD_TIMEOUT)
        call->effect_us = call->answer_us = INT64_MAX;
    else if (authorising && method == METHOD_LOST)
        call->answer_us = INT64_MAX;
    else if (dice_one_in(&dice, world->trouble.call_one_in))
        disturb(world, call, &dice);
}

// ---- effects -----------------------------------------------------------------------------------

static int authorize(struct account *account, const struct plan *plan, const struct call *call) {
    if (account->authorised)
        return PAYMENT_RESULT_AUTHORIZED;
    if (account->declined || account->voided || plan->method == METHOD_DECLINE) {
        account->declined = true;
        return PAYMENT_RESULT_DECLINED;
    }
    account->authorised = true;
    account->authorised_minor = call->amount_minor;
    return PAYMENT_RESULT_AUTHORIZED;
}

static int capture(struct account *account, const struct plan *plan, const struct call *call) {
    if (account->captured)
        return PAYMENT_RESULT_CAPTURED;
    if (!account->authorised || account->voided || call->amount_minor > account->authorised_minor)
        return PAYMENT_RESULT_DECLINED;
    if (plan->method == METHOD_CAPTURE_DECLINE) {
        account->capture_declined = true;
        return PAYMENT_RESULT_DECLINED;
    }
    account->captured = true;
    account->captured_minor = call->amount_minor;
    return PAYMENT_RESULT_CAPTURED;
}

static int look_up(const struct account *account) {
    if (account->voided)
        return PAYMENT_RESULT_VOIDED;
    if (account->captured)
        return PAYMENT_RESULT_CAPTURED;
    if (account->authorised)
        return PAYMENT_RESULT_AUTHORIZED;
    return account->declined ? PAYMENT_RESULT_DECLINED : PAYMENT_RESULT_NOT_FOUND;
}

static int pay(struct account *account, const struct plan *plan, const struct call *call) {
    switch ((enum payment_action)call->action) {
    case PAYMENT_ACTION_AUTHORIZE:
        return authorize(account, plan, call);
    case PAYMENT_ACTION_CAPTURE:
        return capture(account, plan, call);
    case PAYMENT_ACTION_VOID:
        if (account->captured)
            return PAYMENT_RESULT_DECLINED;
        account->voided = true;
        return PAYMENT_RESULT_VOIDED;
    default:
        return look_up(account);
    }
}

static int ship(struct account *account, const struct plan *plan, const struct call *call) {
    switch ((enum shipment_action)call->action) {
    case SHIPMENT_ACTION_BOOK:
        if (account->booked)
            return SHIPMENT_RESULT_BOOKED;
        account->booking_failed |= account->cancelled || plan->booking_fails;
        account->booked = !account->booking_failed;
        return account->booked ? SHIPMENT_RESULT_BOOKED : SHIPMENT_RESULT_BOOKING_FAILED;
    case SHIPMENT_ACTION_CANCEL:
        if (account->dispatched)
            return SHIPMENT_RESULT_DISPATCHED;
        account->cancelled = true;
        return SHIPMENT_RESULT_CANCELLED;
    case SHIPMENT_ACTION_DISPATCH:
        if (account->cancelled)
            return SHIPMENT_RESULT_CANCELLED;
        account->dispatched = true;
        return SHIPMENT_RESULT_DISPATCHED;
    case SHIPMENT_ACTION_TRACK_READY:
        return SHIPMENT_RESULT_READY;
    default:
        account->delivered = true;
        return SHIPMENT_RESULT_DELIVERED;
    }
}

static void take_effect(struct world *world, struct call *call) {
    struct account *account = &world->accounts[call->order];
    const struct plan *plan = &world->plans[call->order];
    check_charge(world, call->order, call);
    call->effected = true;
    call->result =
        call->role == ROLE_PAYMENT ? pay(account, plan, call) : ship(account, plan, call);
    struct dice dice =
        dice_new(world->request->seed, 900000 + 1000 * (uint64_t)call->order + account->calls);
    if (call->role == ROLE_SHIPPING && dice_one_in(&dice, world->trouble.rogue_one_in) &&
        world_trouble(world, TROUBLE_ROGUE)) {
        account->rogue = true;
        call->result = (int)dice_below(&dice, SHIPMENT_RESULT_COUNT);
    }
}

// ---- time --------------------------------------------------------------------------------------

static void leave_lane(struct world *world, const struct call *call) {
    if (call->in_lane)
        world->lane_busy[call->role][call->order] = false;
}

static int64_t sooner(int64_t a_us, int64_t b_us) {
    return a_us < b_us ? a_us : b_us;
}

static void finish(struct world *world, struct call *call, bool timed_out) {
    if (timed_out && call->role == ROLE_SHIPPING) {
        start(world, call);
        call->effected = false;
        return;
    }
    call->timed_out = timed_out;
    call->state = CALL_DONE;
    world->answers_ready[call->role] = true;
    leave_lane(world, call);
}

static int64_t advance(struct world *world, struct call *call) {
    if (call->state == CALL_WAITING &&
        !(call->in_lane && world->lane_busy[call->role][call->order])) {
        if (call->in_lane)
            world->lane_busy[call->role][call->order] = true;
        start(world, call);
    }
    if (call->state == CALL_WAITING)
        return INT64_MAX;
    if (!call->effected && call->effect_us <= world->now_us)
        take_effect(world, call);
    if (call->state == CALL_STARTED && !call->forgotten) {
        if (call->answer_us <= world->now_us)
            finish(world, call, false);
        else if (call->timeout_us <= world->now_us)
            finish(world, call, true);
    }
    int64_t due_us = call->effected ? INT64_MAX : call->effect_us;
    if (call->state == CALL_STARTED && !call->forgotten)
        due_us = sooner(due_us, sooner(call->answer_us, call->timeout_us));
    return due_us;
}

void outside_advance(struct world *world) {
    if (world->calls_due_us > world->now_us)
        return;
    int64_t due_us = INT64_MAX;
    uint32_t busy_before = 0;
    for (uint32_t i = 0; i < world->calls_count; i++) {
        enum call_state before = world->calls[i].state;
        due_us = sooner(due_us, advance(world, &world->calls[i]));
        busy_before += before != world->calls[i].state;
    }
    // Whoever finished made room for the next of its lane.
    world->calls_due_us = busy_before ? world->now_us : due_us;
    outside_sweep(world);
}

void outside_forget(struct world *world, enum role role, uint8_t partition) {
    for (uint32_t i = 0; i < world->calls_count; i++) {
        struct call *call = &world->calls[i];
        if (call->role != role || call->partition != partition || call->forgotten)
            continue;
        if (call->state == CALL_STARTED)
            leave_lane(world, call);
        if (call->state == CALL_WAITING) {
            call->effect_us = INT64_MAX;
            call->state = CALL_DONE;
        }
        call->forgotten = true;
        world->accounts[call->order].disturbed++; // it is made anew, and takes its time again
    }
    world->calls_due_us = 0;
    outside_sweep(world);
}

void outside_sweep(struct world *world) {
    uint32_t kept = 0;
    for (uint32_t i = 0; i < world->calls_count; i++) {
        const struct call *call = &world->calls[i];
        const struct topic *inbox = &world->inbox[call->role][call->partition];
        bool wanted = !call->forgotten && !inbox->records[call->offset].consumed;
        bool effect_left = !call->effected && call->effect_us != INT64_MAX;
        if (!wanted && !effect_left)
            continue;
        if (kept != i)
            world->calls[kept] = world->calls[i];
        kept++;
    }
    world->calls_count = kept;
}
