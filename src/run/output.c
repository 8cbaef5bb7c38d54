/*
 * Tables and files of the stages at hand, and tables of those before them.
 *
 * A table that has ended is listed when it is written, and left when it is durable. Each of the two
 * is waited for under a mutex of its own, so that it is done once, whoever needs it: a shard that
 * is to read it, the end of its stage, a shard for whose tables there is no room.
 */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "run_internal.h"

static bool is_at_hand(struct run *run, const struct stage *stage) {
    (void)pthread_mutex_lock(&run->outputs_mutex);
    bool is_found = performance_find(run, stage) != NULL;
    (void)pthread_mutex_unlock(&run->outputs_mutex);
    return is_found;
}

bool output_create(struct run *run, const struct table_schema *schema, size_t shard_index,
                   const char *input_sha256, struct table_writer **writer, struct err *err) {
    const struct stage_output *output;
    const struct stage *stage = stage_of_table(run->manifest.list, schema, &output);
    assert(is_at_hand(run, stage));
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
    bool is_added = sealed_stage_add(&performance_alone(run)->sealed, relative, seal, err);
    (void)pthread_mutex_unlock(&run->outputs_mutex);
    return is_added;
}

/* --- listed -------------------------------------------------------------------------------------
 */

/* Under the mutex; NULL when it is left by now. */
static struct ended_output *find_ended(struct run *run, const struct table_writer *writer) {
    for (size_t index = 0; index < run->ended_count; index++) {
        if (run->ended[index].writer == writer) {
            return &run->ended[index];
        }
    }
    return NULL;
}

/* Waits until the table can be read, and lists it; it is at its temporary place until it is sealed.
 */
static bool list_output(struct run *run, const struct ended_output *ended, struct err *err) {
    struct table_seal seal;
    char relative[FILE_PATH_MAX];
    if (!table_writer_seal(ended->writer, &seal, err) ||
        !table_path_format(relative, ended->stage, ended->schema, ended->shard_index, err)) {
        return false;
    }
    (void)pthread_mutex_lock(&run->outputs_mutex);
    struct sealed_stage *sealed = &performance_find(run, ended->stage)->sealed;
    bool is_added = sealed_stage_add(sealed, relative, &seal, err);
    if (is_added) {
        sealed_stage_mark_temporary(sealed, relative);
        find_ended(run, ended->writer)->is_listed = true;
    }
    (void)pthread_mutex_unlock(&run->outputs_mutex);
    return is_added;
}

/* One that has ended and is not listed: of a stage, or also of one schema (NULL: any) and shard. */
static bool find_unlisted(struct run *run, const struct stage *stage,
                          const struct table_schema *schema, size_t shard_index,
                          struct ended_output *found) {
    bool is_found = false;
    (void)pthread_mutex_lock(&run->outputs_mutex);
    for (size_t index = 0; !is_found && index < run->ended_count; index++) {
        const struct ended_output *ended = &run->ended[index];
        is_found =
            !ended->is_listed && ended->stage == stage &&
            (schema == NULL || (ended->schema == schema && ended->shard_index == shard_index));
        *found = *ended;
    }
    (void)pthread_mutex_unlock(&run->outputs_mutex);
    return is_found;
}

bool outputs_list(struct run *run, const struct table_schema *schema, size_t shard_index,
                  struct err *err) {
    const struct stage *stage = stage_of_table(run->manifest.list, schema, NULL);
    struct ended_output ended;
    if (!find_unlisted(run, stage, schema, shard_index, &ended)) {
        return true;
    }
    (void)pthread_mutex_lock(&run->listing_mutex);
    bool is_fine =
        !find_unlisted(run, stage, schema, shard_index, &ended) || list_output(run, &ended, err);
    (void)pthread_mutex_unlock(&run->listing_mutex);
    return is_fine;
}

bool outputs_finish(struct run *run, const struct stage *stage, struct err *err) {
    struct ended_output ended;
    while (find_unlisted(run, stage, NULL, 0, &ended)) {
        if (!outputs_list(run, ended.schema, ended.shard_index, err)) {
            return false;
        }
    }
    return true;
}

/* --- left ---------------------------------------------------------------------------------------
 */

/* The same to whoever asks. */
static bool tell_unleft(const struct run *run, struct err *err) {
    (void)err_set(err, run->unleft.code, "%s", run->unleft.message);
    return err_hint(err, "%s", run->unleft.hint);
}

/* Waits until a listed table is durable. The writer is gone afterwards: that it is not stays known,
 * as its stage must not be sealed, nor any after it. */
