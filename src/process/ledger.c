// SPDX-License-Identifier: Apache-2.0
//
// A turn is begin, any number of find and append, commit. What commit could not write is forgotten
// by forgetting everything: the next turn reads the file from its start again.
#include "process/ledger.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ledger_book.h"

enum { READ_BYTES = 1 << 20, LINE_MAX_BYTES = 256, WORDS_MAX = 8 };

struct ledger {
    char *path; // owned; NULL: in memory
    int fd;
    struct ledger_words words;
    struct ledger_book book;
    off_t read_to; // the book holds what stands before this
    bool in_turn;
    char *pending; // owned: lines of this turn
    size_t pending_len;
    size_t pending_capacity;
    char *chunk; // owned: READ_BYTES + 1
};

static bool failed(struct error *err, const char *what, const char *path) {
    int code = errno;
    return error_set(err, DISP_RETRY, code, "%s ledger %s: %s", what, path, strerror(code));
}

// ---- lines -------------------------------------------------------------------------------------

// One blank-separated word; NULL at the end of the line.
static const char *word(const char **at, const char *end, size_t *ret_len) {
    const char *start = *at;
    if (start >= end)
        return NULL;
    const char *blank = memchr(start, ' ', (size_t)(end - start));
    const char *stop = blank ? blank : end;
    *at = blank ? blank + 1 : end;
    *ret_len = (size_t)(stop - start);
    return start;
}

static bool word_id(const char **at, const char *end, struct id *ret) {
    size_t len;
    const char *text = word(at, end, &len);
    return text && id_parse(text, len, ret);
}

static bool word_number(const char **at, const char *end, int64_t *ret) {
    size_t len;
    const char *text = word(at, end, &len);
    if (!text || len == 0 || len > 18)
        return false;
    int64_t value = 0;
    for (size_t i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        value = value * 10 + (text[i] - '0');
    }
    *ret = value;
    return true;
}

static bool word_of(const char **at, const char *end, const char *const *words, uint32_t count,
                    uint32_t *ret) {
    size_t len;
    const char *text = word(at, end, &len);
    for (uint32_t i = 0; text && i < count; i++) {
        if (strlen(words[i]) == len && memcmp(words[i], text, len) == 0) {
            *ret = i;
            return true;
        }
    }
    return false;
}

static bool line_take(struct ledger *ledger, const char *line, const char *end, struct error *err) {
    struct ledger_entry entry;
    const struct ledger_words *words = &ledger->words;
    const char *at = line;
    if (!word_number(&at, end, &entry.at_us) || !word_id(&at, end, &entry.effect_id) ||
        !word_id(&at, end, &entry.order_id) ||
        !word_of(&at, end, words->actions, words->actions_count, &entry.action) ||
        !word_of(&at, end, words->results, words->results_count, &entry.result) ||
        !word_number(&at, end, &entry.amount_minor))
        return error_set(err, DISP_FATAL, 0,
                         "ledger %s: unreadable line \"%.*s\"; restore or "
                         "remove the file",
                         ledger->path, (int)(end - line), line);
    if (!ledger_book_add(&ledger->book, &entry))
        return error_set(err, DISP_FATAL, ENOMEM, "ledger %s: out of memory", ledger->path);
    return true;
}

static size_t line_format(const struct ledger *ledger, const struct ledger_entry *entry,
                          char line[LINE_MAX_BYTES]) {
    struct id_text effect = id_text(&entry->effect_id);
    struct id_text order = id_text(&entry->order_id);
    int len = snprintf(line, LINE_MAX_BYTES, "%" PRId64 " %s %s %s %s %" PRId64 " %s\n",
                       entry->at_us, effect.text, order.text, ledger->words.actions[entry->action],
                       ledger->words.results[entry->result], entry->amount_minor,
                       entry->currency[0] ? entry->currency : "-");
    assert(len > 0 && len < LINE_MAX_BYTES);
    return (size_t)len;
}

// ---- reading what others wrote -----------------------------------------------------------------

static void forget_all(struct ledger *ledger) {
    ledger_book_done(&ledger->book);
    ledger->read_to = 0;
}

// The whole lines of one chunk; their bytes in ret_used.
static bool chunk_take(struct ledger *ledger, size_t len, size_t *ret_used, struct error *err) {
    const char *line = ledger->chunk;
    const char *chunk_end = ledger->chunk + len;
    for (const char *end; (end = memchr(line, '\n', (size_t)(chunk_end - line))); line = end + 1)
        if (!line_take(ledger, line, end, err))
            return false;
    *ret_used = (size_t)(line - ledger->chunk);
    return true;
}

// With the lock held, so that an unfinished last line was left by somebody who died.
static bool catch_up(struct ledger *ledger, struct error *err) {
    struct stat status;
    if (fstat(ledger->fd, &status) != 0)
        return failed(err, "cannot look at", ledger->path);
    if (status.st_size < ledger->read_to)
        forget_all(ledger);
    while (ledger->read_to < status.st_size) {
        ssize_t len = pread(ledger->fd, ledger->chunk, READ_BYTES, ledger->read_to);
        if (len < 0 && errno == EINTR)
            continue;
        if (len < 0)
            return failed(err, "cannot read", ledger->path);
        size_t used = 0;
        if (!chunk_take(ledger, (size_t)len, &used, err))
            return false;
        ledger->read_to += (off_t)used;
        if (used == 0 && len == READ_BYTES)
            return error_set(err, DISP_FATAL, 0,
                             "ledger %s: no line ends within %d bytes of byte %lld; restore or "
                             "remove the file",
                             ledger->path, READ_BYTES, (long long)ledger->read_to);
        if (used == 0) {
            if (ftruncate(ledger->fd, ledger->read_to) != 0)
                return failed(err, "cannot cut a torn line off", ledger->path);
            break;
        }
    }
    return true;
}

