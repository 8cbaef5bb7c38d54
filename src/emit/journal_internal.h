/*
 * Inside of the journal:
 *
 *   journal.c         opening, looking, putting
 *   journal_commit.c  making durable what was put, also beside the caller
 *   journal_format.c  the bytes
 */
#ifndef PERIODCLOSE_SRC_EMIT_JOURNAL_INTERNAL_H
#define PERIODCLOSE_SRC_EMIT_JOURNAL_INTERNAL_H

#include <pthread.h>

#include "emit/journal.h"

/* Where the last intent and the last answer of a key stand. Offset 0 (the header): none. */
struct journal_entry {
    struct emit_key key;
    uint64_t intent_offset;
    uint64_t answer_offset;
    uint64_t first_found_offset; /* the first object found for it */
};

struct journal {
    const struct sys *sys;
    struct file file;
    struct mapping mapping; /* as it was when opened */
    uint64_t size_bytes;    /* durable */
    uint64_t chain;
    uint64_t batches;
    struct instant first_at; /* of the first batch */
    struct instant last_at;  /* of the last batch */
    bool is_swept;
    bool was_torn;
    uint64_t records_found;               /* intents and answers in the file when opened */
    struct journal_entry *entries;        /* open addressing; a power of two */
    struct scratch_memory entries_memory; /* what they are in, when they are many */
    size_t entries_size;
    size_t entries_count;
    struct buffer pending; /* records of the next batch */
    struct buffer content;
    struct journal_counts counts;
    /* The batch that is being committed: the thread's while is_committing. */
    struct buffer committing;
    struct instant committing_at;
    bool is_committing;
    bool is_broken; /* a commit has failed */
    bool is_alone;  /* no thread could be had */
    bool has_thread;
    pthread_t thread;
    pthread_mutex_t mutex; /* guards what follows */
    pthread_cond_t changed;
    bool has_work;
    bool is_ended;
    bool has_failed;
    struct err failure;
};

/* journal_commit.c. Waits for what is being committed, and gives back what committing has. */
void journal_stop_committing(struct journal *journal);

#endif
