// SPDX-License-Identifier: Apache-2.0
//
// I1, I4, I6, I8 and I13 when nothing moves any more: every order has ended or waits for people
// with good reason, its money is where it belongs, and so is every unit of stock.
#include "world.h"

static uint32_t bit(enum case_reason reason) {
    return 1U << reason;
}

// Was it fair to expect an answer from the provider in time?
static bool had_patience(const struct world *world) {
    const struct trouble *trouble = &world->trouble;
    bool troubled = trouble->commit_one_in || trouble->call_one_in || trouble->clock_one_in;
    return !troubled && world->policy.payment_timeout_us > 2 * world->call_timeout_us;
}

// ---- every input was handled -------------------------------------------------------------------

static void check_inbox(struct world *world, enum role role, uint8_t p) {
    const struct topic *inbox = &world->inbox[role][p];
    for (uint32_t i = 0; i < inbox->count; i++) {
        const struct record *record = &inbox->records[i];
        enum txn_state state = record->txn ? record->txn->state : TXN_COMMITTED;
        if (state == TXN_OPEN || (state == TXN_COMMITTED && !record->consumed))
            world_fail(world, record->order, record->sku, "I4: %s was never handled",
                       record_types[record->type]->name);
    }
}

static void check_answered(struct world *world, const struct script *said) {
    bool answered = false;
    if (said->type == RECORD_PLACE_ORDER) {
        const struct order_book *book = &world->order_books[said->order];
        answered = book->version > 0 || book->refused;
    } else {
        // All other commands have their key in the same place.
        const struct cancel_order *command = said->body;
        answered = world->key_books[log_key_index(&command->key_id)].answered;
    }
    if (!answered)
        world_fail(world, said->order, said->sku, "I1: %s never had an outcome",
                   record_types[said->type]->name);
}

// ---- waiting for people ------------------------------------------------------------------------

static void check_case(struct world *world, int order) {
    const struct order_book *book = &world->order_books[order];
    const struct account *account = &world->accounts[order];
    if (book->cases & bit(CASE_REASON_CARRIER_CONTRADICTION) && !account->rogue)
        world_fail(world, order, NOBODY, "I8: a case against a carrier that told the truth");
    if (book->cases & bit(CASE_REASON_CAPTURE_FAILED) && !account->capture_declined)
        world_fail(world, order, NOBODY, "I8: a failed capture that the provider knows nothing of");
    if (book->cases & bit(CASE_REASON_PAYMENT_UNRESOLVED) && had_patience(world) &&
        !account->disturbed)
        world_fail(world, order, NOBODY, "I8: an unresolved payment, and nothing went wrong");
}

static void check_status(struct world *world, int order) {
    const struct order_book *book = &world->order_books[order];
    const struct account *account = &world->accounts[order];
    const struct plan *plan = &world->plans[order];
    check_case(world, order);
    if (book->cases || account->rogue || order_is_closed(world->shadow.orders[order]))
        return;
    bool waits =
        book->status == ORDER_STATUS_READY_TO_SHIP || book->status == ORDER_STATUS_DISPATCHED;
    if (!(plan->manual && waits))
        world_fail(world, order, NOBODY, "I8: still %s when nothing moves any more",
                   order_status_names[book->status]);
}

// ---- money -------------------------------------------------------------------------------------

static void check_money(struct world *world, int order) {
    const struct order_book *book = &world->order_books[order];
    const struct account *account = &world->accounts[order];
    if (account->captured && account->voided)
        world_fail(world, order, NOBODY, "I6: captured and voided");
    if (account->captured && account->captured_minor != book->total_minor)
        world_fail(world, order, NOBODY, "I6: captured %lld of a total of %lld",
                   (long long)account->captured_minor, (long long)book->total_minor);
    if (account->captured && !book->dispatched)
        world_fail(world, order, NOBODY, "I6: paid for a parcel that never left");
    if (book->captured && !account->captured)
        world_fail(world, order, NOBODY, "I6: the order says captured, the provider does not");
    if (book->ended == RECORD_ORDER_COMPLETED && !account->captured)
        world_fail(world, order, NOBODY, "I6: completed and not paid");
    bool let_go = book->ended != RECORD_COUNT && book->ended != RECORD_ORDER_COMPLETED;
    bool unresolved = book->cases & bit(CASE_REASON_PAYMENT_UNRESOLVED);
    if (let_go && account->authorised && !account->voided && !unresolved)
        world_fail(world, order, NOBODY, "I6: the order has ended, its money is still held");
}

// ---- stock -------------------------------------------------------------------------------------

static void check_holding(struct world *world, int order, int sku) {
    const struct order_book *book = &world->order_books[order];
    int64_t held = world->sku_books[sku].held[order];
    int64_t sold = world->sku_books[sku].sold_to[order];
    int64_t ordered = book->quantity[sku];
    if (book->dispatched ? held != 0 || sold != ordered : sold != 0)
        world_fail(world, order, sku, "I13: ordered %lld, held %lld, sold %lld in the end",
                   (long long)ordered, (long long)held, (long long)sold);
    if (book->ended != RECORD_COUNT && held != 0)
        world_fail(world, order, sku, "I13: the order has ended and still holds %lld",
                   (long long)held);
}

void check_end(struct world *world) {
    for (int role = 0; role < ROLES; role++)
        for (uint8_t p = 0; p < world->partitions_count; p++)
            check_inbox(world, (enum role)role, p);
    for (uint8_t p = 0; p < world->partitions_count; p++) {
        aggregate_fold(world, &world->live, ROLE_ORDER, p);
        check_partition(world, ROLE_ORDER, p);
        aggregate_fold(world, &world->live, ROLE_INVENTORY, p);
        check_partition(world, ROLE_INVENTORY, p);
    }
    for (uint32_t i = 0; i < world->script_count; i++)
        if (!world->script[i].copy)
            check_answered(world, &world->script[i]);
    for (uint32_t i = 0; i < world->orders_count; i++) {
        if (world->order_books[i].version == 0) {
            world->outcome->unknown_orders += !(world->request->orders_out >> i & 1);
            continue;
        }
        check_status(world, (int)i);
        check_money(world, (int)i);
        for (uint32_t sku = 0; sku < world->skus_count; sku++)
            check_holding(world, (int)i, (int)sku);
        world->outcome->by_status[world->order_books[i].status]++;
    }
}
