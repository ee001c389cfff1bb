// SPDX-License-Identifier: Apache-2.0
//
// Named places where a test lets the process die, or a call fail. They exist only in what is
// compiled with ORDERLOG_FAILPOINTS (orderlog-failpoints, see tests/system); elsewhere the macros
// are nothing.
//
//   ORDERLOG_FAILPOINT=NAME[:NTH][,NAME[:NTH]...]      NTH: the how-manieth time, default 1
//
// Each is announced on stderr as "failpoint: NAME". Any thread. A new place is one row here, one
// macro in the code; tests/system/failpoints.py finds the row by itself and fails if nobody comes
// by.
#ifndef ORDERLOG_SERVICE_FAILPOINT_H
#define ORDERLOG_SERVICE_FAILPOINT_H

#include <stdbool.h>

// clang-format off
#define FAILPOINTS(X)                                                                              \
    /* The transaction loop, in the order of a turn. */                                            \
    X(loop_polled)            /* a record has been read, nothing begun */                          \
    X(loop_begun)             /* the producer has begun a transaction */                           \
    X(loop_handled)           /* a record has been decided on, its events are in a batch */       \
    X(loop_call_taken)        /* a finished call of an executor has been decided on */             \
    X(loop_deadline_fired)    /* so have deadlines */                                              \
    X(loop_flushed)           /* all messages are in batches too */                               \
    X(loop_before_offsets)    /* the offsets are about to be sent */                               \
    X(loop_before_commit)     /* they are in the transaction, the commit is about to be sent */    \
    X(loop_committed)         /* the broker has committed, memory does not know */                 \
    X(loop_kept)              /* memory knows too */                                               \
    /* A transaction that fails. */                                                                \
    X(abort_undone)           /* in memory, not on the broker */                                   \
    X(abort_aborted)          /* on the broker too, the input not rewound */                       \
    X(abort_rewound)                                                                               \
    X(unknown_reopened)       /* the outcome of a commit is unknown, its producer made anew */     \
    X(unknown_resolved)       /* the committed offsets have told */                                \
    /* Taking partitions over. */                                                                  \
    X(takeover_first_producer)   /* one of two producers has fenced its predecessor */             \
    X(takeover_offsets)       /* the stable committed offsets are known */                         \
    X(takeover_end)           /* so is the end of the events */                                    \
    X(takeover_folding)       /* an event has been folded */                                       \
    X(takeover_folded)        /* all, not checked */                                               \
    X(takeover_checked)       /* and checked, nothing is read yet */                               \
    X(takeover_assigned)      /* the client may read */                                            \
    /* The projector's transaction. */                                                             \
    X(project_loaded)         /* the stored positions are known */                                 \
    X(project_before_begin)   /* a batch is at hand, nothing sent */                               \
    X(project_sent)           /* from BEGIN to COMMIT, no answer read */                           \
    X(project_before_answer)  /* all answers read but that to COMMIT */                            \
    X(project_committed)      /* that too, memory does not know */                                 \
    X(project_kept)           /* memory knows the new positions */                                 \
    /* Not places to die: the call itself fails. */                                                \
    X(fail_commit)            /* the transaction is refused before its last step */                \
    X(fail_commit_answer)     /* the commit succeeds, its answer is lost */
// clang-format on

#ifdef ORDERLOG_FAILPOINTS

enum failpoint {
#define X(name) FAILPOINT_##name,
    FAILPOINTS(X)
#undef X
        FAILPOINT_COUNT
};

// True when this visit is the one that was asked for.
bool failpoint_is_due(enum failpoint point);

// kill -9 if it is due.
void failpoint_die(enum failpoint point);

#define FAILPOINT(name) failpoint_die(FAILPOINT_##name)
#define FAILPOINT_FAILS(name) failpoint_is_due(FAILPOINT_##name)

#else

#define FAILPOINT(name) ((void)0)
#define FAILPOINT_FAILS(name) false

#endif

#endif
