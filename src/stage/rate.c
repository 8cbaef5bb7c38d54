/*
 * rate: from quantities to cents. One charge per row of usage, in the same order, and the tiers it
 * went through; then the org's cap over all of its charges.
 */
#include <assert.h>

#include "rating/terms.h"
#include "stage/stages.h"

enum rate_input {
    INPUT_ORGS,
    INPUT_PLANS,
    INPUT_PRICES,
    INPUT_TIERS,
    INPUT_LIMITS,
    INPUT_USAGE,
    INPUTS_COUNT,
};

static const struct table_schema *const rate_inputs[INPUTS_COUNT] = {
    [INPUT_ORGS] = &checkpoint_orgs,     [INPUT_PLANS] = &checkpoint_plans,
    [INPUT_PRICES] = &checkpoint_prices, [INPUT_TIERS] = &checkpoint_tiers,
    [INPUT_LIMITS] = &checkpoint_limits, [INPUT_USAGE] = &checkpoint_usage,
};

enum rate_output { OUTPUT_CHARGES, OUTPUT_LINES, OUTPUTS_COUNT };

static const struct stage_output rate_outputs[OUTPUTS_COUNT] = {
    [OUTPUT_CHARGES] = {.schema = &checkpoint_charges, .is_sharded = true},
    [OUTPUT_LINES] = {.schema = &checkpoint_lines, .is_sharded = true},
};

struct rater {
    const struct stage_shard *shard;
    struct terms terms;
    struct terms_walk limits;
    struct table_cursor usage;
    bool has_usage;
    struct charge_line *lines; /* room for the longest price */
    uint64_t rows_in;
    uint64_t rows_out;
};

static bool rate_put_lines(struct rater *rater, struct text org_id, const struct terms_price *price,
                           const struct charge_lines *lines, struct err *err) {
    struct table_writer *out = rater->shard->outputs[OUTPUT_LINES];
    for (size_t line_index = 0; line_index < lines->lines_count; line_index++) {
        const struct charge_line *line = &lines->lines[line_index];
        const struct tier *tier = &price->price.tiers[line->tier];
        struct decimal amount;
        if (!exact_round_to_decimal(line->amount, &amount)) {
            return err_set(err, ERR_RANGE, "amount of tier %zu does not fit", line->tier + 1);
        }
        table_put_text(out, LINES_ORG_ID, org_id);
        table_put_text(out, LINES_METRIC, price->metric);
        table_put_int64(out, LINES_TIER, (int64_t)line->tier + 1);
        table_put_decimal(out, LINES_QUANTITY, line->quantity);
        table_put_decimal(out, LINES_UNIT_PRICE, tier->unit_price);
        table_put_decimal(out, LINES_FLAT_PRICE, tier->flat_price);
        table_put_decimal(out, LINES_AMOUNT, amount);
        if (!table_end_row(out, err)) {
            return false;
        }
    }
    return true;
}

/* exact + rounding = uncapped; uncapped - cap reduction = cost; per currency. */
static bool rate_add_totals(struct totals *totals, const struct charge *charge, struct decimal cost,
                            const struct currency *currency, struct err *err) {
    static const char rounding_row[] = "exact_cost + rounding = uncapped_cost";
    static const char cap_row[] = "uncapped_cost - cap_reduction = cost";
    struct text unit = text_from(currency->code);
    struct decimal rounding;
    struct decimal cap_reduction;
    struct decimal reduced;
    if (!decimal_subtract(charge->uncapped_cost, charge->exact_cost, &rounding) ||
        !decimal_subtract(charge->uncapped_cost, cost, &cap_reduction) ||
        !decimal_subtract(DECIMAL_ZERO, cap_reduction, &reduced)) {
        return err_set(err, ERR_RANGE, "cost does not fit");
    }
    return totals_add_left(totals, rounding_row, unit, charge->exact_cost, err) &&
           totals_add_left(totals, rounding_row, unit, rounding, err) &&
           totals_add_right(totals, rounding_row, unit, charge->uncapped_cost, err) &&
           totals_add_left(totals, cap_row, unit, charge->uncapped_cost, err) &&
           totals_add_left(totals, cap_row, unit, reduced, err) &&
           totals_add_right(totals, cap_row, unit, cost, err);
}

static bool rate_put_charge(struct rater *rater, struct text org_id, struct text metric,
                            const struct charge *charge, struct decimal cost,
                            const struct currency *currency, struct err *err) {
    struct table_writer *out = rater->shard->outputs[OUTPUT_CHARGES];
    struct decimal cap_reduction;
    if (!decimal_subtract(charge->uncapped_cost, cost, &cap_reduction)) {
        return err_set(err, ERR_RANGE, "cap reduction does not fit");
    }
    table_put_text(out, CHARGES_ORG_ID, org_id);
    table_put_text(out, CHARGES_METRIC, metric);
    table_put_decimal(out, CHARGES_LIMIT, charge->limit);
    table_put_decimal(out, CHARGES_OVERAGE, charge->overage);
    table_put_decimal(out, CHARGES_BLOCKED, charge->blocked);
    table_put_decimal(out, CHARGES_EXACT_COST, charge->exact_cost);
    table_put_decimal(out, CHARGES_UNCAPPED_COST, charge->uncapped_cost);
    table_put_decimal(out, CHARGES_CAP_REDUCTION, cap_reduction);
    table_put_decimal(out, CHARGES_COST, cost);
    rater->rows_out++;
    if (decimal_is_zero(charge->uncapped_cost) && decimal_is_zero(charge->exact_cost)) {
        return table_end_row(out, err);
    }
    return table_end_row(out, err) &&
           rate_add_totals(rater->shard->totals, charge, cost, currency, err);
}

