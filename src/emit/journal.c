#include "emit/journal.h"

#include <assert.h>

#include "core/memory.h"
#include "journal_format.h"
#include "journal_internal.h"

enum { INDEX_ENTRIES_HELD_MAX = 16384 }; /* in memory of our own */

/* --- the index ----------------------------------------------------------------------------------
 */

static bool is_free(const struct journal_entry *entry) {
    return entry->intent_offset == 0 && entry->answer_offset == 0;
}

static struct journal_entry *entry_at(struct journal_entry *entries, size_t size,
                                      const struct emit_key *key) {
    uint64_t hash; /* a key is a digest already */
    memcpy(&hash, key->bytes, sizeof hash);
    size_t at = (size_t)hash & (size - 1);
    while (!is_free(&entries[at]) &&
           memcmp(entries[at].key.bytes, key->bytes, sizeof key->bytes) != 0) {
        at = (at + 1) & (size - 1);
    }
    return &entries[at];
}

/* A journal of a million items has an index of 80 MB: that is left to the OS to write out. */
static struct journal_entry *entries_make(struct journal *journal, size_t size,
                                          struct scratch_memory *memory, struct err *err) {
    char path[FILE_PATH_MAX];
    size_t size_bytes = size * sizeof(struct journal_entry);
    if (size > INDEX_ENTRIES_HELD_MAX) {
        return path_format(path, err, "%s.index.tmp", journal->file.path) &&
                       scratch_memory_open(journal->sys, path, size_bytes, memory, err)
                   ? memory->bytes
                   : NULL;
    }
    struct journal_entry *entries = mem_alloc(size_bytes);
    if (entries == NULL) {
        (void)err_memory(err, size_bytes);
    }
    return entries;
}

static void entries_release(struct journal *journal) {
    if (journal->entries_memory.bytes == NULL) {
        mem_free(journal->entries);
    }
    scratch_memory_close(journal->sys, &journal->entries_memory);
}

static bool index_grow(struct journal *journal, struct err *err) {
    size_t size = journal->entries_size == 0 ? 256 : journal->entries_size * 2;
    struct scratch_memory memory = {0};
    struct journal_entry *entries = entries_make(journal, size, &memory, err);
    if (entries == NULL) {
        return false;
    }
    for (size_t index = 0; index < journal->entries_size; index++) {
        if (!is_free(&journal->entries[index])) {
            *entry_at(entries, size, &journal->entries[index].key) = journal->entries[index];
        }
    }
    entries_release(journal);
    journal->entries = entries;
    journal->entries_memory = memory;
    journal->entries_size = size;
    return true;
}

static bool index_note(struct journal *journal, const struct record *record, uint64_t offset,
                       struct err *err) {
    struct emit_key key;
    struct journal_answer answer = {.outcome = OUTCOME_REFUSED};
    struct journal_intent intent;
    bool is_intent = record->type == RECORD_INTENT;
    if (is_intent ? !intent_parse(record->content, &intent)
                  : !answer_parse(record->content, &answer)) {
        return err_set(err, ERR_DAMAGED, "'%.600s': a record is not one of this program's",
                       journal->file.path);
    }
    key = is_intent ? intent.key : answer.key;
    if (journal->entries_count * 3 >= journal->entries_size * 2 && !index_grow(journal, err)) {
        return false;
    }
    struct journal_entry *entry = entry_at(journal->entries, journal->entries_size, &key);
    journal->entries_count += is_free(entry) ? 1 : 0;
    entry->key = key;
    if (is_intent) {
        entry->intent_offset = offset;
    } else {
        entry->answer_offset = offset;
        if (answer.outcome == OUTCOME_ABSENT) {
            entry->first_found_offset = 0; /* removed there: the next is no second one */
        } else if (answer.outcome == OUTCOME_FOUND && entry->first_found_offset == 0) {
            entry->first_found_offset = offset;
        }
    }
    journal->records_found++;
    return true;
}

/* --- opening ------------------------------------------------------------------------------------
 */

static bool journal_damaged(const struct journal *journal, uint64_t offset, struct err *err) {
    (void)err_set(err, ERR_DAMAGED,
                  "'%.600s' is damaged: the record at byte %llu is not as it was written",
                  journal->file.path, (unsigned long long)offset);
    return err_hint(err, "restore the file from a backup; without it, move it away: then what "
                         "was sent is asked for before anything is sent");
}

