/*
 * Stage after stage: begin, perform or compute, check, seal.
 *
 * A dry run performs the stages that touch the outside (run_is_dry tells them not to), and the ones
 * after them, but writes none of these into the manifest: their files serve the later stages of the
 * same process, and are left over at the next start.
 */
#include <assert.h>
#include <string.h>

#include "run_internal.h"
#include "sys/clock.h"
#include "sys/process.h"

static bool touches_outside(const struct stage *stage) {
    return stage->effect == EFFECT_DATABASE || stage->effect == EFFECT_SENDS;
}

bool performance_begin(struct run *run, const struct stage *stage, struct err *err) {
    struct performance *performance = &run->performance;
    assert(performance->stage == NULL);
    assert((stage->compute == NULL) != (stage->perform == NULL));
    char folder[FILE_PATH_MAX];
    char path[FILE_PATH_MAX];
    bool has_folder = stage->outputs_count > 0 || touches_outside(stage);
    if (!directory_create(run->sys, run->scratch_path, err)) {
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
    *performance = (struct performance){.stage = stage,
                                        .sealed = sealed,
                                        .shards_count_before = run->manifest.shards_count,
                                        .started_us = clock_monotonic_us(run->sys)};
    return true;
}

static void remove_scratch(struct run *run) {
    /* What cannot be removed now is removed at the next start. */
    struct err ignored = {0};
    (void)path_remove_tree(run->sys, run->scratch_path, &ignored);
    err_release(&ignored);
}

void performance_drop(struct run *run) {
    outputs_drop(run);
    sealed_stage_release(&run->performance.sealed);
    for (size_t group = 0; group < PIN_GROUPS_COUNT; group++) {
        pins_drop_tentative(&run->manifest.pins[group]);
    }
    run->manifest.shards_count = run->performance.shards_count_before;
    run->performance = (struct performance){0};
    remove_scratch(run);
}

/* A stage that forgot an output is our own bug. */
static void assert_outputs_complete(const struct run *run) {
    const struct sealed_stage *sealed = &run->performance.sealed;
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

/* Takes the last stage back out of the manifest in memory. */
static void manifest_pop(struct manifest *manifest, struct sealed_stage *sealed) {
    *sealed = manifest->stages[--manifest->stages_count];
    if (manifest->stages_count == 0) {
        manifest->id[0] = '\0';
    }
}

bool performance_seal(struct run *run, bool is_volatile, struct err *err) {
    struct performance *performance = &run->performance;
    struct manifest *manifest = &run->manifest;
    assert(performance->stage == manifest->list.stages[manifest->stages_count]);
    if (manifest->shards_count == 0) {
        manifest->shards_count = 1;
    }
    if (!outputs_finish(run, err)) {
        return false;
    }
    assert_outputs_complete(run);
    if (!totals_check(performance->sealed.totals, performance->stage->name, err)) {
        return false;
    }
    int64_t elapsed_us = clock_monotonic_us(run->sys) - performance->started_us;
    performance->sealed.elapsed_us = elapsed_us > 0 ? elapsed_us : 0;
    performance->sealed.is_volatile = is_volatile;
    manifest->stages[manifest->stages_count++] = performance->sealed;
    if (!manifest_update_id(manifest, err) || (!is_volatile && !save_manifest(run, err))) {
        manifest_pop(manifest, &performance->sealed);
        return false;
    }
    for (size_t group = 0; group < PIN_GROUPS_COUNT; group++) {
        for (size_t row = 0; row < manifest->pins[group].rows_count; row++) {
            manifest->pins[group].rows[row].is_tentative = false;
        }
    }
    run->performance = (struct performance){0};
    remove_scratch(run);
    return true;
}

static bool perform(struct run *run, const struct stage *stage, struct stage_session *session,
                    struct err *err) {
    return stage->compute != NULL ? compute_stage(run, stage, run->options->jobs, err)
                                  : stage->perform(run, stage, session, err);
}

static bool execute_stage(struct run *run, const struct stage *stage, struct stage_session *session,
                          struct err *err) {
    const struct manifest *manifest = &run->manifest;
    bool is_after_volatile =
        manifest->stages_count > 0 && manifest->stages[manifest->stages_count - 1].is_volatile;
    bool is_volatile = is_after_volatile || (run->options->is_dry && touches_outside(stage));
    if (!performance_begin(run, stage, err)) {
        return err_wrap(err, "stage '%s'", stage->name);
    }
    progress_begin(run, stage);
    if (!perform(run, stage, session, err) || !performance_seal(run, is_volatile, err)) {
        performance_drop(run);
        return err_wrap(err, "stage '%s'", stage->name);
    }
    progress_tell(run, RUN_STAGE_ENDS, stage, run_stage_elapsed_us(run, stage));
    return true;
}

static bool execute_stages(struct run *run, struct stage_session *session, struct err *err) {
    struct stage_list list = run->manifest.list;
    const struct stage *until = run->options->until;
    assert(until == NULL || stage_index(list, until) < list.stages_count);
    for (size_t index = 0; index < list.stages_count; index++) {
        const struct stage *stage = list.stages[index];
        if (run_stage_is_done(run, stage)) {
            progress_tell(run, RUN_STAGE_SKIPPED, stage, run_stage_elapsed_us(run, stage));
        } else if (!interrupt_check(err) || !execute_stage(run, stage, session, err)) {
            return false;
        }
        if (stage == until) {
            break;
        }
    }
    return true;
}

/* What is sealed by another version of a stage does not go with what this one would compute. */
static bool check_versions(const struct run *run, struct err *err) {
    for (size_t index = 0; index < run->manifest.stages_count; index++) {
        const struct sealed_stage *sealed = &run->manifest.stages[index];
        if (sealed->version != sealed->stage->version) {
            (void)err_set(err, ERR_MISMATCH,
                          "stage '%s': sealed by version %d of it, this program has version %d",
                          sealed->stage->name, sealed->version, sealed->stage->version);
            return err_hint(err, "use the program version that began this run, or begin anew %s",
                            run_is_replay(run) ? "in another --run-dir" : "with --restart");
        }
    }
    return true;
}

bool run_execute(struct run *run, const struct run_options *options, struct stage_session *session,
                 struct err *err) {
    assert(run_is_locked(run) && options->jobs >= 1);
    /* A run that is finished needs nothing: also one of another program version. */
    if (!replay_check_ready(run, err) ||
        (run_next_stage(run) != NULL && !check_versions(run, err)) ||
        (!run->is_saved && !save_manifest(run, err))) {
        return false;
    }
    run->options = options;
    bool is_fine = execute_stages(run, session, err);
    progress_end(run);
    run->options = NULL;
    return is_fine;
}

bool run_perform_reports(struct run *run, const struct stage *stage,
                         const struct run_options *options, struct stage_session *session,
                         struct err *err) {
    assert(run_is_locked(run) && options->jobs >= 1);
    assert(stage->effect == EFFECT_REPORTS && stage->perform != NULL);
    assert(!run_stage_is_done(run, stage));
    if (!replay_check_ready(run, err) || !performance_begin(run, stage, err)) {
        return false;
    }
    run->options = options;
    progress_begin(run, stage);
    bool is_fine = stage->perform(run, stage, session, err) &&
                   totals_check(run->performance.sealed.totals, stage->name, err);
    performance_drop(run);
    progress_end(run);
    run->options = NULL;
    return is_fine || err_wrap(err, "stage '%s'", stage->name);
}

/* Not by what lies in reports/, where people keep files of their own. */
static bool remove_reports(const struct run *run, const struct sealed_stage *sealed,
                           struct err *err) {
    if (sealed->stage->effect != EFFECT_REPORTS) {
        return true; /* folder_clean removes the tables */
    }
    for (size_t index = 0; index < sealed->files_count; index++) {
        char path[FILE_PATH_MAX];
        if (!run_path_format(run, path, sealed->files[index].path, err) ||
            !path_remove_tree(run->sys, path, err)) {
            return false;
        }
    }
    return true;
}

static bool unseal(struct run *run, size_t kept, struct err *err) {
    struct manifest *manifest = &run->manifest;
    if (kept == manifest->stages_count) {
        return true;
    }
    size_t before = manifest->stages_count;
    manifest->stages_count = kept;
    bool is_fine = run_save(run, err);
    if (!is_fine) {
        manifest->stages_count = before;
        return false;
    }
    for (size_t index = kept; index < before; index++) {
        is_fine = is_fine && remove_reports(run, &manifest->stages[index], err);
        sealed_stage_release(&manifest->stages[index]);
    }
    return is_fine && folder_clean(run, err);
}

/* How many stages come before those of the effect that are sealed last. */
static size_t stages_before(const struct run *run, size_t stages_count, enum stage_effect effect) {
    while (stages_count > 0 && run->manifest.stages[stages_count - 1].stage->effect == effect) {
        stages_count--;
    }
    return stages_count;
}

bool run_unseal_reports(struct run *run, struct err *err) {
    assert(run_is_locked(run));
    return unseal(run, stages_before(run, run->manifest.stages_count, EFFECT_REPORTS), err);
}

bool run_unseal_sending(struct run *run, struct err *err) {
    assert(run_is_locked(run) && !run_is_replay(run));
    size_t kept = stages_before(run, run->manifest.stages_count, EFFECT_REPORTS);
    return unseal(run, stages_before(run, kept, EFFECT_SENDS), err);
}
