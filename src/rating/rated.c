#include "rating/rated.h"

#include <assert.h>

enum { ORG_ID_COLUMN = 0, METRIC_COLUMN = 1 };

_Static_assert(USAGE_ORG_ID == 0 && USAGE_METRIC == 1 && SERIES_ORG_ID == 0 && SERIES_METRIC == 1 &&
                   NEGATIVES_METRIC == 1 && CHARGES_METRIC == 1 && PROJECTIONS_METRIC == 1 &&
                   ESTIMATES_METRIC == 1 && CHANGES_METRIC == 1 && RECORDS_METRIC == 1 &&
                   ITEMS_METRIC == 1 && LIMITS_METRIC == 1 && HISTORY_METRIC == 1,
               "a walk reads org_id and metric from the first two columns");

struct rated_walk rated_walk_start(const struct terms *terms, const struct table *orgs) {
    return (struct rated_walk){
        .terms = terms, .org = table_cursor_start(orgs), .orgs_left = UINT64_MAX};
}

void rated_walk_usage(struct rated_walk *walk, const struct table *usage) {
    walk->has_usage_table = true;
    walk->usage = table_cursor_start(usage);
}

void rated_walk_beside(struct rated_walk *walk, size_t side, const struct table *table) {
    assert(side < RATED_SIDES_MAX);
    struct rated_side *filled = &walk->sides[side];
    walk->sides_count = side < walk->sides_count ? walk->sides_count : side + 1;
    *filled = (struct rated_side){.has_row = false};
    if (table != NULL) {
        filled->cursor = table_cursor_start(table);
        filled->has_row = table_cursor_next(&filled->cursor);
    }
}

/* Its next row is the first one that is not of an org before this one. */
static struct table_cursor cursor_before_org(const struct table *table, struct text org_id) {
    return table_cursor_before(table, table_find_row(table, ORG_ID_COLUMN, org_id));
}

void rated_walk_range(struct rated_walk *walk, uint64_t from, uint64_t until) {
    assert(from <= until && until <= table_rows_count(walk->org.table));
    walk->org = table_cursor_before(walk->org.table, from);
    walk->orgs_left = until - from;
    walk->plan = NULL;
    struct table_cursor first = walk->org;
    if (!table_cursor_next(&first)) {
        return; /* no org, nothing to find */
    }
    struct text org_id = table_get_text(&first, ORGS_ORG_ID);
    if (walk->has_usage_table) {
        walk->usage = cursor_before_org(walk->usage.table, org_id);
    }
    for (size_t index = 0; index < walk->sides_count; index++) {
        struct rated_side *side = &walk->sides[index];
        if (side->cursor.table != NULL) {
            *side = (struct rated_side){.cursor = cursor_before_org(side->cursor.table, org_id)};
            side->has_row = table_cursor_next(&side->cursor);
        }
    }
}

/* Skips the rows of orgs before this one. */
static void side_to_org(struct rated_side *side, struct text org_id) {
    side->is_of_org = false;
    side->is_here = false;
    while (side->has_row) {
        int order = text_compare(table_get_text(&side->cursor, ORG_ID_COLUMN), org_id);
        side->is_of_org = order == 0;
        if (order >= 0) {
            return;
        }
        side->has_row = table_cursor_next(&side->cursor);
    }
}

static void side_next_of_org(struct rated_side *side, struct text org_id) {
    side->has_row = table_cursor_next(&side->cursor);
    side->is_of_org =
        side->has_row && text_equals(table_get_text(&side->cursor, ORG_ID_COLUMN), org_id);
}

/* Skips the org's rows of metrics before this one. */
static void side_to_metric(struct rated_side *side, struct text org_id, struct text metric) {
    if (side->is_here) { /* that of the price before */
        side->is_here = false;
        side_next_of_org(side, org_id);
    }
    while (side->is_of_org) {
        int order = text_compare(table_get_text(&side->cursor, METRIC_COLUMN), metric);
        side->is_here = order == 0;
        if (order >= 0) {
            return;
        }
        side_next_of_org(side, org_id);
    }
}

bool rated_walk_next_any(struct rated_walk *walk, struct err *err) {
    if (walk->orgs_left == 0 || !table_cursor_next(&walk->org)) {
        return false;
    }
    walk->orgs_left--;
    const struct terms_plan *before = walk->plan;
    walk->org_id = table_get_text(&walk->org, ORGS_ORG_ID);
    walk->price_next = 0;
    walk->price = NULL;
    walk->sides_of_org = 0;
    for (size_t index = 0; index < walk->sides_count; index++) {
        side_to_org(&walk->sides[index], walk->org_id);
        walk->sides_of_org |= (uint32_t)walk->sides[index].is_of_org << index;
    }
    if (!table_is_null(&walk->org, ORGS_REASON)) {
        walk->plan = NULL; /* set aside or listed */
        return true;
    }
    int64_t version = table_get_int64(&walk->org, ORGS_TERMS);
    struct text plan_id = table_get_text(&walk->org, ORGS_PLAN_ID);
    /* Neighbours often have the same plan. */
    return (before != NULL && before->terms == version && text_equals(before->plan_id, plan_id)) ||
           terms_find_plan(walk->terms, version, plan_id, &walk->plan, err);
}

bool rated_walk_next_org(struct rated_walk *walk, struct err *err) {
    while (rated_walk_next_any(walk, err)) {
        if (walk->plan != NULL) {
            return true;
        }
    }
    return false;
}

bool rated_walk_next_price(struct rated_walk *walk, struct err *err) {
    if (walk->plan == NULL || walk->price_next == walk->plan->prices_count) {
        return false;
    }
    walk->price = &walk->plan->prices[walk->price_next++];
    struct text metric = walk->price->metric;
    /* Most orgs have rows in few of the tables beside. */
    for (uint32_t sides = walk->sides_of_org; sides != 0; sides &= sides - 1) {
        side_to_metric(&walk->sides[__builtin_ctz(sides)], walk->org_id, metric);
    }
    if (!walk->has_usage_table ||
        (table_cursor_next(&walk->usage) &&
         text_equals(table_get_text(&walk->usage, USAGE_METRIC), metric) &&
         text_equals(table_get_text(&walk->usage, USAGE_ORG_ID), walk->org_id))) {
        return true;
    }
    return err_set(err, ERR_MISMATCH,
                   "org '%.*s', metric '%.*s': the plan's metrics are not those that were metered",
                   (int)walk->org_id.size_bytes, walk->org_id.bytes, (int)metric.size_bytes,
                   metric.bytes);
}

void rated_walk_pass_prices(struct rated_walk *walk) {
    assert(walk->price_next == 0);
    while (walk->plan != NULL && walk->price_next < walk->plan->prices_count) {
        walk->price_next++;
        /* The stages before have held them against the plan. */
        (void)(walk->has_usage_table && table_cursor_next(&walk->usage));
    }
}

struct limits rated_limits(const struct rated_side *side) {
    return side->is_here ? terms_row_limits(&side->cursor) : (struct limits){0};
}
