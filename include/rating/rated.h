/*
 * The walk that all stages and reports share: the rated orgs of a shard with their plans, and each
 * org's prices beside its rows.
 *
 *     struct rated_walk walk = rated_walk_start(&terms, orgs);
 *     rated_walk_usage(&walk, usage);          a row for every price: in step, and checked
 *     rated_walk_beside(&walk, SIDE_LIMITS, limits);     rows for some: walk.sides[SIDE_LIMITS]
 *     while (rated_walk_next_org(&walk, err)) {
 *         while (rated_walk_next_price(&walk, err)) { … walk.price, walk.usage … }
 *     }
 *     return err->code == ERR_NONE;
 *
 * Tables beside are sorted by (org_id, metric); one that is NULL has no rows. Nothing is looked up
 * and nothing kept: every table is read once, from front to back.
 *
 * A usage row that is missing or of another key is ERR_MISMATCH.
 */
#ifndef PERIODCLOSE_RATING_RATED_H
#define PERIODCLOSE_RATING_RATED_H

#include "rating/terms.h"

enum { RATED_SIDES_MAX = 8 };

/* One table beside. The row at the cursor is that of the price at hand if is_here. */
struct rated_side {
    struct table_cursor cursor;
    bool has_row;
    bool is_of_org; /* the row at the cursor is of the org at hand */
    bool is_here;
};

struct rated_walk {
    const struct terms *terms;
    struct table_cursor org;
    uint64_t orgs_left; /* of its range */
    struct text org_id;
    const struct terms_plan *plan; /* NULL: the org is set aside or listed */
    size_t price_next;             /* index of the price that comes next */
    const struct terms_price *price;
    bool has_usage_table;
    bool has_usage;
    struct table_cursor usage; /* at the row of the price at hand */
    size_t sides_count;
    uint32_t sides_of_org; /* bit by side: had rows of the org at hand when it was reached */
    struct rated_side sides[RATED_SIDES_MAX];
};

struct rated_walk rated_walk_start(const struct terms *terms, const struct table *orgs);
void rated_walk_usage(struct rated_walk *walk, const struct table *usage);
void rated_walk_beside(struct rated_walk *walk, size_t side, const struct table *table);

/*
 * Goes on with the orgs in these rows of orgs alone, wherever it stood: for walks that are shared
 * by several threads. Costs a search in every table.
 */
void rated_walk_range(struct rated_walk *walk, uint64_t from, uint64_t until);
/* The same for a range that begins where the one before ended: costs nothing. */
static inline void rated_walk_more(struct rated_walk *walk, uint64_t orgs_count) {
    walk->orgs_left = orgs_count;
}

/* False at the end, and on failure. */
bool rated_walk_next_org(struct rated_walk *walk, struct err *err);
/* The same with the orgs that are not rated: their plan is NULL, they have no prices. */
bool rated_walk_next_any(struct rated_walk *walk, struct err *err);
bool rated_walk_next_price(struct rated_walk *walk, struct err *err);
/* Has the org at hand rows in the table beside? Not asked after its first price. */
static inline bool rated_walk_has_side(const struct rated_walk *walk, size_t side) {
    return (walk->sides_of_org >> side & 1) != 0;
}
/* Passes the prices of the org at hand, and their usage, unseen. */
void rated_walk_pass_prices(struct rated_walk *walk);

/* The org's own limits of the price at hand, from the side that is over the table limits. */
struct limits rated_limits(const struct rated_side *side);

#endif
