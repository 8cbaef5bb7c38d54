/*
 * A new run from the first stages of another.
 *
 * NEW's manifest is written twice: first with the pins and the origin but no stages, so that a
 * replay that died on the way can neither be taken for a run nor go on with half of its tables;
 * then, when every carried file is in place and durable, with the carried stages. Typing the same
 * replay again makes what is missing and compares what is there.
 */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "core/memory.h"
#include "run_internal.h"

const char pin_replay_path[] = "replay_of_path";

void replay_release(struct run *run) {
    for (size_t index = 0; index < run->carried_count; index++) {
        sealed_stage_release(&run->carried[index]);
    }
    mem_free(run->carried);
    mem_free(run->replaced);
    run->carried = NULL;
    run->carried_count = 0;
    run->replaced = NULL;
    run->replaced_count = 0;
}

bool replay_check_ready(const struct run *run, struct err *err) {
    const struct manifest *manifest = &run->manifest;
    if (manifest->replay_from == NULL ||
        manifest->stages_count >= stage_index(run->manifest.list, manifest->replay_from)) {
        return true;
    }
    (void)err_set(err, ERR_MISMATCH,
                  "'%.600s' is a replay from '%s' that was not finished being "
                  "made",
                  run->path, manifest->replay_from->name);
    return err_hint(err, "type the same periodclose replay again");
}

bool run_mark_replay(struct run *run, const char *origin, struct err *err) {
    assert(run_is_locked(run) && strlen(origin) == RUN_ID_TEXT_MAX - 1);
    if (run->manifest.stages_count > 0 && strcmp(run->manifest.replay_of, origin) != 0) {
        return err_set(err, ERR_MISMATCH, "'%.600s' is not a replay of %s", run->path, origin);
    }
    memcpy(run->manifest.replay_of, origin, RUN_ID_TEXT_MAX);
    return true;
}

/* --- beginning ------------------------------------------------------------------------------ */

static bool check_origin(const struct run *run, size_t stages_count, const struct stage *from,
                         struct err *err) {
    const struct manifest *manifest = &run->manifest;
    struct stage_list list = manifest->list;
    for (size_t index = 0; index < list.stages_count; index++) {
        if (index >= stages_count && list.stages[index]->effect == EFFECT_SOURCE) {
            (void)err_set(err, ERR_USAGE, "a replay cannot begin at '%s': it reads the source",
                          list.stages[stages_count]->name);
            return err_hint(err, "begin at a later stage, or use periodclose run");
        }
    }
    if (manifest->stages_count < stages_count) {
        (void)err_set(err, ERR_MISMATCH, "stage '%s' is not done in '%.600s'",
                      list.stages[manifest->stages_count]->name, run->path);
        return err_hint(err, "let that run go on first, or begin the replay there");
    }
    for (size_t index = 0; index < stages_count; index++) {
        const struct sealed_stage *sealed = &manifest->stages[index];
        if (sealed->version != sealed->stage->version) {
            (void)err_set(err, ERR_MISMATCH,
                          "stage '%s': sealed by version %d of it, this program has version %d",
                          sealed->stage->name, sealed->version, sealed->stage->version);
            return err_hint(err, "use the program version that made '%.300s'", run->path);
        }
    }
    return run->is_verified || verify_stages(run, stages_count, from, run->jobs, err);
}

/* From the root: later commands may be typed elsewhere. What is no UTF-8 is kept as it was typed.
 */
static bool keep_origin_path(struct run *replay, const char *path, struct err *err) {
    char full[FILE_PATH_MAX];
    if (!path_from_root(path, full, err)) {
        return false;
    }
    return run_pin(replay, PIN_VERSION, pin_replay_path,
                   text_is_utf8(text_from(full)) ? full : path, false, err);
}

