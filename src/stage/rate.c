/*
 * rate: from quantities to cents. A charge for every row of usage above its limit or its hard
 * limit, and the tiers it went through; then the org's cap over all of its charges.
 */
#include "rating/rated.h"
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

enum rate_side { SIDE_LIMITS };

/* One metric of the org at hand that is above a limit of its own. */
struct rated {
    const struct terms_price *price;
    struct charge charge;
};

/* What the control totals are told, summed over all charges of one currency. */
struct rate_sums {
    const struct currency *currency; /* NULL: nothing yet */
    struct decimal exact_cost;
    struct decimal rounding;
    struct decimal uncapped_cost;
    struct decimal cap_reduction;
    struct decimal cost;
};

struct rater {
    const struct stage_shard *shard;
    struct terms terms;
    struct rated_walk walk;
    struct charge_line *lines; /* room for the longest price */
    struct rated *rated;       /* of the org at hand; room for the plan with the most prices */
    struct capped_cost *costs; /* theirs */
    size_t rated_count;
    struct rate_sums sums;
    uint64_t rows_in;
};

/* --- one charge ---------------------------------------------------------------------------------
 */

static bool rate_named(const struct rater *rater, struct text metric, struct err *err) {
    struct text org_id = rater->walk.org_id;
    return err_wrap(err, "org '%.*s', metric '%.*s'", (int)org_id.size_bytes, org_id.bytes,
                    (int)metric.size_bytes, metric.bytes);
}

