/*
 * project: a line through each daily series, the next period's quantity, and what it would cost by
 * the very code that rates real usage (limits, tiers, rounding and cap included).
 *
 * Only what differs from "it goes on as it is, and costs nothing" becomes a row.
 */
#include <assert.h>

#include "core/calendar.h"
#include "rating/daily.h"
#include "rating/rated.h"
#include "rating/trend.h"
#include "stage/stages.h"

enum project_input {
    INPUT_ORGS,
    INPUT_PLANS,
    INPUT_PRICES,
    INPUT_TIERS,
    INPUT_LIMITS,
    INPUT_HISTORY,
    INPUT_USAGE,
    INPUT_MOMENTS,
    INPUT_DAILY,
    INPUTS_COUNT,
};

static const struct table_schema *const project_inputs[INPUTS_COUNT] = {
    [INPUT_ORGS] = &checkpoint_orgs,     [INPUT_PLANS] = &checkpoint_plans,
    [INPUT_PRICES] = &checkpoint_prices, [INPUT_TIERS] = &checkpoint_tiers,
    [INPUT_LIMITS] = &checkpoint_limits, [INPUT_HISTORY] = &checkpoint_history,
    [INPUT_USAGE] = &checkpoint_usage,   [INPUT_MOMENTS] = &checkpoint_moments,
    [INPUT_DAILY] = &checkpoint_daily,
};

enum project_output { OUTPUT_PROJECTIONS, OUTPUT_ESTIMATES, OUTPUT_CHANGES, OUTPUTS_COUNT };

static const struct stage_output project_outputs[OUTPUTS_COUNT] = {
    [OUTPUT_PROJECTIONS] = {.schema = &checkpoint_projections, .is_sharded = true},
    [OUTPUT_ESTIMATES] = {.schema = &checkpoint_estimates, .is_sharded = true},
    [OUTPUT_CHANGES] = {.schema = &checkpoint_changes, .is_sharded = true},
};

enum project_side { SIDE_LIMITS, SIDE_HISTORY };

/* What one metric of the org at hand would cost. */
struct estimate {
    bool has_cost;
    struct decimal overage;
    struct decimal cost;
};

struct projector {
    const struct stage_shard *shard;
    struct terms terms;
    struct rated_walk walk;
    struct table_cursor moments; /* at the row of the next series that has one */
    bool has_moments;
    struct day_walk daily;      /* of those without */
    struct estimate *estimates; /* of the org at hand; room for the plan with the most prices */
    struct capped_cost *costs;  /* theirs */
    struct err unfit;           /* empty between calls: too large to be cleared for each row */
    uint64_t rows_in;
};

/* --- trends -------------------------------------------------------------------------------------
 */

/* Takes the row of moments of the series, if it has one. */
static struct trend_moments project_moments(struct projector *projector, int64_t series) {
    const struct table_cursor *row = &projector->moments;
    struct trend_moments moments = {.has_sums = projector->has_moments &&
                                                table_get_int64(row, MOMENTS_SERIES) == series};
    if (moments.has_sums) {
        moments.sum = table_get_decimal(row, MOMENTS_DAY_SUM);
        moments.moment = table_get_decimal(row, MOMENTS_DAY_MOMENT);
        moments.has_r_squared = !table_is_null(row, MOMENTS_R_SQUARED);
        if (moments.has_r_squared) {
            moments.r_squared = table_get_decimal(row, MOMENTS_R_SQUARED);
        }
        projector->has_moments = table_cursor_next(&projector->moments);
    }
    return moments;
}

/* By the days themselves, which meter leaves where their moments would be too large. */
static bool project_fit_days(struct projector *projector, const struct trend_input *input,
                             int64_t series, struct trend *trend, struct err *err) {
    const char *path = table_path(projector->daily.table);
    int32_t first_date = table_get_date(&projector->walk.org, ORGS_FIRST_DATE);
    struct trend_days days;
    trend_days_start(&days, input->days_count);
    if (!day_walk_read(&projector->daily, series, first_date, &days)) {
        return err_set(err, ERR_DAMAGED, "%s: days of series %lld that its period does not have",
                       path, (long long)series);
    }
    if (days.runs_count == 0) {
        return err_set(err, ERR_DAMAGED, "%s: no days of series %lld, which has no moments either",
                       path, (long long)series);
    }
    trend_fit(input, &days, trend);
    return true;
}

