// SPDX-License-Identifier: Apache-2.0
//
// A retry puts a key's letters through in their order until one fails, a bounded number per
// transaction; what is left goes on with a message to ourselves. For executors a letter is called
// for like a message, and settled when the call is answered; later input of the key joins the
// single file behind it.
#include "park.h"

#include "causes.h"
#include "service/clock.h"
#include "service/log.h"
#include "transaction.h"

#include <assert.h>
#include <string.h>

enum {
    // What a record of the dead letters holds (4 MiB), with room to spare.
    LETTER_VALUE_MAX = 3 << 20,
    LETTER_KEY_MAX = 64 << 10,
    // Of one retry per transaction; a loop with room for a group has room for so many.
    RETRY_MAX = 256,
    RETRY_BYTES_MAX = 16 << 20,
};

static struct view view_of(const char *text) {
    return (struct view){.ptr = text, .len = (uint32_t)strlen(text)};
}

// ---- letters -----------------------------------------------------------------------------------

// parked_key.ptr NULL: only set aside. Copies more than a letter holds are left out, in both
// places.
static bool write_letter(struct txn_loop *loop, int32_t partition, struct parked_letter *letter,
                         struct view parked_key, const struct id *retry_id, const struct error *why,
                         struct error *err) {
    struct error reason = *why;
    // Compressed records may be larger than any topic's limit once they are unpacked.
    if (letter->value.len > LETTER_VALUE_MAX || letter->key.len > LETTER_KEY_MAX)
        error_wrap(&reason, "not copied, as key and value have %u and %u bytes", letter->key.len,
                   letter->value.len);
    if (letter->value.len > LETTER_VALUE_MAX)
        letter->value = (struct view){0};
    if (letter->key.len > LETTER_KEY_MAX)
        letter->key = (struct view){0};
    struct dead_letter dead = {
        .topic = view_of(txn_loop_input_name(loop)),
        .partition = partition,
        .offset = letter->at.offset,
        .index = letter->at.index,
        .error = view_of(reason.msg),
        .failed_at = clock_now_us(),
        .key = letter->key,
        .value = letter->value,
        .parked_key = parked_key,
    };
    if (retry_id) {
        dead.has_retry_id = true;
        dead.retry_id = *retry_id;
    }
    return output_dead_letter(loop->output, partition, &dead, &letter->trace, err);
}

bool park_aside(struct txn_loop *loop, const struct input_record *record, int32_t index,
                struct view value, const struct error *why, struct error *err) {
    struct parked_letter letter = {
        .at = {.offset = record->offset, .index = index}, .key = record->key, .value = value};
    if (spans_are_on())
        letter.trace = *causes_undecoded(loop, record, index);
    bool good = write_letter(loop, record->partition, &letter, (struct view){0}, NULL, why, err);
    causes_end(loop);
    return good;
}

static bool park(struct txn_loop *loop, struct partition *partition, struct view key,
                 struct parked_letter *letter, const struct error *why, struct error *err) {
    if (!write_letter(loop, partition->id, letter, key, NULL, why, err))
        return false;
    parked_add(partition->parked, key.ptr, key.len, letter);
    return true;
}

bool park_deadline(struct txn_loop *loop, struct partition *partition, struct view key,
                   const struct error *why, struct error *err) {
    struct parked_letter letter = {
        .at = {.offset = partition->next_offset, .index = PARKED_DEADLINE}};
    if (spans_are_on())
        letter.trace = *causes_unwritten(loop);
    bool good = park(loop, partition, key, &letter, why, err);
    causes_end(loop);
    return good;
}

static bool settle(struct txn_loop *loop, struct partition *partition, struct view key,
                   struct parked_letter *letter, enum dead_letter_end how,
                   const struct id *command_id, struct error *err) {
    const struct dead_letter_settled settled = {
        .topic = view_of(txn_loop_input_name(loop)),
        .partition = partition->id,
        .offset = letter->at.offset,
        .index = letter->at.index,
        .parked_key = key,
        .how = how,
        .command_id = *command_id,
        .settled_at = clock_now_us(),
    };
    if (!output_letter_settled(loop->output, partition->id, &settled, err))
        return false;
    parked_settle(partition->parked, key.ptr, key.len, letter);
    return true;
}

// ---- retry and drop ----------------------------------------------------------------------------

