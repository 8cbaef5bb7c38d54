/*
 * The stages at hand: begun, done or dropped, and what is done sealed.
 *
 * A stage is done when all its rows are written, its files are hashed and its totals agree. Then it
 * is in the manifest in memory, pending: later stages read its tables where they are, under their
 * temporary names. It is sealed when they are durable: they get their names, and the manifest is
 * saved. So the disk works on one stage while the next is computed.
 */
#include <assert.h>
#include <string.h>

#include "run_internal.h"
#include "sys/clock.h"

bool performance_begin(struct run *run, const struct stage *stage, bool only_computes,
                       struct err *err) {
    assert(run->performances_count < STAGES_AT_HAND_MAX);
    assert(only_computes ? stage->compute != NULL : stage->perform != NULL);
    char folder[FILE_PATH_MAX];
    char path[FILE_PATH_MAX];
    bool has_folder = stage->outputs_count > 0 || stage_touches(stage);
    /* The others have no use for it, and would only wait for the disk. */
    bool has_scratch =
        !only_computes && (stage->effect == EFFECT_SOURCE || stage->effect == EFFECT_DATABASE);
    if (has_scratch && !directory_create(run->sys, run->scratch_path, err)) {
        return false;
    }
    if (has_folder &&
        (!stage_folder_format(folder, stage, err) || !run_path_format(run, path, folder, err) ||
         !directory_create(run->sys, path, err))) {
        return false;
    }
    if (stage->effect == EFFECT_REPORTS && (!run_path_format(run, path, REPORTS_FOLDER, err) ||
                                            !directory_create(run->sys, path, err))) {
        return false;
    }
    struct sealed_stage sealed;
    if (!sealed_stage_init(&sealed, stage, err)) {
        return false;
    }
    sealed.is_own = true;
    if (manifest_pending_count(&run->manifest) == 0) {
        run->shards_count_sealed = run->manifest.shards_count;
    }
    run->performances[run->performances_count++] =
        (struct performance){.stage = stage,
                             .sealed = sealed,
                             .has_scratch = has_scratch,
                             .shards_count_before = run->manifest.shards_count,
                             .started_us = clock_monotonic_us(run->sys)};
    return true;
}

struct performance *performance_find(struct run *run, const struct stage *stage) {
    for (size_t index = 0; index < run->performances_count; index++) {
        if (run->performances[index].stage == stage) {
            return &run->performances[index];
        }
    }
    return NULL;
}

struct performance *performance_alone(struct run *run) {
    assert(run->performances_count == 1);
    return &run->performances[0];
}

static void remove_scratch(struct run *run) {
    /* What cannot be removed now is removed at the next start. */
    struct err ignored = {0};
    (void)path_remove_tree(run->sys, run->scratch_path, &ignored);
    err_release(&ignored);
}

static void performance_drop(struct run *run, struct performance *performance) {
    outputs_drop(run, performance->stage);
    sealed_stage_release(&performance->sealed);
    for (size_t group = 0; group < PIN_GROUPS_COUNT; group++) {
        pins_drop_tentative(&run->manifest.pins[group], performance->stage);
    }
    run->manifest.shards_count = performance->shards_count_before;
    if (performance->has_scratch) {
        remove_scratch(run);
    }
}

void performances_drop(struct run *run) {
    while (run->performances_count > 0) {
        struct performance *performance = &run->performances[--run->performances_count];
        if (performance->stage != NULL) {
            performance_drop(run, performance);
        }
        *performance = (struct performance){0};
    }
}

/* A stage that forgot an output is our own bug. */
static void assert_outputs_complete(const struct run *run, const struct sealed_stage *sealed) {
    for (size_t index = 0; index < sealed->stage->outputs_count; index++) {
        const struct stage_output *output = &sealed->stage->outputs[index];
        size_t files_count = output->is_sharded ? run->manifest.shards_count : 1;
        for (size_t shard_index = 0; shard_index < files_count; shard_index++) {
            char path[FILE_PATH_MAX];
            struct err err = {0};
            bool is_there =
                table_path_format(path, sealed->stage, output->schema, shard_index, &err) &&
                sealed_stage_find(sealed, path) != NULL;
            assert(is_there);
            (void)is_there;
        }
    }
}

/* --- done ---------------------------------------------------------------------------------------
 */

/* What a dry run would touch, and what comes after it. */
static bool is_volatile(const struct run *run, const struct stage *stage) {
    const struct manifest *manifest = &run->manifest;
    return (manifest->stages_count > 0 &&
            manifest->stages[manifest->stages_count - 1].is_volatile) ||
           (run->options->is_dry && stage_touches(stage));
}

/* Others may be looking for its tables. */
static bool list_performance(struct run *run, struct performance *performance, struct err *err) {
    struct manifest *manifest = &run->manifest;
    bool has_scratch = performance->has_scratch;
    (void)pthread_mutex_lock(&run->outputs_mutex);
    manifest->stages[manifest->stages_count++] = performance->sealed;
    bool is_fine = manifest_update_id(manifest, err);
    if (is_fine) {
        *performance = (struct performance){0};
    } else {
        manifest->stages_count--;
    }
    (void)pthread_mutex_unlock(&run->outputs_mutex);
    if (is_fine && has_scratch) {
        remove_scratch(run);
    }
    return is_fine;
}

