/*
 * Stages that only compute, one behind the other, performed together: a shard of a stage is
 * computed as soon as the shards that it is computed from are, whatever others of their stages do.
 *
 * The shards of all stages have places in one row, stage after stage, and behind a stage's last
 * shard its end has one. Workers take shards in this order, so what a shard waits for is done or at
 * work. One more thread ends the stages, in order, and now and then seals them, and so no worker
 * waits for the disk; with one job the only worker does that, too, behind a stage's last shard.
 *
 * Whatever fails keeps its place. Nothing is begun behind the first failure, all before it is
 * finished, and it is the one that is told: the same one with any number of jobs. Stages before it
 * are ended, those that it is in or before are dropped.
 */
#include <assert.h>
#include <stdatomic.h>
#include <stdint.h>

#include "core/memory.h"
#include "run_internal.h"
#include "sys/clock.h"
#include "sys/process.h"

static const int64_t SEAL_INTERVAL_US = 1000000;

struct group_stage {
    const struct stage *stage;
    struct performance *performance;
    size_t shards_count;
    size_t place;           /* of its first shard */
    struct totals **totals; /* by shard */
    bool *is_computed;      /* by shard */
    size_t computed_count;
    atomic_size_t told_count; /* as far as progress is told */
};

struct group {
    struct run *run;
    size_t jobs;
    struct group_stage stages[STAGES_AT_HAND_MAX];
    size_t stages_count;
    pthread_mutex_t mutex; /* guards what follows, and is_computed and computed_count of stages */
    pthread_cond_t changed;
    size_t next_stage; /* of the shard that is taken next */
    size_t next_shard;
    size_t front;        /* the first stage that is not ended */
    size_t failed_place; /* SIZE_MAX: nothing failed */
    struct err err;
    bool is_unsealed; /* a stage that was ended could not be sealed */
};

static size_t end_place(const struct group_stage *stage) {
    return stage->place + stage->shards_count;
}

/* Keeps err when it is the first by its place, releases it otherwise. */
static void group_fail(struct group *group, size_t place, struct err *err) {
    assert(err->code != ERR_NONE);
    (void)pthread_mutex_lock(&group->mutex);
    if (place < group->failed_place) {
        err_release(&group->err);
        group->err = *err;
        group->failed_place = place;
    } else {
        err_release(err);
    }
    (void)pthread_cond_broadcast(&group->changed);
    (void)pthread_mutex_unlock(&group->mutex);
}

static void group_fail_stage(struct group *group, const struct group_stage *stage, size_t place,
                             struct err *err) {
    (void)err_wrap(err, "stage '%s'", stage->stage->name);
    group_fail(group, place, err);
}

/* --- shards -------------------------------------------------------------------------------------
 */

static bool group_take(struct group *group, struct group_stage **stage, size_t *shard_index) {
    (void)pthread_mutex_lock(&group->mutex);
    bool is_taken = group->next_stage < group->stages_count;
    if (is_taken) {
        *stage = &group->stages[group->next_stage];
        *shard_index = group->next_shard++;
        if (group->next_shard == (*stage)->shards_count) {
            group->next_stage++;
            group->next_shard = 0;
        }
        is_taken = (*stage)->place + *shard_index < group->failed_place;
    }
    (void)pthread_mutex_unlock(&group->mutex);
    return is_taken;
}

/* False: something before the place failed. */
static bool group_wait_shard(struct group *group, const struct group_stage *origin,
                             size_t shard_index, size_t place) {
    (void)pthread_mutex_lock(&group->mutex);
    while (!origin->is_computed[shard_index] && group->failed_place > place) {
        (void)pthread_cond_wait(&group->changed, &group->mutex);
    }
    bool is_computed = origin->is_computed[shard_index];
    (void)pthread_mutex_unlock(&group->mutex);
    return is_computed;
}

/* Until what the shard reads of stages of the group can be read. A file that cannot is the failure
 * of the stage that left it, not of this one. */
