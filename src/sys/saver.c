/*
 * One caller, at most one thread, and a ring of buffers between them.
 *
 * Invariants, kept under the mutex:
 *  1. given - saved <= QUEUE_COUNT, and the buffers in between belong to the thread
 *  2. only the thread touches hasher and replacement while it lives; before and after, the caller
 *  3. once has_failed, nothing is saved any more; err is moved out once
 */
#include "sys/saver.h"

#include <assert.h>
#include <pthread.h>

#include "core/memory.h"

enum { QUEUE_COUNT = 3, WRITEBACK_BYTES = 1024 * 1024 };

struct saver {
    const struct sys *sys;
    struct file_replacement replacement;
    struct hasher *hasher;
    struct digest digest;
    uint64_t size_bytes;         /* given */
    uint64_t written_bytes;      /* in the file */
    uint64_t written_back_bytes; /* handed to file_start_writeback */
    bool is_alone;               /* no thread could be had */
    bool has_thread;
    pthread_t thread;
    pthread_mutex_t mutex; /* guards what follows */
    pthread_cond_t changed;
    struct buffer queue[QUEUE_COUNT];
    size_t given; /* buffers, ever */
    size_t saved; /* of these */
    bool is_ended;
    bool is_given_up;
    bool has_failed;
    struct err err;
};

/* --- what is done with the content --------------------------------------------------------------
 */

static bool saver_save(struct saver *saver, struct text content, struct err *err) {
    struct file *file = &saver->replacement.file;
    if (!hasher_add(saver->hasher, content.bytes, content.size_bytes, err) ||
        !file_append(file, content.bytes, content.size_bytes, err)) {
        return false;
    }
    saver->written_bytes += content.size_bytes;
    uint64_t waiting_bytes = saver->written_bytes - saver->written_back_bytes;
    if (waiting_bytes >= WRITEBACK_BYTES) {
        file_start_writeback(file, saver->written_back_bytes, waiting_bytes);
        saver->written_back_bytes = saver->written_bytes;
    }
    return true;
}

static bool saver_commit(struct saver *saver, struct err *err) {
    return hasher_finish(saver->hasher, &saver->digest, err) &&
           file_replace_commit(&saver->replacement, err);
}

/* --- the thread ---------------------------------------------------------------------------------
 */

/* The next buffer to save; NULL when all are saved, or none matters any more. */
static struct buffer *saver_take(struct saver *saver, bool *is_given_up) {
    struct buffer *buffer = NULL;
    (void)pthread_mutex_lock(&saver->mutex);
    while (saver->saved == saver->given && !saver->is_ended && !saver->is_given_up) {
        (void)pthread_cond_wait(&saver->changed, &saver->mutex);
    }
    *is_given_up = saver->is_given_up;
    if (saver->saved < saver->given && !saver->is_given_up) {
        buffer = &saver->queue[saver->saved % QUEUE_COUNT];
    }
    (void)pthread_mutex_unlock(&saver->mutex);
    return buffer;
}

static void saver_tell_saved(struct saver *saver) {
    (void)pthread_mutex_lock(&saver->mutex);
    saver->saved++;
    (void)pthread_cond_signal(&saver->changed);
    (void)pthread_mutex_unlock(&saver->mutex);
}

static void saver_tell_failure(struct saver *saver, const struct err *err) {
    (void)pthread_mutex_lock(&saver->mutex);
    saver->has_failed = true;
    saver->err = *err;
    (void)pthread_cond_signal(&saver->changed);
    (void)pthread_mutex_unlock(&saver->mutex);
}

static void *saver_run(void *argument) {
    struct saver *saver = argument;
    struct err err = {0};
    bool is_given_up = false;
    bool is_fine = true;
    for (;;) {
        struct buffer *buffer = saver_take(saver, &is_given_up);
        if (buffer == NULL) {
            break;
        }
        is_fine = saver_save(saver, buffer_text(buffer), &err);
        if (!is_fine) {
            break;
        }
        buffer_clear(buffer);
        saver_tell_saved(saver);
    }
    if (is_fine && !is_given_up) {
        is_fine = saver_commit(saver, &err);
    }
    if (!is_fine) {
        saver_tell_failure(saver, &err);
    }
    return NULL;
}

