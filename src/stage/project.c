/*
 * project: a line through each daily series, the next period's quantity, and what it would cost by
 * the very code that rates real usage (limits, tiers, rounding and cap included).
 */
#include <assert.h>

#include "core/calendar.h"
#include "rating/terms.h"
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
    INPUT_DAILY,
    INPUTS_COUNT,
};

static const struct table_schema *const project_inputs[INPUTS_COUNT] = {
    [INPUT_ORGS] = &checkpoint_orgs,     [INPUT_PLANS] = &checkpoint_plans,
    [INPUT_PRICES] = &checkpoint_prices, [INPUT_TIERS] = &checkpoint_tiers,
    [INPUT_LIMITS] = &checkpoint_limits, [INPUT_HISTORY] = &checkpoint_history,
    [INPUT_USAGE] = &checkpoint_usage,   [INPUT_DAILY] = &checkpoint_daily,
};

static const struct stage_output project_outputs[] = {
    {.schema = &checkpoint_projections, .is_sharded = true},
};

struct projector {
    const struct stage_shard *shard;
    struct terms terms;
    struct terms_walk limits;
    struct terms_walk history;
    struct table_cursor usage;
    bool has_usage;
    struct table_cursor daily;
    bool has_daily;
};

struct projection {
    struct trend trend;
    bool has_cost;
    struct decimal overage;
    struct decimal cost;
    bool has_previous;
    struct decimal previous;
    bool has_change;
    struct decimal change;
};

/* The sparse series of the usage row at hand, made dense. */
static void project_days(struct projector *projector, bool is_level, int32_t first_date,
                         size_t days_count, struct decimal days[TREND_DAYS_MAX]) {
    int64_t series = table_get_int64(&projector->usage, USAGE_SERIES);
    size_t filled = 0;
    struct decimal held = DECIMAL_ZERO;
    for (size_t day_index = 0; day_index < days_count; day_index++) {
        days[day_index] = DECIMAL_ZERO;
    }
    while (projector->has_daily && table_get_int64(&projector->daily, DAILY_SERIES) == series) {
        int32_t offset = table_get_date(&projector->daily, DAILY_DAY) - first_date;
        assert(offset >= 0 && (size_t)offset < days_count);
        size_t day_index = (size_t)offset;
        for (; is_level && filled < day_index; filled++) {
            days[filled] = held;
        }
        held = DECIMAL_ZERO;
        if (!table_is_null(&projector->daily, DAILY_QUANTITY)) {
            held = table_get_decimal(&projector->daily, DAILY_QUANTITY);
        }
        days[day_index] = held;
        filled = day_index + 1;
        projector->has_daily = table_cursor_next(&projector->daily);
    }
    for (; is_level && filled < days_count; filled++) {
        days[filled] = held;
    }
}

/* Month-over-month: the history row of the month before this period's. */
static void project_history(struct projector *projector, struct text org_id, struct text metric,
                            struct text month_before, struct projection *projection) {
    struct terms_walk *walk = &projector->history;
    bool is_found = terms_walk_to(walk, org_id, metric);
    while (is_found) {
        int order = text_compare(table_get_text(&walk->cursor, HISTORY_PERIOD), month_before);
        if (order == 0) {
            projection->has_previous = true;
            projection->previous = table_get_decimal(&walk->cursor, HISTORY_QUANTITY);
            projection->has_change =
                trend_change(table_get_decimal(&projector->usage, USAGE_QUANTITY),
                             projection->previous, &projection->change);
        }
        if (order >= 0) {
            return;
        }
        walk->has_row = table_cursor_next(&walk->cursor);
        is_found = walk->has_row &&
                   text_equals(table_get_text(&walk->cursor, HISTORY_ORG_ID), org_id) &&
                   text_equals(table_get_text(&walk->cursor, HISTORY_METRIC), metric);
    }
}

static void project_price(struct projector *projector, const struct table_cursor *org,
                          const struct terms_price *price, struct projection *projection) {
    struct decimal days[TREND_DAYS_MAX];
    struct trend_input input = {
        .aggregation = price->price.aggregation,
        .days = days,
        .days_count = (size_t)table_get_int64(org, ORGS_DAYS),
        .next_days_count = (size_t)table_get_int64(org, ORGS_NEXT_DAYS),
        .days_with_data = (size_t)table_get_int64(&projector->usage, USAGE_DAYS_WITH_DATA),
        .current = table_get_decimal(&projector->usage, USAGE_QUANTITY),
    };
    assert(input.days_count <= TREND_DAYS_MAX);
    project_days(projector, aggregation_table[input.aggregation].is_level,
                 table_get_date(org, ORGS_FIRST_DATE), input.days_count, days);
    trend_fit(&input, &projection->trend);
}

