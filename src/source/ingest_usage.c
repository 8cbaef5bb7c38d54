/*
 * Ingest, second half: staged usage into keys, ledger and cache.
 *
 * Invariants:
 *  1. A batch is one transaction: its keys, ledger rows, cache and the mark how far the file was
 *     taken are there together or not at all.
 *  2. A row with an event id is in the ledger if and only if its key is in usage_keys.
 *  3. A row without one is in the ledger if and only if its line is not above lines_taken of its
 *     file's content. All of a file was judged before its first batch, so none is left out.
 *  4. Only the session that holds the file's lock takes it.
 */
#include <inttypes.h>
#include <string.h>

#include "db/sql.h"
#include "ingest_internal.h"
#include "sys/process.h"

enum { BATCH_ROWS = 50000, TRIES_MAX = 5 };

static struct text content_of(const struct dataset_file *file) {
    return (struct text){(const char *)file->content.bytes, DIGEST_BYTES};
}

static bool run_one(struct db *db, const char *statement, const struct db_params *params,
                    int64_t *value, struct err *err) {
    struct db_result result = {0};
    bool is_done =
        db_run(db, statement, params, &result, err) && db_result_int64(&result, 0, 0, value, err);
    db_result_release(&result);
    return is_done;
}

bool ingest_lock_files(struct ingest *ingest, struct err *err) {
    for (size_t index = 0; index < ingest->usage_files_count; index++) {
        const struct dataset_file *file = &ingest->usage_files[index];
        struct db_params params = {0};
        struct db_result result = {0};
        bool is_taken;
        db_params_bytes(&params, content_of(file));
        bool is_done = db_run(ingest->db, "ingest/lock_file.sql", &params, &result, err) &&
                       db_result_bool(&result, 0, 0, &is_taken, err);
        db_result_release(&result);
        if (!is_done) {
            return false;
        }
        if (!is_taken) {
            (void)err_set(err, ERR_LOCKED, "'%s' is being taken by another session", file->name);
            return err_hint(err, "wait for it to end, then type the same again");
        }
    }
    return true;
}

/* --- judging by what the database knows ------------------------------------------------------- */

struct fault {
    const char *name;
    const char *column;
    const char *reason;
};

static const struct fault faults[] = {
    {"refused", "org_id", "is refused, and without event_id this row could not be taken later"},
    {"org", "org_id", "is not in billing.orgs"},
    {"seats", "metric", "seats are counted from billing.seat_events, which is not empty"},
    {"set", "kind", "the org's plan adds this metric up: it cannot be set"},
    {"unique", "unique_key", "is not given, but the org's plan counts unique ones"},
};

static bool tell_fault(struct ingest *ingest, const struct db_result *rows, size_t row,
                       struct err *err) {
    int64_t file;
    int64_t line;
    struct text name;
    struct text org_id;
    struct text metric;
    if (!db_result_int64(rows, row, 0, &file, err) || !db_result_int64(rows, row, 1, &line, err) ||
        !db_result_text(rows, row, 2, &name, err) || !db_result_text(rows, row, 3, &org_id, err) ||
        !db_result_text(rows, row, 4, &metric, err)) {
        return false;
    }
    for (size_t index = 0; index < sizeof faults / sizeof faults[0]; index++) {
        const struct fault *fault = &faults[index];
        if (!text_equals(name, text_from(fault->name))) {
            continue;
        }
        struct text value = strcmp(fault->column, "org_id") == 0   ? org_id
                            : strcmp(fault->column, "metric") == 0 ? metric
                            : strcmp(fault->column, "kind") == 0   ? text_from("set")
                                                                   : text_from("");
        return problems_add(ingest->problems, ingest->usage_files[file].name, (uint64_t)line,
                            fault->column, value, err, "%s", fault->reason);
    }
    return err_set(err, ERR_DATABASE, "ingest/judge_usage.sql names an unknown fault '%.*s'",
                   (int)name.size_bytes, name.bytes);
}