/* A new directory gets the origin's pins; one that is there must be this replay. */
static bool prepare_manifest(struct run *replay, const struct run *run, const struct stage *from,
                             struct err *err) {
    struct manifest *manifest = &replay->manifest;
    const char *origin = run->manifest.id;
    if (replay->is_saved) {
        if (strcmp(manifest->replay_of, origin) == 0 && manifest->replay_from == from) {
            return true;
        }
        (void)err_set(
            err, ERR_MISMATCH, "'%.400s' was begun as %s%s from '%s', now a replay of %s from '%s'",
            replay->path, run_is_replay(replay) ? "a replay of " : "a run", manifest->replay_of,
            manifest->replay_from == NULL ? "the source" : manifest->replay_from->name, origin,
            from->name);
        return err_hint(err, HINT_REPLAY_ELSEWHERE);
    }
    for (size_t group = 0; group < PIN_GROUPS_COUNT; group++) {
        const struct pins *pins = &run->manifest.pins[group];
        for (size_t row = 0; row < pins->rows_count; row++) {
            struct pin pin = {.name = pins->rows[row].name, .value = pins->rows[row].value};
            bool is_own = group == PIN_VERSION && strcmp(pin.name, pin_replay_path) == 0;
            if (!is_own && !pins_add(&manifest->pins[group], pin, err)) {
                return false;
            }
        }
    }
    memcpy(manifest->replay_of, origin, RUN_ID_TEXT_MAX);
    manifest->replay_from = from;
    return keep_origin_path(replay, run->path, err) && run_save(replay, err);
}

/* --- carrying ------------------------------------------------------------------------------- */

static bool is_replaced(const struct run *replay, const struct stage *stage, const char *path) {
    for (size_t index = 0; index < replay->replaced_count; index++) {
        char replaced[FILE_PATH_MAX];
        struct err err = {0};
        if (table_path_format(replaced, stage, replay->replaced[index], 0, &err) &&
            strcmp(replaced, path) == 0) {
            return true;
        }
    }
    return false;
}

static bool carry_totals(struct sealed_stage *carried, const struct sealed_stage *sealed,
                         struct err *err) {
    carried->version = sealed->version;
    carried->elapsed_us = sealed->elapsed_us;
    return totals_merge(carried->totals, sealed->totals, err);
}

/* A journal may still grow where it is, so it is copied; a table is never written to again. */
static bool copy_file(const struct sys *sys, const char *from, const char *to, struct err *err) {
    struct mapping mapping;
    if (!file_map(sys, from, &mapping, err)) {
        return false;
    }
    struct text content = {.bytes = (const char *)mapping.bytes, .size_bytes = mapping.size_bytes};
    bool is_copied = file_replace(sys, to, content, err);
    file_unmap(sys, &mapping);
    return is_copied;
}

/* Linked, without a word to the disk yet: carry_stages syncs the folder. */
static bool carry_file(struct run *replay, const struct run *run, struct sealed_stage *carried,
                       const struct run_file *file, struct err *err) {
    char from[FILE_PATH_MAX];
    char to[FILE_PATH_MAX];
    struct table_seal seal = {
        .rows_count = file->rows_count, .size_bytes = file->size_bytes, .digest = file->digest};
    const char *ending = strrchr(file->path, '.');
    bool is_table = ending != NULL && strcmp(ending, ".arrow") == 0;
    if (!run_path_format(run, from, file->path, err) ||
        !run_path_format(replay, to, file->path, err) ||
        !(is_table ? path_share(run->sys, from, to, err) : copy_file(run->sys, from, to, err)) ||
        !sealed_stage_add(carried, file->path, &seal, err)) {
        return false;
    }
    bool is_unverified = !run->is_verified &&
                         !verify_is_read(run, carried->stage, file, replay->manifest.replay_from);
    sealed_stage_mark_unverified(carried, file->path, is_unverified);
    return true;
}

/* Does it to the folders of the files: a stage's own, and reports/ if it has some there. */
static bool each_folder(struct run *replay, const struct sealed_stage *sealed,
                        bool (*visit)(const struct sys *sys, const char *path, struct err *err),
                        struct err *err) {
    char visited[FILE_PATH_MAX] = "";
    for (size_t row = 0; row < sealed->files_count; row++) {
        const char *path = sealed->files[row].path;
        char folder[FILE_PATH_MAX];
        const char *end = strrchr(path, '/');
        if (!path_format(folder, err, "%s/%.*s", replay->path, (int)(end - path), path)) {
            return false;
        }
        if (strcmp(folder, visited) != 0 && !visit(replay->sys, folder, err)) {
            return false;
        }
        memcpy(visited, folder, sizeof visited);
    }
    return true;
}

