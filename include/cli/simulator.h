// SPDX-License-Identifier: Apache-2.0
//
// A service of the outside world, simulated behind HTTP with a ledger of its own: what payment and
// shipping meet when they call a provider or a carrier. Requests that come in together take effect
// in one turn of the ledger, each is answered when its time has come. Killed before the turn's end
// nothing has happened; killed after it, the same request asked again finds its effect.
#ifndef ORDERLOG_CLI_SIMULATOR_H
#define ORDERLOG_CLI_SIMULATOR_H

#include "http/router.h"
#include "process/ledger.h"
#include "service/error.h"

#include <stdbool.h>
#include <stdint.h>

enum { SIMULATOR_METHOD_MAX = 64, SIMULATOR_KEY_MAX = 64 };

enum simulator_manner {
    SIMULATOR_ANSWERS,
    SIMULATOR_LOSES,  // closes the connection instead of answering
    SIMULATOR_BREAKS, // answers 500
    SIMULATOR_SILENT, // holds the request for silence_us, then closes the connection
};

struct simulator_call {
    uint32_t action;
    struct id effect_id;
    struct id order_id;
    int64_t amount_minor;
    char currency[4];
    char method[SIMULATOR_METHOD_MAX + 1];
};

struct simulator_answer {
    enum simulator_manner manner;
    int64_t delay_us;
    bool recorded; // as action and result
    uint32_t result;
    int status;      // of HTTP
    const char *say; // "status" in the body; a literal
    const char *reason;
    char tracking[16];
    int64_t ask_again_us; // 0: not said
    bool reports;         // the carrier will say by itself when
};

struct simulator_options {
    const char *host;
    int port; // 0: a free one
    const char *ledger_path;
    int64_t silence_us;
    int64_t delay_us;     // added to every answer
    int64_t lose_percent; // of the answers, after the effect
    int64_t break_percent;
    uint64_t seed; // of that chance
    bool automatic;
    int64_t dispatch_after_us;
    int64_t deliver_after_us;
};

// What there is to simulate.
struct simulator_kind {
    const char *id_name; // "payment_id"
    const struct ledger_words *words;
    const struct http_routes *routes;
    // What becomes of the call, in the simulator's thread. Pure.
    void (*decide)(const struct simulator_options *options, const struct simulator_call *call,
                   struct ledger_facts facts, int64_t now_us, struct simulator_answer *ret);
};

extern const struct simulator_kind simulator_provider;
extern const struct simulator_kind simulator_carrier;

struct simulator;
struct http_request;

// options and kind are borrowed until the end.
bool simulator_start(const struct simulator_kind *kind, const struct simulator_options *options,
                     struct simulator **ret, struct error *err);

// Answers what is waiting, and stops.
void simulator_stop(struct simulator *simulator);

// For handlers: reads the id from the path, for effects also body and Idempotency-Key, and puts the
// call in; or refuses it.
void simulator_take(struct simulator *simulator, struct http_request *request, uint32_t action,
                    bool effect);

#endif