bool ingest_judge_usage(struct ingest *ingest, struct err *err) {
    struct db_result rows = {0};
    bool is_done = db_run(ingest->db, "ingest/resolve_series.sql", NULL, NULL, err) &&
                   db_run(ingest->db, "ingest/judge_usage.sql", NULL, &rows, err);
    for (size_t row = 0; is_done && row < rows.rows_count; row++) {
        is_done = tell_fault(ingest, &rows, row, err);
    }
    db_result_release(&rows);
    return is_done;
}

/* --- one batch -------------------------------------------------------------------------------- */

struct batch {
    const struct dataset_file *file;
    int64_t file_index;
    int64_t line_from; /* not among them */
    int64_t line_until;
    int64_t lines_taken; /* before this ingest */
    struct ingest_counts counts;
};

static struct db_params batch_params(const struct batch *batch) {
    struct db_params params = {0};
    db_params_int64(&params, batch->file_index);
    db_params_int64(&params, batch->line_from);
    db_params_int64(&params, batch->line_until);
    return params;
}

static bool count_batch(struct ingest *ingest, struct batch *batch, struct err *err) {
    struct db_params params = batch_params(batch);
    struct db_result result = {0};
    int64_t rows;
    int64_t refused;
    bool is_done = db_run(ingest->db, "ingest/count_usage.sql", &params, &result, err) &&
                   db_result_int64(&result, 0, 0, &rows, err) &&
                   db_result_int64(&result, 0, 1, &refused, err);
    db_result_release(&result);
    if (is_done) {
        batch->counts.rows = (uint64_t)rows;
        batch->counts.refused = (uint64_t)refused;
    }
    return is_done;
}

static bool take_rows(struct ingest *ingest, struct batch *batch, struct err *err) {
    struct db_params params = batch_params(batch);
    struct db_result result = {0};
    int64_t locked;
    int64_t taken;
    int64_t to_fold;
    db_params_int64(&params, batch->lines_taken);
    struct db_params range = batch_params(batch);
    bool is_done = run_one(ingest->db, "ingest/lock_cache.sql", &range, &locked, err) &&
                   db_run(ingest->db, "ingest/forget_folds.sql", NULL, NULL, err) &&
                   db_run(ingest->db, "ingest/take_usage.sql", &params, &result, err) &&
                   db_result_int64(&result, 0, 0, &taken, err) &&
                   db_result_int64(&result, 0, 1, &to_fold, err);
    db_result_release(&result);
    if (!is_done ||
        (to_fold > 0 && !db_run(ingest->db, "ingest/fold_cache.sql", NULL, NULL, err))) {
        return false;
    }
    batch->counts.taken = (uint64_t)taken;
    return true;
}

static bool mark_file(struct ingest *ingest, const struct batch *batch, struct err *err) {
    struct db_params params = {0};
    db_params_bytes(&params, content_of(batch->file));
    db_params_text(&params, text_from(batch->file->name));
    db_params_int64(&params, batch->line_until);
    db_params_int64(&params, (int64_t)batch->counts.taken);
    return db_run(ingest->db, "ingest/mark_file.sql", &params, NULL, err);
}

/* Rows whose event is known with other content; told after the commit, when they are facts. */
static bool list_refused(struct ingest *ingest, struct batch *batch, struct db_result *rows,
                         struct err *err) {
    struct db_params params = batch_params(batch);
    if (!db_run(ingest->db, "ingest/refuse_usage.sql", &params, rows, err)) {
        return false;
    }
    batch->counts.refused += rows->rows_count;
    batch->counts.duplicates = batch->counts.rows - batch->counts.taken - batch->counts.refused;
    return true;
}

static bool tell_refused(struct ingest *ingest, const struct batch *batch,
                         const struct db_result *rows, struct err *err) {
    for (size_t row = 0; row < rows->rows_count; row++) {
        int64_t line;
        struct text event_id;
        if (!db_result_int64(rows, row, 0, &line, err) ||
            !db_result_text(rows, row, 1, &event_id, err) ||
            !problems_add(ingest->problems, batch->file->name, (uint64_t)line, "event_id", event_id,
                          err, "is known with other content")) {
            return false;
        }
    }
    return true;
}

