/*
 * Reading ahead: a ring of windows, filled by one thread and, when none is ready, by the one that
 * takes them, too: so neither waits long for the other. Block n lies in the ring at n %
 * AHEAD_COUNT.
 *
 * Invariants, kept under the mutex:
 *  1. taken - 1 <= claimed < taken - 1 + AHEAD_COUNT: the window in hand, that of block taken - 1,
 *     is not written over
 *  2. a window from taken to claimed is its claimer's until it is_ready, and then the taker's
 *  3. a block that failed is ready, too; after it nothing more is claimed
 */
#include "usage_windows.h"

#include <assert.h>

#include "core/memory.h"

enum {
    TAIL_BYTES = 4 * 1024, /* read beyond a block, for the row that crosses its end */
    AHEAD_COUNT = 8,
};

struct ahead_place {
    struct window window;
    bool is_ready;
    bool has_failed;
    struct err err;
};

struct windows_ahead {
    struct windows *windows;
    struct ahead_place ring[AHEAD_COUNT];
    bool has_thread;
    pthread_t thread;
    pthread_mutex_t mutex; /* guards what follows, and all of a place but its window */
    pthread_cond_t has_room;
    pthread_cond_t is_filled;
    uint64_t claimed; /* the next block that nobody has claimed */
    uint64_t taken;   /* the next one to take */
    bool is_asleep;   /* the thread, until there is room */
    bool is_given_up;
};

/* --- one window --------------------------------------------------------------------------------
 */

static bool window_init(struct window *window, size_t block_bytes, struct err *err) {
    size_t window_bytes = 1 + block_bytes + TAIL_BYTES;
    window->memory = mem_alloc(WINDOW_PAD_BYTES + window_bytes + SPLIT_SLACK_BYTES);
    if (window->memory == NULL) {
        return err_memory(err, window_bytes);
    }
    window->bytes = window->memory + WINDOW_PAD_BYTES;
    return true;
}

void window_release(struct window *window) {
    mem_free(window->memory);
    window->memory = NULL;
}

static bool quotes_are_odd(const struct window *window) {
    bool is_odd = false;
    for (size_t at = window->start; window->facts.has_quote && at < window->end; at++) {
        is_odd ^= window->bytes[at] == '"';
    }
    return is_odd;
}

static bool window_load(const struct windows *windows, uint64_t index, struct window *window,
                        struct err *err) {
    const struct csv_file *csv = windows->csv;
    size_t block_bytes = windows->usage->block_bytes;
    if (window->memory == NULL && !window_init(window, block_bytes, err)) {
        return false;
    }
    window->index = index;
    window->offset = index * block_bytes;
    assert(window->offset < csv->size_bytes);
    uint64_t left = csv->size_bytes - window->offset;
    size_t wanted = left < block_bytes + TAIL_BYTES ? (size_t)left : block_bytes + TAIL_BYTES;
    size_t before = index > 0 ? 1 : 0;
    size_t read_bytes;
    if (!file_read_at(&csv->file, window->offset - before, window->bytes + 1 - before,
                      wanted + before, &read_bytes, err)) {
        return false;
    }
    if (read_bytes < wanted + before) {
        return err_set(err, ERR_INPUT, "'%s' was cut while it was read", csv->name);
    }
    if (windows->fingerprint != NULL) {
        fingerprint_add(windows->fingerprint, (size_t)index, window->bytes + 1);
    }
    window->start =
        index == windows->first_block ? 1 + (size_t)(csv->layout.rows_offset - window->offset) : 1;
    window->end = 1 + (wanted < block_bytes ? wanted : block_bytes);
    window->tail_end = 1 + wanted;
    window->facts = (struct split_facts){0};
    split_scan(window->bytes, window->start, window->end, &window->facts);
    window->has_odd_quotes = quotes_are_odd(window);
    return true;
}

/* --- reading ahead: all with the mutex locked ---------------------------------------------------
 */

static uint64_t ahead_room(const struct windows_ahead *ahead) {
    return ahead->taken + AHEAD_COUNT - 1 - ahead->claimed;
}

static bool ahead_is_all_claimed(const struct windows_ahead *ahead) {
    return ahead->is_given_up || ahead->claimed == ahead->windows->blocks_count;
}

/* Claims the next block and loads it, unlocked meanwhile. */
static void ahead_load(struct windows_ahead *ahead) {
    uint64_t index = ahead->claimed++;
    struct ahead_place *place = &ahead->ring[index % AHEAD_COUNT];
    place->is_ready = false;
    (void)pthread_mutex_unlock(&ahead->mutex);
    bool is_loaded = window_load(ahead->windows, index, &place->window, &place->err);
    (void)pthread_mutex_lock(&ahead->mutex);
    place->is_ready = true;
    place->has_failed = !is_loaded;
    ahead->is_given_up = ahead->is_given_up || !is_loaded;
}

