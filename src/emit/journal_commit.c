/* Making durable what was put, by the caller or by a thread beside it. */
#include "journal_format.h"
#include "journal_internal.h"

static bool write_batch(struct journal *journal, struct err *err) {
    return file_write_at(&journal->file, journal->size_bytes, journal->committing.bytes,
                         journal->committing.size_bytes, err) &&
           file_sync(&journal->file, err);
}

static void *thread_run(void *argument) {
    struct journal *journal = argument;
    (void)pthread_mutex_lock(&journal->mutex);
    for (;;) {
        while (!journal->has_work && !journal->is_ended) {
            (void)pthread_cond_wait(&journal->changed, &journal->mutex);
        }
        if (!journal->has_work) {
            break;
        }
        struct err err = {0};
        (void)pthread_mutex_unlock(&journal->mutex);
        bool is_fine = write_batch(journal, &err);
        (void)pthread_mutex_lock(&journal->mutex);
        journal->has_work = false;
        journal->has_failed = !is_fine;
        journal->failure = err;
        (void)pthread_cond_broadcast(&journal->changed);
    }
    (void)pthread_mutex_unlock(&journal->mutex);
    return NULL;
}

/* False: it is done by the caller. Asked once. */
static bool has_thread(struct journal *journal) {
    if (!journal->has_thread && !journal->is_alone) {
        const struct sys *sys = journal->sys;
        journal->has_thread =
            sys->thread_start(sys->self, thread_run, journal, &journal->thread) == 0;
        journal->is_alone = !journal->has_thread;
    }
    return journal->has_thread;
}

/* What was put becomes the batch that is committed. */
static bool begin_batch(struct journal *journal, struct instant now, struct err *err) {
    char content[MARK_CONTENT_BYTES];
    mark_format((struct mark){.number = journal->batches + 1, .at = now}, content);
    if (!record_put(&journal->pending, RECORD_MARK, (struct text){content, MARK_CONTENT_BYTES},
                    &journal->chain, err)) {
        journal->is_broken = true;
        return false;
    }
    struct buffer empty = journal->committing;
    journal->committing = journal->pending;
    journal->pending = empty;
    journal->committing_at = now;
    return true;
}

static bool end_batch(struct journal *journal, bool is_fine, struct err *err) {
    if (!is_fine) {
        journal->is_broken = true;
        return err_wrap(err, "journal");
    }
    journal->size_bytes += journal->committing.size_bytes;
    journal->batches++;
    journal->last_at = journal->committing_at;
    journal->counts.syncs++;
    buffer_clear(&journal->committing);
    return true;
}

bool journal_check_commit(struct journal *journal, bool waits, bool *is_done, struct err *err) {
    *is_done = true;
    if (!journal->is_committing) {
        return true;
    }
    (void)pthread_mutex_lock(&journal->mutex);
    while (waits && journal->has_work) {
        (void)pthread_cond_wait(&journal->changed, &journal->mutex);
    }
    *is_done = !journal->has_work;
    bool has_failed = *is_done && journal->has_failed;
    if (has_failed) {
        *err = journal->failure;
        journal->failure = (struct err){0};
        journal->has_failed = false;
    }
    (void)pthread_mutex_unlock(&journal->mutex);
    if (!*is_done) {
        return true;
    }
    journal->is_committing = false;
    return end_batch(journal, !has_failed, err);
}

/* *has_batch: there is something to commit, and it has been made a batch. */
static bool next_batch(struct journal *journal, struct instant now, bool *has_batch,
                       struct err *err) {
    bool is_done;
    *has_batch = false;
    if (!journal_check_commit(journal, true, &is_done, err)) {
        return false;
    }
    if (journal->is_broken) {
        return err_set(err, ERR_FILE, "journal '%.600s': an earlier write has failed",
                       journal->file.path);
    }
    *has_batch = journal->pending.size_bytes > 0;
    return !*has_batch || begin_batch(journal, now, err);
}

bool journal_begin_commit(struct journal *journal, struct instant now, struct err *err) {
    bool has_batch;
    if (!next_batch(journal, now, &has_batch, err)) {
        return false;
    }
    if (!has_batch) {
        return true;
    }
    if (!has_thread(journal)) {
        return end_batch(journal, write_batch(journal, err), err);
    }
    (void)pthread_mutex_lock(&journal->mutex);
    journal->has_work = true;
    (void)pthread_cond_broadcast(&journal->changed);
    (void)pthread_mutex_unlock(&journal->mutex);
    journal->is_committing = true;
    return true;
}

bool journal_commit(struct journal *journal, struct instant now, struct err *err) {
    bool has_batch;
    if (journal == NULL) {
        return true;
    }
    if (!next_batch(journal, now, &has_batch, err)) {
        return false;
    }
    return !has_batch || end_batch(journal, write_batch(journal, err), err);
}

void journal_stop_committing(struct journal *journal) {
    if (journal->has_thread) {
        (void)pthread_mutex_lock(&journal->mutex);
        journal->is_ended = true;
        (void)pthread_cond_broadcast(&journal->changed);
        (void)pthread_mutex_unlock(&journal->mutex);
        journal->sys->thread_join(journal->sys->self, journal->thread);
    }
    err_release(&journal->failure);
    (void)pthread_cond_destroy(&journal->changed);
    (void)pthread_mutex_destroy(&journal->mutex);
    buffer_release(&journal->committing);
}
