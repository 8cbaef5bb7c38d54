/*
 * One caller, at most one thread, and a ring of contents between them.
 *
 * Invariants, kept under the mutex:
 *  1. given - saved <= QUEUE_COUNT, and the contents in between belong to the thread
 *  2. only the thread touches hasher and replacement while it lives; before and after, the caller
 *  3. once has_failed, nothing is saved any more, nor lent memory read
 *  4. replacement is empty once the temporary is left, and is_left says that it is there
 */
#include "sys/saver.h"

#include <assert.h>
#include <pthread.h>
#include <string.h>

#include "core/memory.h"

enum { QUEUE_COUNT = 3, WRITEBACK_BYTES = 4 * 1024 * 1024 };

/* What was given by one call. */
struct content {
    struct buffer buffer;
    struct saver_piece pieces[SAVER_PIECES_MAX];
    size_t pieces_count;
};

struct saver {
    const struct sys *sys;
    struct file_replacement replacement;
    struct hasher *hasher;
    char path[FILE_PATH_MAX];
    uint64_t size_bytes;         /* given */
    uint64_t written_bytes;      /* in the file */
    uint64_t written_back_bytes; /* handed to file_start_writeback */
    bool is_alone;               /* no thread could be had */
    bool has_thread;
    pthread_t thread;
    pthread_mutex_t mutex; /* guards what follows */
    pthread_cond_t changed;
    struct content queue[QUEUE_COUNT];
    size_t given; /* contents, ever */
    size_t saved; /* of these */
    bool is_ended;
    bool is_hashed; /* and all is in the file: digest is known */
    struct digest digest;
    bool is_left;
    bool is_given_up;
    bool has_failed;
    struct err err;
};

/* --- what is done with the content --------------------------------------------------------------
 */

static bool saver_save_bytes(struct saver *saver, struct text bytes, struct err *err) {
    struct file *file = &saver->replacement.file;
    if (!hasher_add(saver->hasher, bytes.bytes, bytes.size_bytes, err) ||
        !file_append(file, bytes.bytes, bytes.size_bytes, err)) {
        return false;
    }
    saver->written_bytes += bytes.size_bytes;
    uint64_t waiting_bytes = saver->written_bytes - saver->written_back_bytes;
    if (waiting_bytes >= WRITEBACK_BYTES) {
        file_start_writeback(file, saver->written_back_bytes, waiting_bytes);
        saver->written_back_bytes = saver->written_bytes;
    }
    return true;
}

/* A part at a time is hashed and then copied while it is near. */
static bool saver_save_piece(struct saver *saver, struct text piece, struct err *err) {
    while (piece.size_bytes > 0) {
        size_t part = piece.size_bytes < SAVER_BUFFER_BYTES ? piece.size_bytes : SAVER_BUFFER_BYTES;
        if (!saver_save_bytes(saver, (struct text){piece.bytes, part}, err)) {
            return false;
        }
        piece.bytes += part;
        piece.size_bytes -= part;
    }
    return true;
}

static void content_free_given(struct content *content) {
    for (size_t index = 0; index < content->pieces_count; index++) {
        mem_free(content->pieces[index].given);
        content->pieces[index].given = NULL;
    }
    content->pieces_count = 0;
}

/* Leaves it empty, whether it fails or not. */
static bool saver_save(struct saver *saver, struct content *content, struct err *err) {
    bool is_fine = true;
    struct text buffer = buffer_text(&content->buffer);
    for (size_t index = 0; is_fine && index < content->pieces_count; index++) {
        const struct saver_piece *piece = &content->pieces[index];
        struct text bytes = {piece->given != NULL ? piece->given : piece->lent, piece->size_bytes};
        if (bytes.bytes == NULL) {
            assert(piece->size_bytes <= buffer.size_bytes);
            bytes.bytes = buffer.bytes;
            buffer.bytes += piece->size_bytes;
            buffer.size_bytes -= piece->size_bytes;
        }
        is_fine = saver_save_piece(saver, bytes, err);
    }
    assert(!is_fine || buffer.size_bytes == 0);
    content_free_given(content);
    buffer_clear(&content->buffer);
    return is_fine;
}

static bool saver_hash(struct saver *saver, struct err *err) {
    struct digest digest;
    if (!hasher_finish(saver->hasher, &digest, err)) {
        return false;
    }
    (void)pthread_mutex_lock(&saver->mutex);
    saver->digest = digest;
    saver->is_hashed = true;
    (void)pthread_cond_signal(&saver->changed);
    (void)pthread_mutex_unlock(&saver->mutex);
    return true;
}

