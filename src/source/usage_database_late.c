/*
 * Usage of earlier periods that came after those were recorded: it is listed by every later run
 * until a revision takes it. However old the ledger is, only what was written since an earlier
 * period was recorded is looked at, part by part of the ledger.
 */
#include "sys/process.h"
#include "usage_database.h"

static bool read_rows(struct usage_feed *feed, struct db_copy_out *copy, struct err *err) {
    enum { INTERRUPT_ROWS = 4096 };
    struct db_copy_row row;
    for (uint64_t number = 1;; number++) {
        if (!db_copy_out_next(copy, &row, err)) {
            return false;
        }
        if (row.fields == NULL) {
            return db_copy_out_end(copy, err);
        }
        if (!feed_database_late(feed, row.fields, err) ||
            (number % INTERRUPT_ROWS == 0 && !interrupt_check(err))) {
            return false;
        }
    }
}

static bool read_part(struct usage_feed *feed, struct db *db, const struct db_result *parts,
                      size_t part, struct err *err) {
    enum { PART_COLUMNS = 4 };
    struct db_params params = {0};
    struct db_copy_out copy;
    for (size_t column = 0; column < PART_COLUMNS; column++) {
        struct text text;
        if (!db_result_text(parts, part, column, &text, err)) {
            return false;
        }
        db_params_text(&params, text);
    }
    if (!db_run(db, "extract/late_range.sql", &params, NULL, err) ||
        !db_copy_out_begin(db, "extract/usage_late.sql", COLUMNS_COUNT, &copy, err)) {
        return false;
    }
    if (!read_rows(feed, &copy, err)) {
        db_copy_out_abort(&copy);
        return false;
    }
    return true;
}

static bool set_scope(struct db *db, const char *period, const struct catalog *catalog,
                      struct err *err) {
    struct buffer levels = {0};
    struct db_params params = {0};
    bool is_done = database_list_levels(catalog, &levels, err);
    db_params_text(&params, text_from(period));
    db_params_text(&params, buffer_text(&levels));
    is_done = is_done && db_run(db, "extract/late_scope.sql", &params, NULL, err);
    buffer_release(&levels);
    return is_done;
}

bool usage_read_late_database(struct usage *usage, struct source_database *database,
                              struct problems *problems, struct err *err) {
    struct db *db = source_database_connection(database, 0);
    const char *period = source_database_period(database);
    struct usage_feed *feed = &usage->feeds[0];
    struct db_params params = {0};
    struct db_result parts = {0};
    if (usage->catalog->orgs_count == 0) {
        return true;
    }
    feed->file_name = database_ledger;
    db_params_text(&params, text_from(period));
    bool is_done = set_scope(db, period, usage->catalog, err) &&
                   db_run(db, "extract/late_parts.sql", &params, &parts, err);
    for (size_t part = 0; is_done && part < parts.rows_count; part++) {
        is_done = read_part(feed, db, &parts, part, err);
    }
    db_result_release(&parts);
    return is_done && usage_merge_problems(usage, problems, err);
}