// ---- life --------------------------------------------------------------------------------------

struct ledger *ledger_free(struct ledger *ledger) {
    if (!ledger)
        return NULL;
    if (ledger->fd >= 0)
        (void)close(ledger->fd);
    ledger_book_done(&ledger->book);
    free(ledger->path);
    free(ledger->pending);
    free(ledger->chunk);
    free(ledger);
    return NULL;
}

struct ledger *ledger_open(const char *path, const struct ledger_words *words, struct error *err) {
    assert(words->actions_count <= WORDS_MAX && words->results_count <= WORDS_MAX);
    struct ledger *ledger = calloc(1, sizeof(*ledger));
    if (!ledger) {
        (void)error_set(err, DISP_FATAL, ENOMEM, "out of memory");
        return NULL;
    }
    ledger->fd = -1;
    ledger->words = *words;
    if (path[0] == '\0')
        return ledger;

    ledger->path = strdup(path);
    ledger->chunk = malloc(READ_BYTES);
    if (!ledger->path || !ledger->chunk) {
        (void)error_set(err, DISP_FATAL, ENOMEM, "out of memory");
        return ledger_free(ledger);
    }
    ledger->fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (ledger->fd < 0) {
        (void)failed(err, "cannot open", path);
        return ledger_free(ledger);
    }
    if (!ledger_begin(ledger, err) || !ledger_commit(ledger, err))
        return ledger_free(ledger);
    return ledger;
}

// ---- turns -------------------------------------------------------------------------------------

static bool lock(const struct ledger *ledger, int how) {
    int result;
    do {
        result = flock(ledger->fd, how);
    } while (result != 0 && errno == EINTR);
    return result == 0;
}

bool ledger_begin(struct ledger *ledger, struct error *err) {
    assert(!ledger->in_turn);
    if (ledger->path) {
        if (!lock(ledger, LOCK_EX))
            return failed(err, "cannot lock", ledger->path);
        if (!catch_up(ledger, err)) {
            forget_all(ledger);
            (void)lock(ledger, LOCK_UN);
            return false;
        }
    }
    ledger->in_turn = true;
    ledger->pending_len = 0;
    return true;
}

struct ledger_facts ledger_find(const struct ledger *ledger, const struct id *effect_id) {
    assert(ledger->in_turn);
    return ledger_book_find(&ledger->book, effect_id);
}

bool ledger_append(struct ledger *ledger, const struct ledger_entry *entry, struct error *err) {
    assert(ledger->in_turn);
    if (!ledger_book_add(&ledger->book, entry))
        return error_set(err, DISP_RETRY, ENOMEM, "ledger: out of memory");
    if (!ledger->path)
        return true;
    if (ledger->pending_capacity - ledger->pending_len < LINE_MAX_BYTES) {
        size_t capacity = 2 * ledger->pending_capacity + 16 * LINE_MAX_BYTES;
        char *pending = realloc(ledger->pending, capacity);
        if (!pending)
            return error_set(err, DISP_RETRY, ENOMEM, "ledger: out of memory");
        ledger->pending = pending;
        ledger->pending_capacity = capacity;
    }
    ledger->pending_len += line_format(ledger, entry, ledger->pending + ledger->pending_len);
    return true;
}

static bool write_pending(struct ledger *ledger, struct error *err) {
    if (ledger->pending_len == 0)
        return true;
    ssize_t written;
    do {
        written = write(ledger->fd, ledger->pending, ledger->pending_len);
    } while (written < 0 && errno == EINTR);
    if (written == (ssize_t)ledger->pending_len) {
        ledger->read_to += written;
        return true;
    }
    if (written >= 0)
        errno = ENOSPC;
    (void)failed(err, "cannot write", ledger->path);
    if (ftruncate(ledger->fd, ledger->read_to) != 0)
        return failed(err, "cannot cut half a turn off", ledger->path);
    return false;
}

bool ledger_commit(struct ledger *ledger, struct error *err) {
    assert(ledger->in_turn);
    if (ledger->path && !write_pending(ledger, err)) {
        ledger_abandon(ledger);
        return false;
    }
    ledger->in_turn = false;
    if (ledger->path)
        (void)lock(ledger, LOCK_UN);
    return true;
}

void ledger_abandon(struct ledger *ledger) {
    assert(ledger->in_turn);
    ledger->in_turn = false;
    // In memory there is no file to start from again; what the turn recorded stands.
    if (!ledger->path)
        return;
    forget_all(ledger);
    (void)lock(ledger, LOCK_UN);
}

// ---- for people --------------------------------------------------------------------------------

bool ledger_dump(const char *path, FILE *out, struct error *err) {
    FILE *in = fopen(path, "re");
    if (!in)
        return failed(err, "cannot open", path);
    char *line = NULL;
    size_t capacity = 0;
    bool ok = true;
    for (ssize_t len; ok && (len = getline(&line, &capacity, in)) > 0;)
        if (line[len - 1] == '\n' && fwrite(line, 1, (size_t)len, out) != (size_t)len)
            ok = failed(err, "cannot print", path);
    if (ok && ferror(in))
        ok = failed(err, "cannot read", path);
    free(line);
    (void)fclose(in);
    return ok;
}
