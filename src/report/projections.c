/* projections.csv: the trend of every metric of every rated org, and the next period's estimate. */
#include "report/reports.h"

static const char *const columns[] = {
    "org_id",    "metric",   "days",      "slope_per_day",     "growth_30_days",
    "r_squared", "current",  "projected", "projected_overage", "projected_cost",
    "currency",  "previous", "change",
};

static bool projections_is_due(const struct report_source *source) {
    return source->shards_count > 0 && source->shards[0].projections != NULL;
}

static void projections_decimal(struct report_file *file, const struct table_cursor *row,
                                size_t column) {
    if (table_is_null(row, column)) {
        report_empty(file);
    } else {
        report_decimal(file, table_get_decimal(row, column));
    }
}

static bool projections_put(struct report_file *file, const struct report_orgs *orgs,
                            const struct table_cursor *usage, const struct table_cursor *row,
                            struct err *err) {
    report_text(file, orgs->org_id);
    report_text(file, table_get_text(row, PROJECTIONS_METRIC));
    report_int64(file, table_get_int64(usage, USAGE_DAYS_WITH_DATA));
    projections_decimal(file, row, PROJECTIONS_SLOPE_PER_DAY);
    projections_decimal(file, row, PROJECTIONS_GROWTH_30_DAYS);
    projections_decimal(file, row, PROJECTIONS_R_SQUARED);
    report_decimal(file, table_get_decimal(usage, USAGE_QUANTITY));
    projections_decimal(file, row, PROJECTIONS_PROJECTED);
    projections_decimal(file, row, PROJECTIONS_PROJECTED_OVERAGE);
    if (table_is_null(row, PROJECTIONS_PROJECTED_COST)) {
        report_empty(file);
    } else {
        report_money(file, table_get_decimal(row, PROJECTIONS_PROJECTED_COST),
                     orgs->plan->currency);
    }
    report_words(file, orgs->plan->currency->code);
    projections_decimal(file, row, PROJECTIONS_PREVIOUS);
    projections_decimal(file, row, PROJECTIONS_CHANGE);
    return report_end_row(file, err);
}

static bool projections_shard(const struct report_source *source, const struct report_shard *shard,
                              struct report_file *file, struct err *err) {
    struct table_cursor usage = table_cursor_start(shard->usage);
    struct table_cursor row = table_cursor_start(shard->projections);
    struct report_orgs orgs = report_orgs_start(source, shard);
    while (report_orgs_next(&orgs, err)) {
        for (size_t index = 0; index < orgs.plan->prices_count; index++) {
            if (!table_cursor_next(&usage) || !table_cursor_next(&row)) {
                return err_set(err, ERR_DAMAGED, "%s: fewer rows than prices",
                               table_path(shard->projections));
            }
            if (!projections_put(file, &orgs, &usage, &row, err)) {
                return false;
            }
        }
    }
    return err->code == ERR_NONE;
}

static bool projections_write(const struct report_source *source, struct report_file *file,
                              struct totals *totals, struct err *err) {
    (void)totals;
    for (size_t index = 0; index < source->shards_count; index++) {
        if (!projections_shard(source, &source->shards[index], file, err)) {
            return false;
        }
    }
    return true;
}

const struct report report_projections = {
    .file_name = "projections.csv",
    REPORT_COLUMNS(columns),
    .is_due = projections_is_due,
    .write = projections_write,
};
