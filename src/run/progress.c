/*
 * RUN/progress.json, for other processes, and the observer, for this one.
 *
 * Progress is told by worker threads, at most once a second to the file and ten times a second to
 * the observer. Nothing depends on it: a file that cannot be written is not written, and one that
 * a power cut left torn reads as none.
 */
#include <assert.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "run_internal.h"
#include "sys/clock.h"

enum { PROGRESS_BYTES_MAX = 4096 };

static const int64_t FILE_INTERVAL_US = 1000000;
static const int64_t OBSERVE_INTERVAL_US = 100000;

/* Plain words of ours: nothing in them needs escaping. */
static bool is_plain(const char *text) {
    return strpbrk(text, "\"\\\n\r\t") == NULL;
}

static bool write_file(struct run *run, const char *content, struct err *err) {
    char path[FILE_PATH_MAX];
    char temporary[FILE_PATH_MAX];
    struct file file;
    if (!run_path_format(run, path, PROGRESS_FILE, err) ||
        !run_path_format(run, temporary, PROGRESS_FILE ".tmp", err) ||
        !file_create(run->sys, temporary, &file, err)) {
        return false;
    }
    bool is_written = file_append(&file, content, strlen(content), err);
    file_abandon(&file);
    /* Without a flush: losing it costs nothing, waiting for the disk every second would. */
    return is_written && path_rename(run->sys, temporary, path, err);
}

/* Called under the mutex. */
static void save(struct run *run, const struct stage *stage, uint64_t done, uint64_t total,
                 const char *unit, int64_t now_us) {
    struct progress *progress = &run->progress;
    if (progress->is_written && now_us - progress->written_us < FILE_INTERVAL_US) {
        return;
    }
    char updated_at[INSTANT_TEXT_MAX];
    char content[512];
    assert(is_plain(stage->name) && is_plain(unit));
    (void)instant_format(clock_now(run->sys), updated_at);
    (void)snprintf(content, sizeof content,
                   "{\n  \"done\": %" PRIu64 ",\n  \"stage\": \"%s\",\n  \"total\": %" PRIu64
                   ",\n  \"unit\": \"%s\",\n  \"updated_at\": \"%s\"\n}\n",
                   done < INT64_MAX ? done : INT64_MAX, stage->name,
                   total < INT64_MAX ? total : INT64_MAX, unit, updated_at);
    struct err ignored = {0};
    (void)write_file(run, content, &ignored);
    err_release(&ignored);
    progress->is_written = true;
    progress->written_us = now_us;
}

static void observe(const struct run *run, const struct run_event *event) {
    if (run->options->observe != NULL) {
        run->options->observe(run->options->observe_context, event);
    }
}

void progress_go_on(struct run *run, const struct performance *performance, uint64_t done,
                    uint64_t total, const char *unit) {
    struct progress *progress = &run->progress;
    int64_t now_us = clock_monotonic_us(run->sys);
    (void)pthread_mutex_lock(&progress->mutex);
    save(run, performance->stage, done, total, unit, now_us);
    if (now_us - progress->observed_us >= OBSERVE_INTERVAL_US || done == total) {
        progress->observed_us = now_us;
        observe(run, &(struct run_event){.kind = RUN_STAGE_GOES_ON,
                                         .stage = performance->stage,
                                         .done = done,
                                         .total = total,
                                         .unit = unit,
                                         .elapsed_us = now_us - performance->started_us});
    }
    (void)pthread_mutex_unlock(&progress->mutex);
}

void run_progress(struct run *run, uint64_t done, uint64_t total, const char *unit) {
    progress_go_on(run, performance_alone(run), done, total, unit);
}

void progress_begin(struct run *run, const struct stage *stage) {
    progress_tell(run, RUN_STAGE_BEGINS, stage, 0);
    (void)pthread_mutex_lock(&run->progress.mutex);
    save(run, stage, 0, 0, "", clock_monotonic_us(run->sys));
    (void)pthread_mutex_unlock(&run->progress.mutex);
}

void progress_tell(struct run *run, enum run_event_kind kind, const struct stage *stage,
                   int64_t elapsed_us) {
    (void)pthread_mutex_lock(&run->progress.mutex);
    observe(run, &(struct run_event){
                     .kind = kind, .stage = stage, .unit = "", .elapsed_us = elapsed_us});
    (void)pthread_mutex_unlock(&run->progress.mutex);
}

void progress_end(struct run *run) {
    if (!run->progress.is_written) {
        return;
    }
    char path[FILE_PATH_MAX];
    struct err ignored = {0};
    (void)(run_path_format(run, path, PROGRESS_FILE, &ignored) &&
           path_remove(run->sys, path, &ignored));
    err_release(&ignored);
    run->progress.is_written = false;
}

/* --- of another process --------------------------------------------------------------------- */

static bool copy_text(const json_t *object, const char *key, char *text, size_t size_bytes) {
    const char *value = json_string_value(json_object_get(object, key));
    if (value == NULL || strlen(value) >= size_bytes) {
        return false;
    }
    memcpy(text, value, strlen(value) + 1);
    return true;
}

static bool copy_number(const json_t *object, const char *key, uint64_t *number) {
    const json_t *value = json_object_get(object, key);
    if (!json_is_integer(value) || json_integer_value(value) < 0) {
        return false;
    }
    *number = (uint64_t)json_integer_value(value);
    return true;
}

static bool read_progress(const json_t *root, struct run_progress_text *progress) {
    char updated_at[INSTANT_TEXT_MAX + 1];
    return copy_text(root, "stage", progress->stage, sizeof progress->stage) &&
           copy_text(root, "unit", progress->unit, sizeof progress->unit) &&
           copy_number(root, "done", &progress->done) &&
           copy_number(root, "total", &progress->total) &&
           copy_text(root, "updated_at", updated_at, sizeof updated_at) &&
           instant_parse(text_from(updated_at), &progress->updated_at) == NULL;
}

bool run_progress_load(const struct run *run, bool *is_found, struct run_progress_text *progress,
                       struct err *err) {
    char path[FILE_PATH_MAX];
    enum path_kind kind;
    *is_found = false;
    *progress = (struct run_progress_text){0};
    if (!run_path_format(run, path, PROGRESS_FILE, err) || !path_kind(run->sys, path, &kind, err)) {
        return false;
    }
    if (kind != PATH_FILE) {
        return true;
    }
    struct buffer text = {0};
    struct err load = {0};
    if (!file_load(run->sys, path, PROGRESS_BYTES_MAX, &text, &load)) {
        /* The other process may have ended, and removed it, since we looked. */
        bool is_memory = load.code == ERR_MEMORY;
        err_release(&load);
        buffer_release(&text);
        return !is_memory || err_memory(err, PROGRESS_BYTES_MAX);
    }
    json_t *root = json_loadb(text.bytes, text.size_bytes, 0, NULL);
    *is_found = root != NULL && read_progress(root, progress);
    json_decref(root);
    buffer_release(&text);
    return true;
}
