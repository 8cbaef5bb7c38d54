/*
 * One shard of a run at work under `verify`: quantities from extract's days, then charges from
 * meter's quantities, each by rating/recompute.h.
 */
#ifndef PERIODCLOSE_CLI_VERIFY_SHARD_H
#define PERIODCLOSE_CLI_VERIFY_SHARD_H

#include "rating/recompute.h"
#include "rating/terms.h"
#include "rating/trend.h"
#include "verify.h"

/* A plan's prices in digits, in the order of its prices. */
struct verify_plan {
    const struct recompute_price *prices;
    struct recompute_number increment;
};

struct verify_terms {
    struct terms terms;
    const struct verify_plan *plans; /* in the order of terms.plans */
};

/* A table by day, read from front to back; its first column is the series. */
struct verify_days {
    struct table_cursor cursor;
    bool has_row;
};

struct verify_tables {
    struct table *orgs;
    struct table *limits;
    struct table *series;
    struct table *days;
    struct table *keys;
    struct table *levels;
    struct table *usage;
    struct table *moments;
    struct table *daily;
    struct table *negatives;
    struct table *charges; /* NULL: not rated yet, as are lines */
    struct table *lines;
    struct table *history;
    struct table *projections; /* NULL: not projected yet, as are the next two */
    struct table *estimates;
    struct table *changes;
};

/* What is recomputed of one metric, until the cap is known. */
struct verify_metric {
    struct recompute_number soft_limit;
    struct recompute_number hard_limit;
    struct recompute_terms terms;
    struct recompute_charge charge;
    struct table_cursor usage;  /* the row of usage */
    bool is_sealed;             /* charges has a row; if not, it costs nothing */
    struct table_cursor sealed; /* that row */
    bool agrees;
    struct recompute_trend trend;
    bool has_projected_cost;
    struct recompute_charge projected;
};

struct verify_shard {
    const struct verify_terms *terms;
    struct verify_tables tables;
    struct arena *arena;
    struct terms_walk limits;
    struct terms_walk series;
    struct verify_days days;
    struct verify_days keys;
    struct verify_days levels;
    struct table_cursor usage;
    struct verify_days moments;
    struct verify_days daily;
    struct terms_walk negatives;
    struct terms_walk charges;
    struct table_cursor lines;
    bool has_line;
    struct terms_walk history;
    struct terms_walk projections;
    struct terms_walk estimates;
    struct terms_walk changes;
    /* the org and metric at hand */
    const struct table_cursor *org;
    struct text metric;
    /* its days, from what extract sealed; those outside the period are told and left out */
    struct recompute_flow series_days[TREND_DAYS_MAX];
    int64_t days_with_data;
    bool has_series;
    /* results */
    uint64_t quantities;
    uint64_t quantities_agreeing;
    uint64_t negatives_found; /* rows */
    uint64_t charges_found;   /* rows */
    uint64_t charges_checked;
    uint64_t charges_agreeing;
    uint64_t lines_checked;
    uint64_t lines_agreeing;
    uint64_t projections_found; /* rows */
    uint64_t estimates_found;
    uint64_t changes_found;
    uint64_t projections_checked;
    uint64_t projections_agreeing;
    struct disagreements disagreements;
};

void verify_disagree(struct verify_shard *shard, const char *what, const char *sealed,
                     const char *expected);
void verify_signed_disagrees(struct verify_shard *shard, const char *what, struct decimal sealed,
                             const struct recompute_signed *expected);
/* Holds a sealed value against a recomputed one; false and noted when they differ. */
bool verify_value(struct verify_shard *shard, const char *what, struct decimal sealed,
                  const struct recompute_number *expected);

void verify_quantities_start(struct verify_shard *shard);
/* The row of usage at hand, and whether its net was negative; true when it agrees. */
bool verify_quantity(struct verify_shard *shard, enum aggregation aggregation);
/* Is something sealed that should be, or neither? Noted when not. */
bool verify_presence(struct verify_shard *shard, const char *what, bool is_sealed,
                     bool is_expected);
/* A value that may be missing: the column of the row, and what should be there. */
bool verify_optional(struct verify_shard *shard, const char *what, const struct table_cursor *row,
                     size_t column, bool has_value, const struct recompute_signed *expected);
/* The line through its days, and what moments or daily keep of them; true when these agree. */
bool verify_series(struct verify_shard *shard, enum aggregation aggregation,
                   struct recompute_trend *trend);
/* Rows by day that no usage came from. */
void verify_quantities_end(struct verify_shard *shard);

/* The tiers of the charge at hand, which are consumed; true when they agree. */
bool verify_lines(struct verify_shard *shard, const struct recompute_price *price,
                  const struct recompute_lines *lines);
/* What the metric at hand would cost after its trend, before the cap. */
void verify_trend(struct verify_metric *metric);
/* Projections of all metrics of the org at hand, once their trends are known; rows are consumed. */
bool verify_projections(struct verify_shard *shard, const struct terms_plan *plan,
                        const struct recompute_number *increment,
                        const struct verify_metric *metrics, struct err *err);

/* All metrics of the org at hand; its rows of usage and charges are consumed. */
bool verify_org(struct verify_shard *shard, const struct terms_plan *plan,
                const struct verify_plan *verify_plan, struct err *err);

#endif