static bool carry_stages(struct run *replay, const struct run *run, size_t stages_count,
                         struct err *err) {
    replay->carried = mem_alloc(stages_count * sizeof *replay->carried);
    if (replay->carried == NULL) {
        return err_memory(err, stages_count * sizeof *replay->carried);
    }
    for (size_t index = 0; index < stages_count; index++) {
        const struct sealed_stage *sealed = &run->manifest.stages[index];
        struct sealed_stage *carried = &replay->carried[index];
        if (!sealed_stage_init(carried, sealed->stage, err)) {
            return false;
        }
        replay->carried_count++;
        if (!carry_totals(carried, sealed, err) ||
            !each_folder(replay, sealed, directory_create_all, err)) {
            return false;
        }
        for (size_t row = 0; row < sealed->files_count; row++) {
            const struct run_file *file = &sealed->files[row];
            if (!is_replaced(replay, sealed->stage, file->path) &&
                !carry_file(replay, run, carried, file, err)) {
                return false;
            }
        }
        if (!each_folder(replay, sealed, directory_sync, err)) {
            return false;
        }
    }
    return true;
}

/* The replay is there already: what it carries must be what the origin has. */
static bool compare_stages(const struct run *replay, const struct run *run, size_t stages_count,
                           struct err *err) {
    for (size_t index = 0; index < stages_count; index++) {
        const struct sealed_stage *sealed = &run->manifest.stages[index];
        for (size_t row = 0; row < sealed->files_count; row++) {
            const struct run_file *file = &sealed->files[row];
            const struct run_file *carried = manifest_find_file(&replay->manifest, file->path);
            bool is_equal = carried != NULL && digest_equals(&carried->digest, &file->digest);
            if (!is_equal && !is_replaced(replay, sealed->stage, file->path)) {
                (void)err_set(err, ERR_MISMATCH, "'%.400s/%.300s' is not that of '%.300s'",
                              replay->path, file->path, run->path);
                return err_hint(err, HINT_REPLAY_ELSEWHERE);
            }
        }
    }
    return true;
}

/* Every carried file is in place: the second writing of the manifest. */
static bool adopt(struct run *replay, struct err *err) {
    struct manifest *manifest = &replay->manifest;
    assert(manifest->stages_count == 0 && replay->replaced_count == 0);
    size_t carried_count = replay->carried_count;
    memcpy(manifest->stages, replay->carried, carried_count * sizeof *replay->carried);
    manifest->stages_count = carried_count;
    manifest->shards_count = replay->carried_shards_count;
    replay->carried_count = 0;
    replay_release(replay);
    return manifest_update_id(manifest, err) && run_save(replay, err);
}

static bool make_replay(struct run *replay, const struct run *run, const struct stage *from,
                        struct err *err) {
    size_t stages_count = stage_index(run->manifest.list, from);
    if (!prepare_manifest(replay, run, from, err)) {
        return false;
    }
    if (replay->manifest.stages_count >= stages_count) {
        return compare_stages(replay, run, stages_count, err);
    }
    if (!carry_stages(replay, run, stages_count, err)) {
        return false;
    }
    replay->carried_shards_count = run->manifest.shards_count;
    return replay->replaced_count > 0 || adopt(replay, err);
}

static bool keep_replaced(struct run *replay, const struct table_schema *const *replaced,
                          size_t replaced_count, struct err *err) {
    replay->replaced = mem_alloc(replaced_count * sizeof(const struct table_schema *));
    if (replay->replaced == NULL) {
        return err_memory(err, replaced_count * sizeof(const struct table_schema *));
    }
    for (size_t index = 0; index < replaced_count; index++) {
        replay->replaced[index] = replaced[index];
    }
    replay->replaced_count = replaced_count;
    return true;
}