bool performance_end(struct run *run, struct performance *performance, struct err *err) {
    struct manifest *manifest = &run->manifest;
    assert(performance->stage == manifest->list.stages[manifest->stages_count]);
    if (manifest->shards_count == 0) {
        manifest->shards_count = 1;
    }
    if (!outputs_finish(run, performance->stage, err)) {
        return false;
    }
    assert_outputs_complete(run, &performance->sealed);
    if (!totals_check(performance->sealed.totals, performance->stage->name, err)) {
        return false;
    }
    int64_t elapsed_us = clock_monotonic_us(run->sys) - performance->started_us;
    performance->sealed.elapsed_us = elapsed_us > 0 ? elapsed_us : 0;
    performance->sealed.is_volatile = is_volatile(run, performance->stage);
    performance->sealed.is_pending = true;
    return list_performance(run, performance, err);
}

/* --- sealed -------------------------------------------------------------------------------------
 */

bool seal_is_ready(struct run *run, size_t kept_count) {
    const struct manifest *manifest = &run->manifest;
    size_t pending_count = manifest_pending_count(manifest);
    return pending_count > kept_count &&
           outputs_are_settled(run,
                               manifest->stages[manifest->stages_count - 1 - kept_count].stage);
}

/* Under the mutex, as whoever opens it must find it. */
static bool adopt_file(struct run *run, struct run_file *file, struct err *err) {
    char path[FILE_PATH_MAX];
    if (!run_path_format(run, path, file->path, err)) {
        return false;
    }
    (void)pthread_mutex_lock(&run->outputs_mutex);
    bool is_fine = file_replace_adopt(run->sys, path, err);
    file->is_temporary = !is_fine;
    (void)pthread_mutex_unlock(&run->outputs_mutex);
    return is_fine;
}

/* The durable tables of a stage get their names. */
static bool adopt_files(struct run *run, struct sealed_stage *sealed, struct err *err) {
    for (size_t index = 0; index < sealed->files_count; index++) {
        if (sealed->files[index].is_temporary && !adopt_file(run, &sealed->files[index], err)) {
            return false;
        }
    }
    return true;
}

/* All names at first, so that the disk is waited for once: it keeps them together. */
static bool adopt_stages(struct run *run, size_t first, size_t end, struct err *err) {
    struct sealed_stage *stages = run->manifest.stages;
    char folder[FILE_PATH_MAX];
    char path[FILE_PATH_MAX];
    for (size_t index = first; index < end; index++) {
        if (!adopt_files(run, &stages[index], err)) {
            return false;
        }
    }
    for (size_t index = first; index < end; index++) {
        if (stages[index].stage->outputs_count > 0 &&
            (!stage_folder_format(folder, stages[index].stage, err) ||
             !run_path_format(run, path, folder, err) || !directory_sync(run->sys, path, err))) {
            return false;
        }
    }
    return true;
}

static void set_pending(struct manifest *manifest, size_t first, size_t end, bool is_pending) {
    for (size_t index = first; index < end; index++) {
        manifest->stages[index].is_pending = is_pending;
    }
}

static bool seal_stages(struct run *run, size_t first, size_t end, struct err *err) {
    struct manifest *manifest = &run->manifest;
    bool is_volatile = manifest->stages[first].is_volatile;
    if (!outputs_settle(run, manifest->stages[end - 1].stage, err) ||
        !adopt_stages(run, first, end, err)) {
        return false;
    }
    set_pending(manifest, first, end, false);
    if (!is_volatile && !save_manifest(run, err)) {
        set_pending(manifest, first, end, true);
        return false;
    }
    return true;
}

static void keep_pins(struct manifest *manifest, size_t first, size_t end) {
    for (size_t index = first; index < end; index++) {
        for (size_t group = 0; group < PIN_GROUPS_COUNT; group++) {
            pins_keep_tentative(&manifest->pins[group], manifest->stages[index].stage);
        }
    }
}

/* Takes the stages from first on back out of the manifest in memory. */
static void forget_stages(struct run *run, size_t first) {
    struct manifest *manifest = &run->manifest;
    while (manifest->stages_count > first) {
        struct sealed_stage *sealed = &manifest->stages[--manifest->stages_count];
        outputs_drop(run, sealed->stage);
        for (size_t group = 0; group < PIN_GROUPS_COUNT; group++) {
            pins_drop_tentative(&manifest->pins[group], sealed->stage);
        }
        sealed_stage_release(sealed);
    }
    if (manifest->stages_count == 0) {
        manifest->id[0] = '\0';
    }
    manifest->shards_count = run->shards_count_sealed;
}

void seal_forget(struct run *run) {
    forget_stages(run, run->manifest.stages_count - manifest_pending_count(&run->manifest));
}

bool seal_durable(struct run *run, size_t kept_count, struct err *err) {
    struct manifest *manifest = &run->manifest;
    size_t pending_count = manifest_pending_count(manifest);
    if (pending_count <= kept_count) {
        return true;
    }
    size_t first = manifest->stages_count - pending_count;
    size_t end = manifest->stages_count - kept_count;
    const char *name = manifest->stages[first].stage->name;
    if (!seal_stages(run, first, end, err)) {
        return err_wrap(err, "stage '%s'", name);
    }
    keep_pins(manifest, first, end);
    run->shards_count_sealed = manifest->shards_count;
    run->sealed_us = clock_monotonic_us(run->sys);
    return true;
}

bool seal_pending(struct run *run, size_t kept_count, struct err *err) {
    if (!seal_durable(run, kept_count, err)) {
        seal_forget(run);
        return false;
    }
    return true;
}
