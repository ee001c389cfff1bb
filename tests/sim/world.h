// SPDX-License-Identifier: Apache-2.0
//
// One simulated world: a few dozen orders, their shop's SKUs, all four roles with two workers each,
// a log in memory with partitions and transactions, a provider, a carrier, people and trouble.
// Everything in it follows from its seed: it can be run again, with fewer orders or less trouble,
// to the same end. One thread. Nothing here depends on time, addresses or the machine.
//
//   people ──commands──▶ inbox of a role ──▶ worker: a transaction of turns ──▶ events, messages
//                                               │  ▲
//                                       calls   ▼  │ answers
//                                           provider, carrier
//
// The checks (check_*.c) see what was committed, as it is committed, and keep their own books.
#ifndef ORDERLOG_TESTS_SIM_WORLD_H
#define ORDERLOG_TESTS_SIM_WORLD_H

#include "dice.h"
#include "domain/inventory.h"
#include "domain/order.h"
#include "sim/outcome.h"

#include <setjmp.h>

enum role { ROLE_ORDER, ROLE_INVENTORY, ROLE_PAYMENT, ROLE_SHIPPING, ROLES };

enum {
    ORDERS_MAX = 64,
    SKUS_MAX = 8,
    PARTITIONS_MAX = 3,
    WORKERS = 2, // per role
    KEYS_MAX = 1024,
    TURNS_MAX = 64,
    OUTPUTS_MAX = 1024,
    CALLS_MAX = 1024,
    SCRIPT_MAX = 2048,
    IDS_MAX = 1 << 14,
    NOBODY = -1,
};

// ---- the log -----------------------------------------------------------------------------------

enum txn_state { TXN_OPEN, TXN_COMMITTED, TXN_ABORTED };

struct txn {
    enum txn_state state;
    uint64_t number; // for stories
};

struct record {
    const void *body; // begins with its id
    struct txn *txn;  // NULL: written by people, in no transaction
    uint64_t serial;  // in the order of appending, over all topics
    int64_t at_us;    // likewise
    enum record_id type;
    int16_t order; // index, or NOBODY
    int16_t sku;
    bool copy;     // a repetition that was slipped in, or caused by one
    bool consumed; // inbox: by a committed transaction
};

struct topic {
    struct record *records; // owned, kept from world to world
    uint32_t count;
    uint32_t capacity;
};

// ---- what is folded from it --------------------------------------------------------------------

struct state {
    struct order *orders[ORDERS_MAX];
    struct stock stocks[SKUS_MAX];
    struct reservation reservations[ORDERS_MAX][SKUS_MAX];
    struct remembered_command remembered[KEYS_MAX];
};

// ---- the workers -------------------------------------------------------------------------------

// What one input, or one deadline, led to.
struct turn {
    int64_t now_us;
    int32_t input; // offset in the inbox; NOBODY for a deadline
    int16_t order; // whose deadline
    uint8_t partition;
    bool copy;
    uint32_t first; // of its outputs
    uint32_t events_count;
    uint32_t messages_count;
};

struct output {
    struct topic *topic;
    uint32_t offset;
};

struct worker {
    enum role role;
    int slot;
    struct dice dice;    // its own trouble
    int64_t ahead_us;    // of the true time
    int64_t down_us;     // until then it is gone or stands still; 0: it runs
    bool crashed;        // what it held in memory is gone
    bool fate_committed; // what becomes of the open transaction when somebody asks

    struct txn *txn; // open, or NULL
    struct turn turns[TURNS_MAX];
    uint32_t turns_count;
    struct output outputs[OUTPUTS_MAX];
    uint32_t outputs_count;
    bool touched[PARTITIONS_MAX];
    uint32_t next[PARTITIONS_MAX]; // the offsets in the transaction
};

struct undo {
    uint8_t *bytes; // owned, kept
    size_t used;
    size_t capacity;
};

struct partition {
    int owner; // slot
    uint32_t position;
    uint32_t committed;
    int64_t deadline_us; // no order's deadline is before
    struct undo undo;
};

// ---- provider and carrier ----------------------------------------------------------------------

enum call_state { CALL_WAITING, CALL_STARTED, CALL_DONE, CALL_TAKEN };

struct call {
    enum role role;
    enum call_state state;
    uint8_t partition;
    uint32_t offset;
    int16_t order;
    int action;
    int64_t amount_minor;
    struct id effect_id; // payment or shipment
    bool in_lane;        // one after the other per order
    bool forgotten;      // nobody waits for it any more
    bool effected;
    bool timed_out;
    int result;
    int64_t effect_us; // INT64_MAX: never
    int64_t answer_us;
    int64_t timeout_us;
};

