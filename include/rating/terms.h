/*
 * Terms: plans, prices and tiers of a checkpoint, loaded for look-up by stages and commands.
 *
 * Everything lies in the arena; texts point into the tables' mappings, which must stay open.
 */
#ifndef PERIODCLOSE_RATING_TERMS_H
#define PERIODCLOSE_RATING_TERMS_H

#include "core/arena.h"
#include "core/money.h"
#include "rating/charge.h"
#include "table/checkpoint.h"

struct terms_price {
    struct text metric;
    struct text unit; /* empty: none */
    struct price price;
};

struct terms_plan {
    int64_t terms;
    struct text plan_id;
    const struct currency *currency;
    const struct terms_price *prices; /* sorted by metric */
    size_t prices_count;
};

struct terms {
    const struct terms_plan *plans; /* sorted by (terms, plan_id) */
    size_t plans_count;
};

/* ERR_DAMAGED when the tables do not fit together. */
bool terms_load(struct terms *terms, struct table *plans, struct table *prices, struct table *tiers,
                struct arena *arena, struct err *err);

/* ERR_DAMAGED when the plan is not there. */
bool terms_find_plan(const struct terms *terms, int64_t version, struct text plan_id,
                     const struct terms_plan **plan, struct err *err);

/* Of the plan that has the most. */
size_t terms_prices_max(const struct terms *terms);

/* NULL when the plan has no price for the metric. */
const struct terms_price *terms_find_price(const struct terms_plan *plan, struct text metric);

/*
 * One pass over an org's rows in tables sorted by (org_id, metric): moves the cursor to the row of
 * exactly this key. false when there is none; the cursor then stands at the next greater row, and
 * is looked at again by the next call. Keys must be asked for in ascending order.
 */
struct terms_walk {
    struct table_cursor cursor;
    bool has_row;
};
struct terms_walk terms_walk_start(const struct table *table);
bool terms_walk_to(struct terms_walk *walk, struct text org_id, struct text metric);

/* The org's own limits: of a row of the limits table; of a walk over it, has_* false without one.
 */
struct limits terms_row_limits(const struct table_cursor *row);
struct limits terms_walk_limits(struct terms_walk *walk, struct text org_id, struct text metric);

#endif
