/* verify: tier lines and projections once more. */
#include <stdio.h>

#include "core/calendar.h"
#include "verify_shard.h"

/* --- tiers --------------------------------------------------------------------------------------
 */

static bool line_is_next(const struct verify_shard *shard) {
    return shard->has_line &&
           text_equals(table_get_text(&shard->lines, LINES_ORG_ID),
                       table_get_text(shard->org, ORGS_ORG_ID)) &&
           text_equals(table_get_text(&shard->lines, LINES_METRIC), shard->metric);
}

static bool line_is(struct verify_shard *shard, const struct recompute_price *price,
                    const struct recompute_line *expected) {
    const struct recompute_tier *tier = &price->tiers[expected->tier];
    const struct table_cursor *row = &shard->lines;
    char what[4][64];
    static const char *const names[] = {"quantity", "unit_price", "flat_price", "amount"};
    for (size_t index = 0; index < sizeof names / sizeof names[0]; index++) {
        (void)snprintf(what[index], sizeof what[index], "tier %zu, %s", expected->tier + 1,
                       names[index]);
    }
    bool agrees = table_get_int64(row, LINES_TIER) == (int64_t)expected->tier + 1;
    if (!agrees) {
        verify_disagree(shard, what[0], "another tier", "this tier");
    }
    agrees =
        verify_value(shard, what[0], table_get_decimal(row, LINES_QUANTITY), &expected->quantity) &&
        agrees;
    agrees =
        verify_value(shard, what[1], table_get_decimal(row, LINES_UNIT_PRICE), &tier->unit_price) &&
        agrees;
    agrees =
        verify_value(shard, what[2], table_get_decimal(row, LINES_FLAT_PRICE), &tier->flat_price) &&
        agrees;
    return verify_value(shard, what[3], table_get_decimal(row, LINES_AMOUNT), &expected->amount) &&
           agrees;
}

bool verify_lines(struct verify_shard *shard, const struct recompute_price *price,
                  const struct recompute_lines *lines) {
    bool all_agree = true;
    size_t found = 0;
    for (; line_is_next(shard); found++) {
        bool agrees = found < lines->count && line_is(shard, price, &lines->lines[found]);
        shard->lines_checked++;
        shard->lines_agreeing += agrees ? 1 : 0;
        all_agree = all_agree && agrees;
        shard->has_line = table_cursor_next(&shard->lines);
    }
    if (found != lines->count) {
        char sealed[32];
        char expected[32];
        (void)snprintf(sealed, sizeof sealed, "%zu", found);
        (void)snprintf(expected, sizeof expected, "%zu", lines->count);
        verify_disagree(shard, "tiers used", sealed, expected);
        return false;
    }
    return all_agree;
}

/* --- projections --------------------------------------------------------------------------------
 */

void verify_trend(struct verify_metric *metric) {
    metric->has_projected_cost = false;
    if (metric->trend.has_projected) {
        recompute_charge(&metric->terms, &metric->trend.projected, &metric->projected, NULL);
        metric->has_projected_cost = recompute_fits(&metric->projected.overage) &&
                                     recompute_fits(&metric->projected.exact_cost) &&
                                     recompute_fits(&metric->projected.uncapped_cost);
    }
}

static struct recompute_signed unsigned_value(const struct recompute_number *number) {
    return (struct recompute_signed){.size = *number};
}

/* The month before the one in which the org's period begins. */
static void month_before(const struct table_cursor *org, char text[INSTANT_TEXT_MAX]) {
    struct civil_date first = civil_from_days(table_get_date(org, ORGS_FIRST_DATE));
    bool is_january = first.month == 1;
    (void)snprintf(text, INSTANT_TEXT_MAX, "%04d-%02d", is_january ? first.year - 1 : first.year,
                   is_january ? 12 : first.month - 1);
}

static bool history_find(struct verify_shard *shard, struct decimal *previous) {
    struct terms_walk *walk = &shard->history;
    struct text org_id = table_get_text(shard->org, ORGS_ORG_ID);
    char month[INSTANT_TEXT_MAX];
    month_before(shard->org, month);
    bool is_found = terms_walk_to(walk, org_id, shard->metric);
    while (is_found &&
           !text_equals(table_get_text(&walk->cursor, HISTORY_PERIOD), text_from(month))) {
        walk->has_row = table_cursor_next(&walk->cursor);
        is_found = walk->has_row &&
                   text_equals(table_get_text(&walk->cursor, HISTORY_ORG_ID), org_id) &&
                   text_equals(table_get_text(&walk->cursor, HISTORY_METRIC), shard->metric);
    }
    if (is_found) {
        *previous = table_get_decimal(&walk->cursor, HISTORY_QUANTITY);
    }
    return is_found;
}

/* Finds the row of the metric at hand, and counts it. */
static bool row_find(struct verify_shard *shard, struct terms_walk *walk, uint64_t *found) {
    bool is_found = terms_walk_to(walk, table_get_text(shard->org, ORGS_ORG_ID), shard->metric);
    *found += is_found ? 1 : 0;
    return is_found;
}