// What the provider and the carrier know of one order.
struct account {
    struct id payment_id; // nil: none yet
    bool authorised, declined, captured, capture_declined, voided;
    int64_t authorised_minor, captured_minor;
    bool booked, booking_failed, cancelled, dispatched, delivered;
    uint32_t calls;     // how many were made, to draw each one's luck
    uint32_t disturbed; // calls that were lost, late, or whose worker lost the partition
    bool rogue;         // the carrier said something untrue
};

// ---- people ------------------------------------------------------------------------------------

enum method {
    METHOD_OK,
    METHOD_DECLINE,
    METHOD_TIMEOUT,
    METHOD_LOST,
    METHOD_DELAY,
    METHOD_CAPTURE_DECLINE,
    METHOD_COUNT
};

struct plan {
    enum method method;
    bool manual;        // people say when the parcel leaves and arrives
    bool booking_fails; // by the carrier's rule
};

struct script {
    int64_t at_us;
    uint32_t serial; // for equal times
    enum role role;
    enum record_id type;
    int16_t order; // NOBODY: of a SKU
    int16_t sku;
    bool copy;
    const void *body;
};

// ---- the checks' own books ---------------------------------------------------------------------

struct order_book {
    int64_t version;
    int64_t quantity[SKUS_MAX];
    int64_t total_minor;
    enum record_id ended; // RECORD_COUNT: not
    bool authorised, dispatch_authorised, dispatched, delivered, captured, voided;
    uint32_t cases; // bits of enum case_reason
    enum order_status status;
    bool refused; // a place command of it
    bool closed;  // by an event that carries it whole
};

struct sku_book {
    int64_t version, on_hand, reserved, sold;
    int64_t held[ORDERS_MAX];
    int64_t sold_to[ORDERS_MAX];
};

struct key_book {
    bool answered; // by any outcome
    bool accepted;
    int64_t at_us;
    struct id refused; // the command that the key stood for when it was refused; nil: none
    int64_t refused_us;
};

// ---- the world ---------------------------------------------------------------------------------

struct trouble {
    uint32_t commit_one_in; // commits that go wrong; 0: none
    uint32_t call_one_in;   // calls that get lost or late
    uint32_t copy_one_in;   // answers that come twice
    uint32_t clock_one_in;  // workers' clocks that jump, per turn of a worker
    uint32_t move_one_in;   // partitions that move between workers
    uint32_t rogue_one_in;  // carrier's answers that are untrue
};

struct world {
    const struct sim_request *request;
    struct arena arena;   // as long as the world
    struct arena scratch; // as long as one check
    jmp_buf escape;       // out of a world that failed
    struct sim_outcome *outcome;

    uint32_t orders_count, skus_count, partitions_count;
    uint32_t batch_max;
    bool codec; // everything travels encoded
    struct policy policy;
    int64_t call_timeout_us;
    int64_t plans_begin_us;
    int64_t spread_us; // of people's doings
    int64_t tick_us;
    int64_t jump_us; // clocks jump no farther
    struct trouble trouble;
    uint32_t troubled[TROUBLE_COUNT];
    struct plan plans[ORDERS_MAX];
    struct id order_ids[ORDERS_MAX];

    struct dice dice; // who is next
    int64_t now_us;
    int64_t healed_us; // 0: not yet
    uint64_t serial;
    uint64_t txns;

    struct topic inbox[ROLES][PARTITIONS_MAX];
    struct topic events[ROLES][PARTITIONS_MAX];
    struct partition partitions[ROLES][PARTITIONS_MAX];
    struct worker workers[ROLES][WORKERS];
    struct state live;

    struct call calls[CALLS_MAX];
    uint32_t calls_count;
    int64_t calls_due_us;
    bool answers_ready[ROLES]; // perhaps
    bool lane_busy[ROLES][ORDERS_MAX];
    struct account accounts[ORDERS_MAX];

    struct script script[SCRIPT_MAX];
    uint32_t script_count, script_next, keys_count;
    // Whose command each key is of: an order's or a SKU's, the other is NOBODY. First come the keys
    // under which the orders are placed.
    int8_t key_orders[KEYS_MAX], key_skus[KEYS_MAX];
    bool key_strangers[KEYS_MAX]; // used by a customer about somebody else's order

