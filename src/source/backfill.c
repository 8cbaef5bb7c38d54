#include "source/backfill.h"

#include <stdio.h>
#include <string.h>

#include "dataset_internal.h"
#include "db/copy.h"
#include "db/sql.h"
#include "sys/process.h"

enum { BATCH_ROWS = 10000, TRIES_MAX = 5, KEY_MAX = 64 };

enum { TRUTH_ORG_ID, TRUTH_METRIC, TRUTH_QUANTITY, TRUTH_COLUMNS_COUNT };

static const struct csv_column truth_columns[TRUTH_COLUMNS_COUNT] = {
    [TRUTH_ORG_ID] = {"org_id", true},
    [TRUTH_METRIC] = {"metric", true},
    [TRUTH_QUANTITY] = {"quantity", true},
};

struct backfill {
    const struct sys *sys;
    struct db *db;
    const struct backfill_options *options;
    struct backfill_counts *counts;
    struct problems *problems;
    struct db_copy_in copy;
    const char *truth_name; /* as told to people */
    char key[KEY_MAX];      /* what the keys of a file's rows begin with; empty: none */
    uint64_t rows_count;
};

/* --- the truth -------------------------------------------------------------------------------- */

static bool stage_row(void *context, const struct csv_row *row, struct err *err) {
    struct backfill *backfill = context;
    struct decimal quantity = DECIMAL_ZERO;
    const char *reasons[TRUTH_COLUMNS_COUNT] = {0};
    bool is_sound = true;
    enum decimal_fault fault = decimal_parse(row->fields[TRUTH_QUANTITY], &quantity);
    reasons[TRUTH_ORG_ID] = catalog_check_id(row->fields[TRUTH_ORG_ID]);
    reasons[TRUTH_METRIC] = catalog_check_metric(row->fields[TRUTH_METRIC]);
    reasons[TRUTH_QUANTITY] = fault == DECIMAL_OK ? NULL : decimal_fault_text(fault);
    for (size_t column = 0; column < TRUTH_COLUMNS_COUNT; column++) {
        const char *reason =
            row->fields[column].size_bytes == 0 ? "is empty, but must be given" : reasons[column];
        if (reason == NULL) {
            continue;
        }
        is_sound = false;
        if (!problems_add(backfill->problems, backfill->truth_name, row->line,
                          truth_columns[column].name, row->fields[column], err, "%s", reason)) {
            return false;
        }
    }
    struct db_copy_in *copy = &backfill->copy;
    return !is_sound || (db_copy_in_row(copy, TRUTH_COLUMNS_COUNT + 1, err) &&
                         db_copy_in_int64(copy, (int64_t)row->line, err) &&
                         db_copy_in_text(copy, row->fields[TRUTH_ORG_ID], err) &&
                         db_copy_in_text(copy, row->fields[TRUTH_METRIC], err) &&
                         db_copy_in_decimal(copy, quantity, err) && interrupt_check(err));
}

static bool stage_rows(struct backfill *backfill, const struct csv_file *csv, struct err *err) {
    struct csv_range range = {csv->layout.rows_offset, UINT64_MAX, csv->layout.rows_line};
    uint64_t copied;
    bool is_done =
        db_copy_in_begin(backfill->db, "backfill/stage_truth.sql", &backfill->copy, err) &&
        csv_read(csv, range, stage_row, backfill, backfill->problems, NULL, err) &&
        db_copy_in_finish(&backfill->copy, &copied, err);
    if (!is_done) {
        db_copy_in_abort(&backfill->copy);
    }
    return is_done;
}

static bool check_is_file(const struct backfill *backfill, struct err *err) {
    enum path_kind kind;
    const char *path = backfill->options->truth_path;
    if (!path_kind_of_input(backfill->sys, path, &kind, err)) {
        return false;
    }
    if (kind == PATH_FILE) {
        return true;
    }
    (void)err_set(err, ERR_INPUT, "--truth: '%.700s' is %s", path,
                  kind == PATH_MISSING ? "not there" : "not a file");
    return err_hint(err, "name a CSV file with the columns org_id, metric, quantity");
}

static bool stage_file(struct backfill *backfill, struct err *err) {
    const char *path = backfill->options->truth_path;
    const char *slash = strrchr(path, '/');
    char folder[FILE_PATH_MAX];
    char digest[DIGEST_TEXT_MAX];
    struct dataset_file fingerprint;
    struct csv_file csv;
    bool is_found;
    int folder_bytes = slash == NULL || slash == path ? 1 : (int)(slash - path);
    backfill->truth_name = slash != NULL ? slash + 1 : path;
    if (!check_is_file(backfill, err) ||
        !path_format(folder, err, "%.*s", folder_bytes, slash != NULL ? path : ".") ||
        !dataset_fingerprint_file(backfill->sys, folder, backfill->truth_name, 1, &fingerprint,
                                  err) ||
        !csv_open(backfill->sys, folder, backfill->truth_name, truth_columns, TRUTH_COLUMNS_COUNT,
                  false, &csv, &is_found, backfill->problems, err)) {
        return false;
    }
    if (!is_found) {
        return problems_check(backfill->problems, err);
    }
    digest_format(&fingerprint.content, digest);
    (void)snprintf(backfill->key, sizeof backfill->key, "migration:%.32s:", digest);
    bool is_done = stage_rows(backfill, &csv, err);
    csv_close(&csv);
    return is_done && problems_check(backfill->problems, err);
}