/* Rates the projected quantity; a number that does not fit leaves the estimate out. */
static bool project_rate(struct projector *projector, const struct terms_plan *plan,
                         struct text org_id, const struct terms_price *price,
                         struct projection *projection, struct err *err) {
    struct limits limits = terms_walk_limits(&projector->limits, org_id, price->metric);
    if (!projection->trend.has_projected) {
        return true;
    }
    struct charge charge;
    struct err unfit = {0};
    projection->has_cost = charge_rate(&price->price, &limits, projection->trend.projected,
                                       plan->currency, &charge, NULL, &unfit);
    if (!projection->has_cost) {
        enum err_code code = unfit.code;
        err_release(&unfit);
        return code == ERR_RANGE || err_set(err, code, "rating a projected quantity failed");
    }
    projection->overage = charge.overage;
    projection->cost = charge.uncapped_cost;
    return true;
}

static bool project_cap(const struct table_cursor *org, const struct terms_plan *plan,
                        struct projection *projections, struct arena *arena, struct err *err) {
    if (table_is_null(org, ORGS_OVERAGE_CAP)) {
        return true;
    }
    struct capped_cost *costs = arena_alloc_array(arena, plan->prices_count, sizeof *costs, err);
    if (costs == NULL) {
        return false;
    }
    for (size_t index = 0; index < plan->prices_count; index++) {
        costs[index] = (struct capped_cost){
            .metric = plan->prices[index].metric,
            .uncapped_cost = projections[index].has_cost ? projections[index].cost : DECIMAL_ZERO,
        };
    }
    struct err unfit = {0};
    bool is_capped = charge_cap(costs, plan->prices_count, table_get_decimal(org, ORGS_OVERAGE_CAP),
                                plan->currency, arena, &unfit);
    if (!is_capped) {
        enum err_code code = unfit.code;
        err_release(&unfit);
        if (code != ERR_RANGE) {
            return err_set(err, code, "capping projected costs failed");
        }
    }
    for (size_t index = 0; index < plan->prices_count; index++) {
        projections[index].cost = costs[index].cost;
        projections[index].has_cost = projections[index].has_cost && is_capped;
    }
    return true;
}

static void put_optional(struct table_writer *writer, size_t column, bool has_value,
                         struct decimal value) {
    if (has_value) {
        table_put_decimal(writer, column, value);
    }
}

static bool project_put(struct projector *projector, struct text org_id, struct text metric,
                        const struct projection *projection, struct err *err) {
    struct table_writer *out = projector->shard->outputs[0];
    const struct trend *trend = &projection->trend;
    table_put_text(out, PROJECTIONS_ORG_ID, org_id);
    table_put_text(out, PROJECTIONS_METRIC, metric);
    put_optional(out, PROJECTIONS_SLOPE_PER_DAY, trend->has_slope, trend->slope_per_day);
    put_optional(out, PROJECTIONS_GROWTH_30_DAYS, trend->has_slope, trend->growth_30_days);
    put_optional(out, PROJECTIONS_R_SQUARED, trend->has_r_squared, trend->r_squared);
    put_optional(out, PROJECTIONS_PROJECTED, trend->has_projected, trend->projected);
    put_optional(out, PROJECTIONS_PROJECTED_OVERAGE, projection->has_cost, projection->overage);
    put_optional(out, PROJECTIONS_PROJECTED_COST, projection->has_cost, projection->cost);
    put_optional(out, PROJECTIONS_PREVIOUS, projection->has_previous, projection->previous);
    put_optional(out, PROJECTIONS_CHANGE, projection->has_change, projection->change);
    return table_end_row(out, err);
}

/* The month before the one in which the org's period begins, as in usage_history. */
static void project_month_before(const struct table_cursor *org, char text[INSTANT_TEXT_MAX]) {
    struct civil_date first = civil_from_days(table_get_date(org, ORGS_FIRST_DATE));
    struct month month = {.year = first.year, .month = first.month};
    (void)month_format(month_add(month, -1), text);
}

