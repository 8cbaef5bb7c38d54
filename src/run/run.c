/*
 * A run directory: opening, pinning, saving, closing, and what is sealed in it.
 *
 * The invariants of include/run/run.h and what keeps them:
 *  1. done = listed, and every listed file is as listed     verify_stages, from run_open
 *  2. the manifest changes by file_replace, last            save_manifest, from seal_pending
 *  3. stages are listed in order                            performance_end (asserted), read_stage
 *  4. one process at a time                                 lock_take, from run_open
 *  5. files of unlisted stages are leftovers                folder_clean, from run_open
 */
#include <assert.h>
#include <string.h>

#include "core/memory.h"
#include "core/shell.h"
#include "run_internal.h"
#include "sys/clock.h"

bool run_is_locked(const struct run *run) {
    switch (run->mode) {
    case RUN_PREPARE:
    case RUN_REPLACE:
    case RUN_CREATE:
    case RUN_UPDATE:
        return true;
    case RUN_INSPECT:
    case RUN_STATUS:
        return false;
    }
    return false;
}

/* Is a folder without a run fine? */
static bool may_be_new(const struct run *run) {
    return run_is_locked(run) && run->mode != RUN_UPDATE;
}

bool run_path_format(const struct run *run, char path[FILE_PATH_MAX], const char *relative,
                     struct err *err) {
    return path_format(path, err, "%s/%s", run->path, relative);
}

/* --- opening -------------------------------------------------------------------------------- */

static struct run *run_create(const struct sys *sys, const char *path, struct stage_list stages,
                              enum run_mode mode, struct err *err) {
    struct run *run = mem_alloc(sizeof *run);
    if (run == NULL) {
        (void)err_memory(err, sizeof *run);
        return NULL;
    }
    run->sys = sys;
    run->mode = mode;
    run->lock = FILE_CLOSED;
    (void)pthread_mutex_init(&run->leaving_mutex, NULL);
    (void)pthread_mutex_init(&run->listing_mutex, NULL);
    (void)pthread_mutex_init(&run->outputs_mutex, NULL);
    (void)pthread_mutex_init(&run->progress.mutex, NULL);
    bool is_fine = path_format(run->path, err, "%s", path);
    for (size_t end = strlen(run->path); is_fine && end > 1 && run->path[end - 1] == '/'; end--) {
        run->path[end - 1] = '\0';
    }
    if (!is_fine || !run_path_format(run, run->scratch_path, SCRATCH_FOLDER, err) ||
        !manifest_init(&run->manifest, stages, err)) {
        run_close(run);
        return NULL;
    }
    return run;
}

void run_close(struct run *run) {
    if (run == NULL) {
        return;
    }
    assert(run->performances_count == 0 && run->ended_count == 0);
    progress_end(run);
    replay_release(run);
    manifest_release(&run->manifest);
    file_abandon(&run->lock);
    err_release(&run->unleft);
    (void)pthread_mutex_destroy(&run->leaving_mutex);
    (void)pthread_mutex_destroy(&run->listing_mutex);
    (void)pthread_mutex_destroy(&run->outputs_mutex);
    (void)pthread_mutex_destroy(&run->progress.mutex);
    mem_free(run);
}

static bool load_manifest(struct run *run, struct err *err) {
    char path[FILE_PATH_MAX];
    struct buffer text = {0};
    struct stage_list list = run->manifest.list;
    struct manifest loaded;
    bool is_fine = run_path_format(run, path, MANIFEST_FILE, err) &&
                   file_load(run->sys, path, MANIFEST_BYTES_MAX, &text, err) &&
                   manifest_parse(&loaded, list, buffer_text(&text), path, err);
    buffer_release(&text);
    if (is_fine) {
        manifest_release(&run->manifest);
        run->manifest = loaded;
        run->is_saved = true;
    }
    return is_fine;
}

#define HINT_NAME_A_RUN "name a folder that `periodclose run --run-dir` was given"

/* A dry run lies below the folder that it was made for, which is no run before its first start. */
static bool refuse_fresh(const struct run *run, struct err *err) {
    char path[FILE_PATH_MAX];
    enum path_kind kind;
    if (!run_path_format(run, path, RUN_DRY_FOLDER "/" MANIFEST_FILE, err) ||
        !path_kind(run->sys, path, &kind, err)) {
        return false;
    }
    (void)err_set(err, ERR_MISMATCH, "'%.700s' is not a run directory: it has %s", run->path,
                  kind == PATH_FILE ? "only a dry run in it" : "no " MANIFEST_FILE);
    return kind == PATH_FILE
               ? err_hint(err, "the dry run is %.300s/" RUN_DRY_FOLDER, run->path)
               : err_hint(err, "no run has begun in it: " HINT_NAME_A_RUN ", or give it this one");
}

