/*
 * Stage after stage: begin, perform, check, seal. Stages that only compute are performed together
 * (group.c). The last step takes as long as the disk needs, so the next stage does not wait for it,
 * unless one of the two touches the outside.
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

static bool execute_stage(struct run *run, const struct stage *stage, struct stage_session *session,
                          struct err *err) {
    if (!performance_begin(run, stage, false, err)) {
        return err_wrap(err, "stage '%s'", stage->name);
    }
    progress_begin(run, stage);
    bool is_done = stage->perform(run, stage, session, err) &&
                   performance_end(run, performance_alone(run), err);
    performances_drop(run);
    if (!is_done) {
        return err_wrap(err, "stage '%s'", stage->name);
    }
    progress_tell(run, RUN_STAGE_ENDS, stage, run_stage_elapsed_us(run, stage));
    return true;
}

/* Will it write to the database, or send, this time? */
static bool touches_now(const struct run *run, const struct stage *stage,
                        const struct stage_session *session) {
    return stage_touches(stage) && !run->options->is_dry &&
           (stage->touches == NULL || stage->touches(run, session));
}

/* What the outside is told is told by a run that cannot fall back behind it, and is kept at once.
 * Otherwise the stage before this one has had its time by now. */
static bool execute_and_seal(struct run *run, const struct stage *stage,
                             struct stage_session *session, struct err *err) {
    if (touches_now(run, stage, session)) {
        return seal_pending(run, 0, err) && execute_stage(run, stage, session, err) &&
               seal_pending(run, 0, err);
    }
    return execute_stage(run, stage, session, err) &&
           (!seal_is_ready(run, 1) || seal_pending(run, 1, err));
}

/* What is done is sealed, whatever came of the stage after it. */
static bool seal_rest(struct run *run, bool is_fine, struct err *err) {
    struct err unsealed = {0};
    if (is_fine) {
        return seal_pending(run, 0, err);
    }
    if (!seal_pending(run, 0, &unsealed) && err->code == ERR_INTERRUPTED) {
        err_release(err);
        *err = unsealed;
        return false;
    }
    err_release(&unsealed);
    return false;
}

/* How many of the stages at first only compute this time. */
static size_t count_computing(const struct run *run, const struct stage *const *stages,
                              size_t stages_count, const struct stage_session *session) {
    size_t count = 0;
    while (count < stages_count && count < STAGES_AT_HAND_MAX && stages[count]->compute != NULL &&
           (stages[count]->perform == NULL || stages[count]->only_computes(run, session))) {
        count++;
    }
    return count;
}

/* The stage, or several that are performed together: how many, in *performed_count. */
static bool execute_next(struct run *run, const struct stage *const *stages, size_t stages_count,
                         struct stage_session *session, size_t *performed_count, struct err *err) {
    *performed_count = 1;
    if (run_stage_is_done(run, stages[0])) {
        progress_tell(run, RUN_STAGE_SKIPPED, stages[0], run_stage_elapsed_us(run, stages[0]));
        return true;
    }
    if (!interrupt_check(err)) {
        return false;
    }
    size_t computing_count = count_computing(run, stages, stages_count, session);
    if (computing_count == 0) {
        return execute_and_seal(run, stages[0], session, err);
    }
    *performed_count = computing_count;
    return group_perform(run, stages, computing_count, err);
}

static void tell_computed(struct run *run) {
    if (run->options->computed != NULL && !run->has_told_computed) {
        run->has_told_computed = true;
        run->options->computed(run->options->computed_context);
    }
}

void run_tell_computed(struct run *run) {
    const struct stage_list list = run->manifest.list;
    const struct stage *until = run->options->until;
    const struct stage *last = until != NULL ? until : list.stages[list.stages_count - 1];
    if (performance_alone(run)->stage == last) {
        tell_computed(run);
    }
}