/* What is wrong with a query is the operator's to mend; the server's advice is for ours. */
static bool hint_query(struct backfill *backfill, struct err *err) {
    static const char *const of_query[] = {"0A", "21", "22", "23", "25", "42", "P0"};
    const char *state = db_state(backfill->db);
    bool is_theirs = false;
    for (size_t index = 0; index < sizeof of_query / sizeof of_query[0]; index++) {
        is_theirs = is_theirs || strncmp(state, of_query[index], 2) == 0;
    }
    if (err->code != ERR_DATABASE || db_is_lost(backfill->db) || !is_theirs) {
        return false;
    }
    if (strcmp(state, "42501") == 0) {
        return err_hint(err, "the query is asked by the user of --database itself: grant that one "
                             "the right to read what it names");
    }
    return err_hint(err, "--query takes one query that only reads, without a semicolon, and gives "
                         "three columns: org_id text, metric text, quantity numeric, none of them "
                         "null; tables are named with their schema (public.counts)");
}

/*
 * The operator's own query is the one statement that is no file under sql/. It may only read: in a
 * transaction that is read only nothing but the temporary table can be written. The login itself
 * asks, as the old system's tables are none of the job's.
 */
static bool stage_query(struct backfill *backfill, struct err *err) {
    struct buffer command = {0};
    backfill->truth_name = "--query";
    bool is_done =
        buffer_append_format(&command, err,
                             "insert into pg_temp.backfill_truth (org_id, metric, quantity)\n"
                             "select truth.org_id, truth.metric, truth.quantity\nfrom (\n%s\n)"
                             " as truth (org_id, metric, quantity)",
                             backfill->options->query) &&
        buffer_append(&command, (struct text){"", 1}, err) &&
        db_begin(backfill->db, "read only", err) &&
        db_run_script(backfill->db, "set role", "set local role none", err) &&
        (db_run_script(backfill->db, "the query of --query", command.bytes, err) ||
         hint_query(backfill, err)) &&
        db_commit(backfill->db, err);
    buffer_release(&command);
    if (!is_done) {
        db_rollback(backfill->db);
    }
    return is_done;
}

static bool stage_seats(struct backfill *backfill, struct err *err) {
    backfill->truth_name = "billing.user_seats";
    return db_run(backfill->db, "backfill/count_seats.sql", NULL, NULL, err);
}

static const char *const fault_names[][2] = {
    {"org", "is not in billing.orgs"},
    {"quantity", "has a quantity that does not fit numeric(38,15)"},
    {"counted", "has a quantity that is no whole number from 0 to below 10^18: its plan counts "
                "events or distinct keys"},
    {"metric", "has a metric of another length than 1 to 128 bytes"},
    {"repeated", "stands twice with the same metric"},
};

static bool judge_truth(struct backfill *backfill, struct err *err) {
    struct db_result rows = {0};
    bool is_done = db_run(backfill->db, "backfill/judge_truth.sql", NULL, &rows, err);
    for (size_t row = 0; is_done && row < rows.rows_count; row++) {
        int64_t line;
        struct text org_id;
        struct text metric;
        struct text fault;
        const char *reason = "is refused";
        is_done = db_result_int64(&rows, row, 0, &line, err) &&
                  db_result_text(&rows, row, 1, &org_id, err) &&
                  db_result_text(&rows, row, 2, &metric, err) &&
                  db_result_text(&rows, row, 3, &fault, err);
        for (size_t name = 0; is_done && name < sizeof fault_names / sizeof fault_names[0];
             name++) {
            reason =
                text_equals(fault, text_from(fault_names[name][0])) ? fault_names[name][1] : reason;
        }
        is_done = is_done && problems_add(backfill->problems, backfill->truth_name, (uint64_t)line,
                                          "org_id", org_id, err, "%s (metric %.*s)", reason,
                                          (int)metric.size_bytes, metric.bytes);
    }
    db_result_release(&rows);
    return is_done && problems_check(backfill->problems, err);
}

static bool stage_truth(struct backfill *backfill, struct err *err) {
    const struct sql_file *tables = sql_find("backfill/tables.sql");
    if (!db_run_script(backfill->db, tables->name, tables->text, err)) {
        return false;
    }
    if (backfill->options->truth_path != NULL) {
        return stage_file(backfill, err);
    }
    return backfill->options->query != NULL ? stage_query(backfill, err)
                                            : stage_seats(backfill, err);
}

