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

/* Waits until the table can be read, and lists it; it is at its temporary place until it is sealed.
 */
static bool list_output(struct run *run, const struct ended_output *ended, struct err *err) {
    struct table_seal seal;
    char relative[FILE_PATH_MAX];
    assert(ended->stage == run->performance.stage);
    if (!table_writer_seal(ended->writer, &seal, err) ||
        !table_path_format(relative, ended->stage, ended->schema, ended->shard_index, err)) {
        return false;
    }
    (void)pthread_mutex_lock(&run->outputs_mutex);
    bool is_added = sealed_stage_add(&run->performance.sealed, relative, &seal, err);
    if (is_added) {
        sealed_stage_mark_temporary(&run->performance.sealed, relative);
    }
    (void)pthread_mutex_unlock(&run->outputs_mutex);
    return is_added;
}

/* Waits until it is durable, too. The writer is gone afterwards. */
static bool leave_output(struct run *run, const struct ended_output *ended, struct err *err) {
    if (!ended->is_listed && !list_output(run, ended, err)) {
        table_writer_destroy(ended->writer);
        return false;
    }
    return table_writer_leave(ended->writer, err);
}

/* Under the mutex. */
static struct ended_output remove_ended(struct run *run, size_t index) {
    struct ended_output removed = run->ended[index];
    run->ended_count--;
    memmove(run->ended + index, run->ended + index + 1,
            (run->ended_count - index) * sizeof run->ended[0]);
    return removed;
}

/* Takes one that is durable already, or else the one that has been at it longest; false when there
 * is none. */
static bool take_ended(struct run *run, struct ended_output *ended) {
    (void)pthread_mutex_lock(&run->outputs_mutex);
    bool is_taken = run->ended_count > 0;
    size_t index = 0;
    while (index < run->ended_count && !table_writer_is_left(run->ended[index].writer)) {
        index++;
    }
    if (is_taken) {
        *ended = remove_ended(run, index < run->ended_count ? index : 0);
    }
    (void)pthread_mutex_unlock(&run->outputs_mutex);
    return is_taken;
}

/* False: there are too many already. */
static bool keep_ended(struct run *run, const struct ended_output *ended) {
    (void)pthread_mutex_lock(&run->outputs_mutex);
    bool has_room = run->ended_count < ENDED_OUTPUTS_MAX;
    if (has_room) {
        run->ended[run->ended_count++] = *ended;
    }
    (void)pthread_mutex_unlock(&run->outputs_mutex);
    return has_room;
}

bool run_output_commit(struct run *run, const struct table_schema *schema, size_t shard_index,
                       struct table_writer *writer, struct err *err) {
    const struct ended_output ended = {.stage = run->performance.stage,
                                       .schema = schema,
                                       .shard_index = shard_index,
                                       .writer = writer};
    if (!table_writer_end(writer, err)) {
        table_writer_destroy(writer);
        return false;
    }
    while (!keep_ended(run, &ended)) {
        struct ended_output oldest;
        if (take_ended(run, &oldest) && !leave_output(run, &oldest, err)) {
            table_writer_destroy(writer);
            return false;
        }
    }
    return true;
}

/* One that is not listed yet, and is from now on; false when there is none. */
static bool take_unlisted(struct run *run, struct ended_output *ended) {
    bool is_taken = false;
    (void)pthread_mutex_lock(&run->outputs_mutex);
    for (size_t index = 0; !is_taken && index < run->ended_count; index++) {
        is_taken = !run->ended[index].is_listed;
        run->ended[index].is_listed = true;
        *ended = run->ended[index];
    }
    (void)pthread_mutex_unlock(&run->outputs_mutex);
    return is_taken;
}

bool outputs_finish(struct run *run, struct err *err) {
    struct ended_output ended;
    while (take_unlisted(run, &ended)) {
        if (!list_output(run, &ended, err)) {
            return false;
        }
    }
    return true;
}

/* Has the stage, or one before it, tables that may not be durable yet? They stand in front. */
static bool has_ended(const struct run *run, const struct stage *stage) {
    return run->ended_count > 0 && run->ended[0].stage->number <= stage->number;
}

bool outputs_settle(struct run *run, const struct stage *stage, struct err *err) {
    struct ended_output ended;
    while (has_ended(run, stage)) {
        ended = remove_ended(run, 0);
        if (!leave_output(run, &ended, err)) {
            return false;
        }
    }
    return true;
}

bool outputs_are_settled(struct run *run, const struct stage *stage) {
    for (size_t index = 0; index < run->ended_count; index++) {
        if (run->ended[index].stage->number <= stage->number &&
            !table_writer_is_left(run->ended[index].writer)) {
            return false;
        }
    }
    return true;
}

void outputs_drop(struct run *run, const struct stage *stage) {
    for (size_t index = run->ended_count; index-- > 0;) {
        if (run->ended[index].stage == stage) {
            table_writer_destroy(remove_ended(run, index).writer);
        }
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

/* Where a listed file is by now. */
static bool place_format(struct run *run, const struct sealed_stage *sealed, const char *relative,
                         char path[FILE_PATH_MAX], struct err *err) {
    char final_path[FILE_PATH_MAX];
    (void)pthread_mutex_lock(&run->outputs_mutex);
    bool is_temporary = sealed_stage_find(sealed, relative)->is_temporary;
    (void)pthread_mutex_unlock(&run->outputs_mutex);
    return is_temporary ? run_path_format(run, final_path, relative, err) &&
                              file_replace_path(final_path, path, err)
                        : run_path_format(run, path, relative, err);
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

/*
 * A table that is not there, or is not as this program knows it, may be of another version of its
 * stage: that is no damage, and going on with the run would not mend it.
 */
static bool tell_version(struct run *run, const struct stage *stage, struct err *err) {
    const struct sealed_stage *sealed = manifest_find(&run->manifest, stage);
    bool is_other = sealed != NULL && sealed->version != stage->version;
    if (!is_other || (err->code != ERR_DAMAGED && err->code != ERR_MISMATCH)) {
        return false;
    }
    err->code = ERR_MISMATCH;
    (void)err_wrap(err, "stage '%s' was sealed by version %d of it, this program has version %d",
                   stage->name, sealed->version, stage->version);
    return err_hint(err,
                    "use the program version that closed it; its reports are whole, and status "
                    "and inspect of its other tables work as ever");
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
        (void)err_hint(err, "type the command that began this run again, it goes on there");
        return tell_version(run, stage, err);
    }
    if (!verify_unread(run, sealed, relative, err) ||
        !place_format(run, sealed, relative, path, err)) {
        return false;
    }
    if (sealed->is_own || is_checked(run, sealed, relative)) {
        return table_open_own(run->sys, path, schema, table, err) || tell_version(run, stage, err);
    }
    if (!table_open(run->sys, path, schema, table, err)) {
        return tell_version(run, stage, err);
    }
    remember_checked(run, sealed, relative);
    return true;
}