/* False: the caller does it all. Asked once, so that the work is not done by both in turns. */
static bool saver_has_thread(struct saver *saver) {
    if (!saver->has_thread && !saver->is_alone) {
        const struct sys *sys = saver->sys;
        saver->has_thread = sys->thread_start(sys->self, saver_run, saver, &saver->thread) == 0;
        saver->is_alone = !saver->has_thread;
    }
    return saver->has_thread;
}

static void saver_join(struct saver *saver) {
    if (saver->has_thread) {
        saver->sys->thread_join(saver->sys->self, saver->thread);
        saver->has_thread = false;
        saver->is_alone = true;
    }
}

/* --- the caller ---------------------------------------------------------------------------------
 */

bool saver_create(const struct sys *sys, const char *path, struct saver **saver, struct err *err) {
    struct saver *made = mem_alloc(sizeof *made);
    if (made == NULL) {
        return err_memory(err, sizeof *made);
    }
    made->sys = sys;
    made->replacement = FILE_REPLACEMENT_NONE;
    (void)pthread_mutex_init(&made->mutex, NULL);
    (void)pthread_cond_init(&made->changed, NULL);
    made->hasher = hasher_create(err);
    if (made->hasher == NULL || !file_replace_begin(sys, path, &made->replacement, err)) {
        saver_destroy(made);
        return false;
    }
    *saver = made;
    return true;
}

const char *saver_path(const struct saver *saver) {
    return saver->replacement.path;
}

uint64_t saver_size_bytes(const struct saver *saver) {
    return saver->size_bytes;
}

/* Moves the thread's failure out; true when there is none. */
static bool saver_check(struct saver *saver, struct err *err) {
    if (!saver->has_failed) {
        return true;
    }
    assert(saver->err.code != ERR_NONE); /* told once: after that only saver_destroy */
    *err = saver->err;
    saver->err = (struct err){0};
    return false;
}

bool saver_give(struct saver *saver, struct buffer *buffer, struct err *err) {
    assert(!saver->is_ended);
    if (buffer->size_bytes == 0) {
        return true;
    }
    saver->size_bytes += buffer->size_bytes;
    if (!saver_has_thread(saver)) {
        bool is_saved = saver_save(saver, buffer_text(buffer), err);
        buffer_clear(buffer);
        return is_saved;
    }
    (void)pthread_mutex_lock(&saver->mutex);
    while (saver->given - saver->saved == QUEUE_COUNT && !saver->has_failed) {
        (void)pthread_cond_wait(&saver->changed, &saver->mutex);
    }
    bool is_fine = saver_check(saver, err);
    if (is_fine) {
        struct buffer *place = &saver->queue[saver->given % QUEUE_COUNT];
        struct buffer empty = *place;
        *place = *buffer;
        *buffer = empty;
        saver->given++;
        (void)pthread_cond_signal(&saver->changed);
    }
    (void)pthread_mutex_unlock(&saver->mutex);
    return is_fine;
}

void saver_end(struct saver *saver) {
    (void)pthread_mutex_lock(&saver->mutex);
    saver->is_ended = true;
    (void)pthread_cond_signal(&saver->changed);
    (void)pthread_mutex_unlock(&saver->mutex);
    (void)saver_has_thread(saver);
}

bool saver_finish(struct saver *saver, struct digest *digest, struct err *err) {
    assert(saver->is_ended);
    bool has_thread = saver->has_thread;
    saver_join(saver);
    bool is_fine = has_thread ? saver_check(saver, err) : saver_commit(saver, err);
    if (is_fine) {
        *digest = saver->digest;
    }
    saver_destroy(saver);
    return is_fine;
}

void saver_destroy(struct saver *saver) {
    if (saver == NULL) {
        return;
    }
    (void)pthread_mutex_lock(&saver->mutex);
    saver->is_given_up = true;
    (void)pthread_cond_signal(&saver->changed);
    (void)pthread_mutex_unlock(&saver->mutex);
    saver_join(saver);
    file_replace_abort(&saver->replacement);
    hasher_destroy(saver->hasher);
    for (size_t index = 0; index < QUEUE_COUNT; index++) {
        buffer_release(&saver->queue[index]);
    }
    err_release(&saver->err);
    (void)pthread_cond_destroy(&saver->changed);
    (void)pthread_mutex_destroy(&saver->mutex);
    mem_free(saver);
}