static bool make_plan(struct backfill *backfill, struct err *err) {
    struct db_result result = {0};
    struct db_result unnamed = {0};
    int64_t count;
    bool is_done = db_run(backfill->db, "backfill/plan.sql", NULL, &result, err) &&
                   db_run(backfill->db, "backfill/count_unnamed.sql", NULL, &unnamed, err) &&
                   db_result_int64(&unnamed, 0, 0, &count, err);
    if (is_done) {
        backfill->rows_count = result.affected_count;
        backfill->counts->unnamed = (uint64_t)count;
    }
    db_result_release(&result);
    db_result_release(&unnamed);
    return is_done;
}

/* --- batches ---------------------------------------------------------------------------------- */

static struct db_params places(uint64_t from, uint64_t until) {
    struct db_params params = {0};
    db_params_int64(&params, (int64_t)from);
    db_params_int64(&params, (int64_t)until);
    return params;
}

static bool tell(struct backfill *backfill, const struct db_result *rows, struct err *err) {
    for (size_t row = 0; row < rows->rows_count; row++) {
        struct backfill_difference difference;
        if (!db_result_text(rows, row, 0, &difference.org_id, err) ||
            !db_result_text(rows, row, 1, &difference.metric, err) ||
            !db_result_decimal(rows, row, 2, &difference.cached, err) ||
            !db_result_decimal(rows, row, 3, &difference.truth, err) ||
            !db_result_decimal(rows, row, 4, &difference.difference, err) ||
            !backfill->options->tell(backfill->options->context, &difference, err)) {
            return false;
        }
    }
    backfill->counts->different += rows->rows_count;
    return true;
}

static bool compare(struct backfill *backfill, uint64_t from, uint64_t until, struct err *err) {
    struct db_params params = places(from, until);
    struct db_result rows = {0};
    bool is_done = db_run(backfill->db, "backfill/compare.sql", &params, &rows, err) &&
                   tell(backfill, &rows, err);
    db_result_release(&rows);
    return is_done;
}

static bool check_whole(const struct db_result *rows, struct err *err) {
    bool is_whole = true;
    return (rows->rows_count == 0 || db_result_bool(rows, 0, 5, &is_whole, err)) &&
           (is_whole || err_set(err, ERR_CONTROL,
                                "ledger and cache would take different numbers "
                                "of rows: nothing of this batch was written"));
}

static bool try_write(struct backfill *backfill, uint64_t from, uint64_t until, struct err *err) {
    struct db *db = backfill->db;
    struct db_params range = places(from, until);
    struct db_params params = places(from, until);
    struct db_result rows = {0};
    if (backfill->key[0] != '\0') {
        db_params_text(&params, text_from(backfill->key));
    } else {
        db_params_null(&params);
    }
    bool is_done =
        db_begin(db, "", err) && db_run(db, "backfill/begin_cache.sql", &range, NULL, err) &&
        db_run(db, "backfill/lock_cache.sql", &range, NULL, err) &&
        db_run(db, "backfill/make_partitions.sql", &range, NULL, err) &&
        db_run(db, "backfill/write.sql", &params, &rows, err) && check_whole(&rows, err) &&
        db_run(db, "backfill/drop_empty.sql", &range, NULL, err) && db_commit(db, err) &&
        tell(backfill, &rows, err);
    db_result_release(&rows);
    if (!is_done) {
        db_rollback(db);
    }
    return is_done;
}

static bool write_batch(struct backfill *backfill, uint64_t from, uint64_t until, struct err *err) {
    for (int attempt = 1;; attempt++) {
        if (try_write(backfill, from, until, err)) {
            return true;
        }
        const char *state = db_state(backfill->db);
        bool is_passing = strcmp(state, "40P01") == 0 || strcmp(state, "40001") == 0;
        if (attempt == TRIES_MAX || !is_passing || db_is_lost(backfill->db)) {
            return false;
        }
        err_release(err);
    }
}

static bool work_through(struct backfill *backfill, struct err *err) {
    for (uint64_t from = 0; from < backfill->rows_count; from += BATCH_ROWS) {
        uint64_t until =
            from + BATCH_ROWS < backfill->rows_count ? from + BATCH_ROWS : backfill->rows_count;
        bool is_done = interrupt_check(err) &&
                       (backfill->options->only_compares ? compare(backfill, from, until, err)
                                                         : write_batch(backfill, from, until, err));
        if (!is_done) {
            return false;
        }
        backfill->counts->compared = until;
        if (backfill->options->progress != NULL) {
            backfill->options->progress(backfill->options->context, until, backfill->rows_count);
        }
    }
    return true;
}

bool backfill_run(const struct sys *sys, struct db *db, const struct backfill_options *options,
                  struct backfill_counts *counts, struct problems *problems, struct err *err) {
    struct backfill backfill = {
        .sys = sys, .db = db, .options = options, .counts = counts, .problems = problems};
    *counts = (struct backfill_counts){0};
    return stage_truth(&backfill, err) && judge_truth(&backfill, err) &&
           make_plan(&backfill, err) && work_through(&backfill, err);
}