    struct state shadow; // the fold of committed events, as the checks see it
    struct order_book order_books[ORDERS_MAX];
    struct sku_book sku_books[SKUS_MAX];
    struct key_book key_books[KEYS_MAX];
    uint64_t ids[IDS_MAX];
    uint32_t ids_count;
};

// Ends the world: a promise was broken. order and sku may be NOBODY.
_Noreturn void world_fail(struct world *world, int order, int sku, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

// Counts trouble and says whether it may happen: not after the healing, nor when left out.
bool world_trouble(struct world *world, enum trouble_kind kind);

// Memory as long as the world.
void *world_alloc(struct world *world, size_t size);

// ---- log.c -------------------------------------------------------------------------------------

void log_begin(struct world *world);
uint32_t log_append(struct world *world, struct topic *topic, enum record_id type, const void *body,
                    struct txn *txn, bool copy);
// The next committed record at or after *position, which is moved over aborted ones; NULL if there
// is none yet or it is still undecided.
struct record *log_read(struct topic *topic, uint32_t *position);
enum role log_role_of(enum record_id message);
uint8_t log_partition_of(const struct world *world, enum role role, int order, int sku);
void log_names(enum record_id type, const void *body, int16_t *ret_order, int16_t *ret_sku);
int log_order_index(const struct id *order_id);
int log_key_index(const struct id *key_id);
int log_sku_index(struct view sku);
// An id that carries an index, so that nothing needs to be searched.
struct id log_indexed_id(const struct id *cause, uint64_t what, uint32_t index);
// As it comes out of the codec; body itself when this world does without.
const void *log_travelled(struct world *world, enum record_id type, const void *body);
bool log_same_bytes(struct world *world, enum record_id type, const void *a, const void *b);

// ---- aggregates.c ------------------------------------------------------------------------------

void aggregate_decide(struct world *world, struct state *state, enum role role,
                      const struct record *input, struct decision *decision);
void aggregate_decide_deadline(struct world *world, struct state *state, int order,
                               struct decision *decision);
// Notes what the next decision may change, so that undo can bring it back.
void aggregate_save(struct world *world, struct partition *partition, enum role role,
                    const struct record *input, int order);
void aggregate_undo(struct partition *partition);
// Throws the partition's part of the state away and folds it from offset 0.
void aggregate_fold(struct world *world, struct state *state, enum role role, uint8_t partition);
// The same as a worker does it that takes over: what it folds has passed through snapshots.
void aggregate_restore(struct world *world, enum role role, uint8_t partition);
bool aggregate_key_lies_in(const struct world *world, enum role role, uint8_t partition,
                           uint32_t key);
int64_t aggregate_deadline_us(const struct world *world, uint8_t partition);

// ---- loop.c ------------------------------------------------------------------------------------

void loop_begin(struct world *world);
bool loop_step(struct world *world, struct worker *worker); // false: it had nothing to do
int64_t loop_due_us(const struct world *world);
void loop_heal(struct world *world);

// ---- outside.c: calls, and executor.c: who makes them ------------------------------------------

void outside_begin(struct world *world);
void outside_call(struct world *world, enum role role, uint8_t partition, uint32_t offset,
                  const struct record *request);
void outside_advance(struct world *world);
void outside_forget(struct world *world, enum role role, uint8_t partition);
void outside_sweep(struct world *world); // drops what is over
bool executor_gather(struct world *world, struct worker *worker);
struct turn *loop_turn(struct world *world, struct worker *worker, uint8_t partition,
                       int32_t input);
void loop_emit(struct world *world, struct worker *worker, struct turn *turn,
               const struct decision *decision);

// ---- people.c ----------------------------------------------------------------------------------

void people_begin(struct world *world);
void people_act(struct world *world); // whatever is due
void people_later(struct world *world, int64_t at_us, enum role role, const struct record *record);
int64_t people_due_us(const struct world *world);

// ---- check_*.c ---------------------------------------------------------------------------------

void check_begin(struct world *world);
void check_transaction(struct world *world, struct worker *worker); // as it is committed
void check_soft_state(struct world *world, const struct worker *worker);
void check_partition(struct world *world, enum role role, uint8_t partition); // live = shadow
void check_deadline(struct world *world, uint8_t partition, int order);       // as it is judged
void check_event(struct world *world, enum role role, const struct record *event);
void check_message(struct world *world, const struct record *message);
void check_charge(struct world *world, int order, const struct call *call); // before its effect
void check_end(struct world *world);

#endif