/* A row of changes exists where history has the month before. */
static bool change_is(struct verify_shard *shard, const struct verify_metric *metric) {
    struct decimal previous = DECIMAL_ZERO;
    struct recompute_signed expected = {0};
    struct recompute_signed change = {0};
    bool has_previous = history_find(shard, &previous);
    bool has_change = has_previous && !decimal_is_zero(previous);
    bool is_sealed = row_find(shard, &shard->changes, &shard->changes_found);
    if (!verify_presence(shard, "previous", is_sealed, has_previous) || !is_sealed) {
        return is_sealed == has_previous;
    }
    expected.size = recompute_read(previous, &expected.is_negative);
    if (has_change) {
        change = recompute_change(table_get_decimal(&metric->usage, USAGE_QUANTITY), previous);
        has_change = recompute_fits(&change.size);
    }
    const struct table_cursor *row = &shard->changes.cursor;
    bool is_previous = verify_optional(shard, "previous", row, CHANGES_PREVIOUS, true, &expected);
    return verify_optional(shard, "change", row, CHANGES_CHANGE, has_change, &change) &&
           is_previous;
}

/* What goes on as it is has no row of projections. */
static bool trend_is_flat(const struct recompute_trend *trend, struct decimal current) {
    return trend->has_slope && trend->slope_per_day.size.count == 0 &&
           trend->growth_30_days.size.count == 0 && !trend->has_r_squared && trend->has_projected &&
           recompute_is(&trend->projected, current);
}

static bool trend_is(struct verify_shard *shard, const struct verify_metric *metric) {
    const struct recompute_trend *trend = &metric->trend;
    bool is_expected = !trend_is_flat(trend, table_get_decimal(&metric->usage, USAGE_QUANTITY));
    bool is_sealed = row_find(shard, &shard->projections, &shard->projections_found);
    if (!verify_presence(shard, "trend", is_sealed, is_expected) || !is_sealed) {
        return is_sealed == is_expected;
    }
    const struct recompute_signed r_squared = unsigned_value(&trend->r_squared);
    const struct recompute_signed projected = unsigned_value(&trend->projected);
    const struct {
        const char *name;
        size_t column;
        bool has_value;
        const struct recompute_signed *value;
    } values[] = {
        {"slope_per_day", PROJECTIONS_SLOPE_PER_DAY, trend->has_slope, &trend->slope_per_day},
        {"growth_30_days", PROJECTIONS_GROWTH_30_DAYS, trend->has_slope, &trend->growth_30_days},
        {"r_squared", PROJECTIONS_R_SQUARED, trend->has_r_squared, &r_squared},
        {"projected", PROJECTIONS_PROJECTED, trend->has_projected, &projected},
    };
    bool agrees = true;
    for (size_t index = 0; index < sizeof values / sizeof values[0]; index++) {
        agrees =
            verify_optional(shard, values[index].name, &shard->projections.cursor,
                            values[index].column, values[index].has_value, values[index].value) &&
            agrees;
    }
    return agrees;
}

/* A row of estimates exists where the next period would have overage, or where that is not known.
 */
static bool estimate_is(struct verify_shard *shard, const struct verify_metric *metric,
                        bool has_cost, const struct recompute_number *cost) {
    bool is_expected = !has_cost || metric->projected.overage.count > 0;
    bool is_sealed = row_find(shard, &shard->estimates, &shard->estimates_found);
    if (!verify_presence(shard, "estimate", is_sealed, is_expected) || !is_sealed) {
        return is_sealed == is_expected;
    }
    const struct recompute_signed overage = unsigned_value(&metric->projected.overage);
    const struct recompute_signed money = unsigned_value(cost);
    const struct table_cursor *row = &shard->estimates.cursor;
    bool is_overage = verify_optional(shard, "projected_overage", row, ESTIMATES_PROJECTED_OVERAGE,
                                      has_cost, &overage);
    return verify_optional(shard, "projected_cost", row, ESTIMATES_PROJECTED_COST, has_cost,
                           &money) &&
           is_overage;
}

/* Under the org's cap, where it has one; false when the sum of the costs does not fit. */
static bool cap_projected(const struct verify_shard *shard, struct recompute_capped *costs,
                          size_t costs_count, const struct recompute_number *increment) {
    struct recompute_number total = {.count = 0};
    bool is_negative;
    if (table_is_null(shard->org, ORGS_OVERAGE_CAP)) {
        return true;
    }
    for (size_t index = 0; index < costs_count; index++) {
        recompute_add(&total, &costs[index].uncapped_cost);
    }
    if (!recompute_fits(&total)) {
        return false;
    }
    struct recompute_number cap =
        recompute_read(table_get_decimal(shard->org, ORGS_OVERAGE_CAP), &is_negative);
    recompute_cap(costs, costs_count, &cap, increment);
    return true;
}

bool verify_projections(struct verify_shard *shard, const struct terms_plan *plan,
                        const struct recompute_number *increment,
                        const struct verify_metric *metrics, struct err *err) {
    struct recompute_capped *costs =
        arena_alloc_array(shard->arena, plan->prices_count, sizeof *costs, err);
    if (costs == NULL) {
        return false;
    }
    for (size_t index = 0; index < plan->prices_count; index++) {
        costs[index].metric = plan->prices[index].metric;
        if (metrics[index].has_projected_cost) {
            costs[index].uncapped_cost = metrics[index].projected.uncapped_cost;
        }
        costs[index].cost = costs[index].uncapped_cost;
    }
    bool is_capped = cap_projected(shard, costs, plan->prices_count, increment);
    for (size_t index = 0; index < plan->prices_count; index++) {
        shard->metric = plan->prices[index].metric;
        bool has_cost = metrics[index].has_projected_cost && is_capped;
        bool agrees = trend_is(shard, &metrics[index]);
        agrees = estimate_is(shard, &metrics[index], has_cost, &costs[index].cost) && agrees;
        agrees = change_is(shard, &metrics[index]) && agrees;
        shard->projections_checked++;
        shard->projections_agreeing += agrees ? 1 : 0;
    }
    return true;
}
