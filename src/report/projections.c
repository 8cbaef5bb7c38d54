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

/* What the rows of one price have in common, as it stands in the file. */
struct projections_price {
    const struct terms_price *price; /* NULL: nothing yet */
    struct report_field metric;
    struct report_field no_estimate; /* projected_overage and projected_cost of nothing */
    struct report_field currency;
};

enum { PROJECTIONS_PRICES_COUNT = 256 };

struct projections {
    struct projections_price prices[PROJECTIONS_PRICES_COUNT];
};

static bool projections_keep(struct projections_price *kept, const struct rated_walk *walk,
                             struct err *err) {
    const struct currency *currency = walk->plan->currency;
    char zero[DECIMAL_TEXT_MAX];
    (void)money_format(DECIMAL_ZERO, currency, zero);
    return report_field_start(&kept->metric, err) && report_field_comma(&kept->metric, err) &&
           report_field_text(&kept->metric, walk->price->metric, err) &&
           report_field_start(&kept->no_estimate, err) &&
           report_field_comma(&kept->no_estimate, err) &&
           report_field_decimal(&kept->no_estimate, DECIMAL_ZERO, err) &&
           report_field_comma(&kept->no_estimate, err) &&
           report_field_words(&kept->no_estimate, zero, err) &&
           report_field_start(&kept->currency, err) && report_field_comma(&kept->currency, err) &&
           report_field_words(&kept->currency, currency->code, err);
}

/* What is kept of the price at hand; NULL: no memory. */
static struct projections_price *projections_kept(struct projections *projections,
                                                  const struct rated_walk *walk, struct err *err) {
    size_t place = (uintptr_t)walk->price / sizeof *walk->price % PROJECTIONS_PRICES_COUNT;
    struct projections_price *kept = &projections->prices[place];
    if (kept->price != walk->price) {
        kept->price = NULL;
        if (!projections_keep(kept, walk, err)) {
            return NULL;
        }
        kept->price = walk->price;
    }
    return kept;
}

/* The column of a row, where it is not null. Read in a place of its own for each column, by which
 * the processor foresees what is read next. */
__attribute__((always_inline)) static inline char *
put_column(char *at, const struct table_cursor *row, size_t column) {
    return table_is_null(row, column) ? report_put_empty(at)
                                      : report_put_decimal(at, table_get_decimal(row, column));
}

/* Slope, growth, r_squared, current, projected. Without a row it goes on as it is. */
static char *projections_trend(char *at, const struct rated_side *side,
                               const struct report_field *current) {
    if (!side->is_here) {
        memcpy(at, ",0,0,", 5);
        at = report_put_field(at + 5, current);
        return report_put_field(at, current);
    }
    at = put_column(at, &side->cursor, PROJECTIONS_SLOPE_PER_DAY);
    at = put_column(at, &side->cursor, PROJECTIONS_GROWTH_30_DAYS);
    at = put_column(at, &side->cursor, PROJECTIONS_R_SQUARED);
    at = report_put_field(at, current);
    return put_column(at, &side->cursor, PROJECTIONS_PROJECTED);
}

static char *projections_estimate(char *at, const struct rated_side *side,
                                  const struct currency *currency,
                                  const struct report_field *no_estimate) {
    if (!side->is_here) { /* no overage */
        return report_put_field(at, no_estimate);
    }
    at = put_column(at, &side->cursor, ESTIMATES_PROJECTED_OVERAGE);
    return table_is_null(&side->cursor, ESTIMATES_PROJECTED_COST)
               ? report_put_empty(at)
               : report_put_money(at, table_get_decimal(&side->cursor, ESTIMATES_PROJECTED_COST),
                                  currency);
}

static bool projections_price(void *state, struct report_walk *report_walk,
                              struct report_file *part, struct err *err) {
    const struct rated_walk *walk = &report_walk->rated;
    const struct rated_side *change = &walk->sides[REPORT_CHANGES];
    const struct projections_price *kept = projections_kept(state, walk, err);
    if (kept == NULL) {
        return false;
    }
    size_t size_bytes = report_walk->org_id.text.size_bytes + kept->metric.text.size_bytes +
                        kept->currency.text.size_bytes + 11 * (1 + DECIMAL_TEXT_MAX);
    char *at = report_row_start(part, size_bytes);
    if (at == NULL) {
        return report_row_end(part, NULL, err);
    }
    at = report_put_field(at, &report_walk->org_id);
    at = report_put_field(at, &kept->metric);
    at = report_put_int64(at, table_get_int64(&walk->usage, USAGE_DAYS_WITH_DATA));
    at = projections_trend(at, &walk->sides[REPORT_PROJECTIONS], &report_walk->usage);
    at = projections_estimate(at, &walk->sides[REPORT_ESTIMATES], walk->plan->currency,
                              &kept->no_estimate);
    at = report_put_field(at, &kept->currency);
    if (change->is_here) {
        at = put_column(at, &change->cursor, CHANGES_PREVIOUS);
        at = put_column(at, &change->cursor, CHANGES_CHANGE);
    } else {
        at = report_put_empty(report_put_empty(at));
    }
    return report_row_end(part, at, err);
}

static void projections_release(void *state) {
    struct projections *projections = state;
    for (size_t index = 0; index < PROJECTIONS_PRICES_COUNT; index++) {
        report_field_release(&projections->prices[index].metric);
        report_field_release(&projections->prices[index].no_estimate);
        report_field_release(&projections->prices[index].currency);
    }
}

static const struct report_rows projections_rows = {
    .state_bytes = sizeof(struct projections),
    .price = projections_price,
    .release = projections_release,
};

const struct report report_projections = {
    .file_name = "projections.csv",
    REPORT_COLUMNS(columns),
    .is_due = projections_is_due,
    .rows = &projections_rows,
};