/* One batch from offset on: *end is behind its mark. False without an error: it is torn. */
static bool batch_check(struct text bytes, uint64_t *chain, struct mark *mark, size_t *size_bytes) {
    uint64_t running = *chain;
    struct record record;
    size_t at = 0;
    while (record_parse((struct text){bytes.bytes + at, bytes.size_bytes - at}, running, &record)) {
        running = record.checksum;
        at += record.size_bytes;
        if (record.type == RECORD_MARK) {
            *size_bytes = at;
            *chain = running;
            return mark_parse(record.content, mark);
        }
    }
    *size_bytes = at;
    return false;
}

static bool batch_note(struct journal *journal, struct text bytes, uint64_t offset,
                       struct err *err) {
    size_t at = 0;
    while (at < bytes.size_bytes) {
        /* Checked just before: only the lengths are needed. */
        struct record record;
        uint64_t chain = 0;
        (void)record_parse((struct text){bytes.bytes + at, bytes.size_bytes - at}, chain, &record);
        if (record.type == RECORD_SWEPT) {
            journal->is_swept = true;
        } else if (record.type != RECORD_MARK && !index_note(journal, &record, offset + at, err)) {
            return false;
        }
        at += record.size_bytes;
    }
    return true;
}

static bool journal_cut(struct journal *journal, struct err *err) {
    file_unmap(journal->sys, &journal->mapping);
    return file_truncate(&journal->file, journal->size_bytes, err) &&
           file_sync(&journal->file, err) &&
           file_map(journal->sys, journal->file.path, &journal->mapping, err);
}

static bool journal_read(struct journal *journal, struct err *err) {
    struct text bytes = {(const char *)journal->mapping.bytes, journal->mapping.size_bytes};
    uint64_t offset = JOURNAL_HEADER_BYTES;
    while (offset < bytes.size_bytes) {
        struct text rest = {bytes.bytes + offset, bytes.size_bytes - (size_t)offset};
        struct mark mark;
        size_t size_bytes;
        if (!batch_check(rest, &journal->chain, &mark, &size_bytes)) {
            if (mark_search(rest, journal->batches + 1)) {
                return journal_damaged(journal, offset + size_bytes, err);
            }
            journal->was_torn = true;
            journal->size_bytes = offset;
            return journal_cut(journal, err);
        }
        if (mark.number != journal->batches + 1) {
            return journal_damaged(journal, offset, err);
        }
        if (!batch_note(journal, (struct text){rest.bytes, size_bytes}, offset, err)) {
            return false;
        }
        if (journal->batches == 0) {
            journal->first_at = mark.at;
        }
        journal->batches = mark.number;
        journal->last_at = mark.at;
        offset += size_bytes;
    }
    journal->size_bytes = offset;
    return true;
}

/* A new file has its header before anything else; one that died before that is begun anew. */
static bool journal_begin(struct journal *journal, const char header[JOURNAL_HEADER_BYTES],
                          struct err *err) {
    return file_truncate(&journal->file, 0, err) &&
           file_write_at(&journal->file, 0, header, JOURNAL_HEADER_BYTES, err) &&
           file_sync(&journal->file, err) &&
           directory_sync_parent(journal->sys, journal->file.path, err);
}

static bool journal_load(struct journal *journal, const char *run_id, struct err *err) {
    char header[JOURNAL_HEADER_BYTES];
    uint64_t size_bytes;
    if (!header_format(run_id, header)) {
        return err_set(err, ERR_DAMAGED, "run id '%.100s' is not of 32 digits", run_id);
    }
    journal->chain = header_checksum(header);
    if (!file_size(&journal->file, &size_bytes, err)) {
        return false;
    }
    char found[JOURNAL_HEADER_BYTES];
    size_t read_bytes;
    if (!file_read_at(&journal->file, 0, found, sizeof found, &read_bytes, err)) {
        return false;
    }
    /* A power cut may leave the length of a first header without its bytes. */
    bool is_torn_header = size_bytes == JOURNAL_HEADER_BYTES && !header_is_whole(found);
    if (size_bytes < JOURNAL_HEADER_BYTES || is_torn_header) {
        journal->size_bytes = JOURNAL_HEADER_BYTES;
        return journal_begin(journal, header, err);
    }
    if (!file_map(journal->sys, journal->file.path, &journal->mapping, err)) {
        return false;
    }
    if (memcmp(journal->mapping.bytes, header, JOURNAL_HEADER_BYTES) != 0) {
        (void)err_set(err, ERR_DAMAGED, "'%.600s' is not the journal of this run (%s)",
                      journal->file.path, run_id);
        return err_hint(err, "restore this run's own journal from a backup");
    }
    return journal_read(journal, err);
}