static bool execute_stages(struct run *run, struct stage_session *session, struct err *err) {
    struct stage_list list = run->manifest.list;
    const struct stage *until = run->options->until;
    size_t end = until == NULL ? list.stages_count : stage_index(list, until) + 1;
    size_t count = 0;
    assert(end <= list.stages_count);
    for (size_t index = 0; index < end; index += count) {
        if (!execute_next(run, list.stages + index, end - index, session, &count, err)) {
            return seal_rest(run, false, err);
        }
    }
    tell_computed(run);
    return seal_rest(run, true, err);
}

/* --- versions of stages ------------------------------------------------------------------------
 */

/* Sends or reports what others computed, as it lies in their tables. */
static bool only_tells(const struct stage *stage) {
    return stage->effect == EFFECT_SENDS || stage->effect == EFFECT_REPORTS;
}

/* Are the tables that the stage reads of the sealed one as this program knows them? */
static bool check_tables(struct run *run, const struct stage *stage,
                         const struct sealed_stage *sealed, struct err *err) {
    for (size_t index = 0; index < stage->inputs_count; index++) {
        const struct table_schema *schema = stage->inputs[index];
        const struct stage_output *output;
        struct table *table;
        if (stage_of_table(run->manifest.list, schema, &output) != sealed->stage) {
            continue;
        }
        if (!run_input_open(run, schema, 0, &table, err)) {
            return false;
        }
        table_close(table);
    }
    return true;
}

static bool refuse_version(const struct run *run, const struct sealed_stage *sealed,
                           struct err *err) {
    (void)err_set(err, ERR_MISMATCH,
                  "stage '%s': sealed by version %d of it, this program has version %d",
                  sealed->stage->name, sealed->version, sealed->stage->version);
    return err_hint(err, "use the program version that began this run, or begin anew %s",
                    run_is_replay(run) ? "in another --run-dir" : "with --restart");
}

/*
 * What is sealed by another version of a stage does not go with what this one would compute. But it
 * can be sent and reported, if its tables are still the same: items that an old run holds are still
 * owed. stages_count: of the sealed stages, those that stay.
 */
static bool check_versions(struct run *run, size_t stages_count, struct err *err) {
    struct stage_list list = run->manifest.list;
    for (size_t index = 0; index < stages_count; index++) {
        const struct sealed_stage *sealed = &run->manifest.stages[index];
        for (size_t next = stages_count;
             sealed->version != sealed->stage->version && next < list.stages_count; next++) {
            const struct stage *stage = list.stages[next];
            if (!(only_tells(stage) ? check_tables(run, stage, sealed, err)
                                    : refuse_version(run, sealed, err))) {
                return false;
            }
        }
    }
    return true;
}

bool run_execute(struct run *run, const struct run_options *options, struct stage_session *session,
                 struct err *err) {
    assert(run_is_locked(run) && options->jobs >= 1);
    /* A run that is finished needs nothing: also one of another program version. */
    if (!replay_check_ready(run, err) ||
        (run_next_stage(run) != NULL && !check_versions(run, run->manifest.stages_count, err)) ||
        (!run->is_saved && !save_manifest(run, err))) {
        return false;
    }
    run->options = options;
    run->has_told_computed = false;
    err_release(&run->unleft);
    run->unleft_stage = NULL;
    run->sealed_us = clock_monotonic_us(run->sys);
    bool is_fine = execute_stages(run, session, err);
    if (!is_fine && run->unleft_stage != NULL) {
        /* Whatever it led to, and whoever met it first. */
        err_release(err);
        *err = run->unleft;
        run->unleft = (struct err){0};
        run->unleft_stage = NULL;
    }
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
    if (!replay_check_ready(run, err) || !performance_begin(run, stage, false, err)) {
        return false;
    }
    run->options = options;
    progress_begin(run, stage);
    bool is_fine =
        stage->perform(run, stage, session, err) && totals_check(run_totals(run), stage->name, err);
    performances_drop(run);
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
    if (!check_versions(run, kept, err)) {
        return false; /* and nothing is lost */
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