bool run_replay(struct run *run, const char *new_path, const struct stage *from,
                const struct table_schema *const *replaced, size_t replaced_count,
                struct run **replay, struct err *err) {
    size_t stages_count = stage_index(run->manifest.list, from);
    assert(stages_count < run->manifest.list.stages_count);
    for (size_t index = 0; index < replaced_count; index++) {
        const struct stage_output *output;
        assert(stage_index(run->manifest.list, stage_of_table(run->manifest.list, replaced[index],
                                                              &output)) < stages_count);
        assert(!output->is_sharded);
    }
    *replay = NULL;
    if (!check_origin(run, stages_count, from, err) ||
        !run_open(run->sys, new_path, run->manifest.list, RUN_CREATE, replay, err)) {
        return false;
    }
    if (!keep_replaced(*replay, replaced, replaced_count, err) ||
        !make_replay(*replay, run, from, err)) {
        run_close(*replay);
        *replay = NULL;
        return false;
    }
    return true;
}

/* --- replaced tables ------------------------------------------------------------------------ */

static size_t replaced_index(const struct run *replay, const struct table_schema *schema) {
    size_t index = 0;
    while (index < replay->replaced_count && replay->replaced[index] != schema) {
        index++;
    }
    assert(index < replay->replaced_count);
    return index;
}

/* Written beside, so that a sealed table is never overwritten before it is compared. */
static bool beside_path(const struct run *replay, const struct table_schema *schema,
                        char path[FILE_PATH_MAX], struct err *err) {
    return path_format(path, err, "%s/%s.arrow", replay->scratch_path, schema->name);
}

bool run_replay_create(struct run *replay, const struct table_schema *schema,
                       struct table_writer **writer, struct err *err) {
    (void)replaced_index(replay, schema);
    const struct stage *stage = stage_of_table(replay->manifest.list, schema, NULL);
    char path[FILE_PATH_MAX];
    char version[16];
    (void)snprintf(version, sizeof version, "%d", stage->version);
    const struct table_metadata metadata[] = {{.key = "stage", .value = stage->name},
                                              {.key = "stage_version", .value = version}};
    return directory_create(replay->sys, replay->scratch_path, err) &&
           beside_path(replay, schema, path, err) &&
           table_writer_create(replay->sys, path, schema, metadata, 2, writer, err);
}

static bool compare_replaced(struct run *replay, const char *relative, const char *beside,
                             const struct table_seal *seal, struct err *err) {
    const struct run_file *sealed = manifest_find_file(&replay->manifest, relative);
    if (sealed == NULL || !digest_equals(&sealed->digest, &seal->digest)) {
        (void)err_set(err, ERR_MISMATCH, "'%.400s/%.300s': this replay was begun with another one",
                      replay->path, relative);
        return err_hint(err, HINT_REPLAY_ELSEWHERE);
    }
    return path_remove(replay->sys, beside, err);
}

bool run_replay_commit(struct run *replay, const struct table_schema *schema,
                       struct table_writer *writer, struct err *err) {
    size_t index = replaced_index(replay, schema);
    const struct stage *stage = stage_of_table(replay->manifest.list, schema, NULL);
    char beside[FILE_PATH_MAX];
    char relative[FILE_PATH_MAX];
    char path[FILE_PATH_MAX];
    struct table_seal seal;
    if (!table_writer_commit(writer, &seal, err) || !beside_path(replay, schema, beside, err) ||
        !table_path_format(relative, stage, schema, 0, err) ||
        !run_path_format(replay, path, relative, err)) {
        return false;
    }
    bool is_sealed = replay->manifest.stages_count > 0;
    if (is_sealed) {
        if (!compare_replaced(replay, relative, beside, &seal, err)) {
            return false;
        }
    } else if (!path_rename(replay->sys, beside, path, err) ||
               !directory_sync_parent(replay->sys, path, err) ||
               !sealed_stage_add(&replay->carried[stage_index(replay->manifest.list, stage)],
                                 relative, &seal, err)) {
        return false;
    }
    replay->replaced[index] = replay->replaced[--replay->replaced_count];
    return is_sealed || replay->replaced_count > 0 || adopt(replay, err);
}
