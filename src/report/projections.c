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

enum projections_side { SIDE_PROJECTIONS, SIDE_ESTIMATES, SIDE_CHANGES };

/* The column of a row that is there, where it is not null. */
static void projections_decimal(struct report_file *file, const struct rated_side *side,
                                size_t column) {
    if (!side->is_here || table_is_null(&side->cursor, column)) {
        report_empty(file);
    } else {
        report_decimal(file, table_get_decimal(&side->cursor, column));
    }
}

/* Without a row it goes on as it is. */
static void projections_trend(struct report_file *file, const struct rated_side *side,
                              struct decimal current) {
    if (side->is_here) {
        projections_decimal(file, side, PROJECTIONS_SLOPE_PER_DAY);
        projections_decimal(file, side, PROJECTIONS_GROWTH_30_DAYS);
        projections_decimal(file, side, PROJECTIONS_R_SQUARED);
        report_decimal(file, current);
        projections_decimal(file, side, PROJECTIONS_PROJECTED);
    } else {
        report_words(file, "0");
        report_words(file, "0");
        report_empty(file);
        report_decimal(file, current);
        report_decimal(file, current);
    }
}

/* Without a row there is no overage. */
static void projections_estimate(struct report_file *file, const struct rated_side *side,
                                 const struct currency *currency) {
    if (!side->is_here) {
        report_words(file, "0");
        report_money(file, DECIMAL_ZERO, currency);
        return;
    }
    projections_decimal(file, side, ESTIMATES_PROJECTED_OVERAGE);
    if (table_is_null(&side->cursor, ESTIMATES_PROJECTED_COST)) {
        report_empty(file);
    } else {
        report_money(file, table_get_decimal(&side->cursor, ESTIMATES_PROJECTED_COST), currency);
    }
}

static bool projections_put(struct report_file *file, const struct rated_walk *walk,
                            struct report_cells *org, struct err *err) {
    const struct currency *currency = walk->plan->currency;
    if (walk->price_next > 1) { /* not its first price */
        report_cells(file, org);
    } else {
        struct report_mark mark = report_mark(file);
        report_text(file, walk->org_id);
        report_keep_cells(file, mark, org);
    }
    report_text(file, walk->price->metric);
    report_int64(file, table_get_int64(&walk->usage, USAGE_DAYS_WITH_DATA));
    projections_trend(file, &walk->sides[SIDE_PROJECTIONS],
                      table_get_decimal(&walk->usage, USAGE_QUANTITY));
    projections_estimate(file, &walk->sides[SIDE_ESTIMATES], currency);
    report_words(file, currency->code);
    projections_decimal(file, &walk->sides[SIDE_CHANGES], CHANGES_PREVIOUS);
    projections_decimal(file, &walk->sides[SIDE_CHANGES], CHANGES_CHANGE);
    return report_end_row(file, err);
}

static bool projections_shard(const struct report_source *source, const struct report_shard *shard,
                              struct report_file *file, struct report_cells *org, struct err *err) {
    struct rated_walk walk = rated_walk_start(source->terms, shard->orgs);
    rated_walk_usage(&walk, shard->usage);
    rated_walk_beside(&walk, SIDE_PROJECTIONS, shard->projections);
    rated_walk_beside(&walk, SIDE_ESTIMATES, shard->estimates);
    rated_walk_beside(&walk, SIDE_CHANGES, shard->changes);
    while (rated_walk_next_org(&walk, err)) {
        while (rated_walk_next_price(&walk, err)) {
            if (!projections_put(file, &walk, org, err)) {
                return false;
            }
        }
        if (err->code != ERR_NONE) {
            return false;
        }
    }
    return err->code == ERR_NONE;
}

static bool projections_write(const struct report_source *source, struct report_file *file,
                              struct totals *totals, struct err *err) {
    (void)totals;
    struct report_cells org = {0};
    bool is_fine = true;
    for (size_t index = 0; is_fine && index < source->shards_count; index++) {
        is_fine = projections_shard(source, &source->shards[index], file, &org, err);
    }
    report_cells_release(&org);
    return is_fine;
}

const struct report report_projections = {
    .file_name = "projections.csv",
    REPORT_COLUMNS(columns),
    .is_due = projections_is_due,
    .write = projections_write,
};
