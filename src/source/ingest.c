/* Ingest: what is given, and the order of its parts. */
#include "source/ingest.h"

#include <stdio.h>
#include <string.h>

#include "core/memory.h"
#include "db/sql.h"
#include "ingest_internal.h"
#include "sys/clock.h"

bool ingest_count(struct ingest *ingest, const char *name, const struct ingest_counts *more,
                  struct err *err) {
    struct ingest_counts *counts = NULL;
    for (size_t index = 0; index < ingest->counts.count; index++) {
        struct ingest_counts *known = (struct ingest_counts *)ingest->counts.items + index;
        counts = strcmp(known->name, name) == 0 ? known : counts;
    }
    if (counts == NULL) {
        counts = vector_add(&ingest->counts, err);
        if (counts == NULL) {
            return false;
        }
        (void)snprintf(counts->name, sizeof counts->name, "%s", name);
    }
    counts->rows += more->rows;
    counts->taken += more->taken;
    counts->duplicates += more->duplicates;
    counts->refused += more->refused;
    return true;
}

/* --- what is given ---------------------------------------------------------------------------- */

static bool add_usage_file(struct ingest *ingest, const char *name, struct err *err) {
    struct vector files = {.items = ingest->usage_files,
                           .count = ingest->usage_files_count,
                           .capacity = ingest->usage_files_count,
                           .item_bytes = sizeof *ingest->usage_files};
    struct dataset_file *file = vector_add(&files, err);
    ingest->usage_files = files.items;
    ingest->usage_files_count = files.count;
    if (file == NULL || !dataset_fingerprint_file(ingest->sys, ingest->folder, name,
                                                  ingest->options->jobs, file, err)) {
        return false;
    }
    ingest->bytes_total += file->size_bytes;
    return true;
}

static bool open_folder(struct ingest *ingest, struct err *err) {
    struct directory_listing listing = {0};
    ingest->is_dataset = true;
    bool is_done = path_format(ingest->folder, err, "%s", ingest->options->path) &&
                   directory_list(ingest->sys, ingest->folder, &listing, err);
    for (size_t index = 0; is_done && index < listing.names_count; index++) {
        if (dataset_is_usage_file(listing.names[index])) {
            is_done = add_usage_file(ingest, listing.names[index], err);
        }
    }
    directory_release(&listing);
    return is_done;
}

static bool refuse_small_file(const char *name, struct err *err) {
    for (size_t file = 0; file < DATASET_FILES_COUNT; file++) {
        if (strcmp(dataset_files[file].file, name) == 0 || strcmp(name, "seats.csv") == 0) {
            (void)err_set(err, ERR_USAGE, "'%.700s' is not taken alone", name);
            return err_hint(err, "name its folder: the files of a dataset are judged together");
        }
    }
    return true;
}

static bool open_file(struct ingest *ingest, struct err *err) {
    const char *path = ingest->options->path;
    const char *slash = strrchr(path, '/');
    const char *name = slash != NULL ? slash + 1 : path;
    int folder_bytes = slash != NULL ? (int)(slash - path) : 1;
    if (slash == path) {
        folder_bytes = 1; /* the root */
    }
    return refuse_small_file(name, err) &&
           path_format(ingest->folder, err, "%.*s", folder_bytes, slash != NULL ? path : ".") &&
           add_usage_file(ingest, name, err);
}

static bool open_path(struct ingest *ingest, struct err *err) {
    enum path_kind kind;
    if (!path_kind_of_input(ingest->sys, ingest->options->path, &kind, err)) {
        return false;
    }
    switch (kind) {
    case PATH_DIRECTORY:
        return open_folder(ingest, err);
    case PATH_FILE:
        return open_file(ingest, err);
    case PATH_MISSING:
    case PATH_OTHER:
        break;
    }
    (void)err_set(err, ERR_INPUT, "'%.700s' is %s", ingest->options->path,
                  kind == PATH_MISSING ? "not there" : "neither a file nor a folder");
    return err_hint(err, "name a file of usage, or a dataset folder");
}

/* --- the order -------------------------------------------------------------------------------- */

/* The folder's files as a run would judge them; which month is taken changes no judgement. */
static bool load_dataset(struct ingest *ingest, struct err *err) {
    int64_t days = clock_now(ingest->sys).us / INSTANT_DAY_US;
    struct civil_date today = civil_from_days((int32_t)days);
    const struct dataset_options options = {
        .folder = ingest->folder,
        .scratch_folder = ingest->options->scratch_folder,
        .month = {today.year, today.month},
    };
    return dataset_load(ingest->sys, &options, &ingest->dataset, ingest->problems, err);
}

/* Bad rows of all files are told together, before the database knows anything. */
static bool stage(struct ingest *ingest, struct err *err) {
    const struct sql_file *tables = sql_find("ingest/tables.sql");
    bool is_dataset = ingest->is_dataset;
    return db_run_script(ingest->db, tables->name, tables->text, err) &&
           (!is_dataset || load_dataset(ingest, err)) && ingest_stage_usage(ingest, err) &&
           (!is_dataset || ingest_stage_seats(ingest, err)) &&
           problems_check(ingest->problems, err) &&
           (!is_dataset || ingest_stage_dataset(ingest, err));
}

/* Small files and the judgement of usage by them: both stand, or neither. */
static bool merge(struct ingest *ingest, struct err *err) {
    struct problems *refused = ingest->problems;
    struct problems *bad = problems_create(err);
    bool is_done = bad != NULL && db_begin(ingest->db, "", err) &&
                   (!ingest->is_dataset || ingest_merge_dataset(ingest, err));
    if (is_done) {
        ingest->problems = bad;
        is_done = ingest_judge_usage(ingest, err) && problems_check(bad, err);
        ingest->problems = refused;
    }
    is_done = is_done && db_commit(ingest->db, err);
    if (!is_done) {
        db_rollback(ingest->db);
        ingest->counts.count = 0; /* of what was rolled back */
    }
    problems_destroy(bad);
    return is_done;
}

static bool perform(struct ingest *ingest, struct err *err) {
    return open_path(ingest, err) && ingest_lock_files(ingest, err) && stage(ingest, err) &&
           merge(ingest, err) && ingest_take_usage(ingest, err) &&
           (!ingest->is_dataset || db_run(ingest->db, "ingest/recount_usage.sql", NULL, NULL, err));
}

bool ingest_run(const struct sys *sys, struct db *db, const struct ingest_options *options,
                struct ingest_counts **counts, size_t *counts_count, struct problems *problems,
                struct err *err) {
    struct ingest ingest = {
        .sys = sys,
        .db = db,
        .options = options,
        .problems = problems,
        .counts = {.item_bytes = sizeof(struct ingest_counts)},
    };
    bool is_done = perform(&ingest, err);
    dataset_destroy(ingest.dataset);
    mem_free(ingest.usage_files);
    *counts = ingest.counts.items;
    *counts_count = ingest.counts.count;
    return is_done;
}