static bool project_fit(struct projector *projector, struct trend *trend, struct err *err) {
    const struct rated_walk *walk = &projector->walk;
    const struct table_cursor *usage = &walk->usage;
    struct trend_input input = {
        .aggregation = walk->price->price.aggregation,
        .days_count = (size_t)table_get_int64(&walk->org, ORGS_DAYS),
        .next_days_count = (size_t)table_get_int64(&walk->org, ORGS_NEXT_DAYS),
        .days_with_data = (size_t)table_get_int64(usage, USAGE_DAYS_WITH_DATA),
        .current = table_get_decimal(usage, USAGE_QUANTITY),
    };
    struct trend_moments moments = {.has_sums = false};
    if (table_is_null(usage, USAGE_SERIES)) {
        input.days_with_data = 0; /* a level of zero on all its days: no line is needed */
    } else if (trend_has_line(input.days_count, input.days_with_data)) {
        int64_t series = table_get_int64(usage, USAGE_SERIES);
        moments = project_moments(projector, series);
        if (!moments.has_sums) {
            return project_fit_days(projector, &input, series, trend, err);
        }
    }
    trend_fit_moments(&input, &moments, trend);
    return true;
}

/* Does it go on as it is? Then there is nothing to tell. */
static bool project_is_flat(const struct trend *trend, struct decimal current) {
    return trend->has_slope && decimal_is_zero(trend->slope_per_day) &&
           decimal_is_zero(trend->growth_30_days) && !trend->has_r_squared &&
           trend->has_projected && trend->projected.units == current.units;
}

static void put_optional(struct table_writer *writer, size_t column, bool has_value,
                         struct decimal value) {
    if (has_value) {
        table_put_decimal(writer, column, value);
    }
}

static bool project_put(struct projector *projector, const struct trend *trend, struct err *err) {
    struct table_writer *out = projector->shard->outputs[OUTPUT_PROJECTIONS];
    const struct rated_walk *walk = &projector->walk;
    if (project_is_flat(trend, table_get_decimal(&walk->usage, USAGE_QUANTITY))) {
        return true;
    }
    table_put_text(out, PROJECTIONS_ORG_ID, walk->org_id);
    table_put_text(out, PROJECTIONS_METRIC, walk->price->metric);
    put_optional(out, PROJECTIONS_SLOPE_PER_DAY, trend->has_slope, trend->slope_per_day);
    put_optional(out, PROJECTIONS_GROWTH_30_DAYS, trend->has_slope, trend->growth_30_days);
    put_optional(out, PROJECTIONS_R_SQUARED, trend->has_r_squared, trend->r_squared);
    put_optional(out, PROJECTIONS_PROJECTED, trend->has_projected, trend->projected);
    return table_end_row(out, err);
}

/* --- month over month ---------------------------------------------------------------------------
 */

/* The month before the one in which the org's period begins, as in usage_history. */
static void project_month_before(const struct table_cursor *org, char text[INSTANT_TEXT_MAX]) {
    struct civil_date first = civil_from_days(table_get_date(org, ORGS_FIRST_DATE));
    struct month month = {.year = first.year, .month = first.month};
    (void)month_format(month_add(month, -1), text);
}

static bool project_put_change(struct projector *projector, struct decimal previous,
                               struct err *err) {
    struct table_writer *out = projector->shard->outputs[OUTPUT_CHANGES];
    const struct rated_walk *walk = &projector->walk;
    struct decimal change;
    table_put_text(out, CHANGES_ORG_ID, walk->org_id);
    table_put_text(out, CHANGES_METRIC, walk->price->metric);
    table_put_decimal(out, CHANGES_PREVIOUS, previous);
    if (trend_change(table_get_decimal(&walk->usage, USAGE_QUANTITY), previous, &change)) {
        table_put_decimal(out, CHANGES_CHANGE, change);
    }
    return table_end_row(out, err);
}