static bool leave_output(struct run *run, const struct ended_output *ended, struct err *err) {
    struct err failure = {0};
    (void)pthread_mutex_lock(&run->outputs_mutex);
    struct ended_output *removed = find_ended(run, ended->writer);
    assert(removed->is_listed);
    run->ended_count--;
    memmove(removed, removed + 1,
            (size_t)(run->ended + run->ended_count - removed) * sizeof *removed);
    (void)pthread_mutex_unlock(&run->outputs_mutex);
    if (table_writer_leave(ended->writer, &failure)) {
        return true;
    }
    (void)err_wrap(&failure, "stage '%s'", ended->stage->name);
    if (run->unleft_stage == NULL) {
        run->unleft = failure;
        run->unleft_stage = ended->stage;
    } else {
        err_release(&failure);
    }
    return tell_unleft(run, err);
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

/* One that is durable already, or else the one that has been at it longest; false: there is room.
 */
static bool find_leaving(struct run *run, struct ended_output *found) {
    (void)pthread_mutex_lock(&run->outputs_mutex);
    bool is_full = run->ended_count == ENDED_OUTPUTS_MAX;
    size_t index = 0;
    while (index < run->ended_count && !table_writer_is_left(run->ended[index].writer)) {
        index++;
    }
    if (is_full) {
        *found = run->ended[index < run->ended_count ? index : 0];
    }
    (void)pthread_mutex_unlock(&run->outputs_mutex);
    return is_full;
}

/* Nobody seals the stage of a table that somebody still waits for. */
static bool make_room(struct run *run, struct err *err) {
    struct ended_output ended;
    (void)pthread_mutex_lock(&run->leaving_mutex);
    bool is_fine =
        !find_leaving(run, &ended) ||
        (outputs_list(run, ended.schema, ended.shard_index, err) && leave_output(run, &ended, err));
    (void)pthread_mutex_unlock(&run->leaving_mutex);
    return is_fine;
}

bool run_output_commit(struct run *run, const struct table_schema *schema, size_t shard_index,
                       struct table_writer *writer, struct err *err) {
    const struct ended_output ended = {.stage = stage_of_table(run->manifest.list, schema, NULL),
                                       .schema = schema,
                                       .shard_index = shard_index,
                                       .writer = writer};
    assert(is_at_hand(run, ended.stage));
    if (!table_writer_end(writer, err)) {
        table_writer_destroy(writer);
        return false;
    }
    while (!keep_ended(run, &ended)) {
        if (!make_room(run, err)) {
            table_writer_destroy(writer);
            return false;
        }
    }
    return true;
}

/* Of the stage, or of one before it, that may not be durable yet. */
static bool find_unsettled(struct run *run, const struct stage *stage, struct ended_output *found) {
    bool is_found = false;
    (void)pthread_mutex_lock(&run->outputs_mutex);
    for (size_t index = 0; !is_found && index < run->ended_count; index++) {
        is_found = run->ended[index].stage->number <= stage->number;
        *found = run->ended[index];
    }
    (void)pthread_mutex_unlock(&run->outputs_mutex);
    return is_found;
}

bool outputs_settle(struct run *run, const struct stage *stage, struct err *err) {
    struct ended_output ended;
    (void)pthread_mutex_lock(&run->leaving_mutex);
    bool is_fine = run->unleft_stage == NULL || run->unleft_stage->number > stage->number ||
                   tell_unleft(run, err);
    while (is_fine && find_unsettled(run, stage, &ended)) {
        is_fine = leave_output(run, &ended, err);
    }
    (void)pthread_mutex_unlock(&run->leaving_mutex);
    return is_fine;
}

bool outputs_are_settled(struct run *run, const struct stage *stage) {
    bool are_settled = true;
    (void)pthread_mutex_lock(&run->outputs_mutex);
    for (size_t index = 0; are_settled && index < run->ended_count; index++) {
        are_settled = run->ended[index].stage->number > stage->number ||
                      table_writer_is_left(run->ended[index].writer);
    }
    (void)pthread_mutex_unlock(&run->outputs_mutex);
    return are_settled;
}

void outputs_drop(struct run *run, const struct stage *stage) {
    size_t kept = 0;
    for (size_t index = 0; index < run->ended_count; index++) {
        if (run->ended[index].stage == stage) {
            table_writer_destroy(run->ended[index].writer);
        } else {
            run->ended[kept++] = run->ended[index];
        }
    }
    run->ended_count = kept;
}

/* --- files --------------------------------------------------------------------------------------
 */

bool run_output_file(struct run *run, const char *relative_path, uint64_t rows_count,
                     struct err *err) {
    assert(stage_owns_path(performance_alone(run)->stage, relative_path));
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
    assert(stage_owns_path(performance_alone(run)->stage, relative_path));
    return add_file(run, relative_path, seal, err);
}

struct totals *run_totals(struct run *run) {
    return performance_alone(run)->sealed.totals;
}

/* --- read ---------------------------------------------------------------------------------------
 */

/* Under the mutex; NULL when the table is not there. Stages at hand count with what they have
 * listed already, which the manifest does not yet. */
static struct sealed_stage *stage_with(struct run *run, const struct stage *stage,
                                       const char *relative) {
    struct sealed_stage *sealed = manifest_find(&run->manifest, stage);
    struct performance *performance = sealed == NULL ? performance_find(run, stage) : NULL;
    if (performance != NULL) {
        sealed = &performance->sealed;
    }
    return sealed != NULL && sealed_stage_find(sealed, relative) != NULL ? sealed : NULL;
}

struct run_file output_file(struct run *run, const struct stage *stage, const char *relative) {
    (void)pthread_mutex_lock(&run->outputs_mutex);
    const struct sealed_stage *sealed = stage_with(run, stage, relative);
    assert(sealed != NULL);
    struct run_file file = *sealed_stage_find(sealed, relative);
    (void)pthread_mutex_unlock(&run->outputs_mutex);
    return file;
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

/*
 * A table that is not there, or is not as this program knows it, may be of another version of its
 * stage: that is no damage, and going on with the run would not mend it.
 */
static bool tell_version(struct run *run, const struct stage *stage, struct err *err) {
    (void)pthread_mutex_lock(&run->outputs_mutex);
    const struct sealed_stage *sealed = manifest_find(&run->manifest, stage);
    int version = sealed != NULL ? sealed->version : stage->version;
    (void)pthread_mutex_unlock(&run->outputs_mutex);
    if (version == stage->version || (err->code != ERR_DAMAGED && err->code != ERR_MISMATCH)) {
        return false;
    }
    err->code = ERR_MISMATCH;
    (void)err_wrap(err, "stage '%s' was sealed by version %d of it, this program has version %d",
                   stage->name, version, stage->version);
    return err_hint(err,
                    "use the program version that closed it; its reports are whole, and status "
                    "and inspect of its other tables work as ever");
}

/* A table that this process left; it is not renamed meanwhile. Needs no second look. */
static bool open_own(struct run *run, const struct sealed_stage *sealed, const char *relative,
                     const struct table_schema *schema, struct table **table, struct err *err) {
    char path[FILE_PATH_MAX];
    char final_path[FILE_PATH_MAX];
    if (!run_path_format(run, final_path, relative, err)) {
        return false;
    }
    bool is_temporary = sealed_stage_find(sealed, relative)->is_temporary;
    if (is_temporary && !file_replace_path(final_path, path, err)) {
        return false;
    }
    return table_open_own(run->sys, is_temporary ? path : final_path, schema, table, err);
}

/* A table that another process left: of a stage that stays where it is in the manifest. */
static bool open_sealed(struct run *run, struct sealed_stage *sealed, const char *relative,
                        const struct table_schema *schema, struct table **table, struct err *err) {
    char path[FILE_PATH_MAX];
    if (!verify_unread(run, sealed, relative, err) || !run_path_format(run, path, relative, err)) {
        return false;
    }
    if (is_checked(run, sealed, relative)) {
        return table_open_own(run->sys, path, schema, table, err);
    }
    if (!table_open(run->sys, path, schema, table, err)) {
        return false;
    }
    remember_checked(run, sealed, relative);
    return true;
}

static bool tell_missing(const char *relative, struct run *run, const struct stage *stage,
                         struct err *err) {
    char path[FILE_PATH_MAX];
    if (!run_path_format(run, path, relative, err)) {
        return false;
    }
    (void)err_set(err, ERR_MISMATCH, "'%.600s' is not there: stage '%s' is not done", path,
                  stage->name);
    (void)err_hint(err, "type the command that began this run again, it goes on there");
    return tell_version(run, stage, err);
}

bool run_input_open(struct run *run, const struct table_schema *schema, size_t shard_index,
                    struct table **table, struct err *err) {
    assert(run->is_verified);
    const struct stage_output *output;
    const struct stage *stage = stage_of_table(run->manifest.list, schema, &output);
    assert(shard_index == 0 || output->is_sharded);
    char relative[FILE_PATH_MAX];
    if (!table_path_format(relative, stage, schema, shard_index, err) ||
        !outputs_list(run, schema, shard_index, err)) {
        return false;
    }
    (void)pthread_mutex_lock(&run->outputs_mutex);
    struct sealed_stage *sealed = stage_with(run, stage, relative);
    bool is_own = sealed != NULL && sealed->is_own;
    bool is_open = is_own && open_own(run, sealed, relative, schema, table, err);
    (void)pthread_mutex_unlock(&run->outputs_mutex);
    if (sealed == NULL) {
        return tell_missing(relative, run, stage, err);
    }
    if (!is_own) {
        is_open = open_sealed(run, sealed, relative, schema, table, err);
    }
    return is_open || tell_version(run, stage, err);
}