static bool rate_usage_row(struct rater *rater, const struct terms_plan *plan, struct text org_id,
                           const struct terms_price *price, struct charge *charge,
                           struct err *err) {
    struct limits limits = terms_walk_limits(&rater->limits, org_id, price->metric);
    struct charge_lines lines = {.lines = rater->lines};
    if (!charge_rate(&price->price, &limits, table_get_decimal(&rater->usage, USAGE_QUANTITY),
                     plan->currency, charge, &lines, err) ||
        !rate_put_lines(rater, org_id, price, &lines, err)) {
        return err_wrap(err, "org '%.*s', metric '%.*s'", (int)org_id.size_bytes, org_id.bytes,
                        (int)price->metric.size_bytes, price->metric.bytes);
    }
    return true;
}

static bool rate_usage_fits(struct rater *rater, struct text org_id, struct text metric,
                            struct err *err) {
    if (rater->has_usage && text_equals(table_get_text(&rater->usage, USAGE_ORG_ID), org_id) &&
        text_equals(table_get_text(&rater->usage, USAGE_METRIC), metric)) {
        return true;
    }
    return err_set(err, ERR_MISMATCH,
                   "org '%.*s', metric '%.*s': the plan's metrics are not those that were metered",
                   (int)org_id.size_bytes, org_id.bytes, (int)metric.size_bytes, metric.bytes);
}

/* All metrics of one org, in order; then its cap. */
static bool rate_org(struct rater *rater, const struct table_cursor *org,
                     const struct terms_plan *plan, struct err *err) {
    struct arena *arena = rater->shard->arena;
    struct text org_id = table_get_text(org, ORGS_ORG_ID);
    struct charge *charges = arena_alloc_array(arena, plan->prices_count, sizeof *charges, err);
    struct capped_cost *costs = arena_alloc_array(arena, plan->prices_count, sizeof *costs, err);
    if (charges == NULL || costs == NULL) {
        return false;
    }
    for (size_t price_index = 0; price_index < plan->prices_count; price_index++) {
        const struct terms_price *price = &plan->prices[price_index];
        struct charge *charge = &charges[price_index];
        if (!rate_usage_fits(rater, org_id, price->metric, err) ||
            !rate_usage_row(rater, plan, org_id, price, charge, err)) {
            return false;
        }
        rater->rows_in++;
        rater->has_usage = table_cursor_next(&rater->usage);
        costs[price_index] = (struct capped_cost){.metric = price->metric,
                                                  .uncapped_cost = charge->uncapped_cost,
                                                  .cost = charge->uncapped_cost};
    }
    if (!table_is_null(org, ORGS_OVERAGE_CAP) &&
        !charge_cap(costs, plan->prices_count, table_get_decimal(org, ORGS_OVERAGE_CAP),
                    plan->currency, arena, err)) {
        return err_wrap(err, "org '%.*s'", (int)org_id.size_bytes, org_id.bytes);
    }
    for (size_t price_index = 0; price_index < plan->prices_count; price_index++) {
        if (!rate_put_charge(rater, org_id, costs[price_index].metric, &charges[price_index],
                             costs[price_index].cost, plan->currency, err)) {
            return err_wrap(err, "org '%.*s'", (int)org_id.size_bytes, org_id.bytes);
        }
    }
    return true;
}

static bool rate_check(struct rater *rater, struct err *err) {
    static const char row[] = "rows of usage = rows of charges";
    struct text unit = text_from("rows");
    struct decimal left;
    struct decimal right;
    (void)decimal_from_int64((int64_t)table_rows_count(rater->shard->inputs[INPUT_USAGE]), &left);
    (void)decimal_from_int64((int64_t)rater->rows_out, &right);
    return totals_add_left(rater->shard->totals, row, unit, left, err) &&
           totals_add_right(rater->shard->totals, row, unit, right, err);
}

static bool rate_compute(const struct stage_shard *shard, struct err *err) {
    struct rater rater = {.shard = shard};
    if (!terms_load(&rater.terms, shard->inputs[INPUT_PLANS], shard->inputs[INPUT_PRICES],
                    shard->inputs[INPUT_TIERS], shard->arena, err)) {
        return false;
    }
    rater.lines = arena_alloc_array(shard->arena, CHARGE_LINES_MAX, sizeof *rater.lines, err);
    if (rater.lines == NULL) {
        return false;
    }
    rater.limits = terms_walk_start(shard->inputs[INPUT_LIMITS]);
    rater.usage = table_cursor_start(shard->inputs[INPUT_USAGE]);
    rater.has_usage = table_cursor_next(&rater.usage);
    struct table_cursor org = table_cursor_start(shard->inputs[INPUT_ORGS]);
    struct arena_mark mark = arena_mark(shard->arena);
    while (table_cursor_next(&org)) {
        if (!table_is_null(&org, ORGS_REASON)) {
            continue; /* set aside or listed */
        }
        const struct terms_plan *plan;
        if (!terms_find_plan(&rater.terms, table_get_int64(&org, ORGS_TERMS),
                             table_get_text(&org, ORGS_PLAN_ID), &plan, err) ||
            !rate_org(&rater, &org, plan, err)) {
            return false;
        }
        arena_rewind(shard->arena, mark);
    }
    return rate_check(&rater, err);
}

const struct stage stage_rate = {
    .name = "rate",
    .number = 30,
    .version = 1,
    .effect = EFFECT_NONE,
    .summary = "apply limits, prices, rounding and caps: overage and cost per org and metric",
    .inputs = rate_inputs,
    .inputs_count = INPUTS_COUNT,
    .outputs = rate_outputs,
    .outputs_count = OUTPUTS_COUNT,
    .compute = rate_compute,
};