static bool project_org(struct projector *projector, const struct table_cursor *org,
                        const struct terms_plan *plan, struct err *err) {
    struct arena *arena = projector->shard->arena;
    struct text org_id = table_get_text(org, ORGS_ORG_ID);
    struct projection *projections =
        arena_alloc_array(arena, plan->prices_count, sizeof *projections, err);
    if (projections == NULL) {
        return false;
    }
    char month_before[INSTANT_TEXT_MAX];
    project_month_before(org, month_before);
    for (size_t index = 0; index < plan->prices_count; index++) {
        const struct terms_price *price = &plan->prices[index];
        if (!projector->has_usage ||
            !text_equals(table_get_text(&projector->usage, USAGE_METRIC), price->metric)) {
            return err_set(err, ERR_MISMATCH,
                           "org '%.*s': the plan's metrics are not those that "
                           "were metered",
                           (int)org_id.size_bytes, org_id.bytes);
        }
        project_price(projector, org, price, &projections[index]);
        project_history(projector, org_id, price->metric, text_from(month_before),
                        &projections[index]);
        if (!project_rate(projector, plan, org_id, price, &projections[index], err)) {
            return false;
        }
        projector->has_usage = table_cursor_next(&projector->usage);
    }
    if (!project_cap(org, plan, projections, arena, err)) {
        return false;
    }
    for (size_t index = 0; index < plan->prices_count; index++) {
        if (!project_put(projector, org_id, plan->prices[index].metric, &projections[index], err)) {
            return false;
        }
    }
    return true;
}

static bool project_check(struct projector *projector, struct err *err) {
    static const char row[] = "rows of usage = rows of projections";
    struct text unit = text_from("rows");
    struct decimal left;
    struct decimal right;
    (void)decimal_from_int64((int64_t)table_rows_count(projector->shard->inputs[INPUT_USAGE]),
                             &left);
    (void)decimal_from_int64((int64_t)table_writer_rows_count(projector->shard->outputs[0]),
                             &right);
    if (projector->has_daily) {
        return err_set(err, ERR_DAMAGED, "%s: days of a series that usage does not have",
                       table_path(projector->shard->inputs[INPUT_DAILY]));
    }
    return totals_add_left(projector->shard->totals, row, unit, left, err) &&
           totals_add_right(projector->shard->totals, row, unit, right, err);
}

static bool project_compute(const struct stage_shard *shard, struct err *err) {
    struct projector projector = {.shard = shard};
    if (!terms_load(&projector.terms, shard->inputs[INPUT_PLANS], shard->inputs[INPUT_PRICES],
                    shard->inputs[INPUT_TIERS], shard->arena, err)) {
        return false;
    }
    projector.limits = terms_walk_start(shard->inputs[INPUT_LIMITS]);
    projector.history = terms_walk_start(shard->inputs[INPUT_HISTORY]);
    projector.usage = table_cursor_start(shard->inputs[INPUT_USAGE]);
    projector.has_usage = table_cursor_next(&projector.usage);
    projector.daily = table_cursor_start(shard->inputs[INPUT_DAILY]);
    projector.has_daily = table_cursor_next(&projector.daily);
    struct table_cursor org = table_cursor_start(shard->inputs[INPUT_ORGS]);
    struct arena_mark mark = arena_mark(shard->arena);
    while (table_cursor_next(&org)) {
        if (!table_is_null(&org, ORGS_REASON)) {
            continue; /* set aside or listed */
        }
        const struct terms_plan *plan;
        if (!terms_find_plan(&projector.terms, table_get_int64(&org, ORGS_TERMS),
                             table_get_text(&org, ORGS_PLAN_ID), &plan, err) ||
            !project_org(&projector, &org, plan, err)) {
            return false;
        }
        arena_rewind(shard->arena, mark);
    }
    return project_check(&projector, err);
}

const struct stage stage_project = {
    .name = "project",
    .number = 40,
    .version = 1,
    .effect = EFFECT_NONE,
    .summary = "fit a trend to each daily series and estimate the next period",
    .inputs = project_inputs,
    .inputs_count = INPUTS_COUNT,
    .outputs = project_outputs,
    .outputs_count = sizeof project_outputs / sizeof project_outputs[0],
    .compute = project_compute,
};