static bool rate_put_lines(struct rater *rater, const struct charge_lines *lines, struct err *err) {
    struct table_writer *out = rater->shard->outputs[OUTPUT_LINES];
    const struct terms_price *price = rater->walk.price;
    for (size_t line_index = 0; line_index < lines->lines_count; line_index++) {
        const struct charge_line *line = &lines->lines[line_index];
        const struct tier *tier = &price->price.tiers[line->tier];
        struct decimal amount;
        if (!exact_round_to_decimal(line->amount, &amount)) {
            return err_set(err, ERR_RANGE, "amount of tier %zu does not fit", line->tier + 1);
        }
        table_put_text(out, LINES_ORG_ID, rater->walk.org_id);
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

/* The price at hand: kept for the cap when there is anything to say of it. */
static bool rate_price(struct rater *rater, struct err *err) {
    const struct rated_walk *walk = &rater->walk;
    struct limits limits = rated_limits(&walk->sides[SIDE_LIMITS]);
    struct charge_lines lines = {.lines = rater->lines};
    struct rated *rated = &rater->rated[rater->rated_count];
    struct charge *charge = &rated->charge;
    rater->rows_in++;
    if (!charge_rate(&walk->price->price, &limits, table_get_decimal(&walk->usage, USAGE_QUANTITY),
                     walk->plan->currency, charge, &lines, err) ||
        !rate_put_lines(rater, &lines, err)) {
        return rate_named(rater, walk->price->metric, err);
    }
    if (!decimal_is_zero(charge->overage) || !decimal_is_zero(charge->blocked)) {
        rated->price = walk->price;
        rater->costs[rater->rated_count] = (struct capped_cost){
            .metric = walk->price->metric,
            .uncapped_cost = charge->uncapped_cost,
            .cost = charge->uncapped_cost,
        };
        rater->rated_count++;
    }
    return true;
}

/* --- control totals -----------------------------------------------------------------------------
 */

/* exact + rounding = uncapped; uncapped - cap reduction = cost; per currency. */
static bool rate_tell_sums(struct rater *rater, struct err *err) {
    static const char rounding_row[] = "exact_cost + rounding = uncapped_cost";
    static const char cap_row[] = "uncapped_cost - cap_reduction = cost";
    struct totals *totals = rater->shard->totals;
    const struct rate_sums *sums = &rater->sums;
    if (sums->currency == NULL) {
        return true;
    }
    struct text unit = text_from(sums->currency->code);
    struct decimal reduced = {-sums->cap_reduction.units};
    return totals_add_left(totals, rounding_row, unit, sums->exact_cost, err) &&
           totals_add_left(totals, rounding_row, unit, sums->rounding, err) &&
           totals_add_right(totals, rounding_row, unit, sums->uncapped_cost, err) &&
           totals_add_left(totals, cap_row, unit, sums->uncapped_cost, err) &&
           totals_add_left(totals, cap_row, unit, reduced, err) &&
           totals_add_right(totals, cap_row, unit, sums->cost, err);
}

/* A run of charges in one currency is summed here, and told as one. */
static bool rate_sum(struct rater *rater, const struct charge *charge, struct decimal cap_reduction,
                     struct decimal cost, struct err *err) {
    const struct currency *currency = rater->walk.plan->currency;
    struct rate_sums *sums = &rater->sums;
    struct decimal rounding;
    if (sums->currency != currency) {
        if (!rate_tell_sums(rater, err)) {
            return false;
        }
        *sums = (struct rate_sums){.currency = currency};
    }
    return (decimal_subtract(charge->uncapped_cost, charge->exact_cost, &rounding) &&
            decimal_add(sums->exact_cost, charge->exact_cost, &sums->exact_cost) &&
            decimal_add(sums->rounding, rounding, &sums->rounding) &&
            decimal_add(sums->uncapped_cost, charge->uncapped_cost, &sums->uncapped_cost) &&
            decimal_add(sums->cap_reduction, cap_reduction, &sums->cap_reduction) &&
            decimal_add(sums->cost, cost, &sums->cost)) ||
           err_set(err, ERR_RANGE, "the costs in '%s' do not fit", currency->code);
}

/* --- one org ------------------------------------------------------------------------------------
 */

static bool rate_put_charge(struct rater *rater, const struct rated *rated, struct decimal cost,
                            struct err *err) {
    struct table_writer *out = rater->shard->outputs[OUTPUT_CHARGES];
    const struct charge *charge = &rated->charge;
    struct decimal cap_reduction;
    if (!decimal_subtract(charge->uncapped_cost, cost, &cap_reduction)) {
        return err_set(err, ERR_RANGE, "cap reduction does not fit");
    }
    table_put_text(out, CHARGES_ORG_ID, rater->walk.org_id);
    table_put_text(out, CHARGES_METRIC, rated->price->metric);
    table_put_decimal(out, CHARGES_LIMIT, charge->limit);
    table_put_decimal(out, CHARGES_OVERAGE, charge->overage);
    table_put_decimal(out, CHARGES_BLOCKED, charge->blocked);
    table_put_decimal(out, CHARGES_EXACT_COST, charge->exact_cost);
    table_put_decimal(out, CHARGES_UNCAPPED_COST, charge->uncapped_cost);
    table_put_decimal(out, CHARGES_CAP_REDUCTION, cap_reduction);
    table_put_decimal(out, CHARGES_COST, cost);
    return table_end_row(out, err) && rate_sum(rater, charge, cap_reduction, cost, err);
}

/* All charges of one org, in order, under its cap. */
static bool rate_org(struct rater *rater, struct err *err) {
    const struct rated_walk *walk = &rater->walk;
    struct arena *arena = rater->shard->arena;
    rater->rated_count = 0;
    while (rated_walk_next_price(&rater->walk, err)) {
        if (!rate_price(rater, err)) {
            return false;
        }
    }
    if (err->code != ERR_NONE) {
        return false;
    }
    if (rater->rated_count > 0 && !table_is_null(&walk->org, ORGS_OVERAGE_CAP)) {
        if (!charge_cap(rater->costs, rater->rated_count,
                        table_get_decimal(&walk->org, ORGS_OVERAGE_CAP), walk->plan->currency,
                        arena, err)) {
            return err_wrap(err, "org '%.*s'", (int)walk->org_id.size_bytes, walk->org_id.bytes);
        }
    }
    for (size_t index = 0; index < rater->rated_count; index++) {
        const struct rated *rated = &rater->rated[index];
        if (!rate_put_charge(rater, rated, rater->costs[index].cost, err)) {
            return rate_named(rater, rated->price->metric, err);
        }
    }
    return true;
}

static bool rate_check(struct rater *rater, struct err *err) {
    static const char row[] = "rows of usage = rows rated";
    struct text unit = text_from("rows");
    struct decimal left;
    struct decimal right;
    (void)decimal_from_int64((int64_t)table_rows_count(rater->shard->inputs[INPUT_USAGE]), &left);
    (void)decimal_from_int64((int64_t)rater->rows_in, &right);
    return totals_add_left(rater->shard->totals, row, unit, left, err) &&
           totals_add_right(rater->shard->totals, row, unit, right, err);
}

static bool rate_compute(const struct stage_shard *shard, struct err *err) {
    struct rater rater = {.shard = shard};
    if (!terms_load(&rater.terms, shard->inputs[INPUT_PLANS], shard->inputs[INPUT_PRICES],
                    shard->inputs[INPUT_TIERS], shard->arena, err)) {
        return false;
    }
    size_t prices_max = terms_prices_max(&rater.terms);
    rater.lines = arena_alloc_array(shard->arena, CHARGE_LINES_MAX, sizeof *rater.lines, err);
    rater.rated = arena_alloc_array(shard->arena, prices_max, sizeof *rater.rated, err);
    rater.costs = arena_alloc_array(shard->arena, prices_max, sizeof *rater.costs, err);
    if (rater.lines == NULL || rater.rated == NULL || rater.costs == NULL) {
        return false;
    }
    rater.walk = rated_walk_start(&rater.terms, shard->inputs[INPUT_ORGS]);
    rated_walk_usage(&rater.walk, shard->inputs[INPUT_USAGE]);
    rated_walk_beside(&rater.walk, SIDE_LIMITS, shard->inputs[INPUT_LIMITS]);
    while (rated_walk_next_org(&rater.walk, err)) {
        if (!rate_org(&rater, err)) {
            return false;
        }
    }
    return err->code == ERR_NONE && rate_tell_sums(&rater, err) && rate_check(&rater, err);
}

const struct stage stage_rate = {
    .name = "rate",
    .number = 30,
    .version = 2,
    .effect = EFFECT_NONE,
    .summary = "apply limits, prices, rounding and caps: overage and cost per org and metric",
    .inputs = rate_inputs,
    .inputs_count = INPUTS_COUNT,
    .outputs = rate_outputs,
    .outputs_count = OUTPUTS_COUNT,
    .compute = rate_compute,
};