/* History has a row per month: the one of the month before, if any. */
static bool project_history(struct projector *projector, struct err *err) {
    const struct rated_side *side = &projector->walk.sides[SIDE_HISTORY];
    if (!side->is_here) {
        return true;
    }
    char month_before[INSTANT_TEXT_MAX];
    project_month_before(&projector->walk.org, month_before);
    struct table_cursor row = side->cursor;
    do {
        int order = text_compare(table_get_text(&row, HISTORY_PERIOD), text_from(month_before));
        if (order >= 0) {
            return order > 0 ||
                   project_put_change(projector, table_get_decimal(&row, HISTORY_QUANTITY), err);
        }
    } while (table_cursor_next(&row) &&
             text_equals(table_get_text(&row, HISTORY_METRIC), projector->walk.price->metric) &&
             text_equals(table_get_text(&row, HISTORY_ORG_ID), projector->walk.org_id));
    return true;
}

/* --- estimated costs ----------------------------------------------------------------------------
 */

/* Is it a number that does not fit? That leaves an estimate out, and is no failure. */
static bool project_forgive(struct err *unfit, const char *what, struct err *err) {
    enum err_code code = unfit->code;
    err_release(unfit);
    return code == ERR_RANGE || err_set(err, code, "%s failed", what);
}

/* Rates the projected quantity. */
static bool project_rate(struct projector *projector, const struct trend *trend,
                         struct estimate *estimate, struct err *err) {
    const struct rated_walk *walk = &projector->walk;
    *estimate = (struct estimate){.has_cost = false};
    if (!trend->has_projected) {
        return true;
    }
    struct limits limits = rated_limits(&walk->sides[SIDE_LIMITS]);
    struct charge charge;
    if (!charge_rate(&walk->price->price, &limits, trend->projected, walk->plan->currency, &charge,
                     NULL, &projector->unfit)) {
        return project_forgive(&projector->unfit, "rating a projected quantity", err);
    }
    *estimate = (struct estimate){
        .has_cost = true, .overage = charge.overage, .cost = charge.uncapped_cost};
    return true;
}

static bool project_cap(struct projector *projector, struct err *err) {
    const struct rated_walk *walk = &projector->walk;
    struct arena *arena = projector->shard->arena;
    size_t count = walk->plan->prices_count;
    if (table_is_null(&walk->org, ORGS_OVERAGE_CAP)) {
        return true;
    }
    for (size_t index = 0; index < count; index++) {
        const struct estimate *estimate = &projector->estimates[index];
        projector->costs[index] = (struct capped_cost){
            .metric = walk->plan->prices[index].metric,
            .uncapped_cost = estimate->has_cost ? estimate->cost : DECIMAL_ZERO,
        };
    }
    bool is_capped =
        charge_cap(projector->costs, count, table_get_decimal(&walk->org, ORGS_OVERAGE_CAP),
                   walk->plan->currency, arena, &projector->unfit);
    if (!is_capped && !project_forgive(&projector->unfit, "capping projected costs", err)) {
        return false;
    }
    for (size_t index = 0; index < count; index++) {
        struct estimate *estimate = &projector->estimates[index];
        estimate->cost = projector->costs[index].cost;
        estimate->has_cost = estimate->has_cost && is_capped;
    }
    return true;
}

static bool project_put_estimates(struct projector *projector, struct err *err) {
    struct table_writer *out = projector->shard->outputs[OUTPUT_ESTIMATES];
    const struct terms_plan *plan = projector->walk.plan;
    for (size_t index = 0; index < plan->prices_count; index++) {
        const struct estimate *estimate = &projector->estimates[index];
        if (estimate->has_cost && decimal_is_zero(estimate->overage)) {
            continue;
        }
        table_put_text(out, ESTIMATES_ORG_ID, projector->walk.org_id);
        table_put_text(out, ESTIMATES_METRIC, plan->prices[index].metric);
        put_optional(out, ESTIMATES_PROJECTED_OVERAGE, estimate->has_cost, estimate->overage);
        put_optional(out, ESTIMATES_PROJECTED_COST, estimate->has_cost, estimate->cost);
        if (!table_end_row(out, err)) {
            return false;
        }
    }
    return true;
}

