/* Sealed files are what the manifest says: each is read whole before any of it is used. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"
#include "core/shell.h"
#include "run_internal.h"
#include "sys/process.h"

struct sealed_file {
    const struct run_file *file;
    const struct stage *stage;
};

struct verification {
    const struct run *run;
    struct sealed_file *files;
    size_t files_count;
};

static bool hint(const struct run *run, const struct stage *stage, struct err *err) {
    if (stage->effect == EFFECT_REPORTS) {
        return err_hint(err, "to write it again: periodclose report %s",
                        shell_word(run->path, &(struct shell_word){0}));
    }
    if (stage->effect == EFFECT_NONE) {
        return err_hint(err,
                        "%scompute it again elsewhere: periodclose replay %s --from %s "
                        "--run-dir NEW",
                        run_is_replay(run) ? "" : "run again with --restart, or ",
                        shell_word(run->path, &(struct shell_word){0}), stage->name);
    }
    return err_hint(err, HINT_RESTORE);
}

bool verify_file(const struct run *run, const struct stage *stage, const struct run_file *file,
                 struct err *err) {
    char path[FILE_PATH_MAX];
    enum path_kind kind;
    if (!interrupt_check(err) || !run_path_format(run, path, file->path, err) ||
        !path_kind(run->sys, path, &kind, err)) {
        return false;
    }
    if (kind != PATH_FILE) {
        (void)err_set(err, ERR_DAMAGED, "'%.600s' %s", path,
                      kind == PATH_MISSING ? "is missing, the manifest lists it"
                                           : "is not a regular file");
        return hint(run, stage, err);
    }
    struct table_seal seal;
    if (!table_file_digest(run->sys, path, &seal, err)) {
        return false;
    }
    if (seal.size_bytes != file->size_bytes) {
        (void)err_set(err, ERR_DAMAGED,
                      "'%.600s' is damaged: it has %llu bytes, the manifest says %llu", path,
                      (unsigned long long)seal.size_bytes, (unsigned long long)file->size_bytes);
        return hint(run, stage, err);
    }
    if (!digest_equals(&seal.digest, &file->digest)) {
        char actual[DIGEST_TEXT_MAX];
        char listed[DIGEST_TEXT_MAX];
        digest_format(&seal.digest, actual);
        digest_format(&file->digest, listed);
        (void)err_set(err, ERR_DAMAGED,
                      "'%.600s' is damaged: its SHA-256 is %s, the manifest says %s", path, actual,
                      listed);
        return hint(run, stage, err);
    }
    return true;
}

bool run_find_damage(const struct run *run, bool *is_found, struct run_damage *damage,
                     struct err *err) {
    *is_found = false;
    for (size_t index = 0; index < run->manifest.stages_count; index++) {
        const struct sealed_stage *sealed = &run->manifest.stages[index];
        for (size_t row = 0; row < sealed->files_count; row++) {
            struct err damaged = {0};
            const struct run_file *file = &sealed->files[row];
            if (verify_file(run, sealed->stage, file, &damaged)) {
                continue;
            }
            *is_found = damaged.code == ERR_DAMAGED;
            if (*is_found) {
                *damage = (struct run_damage){.stage = sealed->stage, .file = file};
                err_release(&damaged);
                return true;
            }
            *err = damaged;
            return false;
        }
    }
    return true;
}

static bool verify_one(void *context, size_t index, struct err *err) {
    const struct verification *verification = context;
    const struct sealed_file *sealed = &verification->files[index];
    return verify_file(verification->run, sealed->stage, sealed->file, err);
}

/* Is it a file of this table: NUMBER-NAME/TABLE.arrow or NUMBER-NAME/TABLE.SHARD.arrow? */
static bool is_of_table(const char *path, const struct table_schema *schema) {
    const char *name = strrchr(path, '/') + 1;
    size_t name_bytes = strlen(schema->name);
    return strncmp(name, schema->name, name_bytes) == 0 && name[name_bytes] == '.';
}

/* Does the stage, or one after it, read the table? */
static bool is_input(struct stage_list list, const struct stage *reader,
                     const struct table_schema *schema) {
    for (size_t index = stage_index(list, reader); index < list.stages_count; index++) {
        for (size_t input = 0; input < list.stages[index]->inputs_count; input++) {
            if (list.stages[index]->inputs[input] == schema) {
                return true;
            }
        }
    }
    return false;
}

bool verify_is_read(const struct run *run, const struct stage *stage, const struct run_file *file,
                    const struct stage *reader) {
    for (size_t index = 0; index < stage->outputs_count; index++) {
        const struct stage_output *output = &stage->outputs[index];
        if (output->is_sharded && is_of_table(file->path, output->schema)) {
            return is_input(run->manifest.list, reader, output->schema);
        }
    }
    return true; /* no table, or a small one */
}

/* The largest first, so that no job is left with one when the others have nothing to do. */
static int compare_sizes(const void *left, const void *right) {
    const struct run_file *left_file = ((const struct sealed_file *)left)->file;
    const struct run_file *right_file = ((const struct sealed_file *)right)->file;
    if (left_file->size_bytes != right_file->size_bytes) {
        return left_file->size_bytes > right_file->size_bytes ? -1 : 1;
    }
    return strcmp(left_file->path, right_file->path);
}

bool verify_stages(const struct run *run, size_t stages_count, const struct stage *reader,
                   size_t jobs, struct err *err) {
    assert(stages_count <= run->manifest.stages_count);
    size_t capacity = 0;
    for (size_t index = 0; index < stages_count; index++) {
        capacity += run->manifest.stages[index].files_count;
    }
    struct verification verification = {.run = run};
    verification.files = mem_alloc(capacity * sizeof *verification.files);
    if (verification.files == NULL) {
        return err_memory(err, capacity * sizeof *verification.files);
    }
    for (size_t index = 0; index < stages_count; index++) {
        const struct sealed_stage *sealed = &run->manifest.stages[index];
        /* An update writes damaged reports again (run_unseal_reports): they hold nothing up. */
        if (run->mode == RUN_UPDATE && sealed->stage->effect == EFFECT_REPORTS) {
            continue;
        }
        for (size_t row = 0; row < sealed->files_count; row++) {
            const struct run_file *file = &sealed->files[row];
            if (reader == NULL || verify_is_read(run, sealed->stage, file, reader)) {
                verification.files[verification.files_count++] =
                    (struct sealed_file){.file = file, .stage = sealed->stage};
            }
        }
    }
    qsort(verification.files, verification.files_count, sizeof *verification.files, compare_sizes);
    bool is_fine = process_parallel_beside(run->sys, jobs, verification.files_count, verify_one,
                                           &verification, err);
    mem_free(verification.files);
    return is_fine;
}