// One letter to the role again. False: DISP_POISON when it fails again.
static bool try_letter(struct txn_loop *loop, struct partition *partition,
                       const struct parked_letter *letter, uint64_t ordinal, struct error *err) {
    if (letter->at.index == PARKED_DEADLINE)
        return true; // it runs again once the key is free
    if (!letter->value.ptr)
        return error_set(err, DISP_POISON, 0, "it was too large to be copied: it can be dropped");
    struct message message;
    if (!input_decode(loop->ids, domains[loop->role->domain].inbox, partition->id,
                      loop->partitions_count, letter->value, &loop->arena, &message, err))
        return false;
    if (spans_are_on())
        causes_letter(loop, partition->id, letter, &message);
    const struct stream_input input = {
        .partition = partition->id,
        .now_us = txn_loop_tick_us(loop),
        .type = message.type,
        .body = message.body,
        .token = {.partition = partition->id,
                  .generation = partition->generation,
                  .ordinal = ordinal,
                  .parked = letter->serial,
                  .cause = loop->cause},
    };
    loop->messages++;
    bool good =
        loop->role->handle(loop->role->context, partition->state, &input, loop->output, err);
    if (good)
        LOG(DEBUG, "message handled, which was parked",
            F_STR("type", record_types[message.type]->name));
    return good;
}

static bool retry(struct txn_loop *loop, struct partition *partition,
                  const struct retry_parked *asked, uint64_t ordinal, struct error *err) {
    const bool calls = loop->role->poll != NULL;
    const struct view key = asked->parked_key;
    struct parked_letter *letter;
    size_t bytes = 0;
    for (int i = 0; (letter = parked_first(partition->parked, key.ptr, key.len)); i++) {
        if (i == RETRY_MAX || bytes > RETRY_BYTES_MAX)
            return output_retry(loop->output, partition->id, asked, err);
        bytes += letter->value.len;
        struct error why;
        const bool handled = try_letter(loop, partition, letter, ordinal, &why);
        bool good = true;
        if (!handled) {
            *err = why;
            good = why.what == DISP_POISON &&
                   write_letter(loop, partition->id, letter, key, &asked->command_id, &why, err);
        } else if (calls) {
            parked_call(partition->parked, key.ptr, key.len, letter, ordinal, &asked->command_id);
        } else {
            good = settle(loop, partition, key, letter, DEAD_LETTER_END_RETRIED, &asked->command_id,
                          err);
        }
        causes_end(loop);
        if (!handled || !good)
            return good;
    }
    return true;
}

static bool drop(struct txn_loop *loop, struct partition *partition,
                 const struct drop_parked *asked, struct error *err) {
    const struct view key = asked->parked_key;
    for (uint32_t i = 0; i < asked->letters_count; i++) {
        const struct parked_at at = {.offset = asked->letters[i].offset,
                                     .index = asked->letters[i].index};
        struct parked_letter *letter = parked_find(partition->parked, key.ptr, key.len, at);
        // What is being called for is the call's.
        if (letter && !letter->called &&
            !settle(loop, partition, key, letter, DEAD_LETTER_END_DROPPED, &asked->command_id, err))
            return false;
    }
    return true;
}

static bool control(struct txn_loop *loop, struct partition *partition,
                    const struct input_record *record, uint32_t index,
                    const struct message *message, uint32_t ordinal, bool *ret_done,
                    struct error *err) {
    *ret_done = true;
    struct error why;
    if (record->is_group) {
        error_set(&why, DISP_POISON, 0, "%s must be a record of its own",
                  record_types[message->type]->name);
        return park_aside(loop, record, (int32_t)index, record->messages[index], &why, err);
    }
    if (message->type == RECORD_DROP_PARKED)
        return drop(loop, partition, message->body, err);
    const uint64_t asked_by = partition->window_base + ordinal;
    if (!retry(loop, partition, message->body, asked_by, err))
        return false;
    *ret_done = !parked_is_calling(partition->parked, asked_by);
    return true;
}

bool park_answered(struct txn_loop *loop, struct partition *partition,
                   const struct stream_token *token, bool *ret_done, struct error *err) {
    struct view key;
    struct parked_letter *letter = parked_called(partition->parked, token->parked, &key);
    assert(letter && "tokens of before a rewind are stale");
    if (!settle(loop, partition, key, letter, DEAD_LETTER_END_RETRIED, &letter->retry_id, err))
        return false;
    *ret_done = !parked_is_calling(partition->parked, token->ordinal);
    return true;
}

// ---- one message -------------------------------------------------------------------------------