static bool group_wait_inputs(struct group *group, const struct group_stage *stage,
                              size_t shard_index) {
    struct run *run = group->run;
    for (size_t index = 0; index < stage->stage->inputs_count; index++) {
        const struct table_schema *schema = stage->stage->inputs[index];
        const struct stage_output *output;
        const struct stage *origin = stage_of_table(run->manifest.list, schema, &output);
        size_t table_shard = output->is_sharded ? shard_index : 0;
        for (const struct group_stage *before = group->stages; before < stage; before++) {
            struct err err = {0};
            if (before->stage != origin) {
                continue;
            }
            if (!group_wait_shard(group, before, table_shard, stage->place + shard_index)) {
                return false;
            }
            if (!outputs_list(run, schema, table_shard, &err)) {
                group_fail_stage(group, before, end_place(before), &err);
                return false;
            }
        }
    }
    return true;
}

static void group_tell_computed(struct group *group, struct group_stage *stage,
                                size_t shard_index) {
    size_t told_count = atomic_fetch_add(&stage->told_count, 1) + 1;
    (void)pthread_mutex_lock(&group->mutex);
    bool is_front = stage == &group->stages[group->front];
    (void)pthread_mutex_unlock(&group->mutex);
    if (is_front) { /* and stays it, as this shard is not known to be computed yet */
        progress_go_on(group->run, stage->performance, told_count, stage->shards_count, "shards");
    }
    (void)pthread_mutex_lock(&group->mutex);
    stage->is_computed[shard_index] = true;
    stage->computed_count++;
    (void)pthread_cond_broadcast(&group->changed);
    (void)pthread_mutex_unlock(&group->mutex);
}

static void group_compute(struct group *group, struct group_stage *stage, size_t shard_index) {
    struct err err = {0};
    if (!group_wait_inputs(group, stage, shard_index)) {
        return;
    }
    stage->totals[shard_index] = totals_create(&err);
    if (stage->totals[shard_index] != NULL && interrupt_check(&err) &&
        compute_shard(group->run, stage->stage, shard_index, stage->totals[shard_index], &err)) {
        group_tell_computed(group, stage, shard_index);
    } else {
        group_fail_stage(group, stage, stage->place + shard_index, &err);
    }
}

/* --- stages -------------------------------------------------------------------------------------
 */

static bool merge_totals(const struct group_stage *stage, struct err *err) {
    for (size_t shard_index = 0; shard_index < stage->shards_count; shard_index++) {
        if (!totals_merge(stage->performance->sealed.totals, stage->totals[shard_index], err)) {
            return false;
        }
    }
    return true;
}

/* The stage that is in front is ended, and the next one is. */
static bool group_end_stage(struct group *group, struct err *err) {
    struct run *run = group->run;
    struct group_stage *stage = &group->stages[group->front];
    struct group_stage *next = stage + 1 < group->stages + group->stages_count ? stage + 1 : NULL;
    if (!merge_totals(stage, err) || !performance_end(run, stage->performance, err)) {
        return err_wrap(err, "stage '%s'", stage->stage->name);
    }
    progress_tell(run, RUN_STAGE_ENDS, stage->stage, run_stage_elapsed_us(run, stage->stage));
    if (next != NULL) {
        next->performance->started_us = clock_monotonic_us(run->sys);
        progress_begin(run, next->stage);
    }
    (void)pthread_mutex_lock(&group->mutex);
    group->front++;
    (void)pthread_mutex_unlock(&group->mutex);
    return true;
}

/*
 * Whoever ends the stages waits for the disk then, and the last of them must not wait for him: only
 * where a death would cost more than that, or nobody else is at work.
 */
static bool group_should_seal(const struct group *group) {
    struct run *run = group->run;
    return group->front < group->stages_count && seal_is_ready(run, 1) &&
           (group->jobs == 1 || clock_monotonic_us(run->sys) - run->sealed_us >= SEAL_INTERVAL_US);
}

