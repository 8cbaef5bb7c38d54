/* verify: every quantity and every charge once more, shard by shard, on several threads. */
#include <stdio.h>

#include "cli/shard_walk.h"
#include "stage/stages.h"
#include "sys/process.h"
#include "verify_shard.h"

void verify_disagree(struct verify_shard *shard, const char *what, const char *sealed,
                     const char *expected) {
    struct disagreement *found = disagreements_add(&shard->disagreements);
    if (found != NULL) {
        disagreement_name(found->org_id, table_get_text(shard->org, ORGS_ORG_ID));
        disagreement_name(found->metric, shard->metric);
        disagreement_name(found->what, text_from(what));
        (void)snprintf(found->sealed, sizeof found->sealed, "%s", sealed);
        (void)snprintf(found->expected, sizeof found->expected, "%s", expected);
    }
}

bool verify_value(struct verify_shard *shard, const char *what, struct decimal sealed,
                  const struct recompute_number *expected) {
    if (recompute_is(expected, sealed)) {
        return true;
    }
    char sealed_text[DECIMAL_TEXT_MAX];
    char expected_text[RECOMPUTE_TEXT_MAX];
    (void)decimal_format(sealed, sealed_text);
    (void)recompute_format(expected, expected_text);
    verify_disagree(shard, what, sealed_text, expected_text);
    return false;
}

void verify_signed_disagrees(struct verify_shard *shard, const char *what, struct decimal sealed,
                             const struct recompute_signed *expected) {
    char sealed_text[DECIMAL_TEXT_MAX];
    char expected_text[1 + RECOMPUTE_TEXT_MAX] = "-";
    (void)decimal_format(sealed, sealed_text);
    (void)recompute_format(&expected->size, expected_text + (expected->is_negative ? 1 : 0));
    verify_disagree(shard, what, sealed_text, expected_text);
}

/* --- one org ------------------------------------------------------------------------------------
 */

static bool rows_fit(struct verify_shard *shard, struct err *err) {
    struct text org_id = table_get_text(shard->org, ORGS_ORG_ID);
    if (table_cursor_next(&shard->usage) &&
        text_equals(table_get_text(&shard->usage, USAGE_ORG_ID), org_id) &&
        text_equals(table_get_text(&shard->usage, USAGE_METRIC), shard->metric)) {
        return true;
    }
    return err_set(err, ERR_CONTROL,
                   "org '%.*s', metric '%.*s': 'usage' does not have a row for every price of the "
                   "org's plan",
                   (int)org_id.size_bytes, org_id.bytes, (int)shard->metric.size_bytes,
                   shard->metric.bytes);
}

static bool recompute_metric(struct verify_shard *shard, const struct recompute_price *price,
                             const struct recompute_number *increment, struct verify_metric *metric,
                             struct err *err) {
    struct limits limits =
        terms_walk_limits(&shard->limits, table_get_text(shard->org, ORGS_ORG_ID), shard->metric);
    bool is_soft_negative;
    bool is_hard_negative;
    bool is_usage_negative;
    struct recompute_lines lines = {
        .lines = arena_alloc_array(shard->arena, price->tiers_count, sizeof *lines.lines, err)};
    if (lines.lines == NULL) {
        return false;
    }
    metric->soft_limit = recompute_read(limits.soft_limit, &is_soft_negative);
    metric->hard_limit = recompute_read(limits.hard_limit, &is_hard_negative);
    struct recompute_number usage =
        recompute_read(table_get_decimal(&shard->usage, USAGE_QUANTITY), &is_usage_negative);
    metric->terms = (struct recompute_terms){
        .price = price,
        .soft_limit = limits.has_soft_limit ? &metric->soft_limit : NULL,
        .hard_limit = limits.has_hard_limit ? &metric->hard_limit : NULL,
        .increment = increment,
    };
    recompute_charge(&metric->terms, &usage, &metric->charge, &lines);
    metric->is_sealed =
        terms_walk_to(&shard->charges, table_get_text(shard->org, ORGS_ORG_ID), shard->metric);
    metric->sealed = shard->charges.cursor;
    metric->agrees = true;
    shard->charges_found += metric->is_sealed ? 1 : 0;
    if (is_soft_negative || is_hard_negative || is_usage_negative) {
        verify_disagree(shard, "usage and limits", "below zero", "zero or more");
        metric->agrees = false;
    }
    metric->agrees = verify_lines(shard, price, &lines) && metric->agrees;
    return true;
}