/* The thread. It sleeps until there is room for several, for being woken takes its time. */
static void *ahead_run(void *argument) {
    struct windows_ahead *ahead = argument;
    (void)pthread_mutex_lock(&ahead->mutex);
    while (!ahead_is_all_claimed(ahead)) {
        if (ahead_room(ahead) > 0) {
            ahead_load(ahead);
            (void)pthread_cond_signal(&ahead->is_filled);
            continue;
        }
        ahead->is_asleep = true;
        while (ahead->is_asleep && !ahead_is_all_claimed(ahead)) {
            (void)pthread_cond_wait(&ahead->has_room, &ahead->mutex);
        }
    }
    (void)pthread_mutex_unlock(&ahead->mutex);
    return NULL;
}

static void ahead_wake(struct windows_ahead *ahead) {
    ahead->is_asleep = false;
    (void)pthread_cond_signal(&ahead->has_room);
}

/* The next window; NULL behind the last one. */
static struct ahead_place *ahead_take(struct windows_ahead *ahead) {
    struct ahead_place *place = &ahead->ring[ahead->taken % AHEAD_COUNT];
    if (ahead->taken == ahead->windows->blocks_count) {
        return NULL;
    }
    while (ahead->claimed == ahead->taken || !place->is_ready) {
        if (!ahead_is_all_claimed(ahead) && ahead_room(ahead) > 0) {
            ahead_load(ahead);
        } else {
            (void)pthread_cond_wait(&ahead->is_filled, &ahead->mutex);
        }
    }
    ahead->taken++;
    if (ahead->is_asleep && ahead_room(ahead) >= AHEAD_COUNT / 2) {
        ahead_wake(ahead);
    }
    return place;
}

/* --- all of them -------------------------------------------------------------------------------
 */

void windows_init(struct windows *windows, const struct usage *usage, const struct csv_file *csv,
                  struct fingerprint *fingerprint) {
    size_t block_bytes = usage->block_bytes;
    *windows = (struct windows){
        .usage = usage,
        .csv = csv,
        .fingerprint = block_bytes == FINGERPRINT_BLOCK_BYTES ? fingerprint : NULL,
        .first_block = csv->layout.rows_offset / block_bytes,
        .blocks_count = (csv->size_bytes + block_bytes - 1) / block_bytes,
    };
    assert(windows->first_block < windows->blocks_count);
    windows->next_block = windows->first_block;
}

bool windows_read_ahead(struct windows *windows, struct err *err) {
    const struct sys *sys = windows->usage->sys;
    struct windows_ahead *ahead = mem_alloc(sizeof *ahead);
    if (ahead == NULL) {
        return err_memory(err, sizeof *ahead);
    }
    ahead->windows = windows;
    ahead->claimed = windows->first_block;
    ahead->taken = windows->first_block;
    (void)pthread_mutex_init(&ahead->mutex, NULL);
    (void)pthread_cond_init(&ahead->has_room, NULL);
    (void)pthread_cond_init(&ahead->is_filled, NULL);
    windows->ahead = ahead;
    ahead->has_thread = sys->thread_start(sys->self, ahead_run, ahead, &ahead->thread) == 0;
    if (!ahead->has_thread) {
        windows_release(windows);
    }
    return true;
}

void windows_release(struct windows *windows) {
    struct windows_ahead *ahead = windows->ahead;
    const struct sys *sys = windows->usage->sys;
    if (ahead == NULL) {
        return;
    }
    if (ahead->has_thread) {
        (void)pthread_mutex_lock(&ahead->mutex);
        ahead->is_given_up = true;
        ahead_wake(ahead);
        (void)pthread_mutex_unlock(&ahead->mutex);
        sys->thread_join(sys->self, ahead->thread);
    }
    for (size_t index = 0; index < AHEAD_COUNT; index++) {
        window_release(&ahead->ring[index].window);
        err_release(&ahead->ring[index].err);
    }
    (void)pthread_cond_destroy(&ahead->is_filled);
    (void)pthread_cond_destroy(&ahead->has_room);
    (void)pthread_mutex_destroy(&ahead->mutex);
    mem_free(ahead);
    windows->ahead = NULL;
}

static bool next_ahead(struct windows_ahead *ahead, struct window **window, struct err *err) {
    (void)pthread_mutex_lock(&ahead->mutex);
    struct ahead_place *place = ahead_take(ahead);
    bool has_failed = place != NULL && place->has_failed;
    if (has_failed) {
        *err = place->err;
        place->err = (struct err){0};
    }
    (void)pthread_mutex_unlock(&ahead->mutex);
    *window = place != NULL && !has_failed ? &place->window : NULL;
    return !has_failed;
}

bool windows_next(struct windows *windows, struct window *own, struct window **window,
                  struct err *err) {
    if (windows->ahead != NULL) {
        return next_ahead(windows->ahead, window, err);
    }
    uint64_t index = atomic_fetch_add(&windows->next_block, 1);
    *window = index < windows->blocks_count ? own : NULL;
    return *window == NULL || window_load(windows, index, own, err);
}