/* Ends the stages that are computed. waits: also those that are to be. */
static void group_end_stages(struct group *group, bool waits) {
    struct run *run = group->run;
    for (;;) {
        const struct group_stage *stage = &group->stages[group->front];
        bool is_due = false;
        (void)pthread_mutex_lock(&group->mutex);
        while (group->front < group->stages_count && group->failed_place > end_place(stage)) {
            is_due = stage->computed_count == stage->shards_count;
            if (is_due || !waits) {
                break;
            }
            (void)pthread_cond_wait(&group->changed, &group->mutex);
        }
        (void)pthread_mutex_unlock(&group->mutex);
        if (!is_due) {
            return;
        }
        struct err err = {0};
        if (!group_end_stage(group, &err)) {
            group_fail(group, end_place(stage), &err);
        } else if (group_should_seal(group) && !seal_durable(run, 1, &err)) {
            group->is_unsealed = true;
            group_fail(group, 0, &err); /* where all is computed, and nothing failed */
        }
    }
}

/* --- threads ------------------------------------------------------------------------------------
 */

static bool group_work(void *context, size_t index, struct err *err) {
    struct group *group = context;
    struct group_stage *stage;
    size_t shard_index;
    (void)err;
    while (index < group->jobs && group_take(group, &stage, &shard_index)) {
        group_compute(group, stage, shard_index);
        if (group->jobs == 1) {
            group_end_stages(group, false);
        }
    }
    if (index == group->jobs) {
        group_end_stages(group, true);
    }
    return true;
}

static bool group_begin(struct group *group, const struct stage *const *stages, struct err *err) {
    struct run *run = group->run;
    size_t place = 0;
    for (size_t index = 0; index < group->stages_count; index++) {
        struct group_stage *stage = &group->stages[index];
        stage->stage = stages[index];
        stage->shards_count = compute_shards_count(run, stages[index]);
        stage->place = place;
        stage->totals = mem_alloc(stage->shards_count * sizeof(struct totals *));
        stage->is_computed = mem_alloc(stage->shards_count * sizeof(bool));
        place += stage->shards_count + 1;
        if (stage->totals == NULL || stage->is_computed == NULL) {
            return err_memory(err, stage->shards_count * sizeof(struct totals *));
        }
        if (!performance_begin(run, stages[index], true, err)) {
            return err_wrap(err, "stage '%s'", stages[index]->name);
        }
        stage->performance = performance_find(run, stages[index]);
    }
    progress_begin(run, stages[0]);
    return true;
}

static void group_release(struct group *group) {
    for (size_t index = 0; index < group->stages_count; index++) {
        struct group_stage *stage = &group->stages[index];
        for (size_t shard = 0; stage->totals != NULL && shard < stage->shards_count; shard++) {
            totals_destroy(stage->totals[shard]);
        }
        mem_free(stage->totals);
        mem_free(stage->is_computed);
    }
}

bool group_perform(struct run *run, const struct stage *const *stages, size_t stages_count,
                   struct err *err) {
    assert(stages_count >= 1 && stages_count <= STAGES_AT_HAND_MAX);
    struct group group = {.run = run,
                          .jobs = run->options->jobs,
                          .stages_count = stages_count,
                          .failed_place = SIZE_MAX};
    bool is_fine = group_begin(&group, stages, err);
    if (is_fine) {
        (void)pthread_mutex_init(&group.mutex, NULL);
        (void)pthread_cond_init(&group.changed, NULL);
        size_t threads_count = group.jobs == 1 ? 1 : group.jobs + 1;
        (void)process_parallel(threads_count, threads_count, group_work, &group, err);
        (void)pthread_cond_destroy(&group.changed);
        (void)pthread_mutex_destroy(&group.mutex);
        is_fine = group.failed_place == SIZE_MAX;
        assert(!is_fine || group.front == stages_count);
        if (!is_fine) {
            *err = group.err;
        }
    }
    group_release(&group);
    performances_drop(run);
    if (group.is_unsealed) {
        seal_forget(run);
    }
    return is_fine;
}