static bool saver_sync(struct saver *saver, struct err *err) {
    if (!file_replace_leave(&saver->replacement, err)) {
        return false;
    }
    (void)pthread_mutex_lock(&saver->mutex);
    saver->is_left = true;
    (void)pthread_mutex_unlock(&saver->mutex);
    return true;
}

/* --- the thread ---------------------------------------------------------------------------------
 */

/* The next content to save; NULL when all are saved, or none matters any more. */
static struct content *saver_take(struct saver *saver, bool *is_given_up) {
    struct content *content = NULL;
    (void)pthread_mutex_lock(&saver->mutex);
    while (saver->saved == saver->given && !saver->is_ended && !saver->is_given_up) {
        (void)pthread_cond_wait(&saver->changed, &saver->mutex);
    }
    *is_given_up = saver->is_given_up;
    if (saver->saved < saver->given && !saver->is_given_up) {
        content = &saver->queue[saver->saved % QUEUE_COUNT];
    }
    (void)pthread_mutex_unlock(&saver->mutex);
    return content;
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

static void saver_release_queue(struct saver *saver) {
    for (size_t index = 0; index < QUEUE_COUNT; index++) {
        content_free_given(&saver->queue[index]);
        buffer_release(&saver->queue[index].buffer);
    }
}

static void *saver_run(void *argument) {
    struct saver *saver = argument;
    struct err err = {0};
    bool is_given_up = false;
    bool is_fine = true;
    for (;;) {
        struct content *content = saver_take(saver, &is_given_up);
        if (content == NULL) {
            break;
        }
        is_fine = saver_save(saver, content, &err);
        if (!is_fine) {
            break;
        }
        saver_tell_saved(saver);
    }
    if (is_fine && !is_given_up) {
        saver_release_queue(saver); /* the disk may take its time */
        is_fine = saver_hash(saver, &err) && saver_sync(saver, &err);
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
    if (made->hasher == NULL || !path_format(made->path, err, "%s", path) ||
        !file_replace_begin(sys, path, &made->replacement, err)) {
        saver_destroy(made);
        return false;
    }
    *saver = made;
    return true;
}

const char *saver_path(const struct saver *saver) {
    return saver->path;
}

uint64_t saver_size_bytes(const struct saver *saver) {
    return saver->size_bytes;
}

/* Tells the thread's failure, to each who asks; true when there is none. */
static bool saver_check(struct saver *saver, struct err *err) {
    if (!saver->has_failed) {
        return true;
    }
    assert(saver->err.code != ERR_NONE && saver->err.details == NULL); /* so it can be copied */
    *err = saver->err;
    return false;
}

/* Under the mutex. */
static void saver_wait(struct saver *saver, size_t unsaved_max) {
    while (saver->given - saver->saved > unsaved_max && !saver->has_failed) {
        (void)pthread_cond_wait(&saver->changed, &saver->mutex);
    }
}

/* The buffer moves into the content, and the memory of that one's out of it. */
static void content_fill(struct content *content, struct buffer *buffer,
                         const struct saver_piece *pieces, size_t pieces_count) {
    struct buffer empty = content->buffer;
    content->buffer = *buffer;
    *buffer = empty;
    if (pieces_count > 0) {
        memcpy(content->pieces, pieces, pieces_count * sizeof *pieces);
    }
    content->pieces_count = pieces_count;
}

static bool saver_save_alone(struct saver *saver, struct buffer *buffer,
                             const struct saver_piece *pieces, size_t pieces_count,
                             struct err *err) {
    struct content *content = &saver->queue[0];
    content_fill(content, buffer, pieces, pieces_count);
    bool is_saved = saver_save(saver, content, err);
    content_fill(content, buffer, NULL, 0);
    return is_saved;
}

/* unsaved_max: contents that may be under way when this comes back. */
static bool saver_pass(struct saver *saver, struct buffer *buffer, const struct saver_piece *pieces,
                       size_t pieces_count, size_t unsaved_max, struct err *err) {
    assert(!saver->is_ended && pieces_count <= SAVER_PIECES_MAX);
    for (size_t index = 0; index < pieces_count; index++) {
        saver->size_bytes += pieces[index].size_bytes;
    }
    if (!saver_has_thread(saver)) {
        return saver_save_alone(saver, buffer, pieces, pieces_count, err);
    }
    (void)pthread_mutex_lock(&saver->mutex);
    saver_wait(saver, QUEUE_COUNT - 1);
    bool is_fine = saver_check(saver, err);
    if (is_fine) {
        content_fill(&saver->queue[saver->given % QUEUE_COUNT], buffer, pieces, pieces_count);
        saver->given++;
        (void)pthread_cond_signal(&saver->changed);
        saver_wait(saver, unsaved_max);
    } else {
        for (size_t index = 0; index < pieces_count; index++) {
            mem_free(pieces[index].given);
        }
    }
    (void)pthread_mutex_unlock(&saver->mutex);
    return is_fine;
}

bool saver_give(struct saver *saver, struct buffer *buffer, struct err *err) {
    const struct saver_piece all = {.size_bytes = buffer->size_bytes};
    return all.size_bytes == 0 || saver_pass(saver, buffer, &all, 1, QUEUE_COUNT, err);
}

bool saver_give_pieces(struct saver *saver, struct buffer *buffer, const struct saver_piece *pieces,
                       size_t pieces_count, struct err *err) {
    return saver_pass(saver, buffer, pieces, pieces_count, 1, err);
}

void saver_settle(struct saver *saver) {
    (void)pthread_mutex_lock(&saver->mutex);
    saver_wait(saver, 0);
    (void)pthread_mutex_unlock(&saver->mutex);
}

void saver_end(struct saver *saver) {
    (void)pthread_mutex_lock(&saver->mutex);
    saver->is_ended = true;
    (void)pthread_cond_signal(&saver->changed);
    (void)pthread_mutex_unlock(&saver->mutex);
    (void)saver_has_thread(saver);
}

bool saver_digest(struct saver *saver, struct digest *digest, struct err *err) {
    assert(saver->is_ended);
    if (!saver->has_thread && !saver->is_hashed && !saver_hash(saver, err)) {
        return false;
    }
    (void)pthread_mutex_lock(&saver->mutex);
    while (!saver->is_hashed && !saver->has_failed) {
        (void)pthread_cond_wait(&saver->changed, &saver->mutex);
    }
    bool is_fine = saver->is_hashed || saver_check(saver, err);
    *digest = saver->digest;
    (void)pthread_mutex_unlock(&saver->mutex);
    return is_fine;
}

bool saver_is_left(struct saver *saver) {
    (void)pthread_mutex_lock(&saver->mutex);
    bool is_left = !saver->has_thread || saver->is_left || saver->has_failed;
    (void)pthread_mutex_unlock(&saver->mutex);
    return is_left;
}

/* Hashed and durable in PATH.tmp. */
static bool saver_complete(struct saver *saver, struct err *err) {
    assert(saver->is_ended);
    bool has_thread = saver->has_thread;
    saver_join(saver);
    return has_thread ? saver_check(saver, err)
                      : (saver->is_hashed || saver_hash(saver, err)) && saver_sync(saver, err);
}

bool saver_leave(struct saver *saver, struct err *err) {
    bool is_fine = saver_complete(saver, err);
    saver->is_left = saver->is_left && !is_fine; /* it stays */
    saver_destroy(saver);
    return is_fine;
}

bool saver_finish(struct saver *saver, struct digest *digest, struct err *err) {
    bool is_fine = saver_complete(saver, err) && file_replace_adopt(saver->sys, saver->path, err);
    if (is_fine) {
        saver->is_left = false;
        *digest = saver->digest;
        is_fine = directory_sync_parent(saver->sys, saver->path, err);
    }
    saver_destroy(saver);
    return is_fine;
}

/* A temporary that is durable already, and not wanted after all. What cannot be removed is
 * overwritten by the next of its name. */
static void saver_remove_left(const struct saver *saver) {
    char temporary[FILE_PATH_MAX];
    struct err ignored = {0};
    if (saver->is_left && file_replace_path(saver->path, temporary, &ignored)) {
        (void)path_remove(saver->sys, temporary, &ignored);
    }
    err_release(&ignored);
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
    saver_remove_left(saver);
    hasher_destroy(saver->hasher);
    saver_release_queue(saver);
    err_release(&saver->err);
    (void)pthread_cond_destroy(&saver->changed);
    (void)pthread_mutex_destroy(&saver->mutex);
    mem_free(saver);
}