bool journal_open(const struct sys *sys, const char *path, const char *run_id, struct instant now,
                  struct journal **journal, struct err *err) {
    struct journal *opened = mem_alloc(sizeof *opened);
    *journal = NULL;
    if (opened == NULL) {
        return err_memory(err, sizeof *opened);
    }
    opened->sys = sys;
    opened->file = FILE_CLOSED;
    opened->last_at = now;
    (void)pthread_mutex_init(&opened->mutex, NULL);
    (void)pthread_cond_init(&opened->changed, NULL);
    if (!file_open_update(sys, path, &opened->file, err) || !journal_load(opened, run_id, err)) {
        journal_close(opened);
        return false;
    }
    *journal = opened;
    return true;
}

void journal_close(struct journal *journal) {
    if (journal == NULL) {
        return;
    }
    journal_stop_committing(journal);
    file_unmap(journal->sys, &journal->mapping);
    file_abandon(&journal->file);
    buffer_release(&journal->pending);
    buffer_release(&journal->content);
    entries_release(journal);
    mem_free(journal);
}

/* --- looking ------------------------------------------------------------------------------------
 */

bool journal_is_incomplete(const struct journal *journal, bool *has_since, struct instant *since) {
    *has_since = journal->is_swept;
    *since = journal->last_at;
    return !journal->is_swept || journal->was_torn;
}

bool journal_is_empty(const struct journal *journal) {
    return journal->records_found == 0;
}

bool journal_begun_at(const struct journal *journal, struct instant *at) {
    *at = journal->first_at;
    return journal->first_at.us != 0;
}

static struct text record_content(const struct journal *journal, uint64_t offset) {
    struct text bytes = {(const char *)journal->mapping.bytes + offset,
                         journal->mapping.size_bytes - (size_t)offset};
    struct record record;
    (void)record_parse(bytes, 0, &record); /* checked when the file was opened */
    return record.content;
}

static bool check_single(const struct journal *journal, const struct journal_entry *entry,
                         const struct journal_answer *answer, struct err *err) {
    struct journal_answer first;
    if (entry->first_found_offset == 0 || answer->object_id.size_bytes == 0 ||
        !answer_parse(record_content(journal, entry->first_found_offset), &first) ||
        text_equals(first.object_id, answer->object_id)) {
        return true;
    }
    char key[EMIT_KEY_TEXT_MAX];
    emit_key_format(&entry->key, key);
    return err_set(err, ERR_CONTENT, "item %s is there twice: %.*s and %.*s", key,
                   (int)first.object_id.size_bytes, first.object_id.bytes,
                   (int)answer->object_id.size_bytes, answer->object_id.bytes);
}

bool journal_find(const struct journal *journal, const struct emit_key *key,
                  struct journal_state *state, struct err *err) {
    *state = (struct journal_state){0};
    if (journal == NULL || journal->entries_count == 0) {
        return true;
    }
    const struct journal_entry *entry = entry_at(journal->entries, journal->entries_size, key);
    state->has_intent = entry->intent_offset != 0;
    state->has_answer = entry->answer_offset != 0;
    state->is_unsettled = entry->intent_offset > entry->answer_offset;
    if ((state->has_intent &&
         !intent_parse(record_content(journal, entry->intent_offset), &state->intent)) ||
        (state->has_answer &&
         !answer_parse(record_content(journal, entry->answer_offset), &state->answer))) {
        return journal_damaged(journal, entry->intent_offset, err);
    }
    return !state->has_answer || check_single(journal, entry, &state->answer, err);
}

/* --- writing ------------------------------------------------------------------------------------
 */

static bool journal_put(struct journal *journal, enum record_type type, struct err *err) {
    struct text content = buffer_text(&journal->content);
    bool is_put = record_put(&journal->pending, type, content, &journal->chain, err);
    buffer_clear(&journal->content);
    journal->counts.records += is_put ? 1 : 0;
    return is_put;
}

bool journal_put_intent(struct journal *journal, const struct journal_intent *intent,
                        struct err *err) {
    return intent_format(intent, &journal->content, err) &&
           journal_put(journal, RECORD_INTENT, err);
}

bool journal_put_answer(struct journal *journal, const struct journal_answer *answer,
                        struct err *err) {
    return answer_format(answer, &journal->content, err) &&
           journal_put(journal, RECORD_ANSWER, err);
}

bool journal_put_swept(struct journal *journal, struct err *err) {
    return journal_put(journal, RECORD_SWEPT, err);
}

struct journal_counts journal_counts(const struct journal *journal) {
    return journal->counts;
}