/* --- orgs ---------------------------------------------------------------------------------------
 */

static bool project_org(struct projector *projector, struct err *err) {
    for (size_t index = 0; rated_walk_next_price(&projector->walk, err); index++) {
        struct trend trend;
        if (!project_fit(projector, &trend, err) || !project_put(projector, &trend, err) ||
            !project_history(projector, err) ||
            !project_rate(projector, &trend, &projector->estimates[index], err)) {
            return false;
        }
        projector->rows_in++;
    }
    return err->code == ERR_NONE && project_cap(projector, err) &&
           project_put_estimates(projector, err);
}

static bool project_moments_end(const struct projector *projector, struct err *err) {
    const struct table_cursor *row = &projector->moments;
    return !projector->has_moments ||
           err_set(err, ERR_DAMAGED, "%s: moments of series %lld, which no price meters",
                   table_path(row->table), (long long)table_get_int64(row, MOMENTS_SERIES));
}

static bool project_check(struct projector *projector, struct err *err) {
    static const char row[] = "rows of usage = rows projected";
    struct text unit = text_from("rows");
    struct decimal left;
    struct decimal right;
    (void)decimal_from_int64((int64_t)table_rows_count(projector->shard->inputs[INPUT_USAGE]),
                             &left);
    (void)decimal_from_int64((int64_t)projector->rows_in, &right);
    return project_moments_end(projector, err) && day_walk_end(&projector->daily, err) &&
           totals_add_left(projector->shard->totals, row, unit, left, err) &&
           totals_add_right(projector->shard->totals, row, unit, right, err);
}

static bool project_compute(const struct stage_shard *shard, struct err *err) {
    struct projector projector = {.shard = shard};
    if (!terms_load(&projector.terms, shard->inputs[INPUT_PLANS], shard->inputs[INPUT_PRICES],
                    shard->inputs[INPUT_TIERS], shard->arena, err)) {
        return false;
    }
    size_t prices_max = terms_prices_max(&projector.terms);
    projector.estimates =
        arena_alloc_array(shard->arena, prices_max, sizeof *projector.estimates, err);
    projector.costs = arena_alloc_array(shard->arena, prices_max, sizeof *projector.costs, err);
    if (projector.estimates == NULL || projector.costs == NULL) {
        return false;
    }
    projector.walk = rated_walk_start(&projector.terms, shard->inputs[INPUT_ORGS]);
    rated_walk_usage(&projector.walk, shard->inputs[INPUT_USAGE]);
    rated_walk_beside(&projector.walk, SIDE_LIMITS, shard->inputs[INPUT_LIMITS]);
    rated_walk_beside(&projector.walk, SIDE_HISTORY, shard->inputs[INPUT_HISTORY]);
    projector.moments = table_cursor_start(shard->inputs[INPUT_MOMENTS]);
    projector.has_moments = table_cursor_next(&projector.moments);
    projector.daily = day_walk_start(shard->inputs[INPUT_DAILY]);
    while (rated_walk_next_org(&projector.walk, err)) {
        if (!project_org(&projector, err)) {
            return false;
        }
    }
    return err->code == ERR_NONE && project_check(&projector, err);
}

const struct stage stage_project = {
    .name = "project",
    .number = 40,
    .version = 3,
    .effect = EFFECT_NONE,
    .summary = "fit a trend to each daily series and estimate the next period",
    .inputs = project_inputs,
    .inputs_count = INPUTS_COUNT,
    .outputs = project_outputs,
    .outputs_count = OUTPUTS_COUNT,
    .compute = project_compute,
};