static bool try_batch(struct ingest *ingest, struct batch *batch, struct err *err) {
    struct db_result refused = {0};
    bool is_done = db_begin(ingest->db, "", err) && count_batch(ingest, batch, err) &&
                   take_rows(ingest, batch, err) && list_refused(ingest, batch, &refused, err) &&
                   mark_file(ingest, batch, err) && db_commit(ingest->db, err) &&
                   tell_refused(ingest, batch, &refused, err) &&
                   ingest_count(ingest, batch->file->name, &batch->counts, err);
    db_result_release(&refused);
    if (!is_done) {
        db_rollback(ingest->db);
    }
    return is_done;
}

/* Applications write the same rows of the cache, in orders of their own: a deadlock is no fault. */
static bool is_worth_another_try(const struct db *db) {
    const char *state = db_state(db);
    return !db_is_lost(db) && (strcmp(state, "40P01") == 0 || strcmp(state, "40001") == 0);
}

static bool take_batch(struct ingest *ingest, struct batch *batch, struct err *err) {
    for (int attempt = 1;; attempt++) {
        if (try_batch(ingest, batch, err)) {
            return true;
        }
        if (attempt == TRIES_MAX || !is_worth_another_try(ingest->db)) {
            return false;
        }
        err_release(err);
    }
}

/* A file that has grown is another file: its rows without ids are taken once more, and that is
 * told. */
static bool tell_rows_anew(struct ingest *ingest, const struct batch *batch, struct err *err) {
    struct db_params params = {0};
    int64_t rows_count;
    db_params_bytes(&params, content_of(batch->file));
    db_params_text(&params, text_from(batch->file->name));
    db_params_int64(&params, batch->file_index);
    return run_one(ingest->db, "ingest/rows_anew.sql", &params, &rows_count, err) &&
           (rows_count == 0 ||
            problems_note(
                ingest->problems, err,
                "note: a file named '%.200s' was taken before with other content: %" PRId64
                " rows without event_id count as new",
                batch->file->name, rows_count));
}

static bool take_file(struct ingest *ingest, size_t index, struct err *err) {
    struct batch batch = {.file = &ingest->usage_files[index], .file_index = (int64_t)index};
    struct db_params content = {0};
    db_params_bytes(&content, content_of(batch.file));
    if (!tell_rows_anew(ingest, &batch, err) ||
        !run_one(ingest->db, "ingest/lines_taken.sql", &content, &batch.lines_taken, err)) {
        return false;
    }
    for (;;) {
        struct db_params params = {0};
        db_params_int64(&params, batch.file_index);
        db_params_int64(&params, batch.line_from);
        db_params_int64(&params, BATCH_ROWS);
        if (!run_one(ingest->db, "ingest/last_line.sql", &params, &batch.line_until, err)) {
            return false;
        }
        if (batch.line_until < 0) {
            return true;
        }
        batch.counts = (struct ingest_counts){0};
        if (!interrupt_check(err) || !take_batch(ingest, &batch, err)) {
            return false;
        }
        batch.line_from = batch.line_until;
        ingest->rows_done += batch.counts.rows;
        if (ingest->options->progress != NULL) {
            ingest->options->progress(ingest->options->progress_context, INGEST_WRITES,
                                      ingest->rows_done, ingest->rows_total);
        }
    }
}

bool ingest_take_usage(struct ingest *ingest, struct err *err) {
    const struct sql_file *index = sql_find("ingest/index_usage.sql");
    if (ingest->rows_total == 0) {
        return true;
    }
    if (!db_run_script(ingest->db, index->name, index->text, err) ||
        !db_run(ingest->db, "ingest/make_partitions.sql", NULL, NULL, err)) {
        return false;
    }
    for (size_t file = 0; file < ingest->usage_files_count; file++) {
        if (!take_file(ingest, file, err)) {
            return false;
        }
    }
    return true;
}