bool park_or_handle(struct txn_loop *loop, struct partition *partition,
                    const struct input_record *record, uint32_t index,
                    const struct message *message, uint32_t ordinal, bool *ret_done,
                    struct error *err) {
    if (input_is_control(message->type))
        return control(loop, partition, record, index, message, ordinal, ret_done, err);
    const struct parked_at at = {.offset = record->offset,
                                 .index = record->is_group ? (int32_t)index : PARKED_ALONE};
    char key[TOPIC_KEY_MAX];
    struct error why;
    size_t key_len = parked_count(partition->parked) ? input_key(message, key, err) : 0;
    if (key_len && parked_holds(partition->parked, key, key_len, at)) {
        error_set(&why, DISP_POISON, 0, "waits: what came before it for the same key is parked");
    } else {
        const struct stream_input input = {
            .partition = partition->id,
            .now_us = txn_loop_tick_us(loop),
            .type = message->type,
            .body = message->body,
            .token = {.partition = partition->id,
                      .generation = partition->generation,
                      .ordinal = partition->window_base + ordinal,
                      .cause = loop->cause},
        };
        *ret_done = false;
        if (loop->role->handle(loop->role->context, partition->state, &input, loop->output, &why))
            return true;
        if (why.what != DISP_POISON) {
            *err = why;
            return false;
        }
        key_len = input_key(message, key, err);
        assert(key_len > 0 && "it was decoded: it has a key");
    }
    *ret_done = true;
    struct parked_letter letter = {
        .at = at,
        .key = record->key,
        .value = record->messages[index],
        .trace = loop->cause.parent,
    };
    const struct view parked_key = {.ptr = key, .len = (uint32_t)key_len};
    return park(loop, partition, parked_key, &letter, &why, err);
}

// ---- too much of it ----------------------------------------------------------------------------

static void tell_full(const struct txn_loop *loop, struct partition *partition) {
    if (partition->full_told)
        return;
    partition->full_told = true;
    LOG(ERROR,
        "partition stops: as much is parked as parked.letters.max and parked.bytes.max allow. Find "
        "the cause with `orderlog deadletters list`, then retry or drop what is parked: both work "
        "meanwhile, but for retries of calls, which need larger limits and a restart",
        F_STR("topic", txn_loop_input_name(loop)), F_INT("partition", partition->id),
        F_INT("offset", partition->next_offset), F_UINT("letters", parked_count(partition->parked)),
        F_UINT("bytes", parked_bytes(partition->parked)),
        F_UINT("keys", parked_keys(partition->parked)));
}

bool park_keeps_deadlines(struct txn_loop *loop, struct partition *partition) {
    if (!parked_is_full(partition->parked))
        return false;
    tell_full(loop, partition);
    return true;
}

bool park_stops(struct txn_loop *loop, struct partition *partition, const rd_kafka_message_t *raw) {
    if (partition->stopped)
        return true;
    if (!parked_is_full(partition->parked) || input_is_control_record(loop->ids, raw))
        return false;
    partition->stopped = true;
    tell_full(loop, partition);
    return true;
}

// A key's letters come before all of its input that is not read yet, whether it is put through, or
// given up, now or when its turn comes: so its order is kept. What is done now finds nothing left
// to do then.
bool park_look_ahead(struct txn_loop *loop, struct partition *partition,
                     const rd_kafka_message_t *raw, struct error *err) {
    struct input_record record;
    struct message message;
    struct error why;
    if (!parked_is_full(partition->parked) || !input_is_control_record(loop->ids, raw))
        return true;
    // What cannot be read is set aside when its turn comes.
    if (!input_open(loop->ids, raw, &loop->arena, &record, &why) ||
        !input_decode(loop->ids, domains[loop->role->domain].inbox, partition->id,
                      loop->partitions_count, record.value, &loop->arena, &message, &why)) {
        *err = why;
        return why.what == DISP_POISON;
    }
    if (!transaction_begin(loop, partition, err))
        return false;
    if (message.type == RECORD_DROP_PARKED)
        return drop(loop, partition, message.body, err);
    // A call is answered in its window, and what is ahead has no place there.
    return loop->role->poll || retry(loop, partition, message.body, 0, err);
}

bool park_resume(struct txn_loop *loop, struct error *err) {
    for (int32_t p = 0; p < loop->partitions_count; p++) {
        struct partition *partition = &loop->partitions[p];
        if (!partition->full_told || !partition->assigned || parked_is_full(partition->parked))
            continue;
        partition->full_told = false;
        if (!partition->stopped)
            continue;
        // What was read since was thrown away.
        if (!transaction_seek(loop, partition, err))
            return false;
        partition->stopped = false;
        LOG(INFO, "partition goes on", F_STR("topic", txn_loop_input_name(loop)),
            F_INT("partition", p), F_INT("offset", partition->next_offset));
    }
    return true;
}