/* Refuses what is not, or no longer, a run directory. *is_run: there is a manifest to load. */
static bool check_folder(const struct run *run, bool *is_run, struct err *err) {
    enum folder_kind kind;
    if (!folder_look(run->sys, run->path, run->manifest.list, &kind, err)) {
        return false;
    }
    *is_run = kind == FOLDER_RUN;
    switch (kind) {
    case FOLDER_RUN:
        return true;
    case FOLDER_MISSING:
        return may_be_new(run) ||
               (err_set(err, ERR_FILE, "there is no run directory '%.700s'", run->path),
                err_hint(err, HINT_NAME_A_RUN));
    case FOLDER_FRESH:
        return may_be_new(run) || refuse_fresh(run, err);
    case FOLDER_TORN:
        if (run->mode == RUN_REPLACE) {
            return true;
        }
        (void)err_set(err, ERR_DAMAGED, "'%.600s/%s' is missing, and there are checkpoints",
                      run->path, MANIFEST_FILE);
        return err_hint(err, HINT_RESTORE);
    case FOLDER_FOREIGN:
        (void)err_set(err, ERR_MISMATCH, "'%.700s' is not a run directory: it has other files",
                      run->path);
        return err_hint(err, "%s",
                        may_be_new(run)
                            ? "take another --run-dir; what is in this one is left alone"
                            : HINT_NAME_A_RUN);
    }
    return false;
}

/* The folder is looked at before anything is put into it, and again once nobody else may change it.
 */
static bool take_folder(struct run *run, bool *is_run, struct err *err) {
    if (!check_folder(run, is_run, err)) {
        return false;
    }
    if (run->mode == RUN_CREATE && !directory_create_all(run->sys, run->path, err)) {
        return false;
    }
    return lock_take(run->sys, run->path, &run->lock, err) &&
           lock_write(&run->lock, "periodclose", err) && check_folder(run, is_run, err);
}

/* What is only prepared is locked when it begins, unless it began before. */
static bool look_or_take(struct run *run, bool *is_run, struct err *err) {
    if (run->mode == RUN_CREATE || run->mode == RUN_UPDATE) {
        return take_folder(run, is_run, err);
    }
    if (!check_folder(run, is_run, err)) {
        return false;
    }
    if (run->mode == RUN_REPLACE) {
        *is_run = false;
    }
    if (run->mode != RUN_PREPARE || !*is_run) {
        return true;
    }
    if (!take_folder(run, is_run, err)) {
        return false;
    }
    if (!*is_run) {
        file_abandon(&run->lock); /* moved aside since we looked */
    }
    return true;
}

static bool open_folder(struct run *run, size_t jobs, struct err *err) {
    bool is_run = false;
    if (!look_or_take(run, &is_run, err)) {
        return false;
    }
    run->opened_us = clock_monotonic_us(run->sys);
    if (is_run && !load_manifest(run, err)) {
        return false;
    }
    if (run->mode != RUN_STATUS) {
        if (!verify_stages(run, run->manifest.stages_count, NULL, jobs, err)) {
            return false;
        }
        run->is_verified = true;
    }
    bool is_held = run->lock.fd >= 0;
    return !is_held || folder_clean(run, err);
}

bool run_open_jobs(const struct sys *sys, const char *path, struct stage_list stages,
                   enum run_mode mode, size_t jobs, struct run **run, struct err *err) {
    manifest_use_memory();
    *run = run_create(sys, path, stages, mode, err);
    if (*run == NULL) {
        return false;
    }
    (*run)->jobs = jobs;
    if (!open_folder(*run, jobs, err)) {
        run_close(*run);
        *run = NULL;
        return false;
    }
    return true;
}

bool run_open(const struct sys *sys, const char *path, struct stage_list stages, enum run_mode mode,
              struct run **run, struct err *err) {
    return run_open_jobs(sys, path, stages, mode, 1, run, err);
}

static bool begin(struct run *run, struct err *err) {
    bool is_run;
    if (!directory_create_all(run->sys, run->path, err) ||
        !lock_take(run->sys, run->path, &run->lock, err) ||
        !lock_write(&run->lock, "periodclose", err) || !check_folder(run, &is_run, err)) {
        return false;
    }
    if (is_run) {
        (void)err_set(err, ERR_LOCKED, "'%.700s': another start has begun a run there just now",
                      run->path);
        return err_hint(err, "periodclose status %s",
                        shell_word(run->path, &(struct shell_word){0}));
    }
    return folder_clean(run, err) && run_save(run, err);
}

