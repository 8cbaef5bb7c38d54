/* Tables and files of the stage being performed, and tables of the stages before it. */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "run_internal.h"

bool output_create(struct run *run, const struct table_schema *schema, size_t shard_index,
                   const char *input_sha256, struct table_writer **writer, struct err *err) {
    const struct stage *stage = run->performance.stage;
    const struct stage_output *output;
    assert(stage != NULL && stage_of_table(run->manifest.list, schema, &output) == stage);
    assert(shard_index == 0 || output->is_sharded);
    char relative[FILE_PATH_MAX];
    char path[FILE_PATH_MAX];
    char version[16];
    (void)snprintf(version, sizeof version, "%d", stage->version);
    const struct table_metadata metadata[] = {
        {.key = "stage", .value = stage->name},
        {.key = "stage_version", .value = version},
        {.key = "input_sha256", .value = input_sha256},
    };
    size_t metadata_count = input_sha256 == NULL ? 2 : 3;
    return table_path_format(relative, stage, schema, shard_index, err) &&
           run_path_format(run, path, relative, err) &&
           table_writer_create(run->sys, path, schema, metadata, metadata_count, writer, err);
}

bool run_output_create(struct run *run, const struct table_schema *schema, size_t shard_index,
                       struct table_writer **writer, struct err *err) {
    return output_create(run, schema, shard_index, NULL, writer, err);
}

static bool add_file(struct run *run, const char *relative, const struct table_seal *seal,
                     struct err *err) {
    (void)pthread_mutex_lock(&run->outputs_mutex);
    bool is_added = sealed_stage_add(&run->performance.sealed, relative, seal, err);
    (void)pthread_mutex_unlock(&run->outputs_mutex);
    return is_added;
}

/* Waits until the table is durable, and lists it. */
static bool finish_output(struct run *run, const struct ended_output *ended, struct err *err) {
    struct table_seal seal;
    char relative[FILE_PATH_MAX];
    return table_writer_commit(ended->writer, &seal, err) &&
           table_path_format(relative, run->performance.stage, ended->schema, ended->shard_index,
                             err) &&
           add_file(run, relative, &seal, err);
}

/* Takes the one that has been at it longest; false when there is none. */
static bool take_ended(struct run *run, struct ended_output *ended) {
    struct performance *performance = &run->performance;
    (void)pthread_mutex_lock(&run->outputs_mutex);
    bool is_taken = performance->ended_count > 0;
    if (is_taken) {
        *ended = performance->ended[0];
        performance->ended_count--;
        memmove(performance->ended, performance->ended + 1,
                performance->ended_count * sizeof performance->ended[0]);
    }
    (void)pthread_mutex_unlock(&run->outputs_mutex);
    return is_taken;
}

/* False: there are too many already. */
static bool keep_ended(struct run *run, const struct ended_output *ended) {
    struct performance *performance = &run->performance;
    (void)pthread_mutex_lock(&run->outputs_mutex);
    bool has_room = performance->ended_count < ENDED_OUTPUTS_MAX;
    if (has_room) {
        performance->ended[performance->ended_count++] = *ended;
    }
    (void)pthread_mutex_unlock(&run->outputs_mutex);
    return has_room;
}

bool run_output_commit(struct run *run, const struct table_schema *schema, size_t shard_index,
                       struct table_writer *writer, struct err *err) {
    const struct ended_output ended = {
        .schema = schema, .shard_index = shard_index, .writer = writer};
    if (!table_writer_end(writer, err)) {
        table_writer_destroy(writer);
        return false;
    }
    while (!keep_ended(run, &ended)) {
        struct ended_output oldest;
        if (take_ended(run, &oldest) && !finish_output(run, &oldest, err)) {
            table_writer_destroy(writer);
            return false;
        }
    }
    return true;
}

bool outputs_finish(struct run *run, struct err *err) {
    struct ended_output ended;
    while (take_ended(run, &ended)) {
        if (!finish_output(run, &ended, err)) {
            return false;
        }
    }
    return true;
}

void outputs_drop(struct run *run) {
    struct ended_output ended;
    while (take_ended(run, &ended)) {
        table_writer_destroy(ended.writer);
    }
}

