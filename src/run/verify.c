/* Sealed files are what the manifest says: each is read whole before any of it is used. */
#include <assert.h>

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

static bool verify_file(void *context, size_t index, struct err *err) {
    const struct verification *verification = context;
    const struct run *run = verification->run;
    const struct run_file *file = verification->files[index].file;
    const struct stage *stage = verification->files[index].stage;
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

bool verify_stages(const struct run *run, size_t stages_count, size_t jobs, struct err *err) {
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
            verification.files[verification.files_count++] =
                (struct sealed_file){.file = &sealed->files[row], .stage = sealed->stage};
        }
    }
    bool is_fine =
        process_parallel(jobs, verification.files_count, verify_file, &verification, err);
    mem_free(verification.files);
    return is_fine;
}