bool run_begin(struct run *run, char moved_to[FILE_PATH_MAX], struct err *err) {
    assert(run->mode == RUN_PREPARE || run->mode == RUN_REPLACE);
    moved_to[0] = '\0';
    if (run->is_saved) {
        return true;
    }
    if (run->mode == RUN_REPLACE &&
        !run_move_aside(run->sys, run->path, run->manifest.list, moved_to, err)) {
        return false;
    }
    if (begin(run, err)) {
        return true;
    }
    return moved_to[0] != '\0' &&
           err_wrap(err, "after moving the run that was there to %.700s", moved_to);
}

bool run_tell_command(struct run *run, const char *command, struct err *err) {
    assert(run_is_locked(run) && run->lock.fd >= 0);
    return lock_write(&run->lock, command, err);
}

bool save_manifest(struct run *run, struct err *err) {
    assert(run->lock.fd >= 0);
    char path[FILE_PATH_MAX];
    struct buffer text = {0};
    bool is_fine = run_path_format(run, path, MANIFEST_FILE, err) &&
                   manifest_format(&run->manifest, &text, err) &&
                   file_replace(run->sys, path, buffer_text(&text), err);
    buffer_release(&text);
    if (!is_fine) {
        return err_wrap(err, "saving the manifest");
    }
    run->is_saved = true;
    return true;
}

bool run_save(struct run *run, struct err *err) {
    assert(run_is_locked(run) && run->performances_count == 0 && run->ended_count == 0);
    if (!save_manifest(run, err)) {
        return false;
    }
    run->has_changes = false;
    return true;
}

bool run_save_changes(struct run *run, struct err *err) {
    return !run->has_changes || run_save(run, err);
}

/* --- pins ----------------------------------------------------------------------------------- */

static const char *pin_group_name(enum pin_group group) {
    switch (group) {
    case PIN_OPTION:
        return "option";
    case PIN_INPUT:
        return "input";
    case PIN_VERSION:
        return "version";
    }
    return "";
}

static bool refuse_pin(enum pin_group group, const char *name, const char *before,
                       const char *value, struct err *err) {
    if (before != NULL) {
        (void)err_set(err, ERR_MISMATCH,
                      "%s %.200s: this directory was begun with '%.300s', now '%.300s'",
                      pin_group_name(group), name, before, value);
    } else {
        (void)err_set(err, ERR_MISMATCH,
                      "%s %.200s: this directory was begun without it, now '%.300s'",
                      pin_group_name(group), name, value);
    }
    return err_hint(err, "take another --run-dir, or begin anew with --restart");
}

bool run_pin(struct run *run, enum pin_group group, const char *name, const char *value,
             bool is_given, struct err *err) {
    assert(run_is_locked(run));
    if (!text_is_utf8(text_from(name)) || !text_is_utf8(text_from(value))) {
        return err_set(err, ERR_INPUT, "%s %.200s: '%.300s' is not valid UTF-8",
                       pin_group_name(group), name, value);
    }
    struct pins *pins = &run->manifest.pins[group];
    const struct pin *before = pins_find(pins, name);
    bool is_compared = is_given && group != PIN_VERSION;
    if (before != NULL) {
        return !is_compared || strcmp(before->value, value) == 0 ||
               refuse_pin(group, name, before->value, value, err);
    }
    if (run->manifest.stages_count > 0 && group != PIN_VERSION) {
        /* What is sealed was computed without it, and the run id is known by now. */
        return !is_compared || refuse_pin(group, name, NULL, value, err);
    }
    bool is_performing = run->performances_count > 0;
    struct pin pin = {.name = name,
                      .value = value,
                      .is_tentative = is_performing,
                      .stage = is_performing ? performance_alone(run)->stage : NULL};
    run->has_changes = run->has_changes || !is_performing;
    return pins_add(pins, pin, err);
}

bool run_pin_anew(struct run *run, const char *name, const char *value, struct err *err) {
    assert(run_is_locked(run) && run->performances_count == 0);
    const char *before = run_pinned(run, PIN_VERSION, name);
    bool is_same = value == NULL || before == NULL ? value == before : strcmp(before, value) == 0;
    if (is_same) {
        return true;
    }
    run->has_changes = true;
    pins_drop(&run->manifest.pins[PIN_VERSION], name);
    return value == NULL || run_pin(run, PIN_VERSION, name, value, false, err);
}

