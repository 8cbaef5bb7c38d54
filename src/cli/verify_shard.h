/*
 * One shard of a run at work under `verify`: quantities from extract's days, then charges from
 * meter's quantities, each by rating/recompute.h.
 */
#ifndef PERIODCLOSE_CLI_VERIFY_SHARD_H
#define PERIODCLOSE_CLI_VERIFY_SHARD_H

#include "rating/recompute.h"
#include "rating/terms.h"
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
    struct table *charges; /* NULL: not rated yet */
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
    struct terms_walk charges;
    /* the org and metric at hand */
    const struct table_cursor *org;
    struct text metric;
    /* results */
    uint64_t quantities;
    uint64_t quantities_agreeing;
    uint64_t charges_found; /* rows */
    uint64_t charges_checked;
    uint64_t charges_agreeing;
    struct disagreements disagreements;
};

void verify_disagree(struct verify_shard *shard, const char *what, const char *sealed,
                     const char *expected);
/* Holds a sealed value against a recomputed one; false and noted when they differ. */
bool verify_value(struct verify_shard *shard, const char *what, struct decimal sealed,
                  const struct recompute_number *expected);

void verify_quantities_start(struct verify_shard *shard);
/* The row of usage at hand; true when it agrees. */
bool verify_quantity(struct verify_shard *shard, enum aggregation aggregation);
/* Rows by day that no usage came from. */
void verify_quantities_end(struct verify_shard *shard);

/* All metrics of the org at hand; its rows of usage and charges are consumed. */
bool verify_org(struct verify_shard *shard, const struct terms_plan *plan,
                const struct verify_plan *verify_plan, struct err *err);

#endif