static bool compare_sealed(struct verify_shard *shard, const struct verify_metric *metric,
                           const struct recompute_number *cost) {
    static const struct {
        size_t column;
        const char *name;
        size_t offset;
    } values[] = {
        {CHARGES_LIMIT, "limit", offsetof(struct recompute_charge, limit)},
        {CHARGES_OVERAGE, "overage", offsetof(struct recompute_charge, overage)},
        {CHARGES_BLOCKED, "blocked", offsetof(struct recompute_charge, blocked)},
        {CHARGES_EXACT_COST, "exact_cost", offsetof(struct recompute_charge, exact_cost)},
        {CHARGES_UNCAPPED_COST, "uncapped_cost", offsetof(struct recompute_charge, uncapped_cost)},
    };
    const struct table_cursor *sealed = &metric->sealed;
    bool agrees = true;
    for (size_t index = 0; index < sizeof values / sizeof values[0]; index++) {
        const struct recompute_number *expected =
            (const void *)((const char *)&metric->charge + values[index].offset);
        agrees = verify_value(shard, values[index].name,
                              table_get_decimal(sealed, values[index].column), expected) &&
                 agrees;
    }
    agrees = verify_value(shard, "cost", table_get_decimal(sealed, CHARGES_COST), cost) && agrees;
    /* cost + reduction = uncapped */
    bool is_negative;
    struct recompute_number sum =
        recompute_read(table_get_decimal(sealed, CHARGES_CAP_REDUCTION), &is_negative);
    recompute_add(&sum, cost);
    return verify_value(shard, "cost + cap_reduction, beside uncapped_cost",
                        table_get_decimal(sealed, CHARGES_UNCAPPED_COST), &sum) &&
           !is_negative && agrees;
}

/* What charges has no row of is within its limits. */
static bool compare_unsealed(struct verify_shard *shard, const struct verify_metric *metric) {
    bool agrees = verify_value(shard, "overage", DECIMAL_ZERO, &metric->charge.overage);
    return verify_value(shard, "blocked", DECIMAL_ZERO, &metric->charge.blocked) && agrees;
}

static void compare_metric(struct verify_shard *shard, struct verify_metric *metric,
                           const struct recompute_number *cost) {
    bool agrees =
        metric->is_sealed ? compare_sealed(shard, metric, cost) : compare_unsealed(shard, metric);
    metric->agrees = metric->agrees && agrees;
    shard->charges_checked++;
    shard->charges_agreeing += metric->agrees ? 1 : 0;
}

bool verify_org(struct verify_shard *shard, const struct terms_plan *plan,
                const struct verify_plan *verify_plan, struct err *err) {
    struct verify_metric *metrics =
        arena_alloc_array(shard->arena, plan->prices_count, sizeof *metrics, err);
    struct recompute_capped *costs =
        arena_alloc_array(shard->arena, plan->prices_count, sizeof *costs, err);
    bool is_rated = shard->tables.charges != NULL;
    if (metrics == NULL || costs == NULL) {
        return false;
    }
    for (size_t index = 0; index < plan->prices_count; index++) {
        shard->metric = plan->prices[index].metric;
        if (!rows_fit(shard, err)) {
            return false;
        }
        shard->quantities++;
        enum aggregation aggregation = plan->prices[index].price.aggregation;
        bool is_quantity = verify_quantity(shard, aggregation);
        bool is_series = verify_series(shard, aggregation, &metrics[index].trend);
        shard->quantities_agreeing += is_quantity && is_series ? 1 : 0;
        if (is_rated) {
            metrics[index].usage = shard->usage;
            if (!recompute_metric(shard, &verify_plan->prices[index], &verify_plan->increment,
                                  &metrics[index], err)) {
                return false;
            }
            if (shard->tables.projections != NULL) {
                verify_trend(&metrics[index]);
            }
            costs[index].metric = shard->metric;
            costs[index].uncapped_cost = metrics[index].charge.uncapped_cost;
            costs[index].cost = costs[index].uncapped_cost;
        }
    }
    if (is_rated && !table_is_null(shard->org, ORGS_OVERAGE_CAP)) {
        bool is_negative;
        struct recompute_number cap =
            recompute_read(table_get_decimal(shard->org, ORGS_OVERAGE_CAP), &is_negative);
        recompute_cap(costs, plan->prices_count, &cap, &verify_plan->increment);
    }
    for (size_t index = 0; is_rated && index < plan->prices_count; index++) {
        shard->metric = plan->prices[index].metric;
        compare_metric(shard, &metrics[index], &costs[index].cost);
    }
    return shard->tables.projections == NULL ||
           verify_projections(shard, plan, &verify_plan->increment, metrics, err);
}

/* --- one shard ----------------------------------------------------------------------------------
 */

struct verify_work {
    struct verification *verification;
    struct verify_terms terms;
    struct verify_shard *shards;
};