static bool is_kept(const struct pin *pin, const char *const *kept, size_t kept_count) {
    for (size_t index = 0; index < kept_count; index++) {
        if (strcmp(pin->name, kept[index]) == 0) {
            return true;
        }
    }
    return false;
}

void run_forget_unsealed(struct run *run, const char *const *kept, size_t kept_count) {
    assert(run_is_locked(run));
    if (run->manifest.stages_count > 0) {
        return;
    }
    for (size_t group = 0; group < PIN_GROUPS_COUNT; group++) {
        struct pins *pins = &run->manifest.pins[group];
        for (size_t row = 0; row < pins->rows_count; row++) {
            pins->rows[row].is_tentative =
                group == PIN_INPUT ||
                (kept != NULL && !is_kept(&pins->rows[row], kept, kept_count));
        }
        pins_drop_tentative(pins, NULL);
    }
}

const char *run_pinned(const struct run *run, enum pin_group group, const char *name) {
    const struct pin *pin = pins_find(&run->manifest.pins[group], name);
    return pin == NULL ? NULL : pin->value;
}

size_t run_pins_count(const struct run *run, enum pin_group group) {
    return run->manifest.pins[group].rows_count;
}

const char *run_pin_name(const struct run *run, enum pin_group group, size_t pin_index) {
    assert(pin_index < run->manifest.pins[group].rows_count);
    return run->manifest.pins[group].rows[pin_index].name;
}

const char *run_id(const struct run *run) {
    return run->manifest.id[0] == '\0' ? NULL : run->manifest.id;
}

/* --- what it is ----------------------------------------------------------------------------- */

const char *run_path(const struct run *run) {
    return run->path;
}

int64_t run_opened_us(const struct run *run) {
    return run->opened_us;
}

const struct sys *run_sys(const struct run *run) {
    return run->sys;
}

struct stage_list run_stages(const struct run *run) {
    return run->manifest.list;
}

bool run_is_new(const struct run *run) {
    return !run->is_saved;
}

bool run_is_replay(const struct run *run) {
    return run->manifest.replay_of[0] != '\0';
}

const char *run_replay_origin(const struct run *run) {
    return run_is_replay(run) ? run->manifest.replay_of : NULL;
}

const char *run_replay_path(const struct run *run) {
    const char *path = run_is_replay(run) ? run_pinned(run, PIN_VERSION, pin_replay_path) : NULL;
    return path != NULL ? path_from_here(path) : NULL;
}

const struct stage *run_replay_from(const struct run *run) {
    return run->manifest.replay_from;
}

const struct run_options *run_current_options(const struct run *run) {
    return run->options;
}

bool run_is_dry(const struct run *run) {
    return run->options != NULL && run->options->is_dry;
}

const char *run_scratch_path(const struct run *run) {
    return run->scratch_path;
}

size_t run_shards_count(const struct run *run) {
    return run->manifest.shards_count;
}

void run_set_shards_count(struct run *run, size_t shards_count) {
    assert(run->performances_count > 0 && run->manifest.stages_count == 0);
    assert(shards_count >= 1 && shards_count <= SHARDS_COUNT_MAX);
    run->manifest.shards_count = shards_count;
}

/* --- what is sealed ------------------------------------------------------------------------- */

bool run_stage_is_done(const struct run *run, const struct stage *stage) {
    return manifest_find(&run->manifest, stage) != NULL;
}

const struct stage *run_next_stage(const struct run *run) {
    const struct manifest *manifest = &run->manifest;
    return manifest->stages_count == manifest->list.stages_count
               ? NULL
               : manifest->list.stages[manifest->stages_count];
}

const struct run_file *run_stage_files(const struct run *run, const struct stage *stage,
                                       size_t *files_count) {
    const struct sealed_stage *sealed = manifest_find(&run->manifest, stage);
    *files_count = sealed == NULL ? 0 : sealed->files_count;
    return sealed == NULL ? NULL : sealed->files;
}

const struct totals_row *run_stage_totals(const struct run *run, const struct stage *stage,
                                          size_t *rows_count) {
    const struct sealed_stage *sealed = manifest_find(&run->manifest, stage);
    *rows_count = 0;
    return sealed == NULL ? NULL : totals_rows(sealed->totals, rows_count);
}

int64_t run_stage_elapsed_us(const struct run *run, const struct stage *stage) {
    const struct sealed_stage *sealed = manifest_find(&run->manifest, stage);
    return sealed == NULL ? 0 : sealed->elapsed_us;
}

int run_stage_version(const struct run *run, const struct stage *stage) {
    const struct sealed_stage *sealed = manifest_find(&run->manifest, stage);
    return sealed == NULL ? 0 : sealed->version;
}