bool run_output_file(struct run *run, const char *relative_path, uint64_t rows_count,
                     struct err *err) {
    assert(run->performance.stage != NULL);
    assert(stage_owns_path(run->performance.stage, relative_path));
    char path[FILE_PATH_MAX];
    struct table_seal seal;
    if (!run_path_format(run, path, relative_path, err) ||
        !table_file_digest(run->sys, path, &seal, err)) {
        return false;
    }
    seal.rows_count = rows_count;
    return add_file(run, relative_path, &seal, err);
}

bool run_output_sealed_file(struct run *run, const char *relative_path,
                            const struct table_seal *seal, struct err *err) {
    assert(run->performance.stage != NULL);
    assert(stage_owns_path(run->performance.stage, relative_path));
    return add_file(run, relative_path, seal, err);
}

struct totals *run_totals(struct run *run) {
    assert(run->performance.stage != NULL);
    return run->performance.sealed.totals;
}

/* NULL when the table is not there. The stage at hand counts with what it has committed already,
 * which the manifest does not list yet. */
static struct sealed_stage *stage_with(struct run *run, const struct stage *stage,
                                       const char *relative) {
    struct sealed_stage *sealed = manifest_find(&run->manifest, stage);
    if (sealed == NULL && run->performance.stage == stage) {
        sealed = &run->performance.sealed;
    }
    return sealed != NULL && sealed_stage_find(sealed, relative) != NULL ? sealed : NULL;
}

/* What a replay carried unread (see run_replay) is read now. */
static bool verify_unread(struct run *run, struct sealed_stage *sealed, const char *relative,
                          struct err *err) {
    (void)pthread_mutex_lock(&run->outputs_mutex);
    const struct run_file *file = sealed_stage_find(sealed, relative);
    bool is_fine = !file->is_unverified || verify_file(run, sealed->stage, file, err);
    if (is_fine) {
        sealed_stage_mark_unverified(sealed, relative, false);
    }
    (void)pthread_mutex_unlock(&run->outputs_mutex);
    return is_fine;
}

/* Several shards may open a table that is not sharded at once. */
static bool is_checked(struct run *run, const struct sealed_stage *sealed, const char *relative) {
    (void)pthread_mutex_lock(&run->outputs_mutex);
    bool was_checked = sealed_stage_find(sealed, relative)->is_checked;
    (void)pthread_mutex_unlock(&run->outputs_mutex);
    return was_checked;
}

/* Nobody else writes to a run that is locked; of another's no look holds for long. */
static void remember_checked(struct run *run, struct sealed_stage *sealed, const char *relative) {
    if (run_is_locked(run)) {
        (void)pthread_mutex_lock(&run->outputs_mutex);
        sealed_stage_mark_checked(sealed, relative);
        (void)pthread_mutex_unlock(&run->outputs_mutex);
    }
}

bool run_input_open(struct run *run, const struct table_schema *schema, size_t shard_index,
                    struct table **table, struct err *err) {
    assert(run->is_verified);
    const struct stage_output *output;
    const struct stage *stage = stage_of_table(run->manifest.list, schema, &output);
    assert(shard_index == 0 || output->is_sharded);
    if (stage == run->performance.stage && !outputs_finish(run, err)) {
        return false;
    }
    char relative[FILE_PATH_MAX];
    char path[FILE_PATH_MAX];
    if (!table_path_format(relative, stage, schema, shard_index, err) ||
        !run_path_format(run, path, relative, err)) {
        return false;
    }
    struct sealed_stage *sealed = stage_with(run, stage, relative);
    if (sealed == NULL) {
        (void)err_set(err, ERR_MISMATCH, "'%.600s' is not there: stage '%s' is not done", path,
                      stage->name);
        return err_hint(err, "type the command that began this run again, it goes on there");
    }
    if (!verify_unread(run, sealed, relative, err)) {
        return false;
    }
    if (sealed->is_own || is_checked(run, sealed, relative)) {
        return table_open_own(run->sys, path, schema, table, err);
    }
    if (!table_open(run->sys, path, schema, table, err)) {
        return false;
    }
    remember_checked(run, sealed, relative);
    return true;
}