static bool tables_open(struct run *run, size_t shard, struct verify_tables *tables,
                        struct err *err) {
    return run_input_open(run, &checkpoint_orgs, shard, &tables->orgs, err) &&
           run_input_open(run, &checkpoint_limits, shard, &tables->limits, err) &&
           run_input_open(run, &checkpoint_series, shard, &tables->series, err) &&
           run_input_open(run, &checkpoint_days, shard, &tables->days, err) &&
           run_input_open(run, &checkpoint_keys, shard, &tables->keys, err) &&
           run_input_open(run, &checkpoint_levels, shard, &tables->levels, err) &&
           run_input_open(run, &checkpoint_usage, shard, &tables->usage, err) &&
           run_input_open(run, &checkpoint_moments, shard, &tables->moments, err) &&
           run_input_open(run, &checkpoint_daily, shard, &tables->daily, err) &&
           run_input_open(run, &checkpoint_negatives, shard, &tables->negatives, err) &&
           (!run_has_table(run, &checkpoint_charges) ||
            (run_input_open(run, &checkpoint_charges, shard, &tables->charges, err) &&
             run_input_open(run, &checkpoint_lines, shard, &tables->lines, err))) &&
           (!run_has_table(run, &checkpoint_projections) ||
            (run_input_open(run, &checkpoint_history, shard, &tables->history, err) &&
             run_input_open(run, &checkpoint_projections, shard, &tables->projections, err) &&
             run_input_open(run, &checkpoint_estimates, shard, &tables->estimates, err) &&
             run_input_open(run, &checkpoint_changes, shard, &tables->changes, err)));
}

static void tables_close(struct verify_tables *tables) {
    struct table *all[] = {
        tables->orgs,    tables->limits,    tables->series,      tables->days,
        tables->keys,    tables->levels,    tables->usage,       tables->charges,
        tables->lines,   tables->history,   tables->projections, tables->estimates,
        tables->changes, tables->negatives, tables->moments,     tables->daily};
    for (size_t index = 0; index < sizeof all / sizeof all[0]; index++) {
        table_close(all[index]);
    }
}

/* Rows beside those of usage; none is left over. */
static bool rows_are_all_found(const struct table *table, uint64_t found, struct err *err) {
    return table == NULL || table_rows_count(table) == found ||
           err_set(err, ERR_CONTROL, "'%s' has rows of no price of a rated org", table_path(table));
}

static bool verify_rows(struct verify_shard *shard, struct err *err) {
    shard->limits = terms_walk_start(shard->tables.limits);
    shard->usage = table_cursor_start(shard->tables.usage);
    if (shard->tables.charges != NULL) {
        shard->charges = terms_walk_start(shard->tables.charges);
        shard->lines = table_cursor_start(shard->tables.lines);
        shard->has_line = table_cursor_next(&shard->lines);
    }
    if (shard->tables.projections != NULL) {
        shard->history = terms_walk_start(shard->tables.history);
        shard->projections = terms_walk_start(shard->tables.projections);
        shard->estimates = terms_walk_start(shard->tables.estimates);
        shard->changes = terms_walk_start(shard->tables.changes);
    }
    verify_quantities_start(shard);
    struct arena_mark mark = arena_mark(shard->arena);
    struct table_cursor org = table_cursor_start(shard->tables.orgs);
    shard->org = &org;
    while (table_cursor_next(&org)) {
        const struct terms_plan *plan;
        if (!table_is_null(&org, ORGS_REASON)) {
            continue; /* set aside or listed */
        }
        if (!interrupt_check(err) ||
            !terms_find_plan(&shard->terms->terms, table_get_int64(&org, ORGS_TERMS),
                             table_get_text(&org, ORGS_PLAN_ID), &plan, err) ||
            !verify_org(shard, plan, &shard->terms->plans[plan - shard->terms->terms.plans], err)) {
            return false;
        }
        arena_rewind(shard->arena, mark);
    }
    verify_quantities_end(shard);
    if (table_cursor_next(&shard->usage) || shard->has_line) {
        return err_set(err, ERR_CONTROL, "'%s', or 'lines', has rows of no rated org",
                       table_path(shard->tables.usage));
    }
    return rows_are_all_found(shard->tables.negatives, shard->negatives_found, err) &&
           rows_are_all_found(shard->tables.charges, shard->charges_found, err) &&
           rows_are_all_found(shard->tables.projections, shard->projections_found, err) &&
           rows_are_all_found(shard->tables.estimates, shard->estimates_found, err) &&
           rows_are_all_found(shard->tables.changes, shard->changes_found, err);
}

static bool verify_one_shard(void *context, size_t shard_index, struct err *err) {
    struct verify_work *work = context;
    struct verify_shard *shard = &work->shards[shard_index];
    shard->terms = &work->terms;
    shard->arena = arena_create(err);
    bool is_fine = shard->arena != NULL &&
                   tables_open(work->verification->run, shard_index, &shard->tables, err) &&
                   verify_rows(shard, err);
    tables_close(&shard->tables);
    arena_destroy(shard->arena);
    return is_fine;
}

/* --- the run ------------------------------------------------------------------------------------
 */

static bool load_plan(const struct terms_plan *plan, struct verify_plan *loaded,
                      struct arena *arena, struct err *err) {
    bool is_negative;
    struct recompute_price *prices =
        arena_alloc_array(arena, plan->prices_count, sizeof *prices, err);
    if (prices == NULL) {
        return false;
    }
    loaded->prices = prices;
    loaded->increment = recompute_read(plan->currency->increment, &is_negative);
    for (size_t index = 0; index < plan->prices_count; index++) {
        if (!recompute_price_load(&prices[index], &plan->prices[index].price, arena, err)) {
            return err_wrap(err, "plan '%.*s', metric '%.*s'", (int)plan->plan_id.size_bytes,
                            plan->plan_id.bytes, (int)plan->prices[index].metric.size_bytes,
                            plan->prices[index].metric.bytes);
        }
    }
    return true;
}

static bool load_plans(struct verify_terms *terms, struct arena *arena, struct err *err) {
    struct verify_plan *plans =
        arena_alloc_array(arena, terms->terms.plans_count, sizeof *plans, err);
    if (plans == NULL) {
        return false;
    }
    terms->plans = plans;
    for (size_t index = 0; index < terms->terms.plans_count; index++) {
        if (!load_plan(&terms->terms.plans[index], &plans[index], arena, err)) {
            return false;
        }
    }
    return true;
}

/* The first disagreements of the first shards come first. */
static bool tell_shards(struct verify_work *work, size_t shards_count, bool is_rated,
                        struct err *err) {
    struct verification *verification = work->verification;
    uint64_t counts[8] = {0};
    char texts[8][PRINT_NUMBER_MAX];
    for (size_t index = 0; index < shards_count; index++) {
        const struct verify_shard *shard = &work->shards[index];
        uint64_t kept = shard->disagreements.count;
        counts[0] += shard->quantities_agreeing;
        counts[1] += shard->quantities;
        counts[2] += shard->charges_agreeing;
        counts[3] += shard->charges_checked;
        counts[4] += shard->lines_agreeing;
        counts[5] += shard->lines_checked;
        counts[6] += shard->projections_agreeing;
        counts[7] += shard->projections_checked;
        for (uint64_t row = 0; row < kept; row++) {
            struct disagreement *found = disagreements_add(&verification->disagreements);
            if (found != NULL) {
                *found = shard->disagreements.first[row];
            }
        }
    }
    for (size_t index = 0; index < sizeof counts / sizeof counts[0]; index++) {
        (void)print_count(counts[index], texts[index]);
    }
    return verify_tell(verification, err, "quantities", "recomputed: %s of %s agree", texts[0],
                       texts[1]) &&
           (is_rated ? verify_tell(verification, err, "charges", "recomputed: %s of %s agree",
                                   texts[2], texts[3]) &&
                           verify_tell(verification, err, "tiers", "recomputed: %s of %s agree",
                                       texts[4], texts[5])
                     : verify_tell(verification, err, "charges", "not rated yet")) &&
           (run_has_table(verification->run, &checkpoint_projections)
                ? verify_tell(verification, err, "projections", "recomputed: %s of %s agree",
                              texts[6], texts[7])
                : verify_tell(verification, err, "projections", "not projected yet"));
}

bool verify_charges(struct verification *verification, struct err *err) {
    struct run *run = verification->run;
    struct verify_work work = {.verification = verification};
    struct table *plans = NULL;
    struct table *prices = NULL;
    struct table *tiers = NULL;
    size_t shards_count = run_shards_count(run);
    if (!run_has_table(run, &checkpoint_usage)) {
        return verify_tell(verification, err, "quantities", "not metered yet");
    }
    work.shards =
        arena_alloc_array(verification->cli->arena, shards_count, sizeof *work.shards, err);
    bool is_fine =
        work.shards != NULL && run_input_open(run, &checkpoint_plans, 0, &plans, err) &&
        run_input_open(run, &checkpoint_prices, 0, &prices, err) &&
        run_input_open(run, &checkpoint_tiers, 0, &tiers, err) &&
        terms_load(&work.terms.terms, plans, prices, tiers, verification->cli->arena, err) &&
        load_plans(&work.terms, verification->cli->arena, err) &&
        process_parallel(verification->jobs, shards_count, verify_one_shard, &work, err) &&
        tell_shards(&work, shards_count, run_has_table(run, &checkpoint_charges), err);
    table_close(plans);
    table_close(prices);
    table_close(tiers);
    return is_fine;
}
