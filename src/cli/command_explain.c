/*
 * explain: for a person who must answer a customer. Every step from usage to cents of one org, in
 * words and numbers: what the tables say, and between them the sums that lead from one to the next.
 */
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>

#include "cli/commands.h"
#include "cli/emission.h"
#include "cli/shard_walk.h"
#include "explain.h"
#include "stage/stages.h"

enum { LINE_MAX_BYTES = 1024, HEADING_WIDTH = 60 };

bool explain_say(const struct explanation *explanation, struct err *err, const char *label,
                 const char *format, ...) {
    char line[LINE_MAX_BYTES];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    return console_out(&explanation->cli->console, err, "  %-12s %s\n", label, line);
}

const char *explain_escape(const struct explanation *explanation, struct text text,
                           struct err *err) {
    enum { SHOWN_MAX = 200 };
    struct buffer line = {0};
    char *copy = NULL;
    bool is_long = text.size_bytes > SHOWN_MAX;
    if (is_long ? print_pad(&line, text, SHOWN_MAX, err) : print_escape(&line, text, err)) {
        copy = arena_alloc(explanation->cli->arena, line.size_bytes + 1, err);
    }
    if (copy != NULL && line.size_bytes > 0) {
        memcpy(copy, line.bytes, line.size_bytes);
    }
    buffer_release(&line);
    return copy;
}

bool explain_find(const struct explanation *explanation, const struct table *table,
                  struct text metric, struct table_cursor *row) {
    if (table == NULL) {
        return false;
    }
    struct terms_walk walk = terms_walk_start(table);
    bool is_found = terms_walk_to(&walk, explanation->org_id, metric);
    *row = walk.cursor;
    return is_found;
}

struct decimal explain_shorten(struct decimal value, int places) {
    int128 step = 1;
    for (int place = places; place < DECIMAL_PLACES; place++) {
        step *= 10;
    }
    return (struct decimal){.units = int128_divide_half_away(value.units, step) * step};
}

/* --- one metric ---------------------------------------------------------------------------------
 */

static bool metric_agrees(const struct explain_metric *metric) {
    const struct charge *charge = &metric->charge;
    return metric->has_charge_row
               ? decimal_compare(charge->exact_cost,
                                 table_get_decimal(&metric->charge_row, CHARGES_EXACT_COST)) == 0 &&
                     decimal_compare(
                         charge->uncapped_cost,
                         table_get_decimal(&metric->charge_row, CHARGES_UNCAPPED_COST)) == 0
               : decimal_is_zero(charge->overage) && decimal_is_zero(charge->blocked);
}

/* Rates once more: the table keeps the exact cost to 15 decimals, and not each tier's sum. */
static bool metric_charge(const struct explanation *explanation, struct explain_metric *metric,
                          struct err *err) {
    metric->is_rated = explanation->tables.charges != NULL;
    if (!metric->is_rated) {
        return true;
    }
    metric->has_charge_row = explain_find(explanation, explanation->tables.charges,
                                          metric->price->metric, &metric->charge_row);
    metric->lines.lines =
        arena_alloc_array(explanation->cli->arena, metric->price->price.tiers_count + 1,
                          sizeof *metric->lines.lines, err);
    if (metric->lines.lines == NULL ||
        !charge_rate(&metric->price->price, &metric->limits,
                     table_get_decimal(&metric->usage, USAGE_QUANTITY), explanation->plan->currency,
                     &metric->charge, &metric->lines, err)) {
        return false;
    }
    if (metric_agrees(metric)) {
        return true;
    }
    (void)err_set(err, ERR_CONTROL, "metric '%s': the sealed cost is not what its usage costs",
                  metric->name);
    cli_next(explanation->cli, "periodclose verify %s",
             shell_word(run_path(explanation->run), &(struct shell_word){0}));
    return err_hint(err, "periodclose verify %s",
                    shell_word(run_path(explanation->run), &(struct shell_word){0}));
}

static bool metric_load(const struct explanation *explanation, const struct terms_price *price,
                        struct explain_metric *metric, struct err *err) {
    *metric = (struct explain_metric){.price = price, .unit = ""};
    metric->name = explain_escape(explanation, price->metric, err);
    if (metric->name == NULL) {
        return false;
    }
    if (price->unit.size_bytes > 0) {
        const char *unit = explain_escape(explanation, price->unit, err);
        char *spaced =
            unit != NULL ? arena_alloc(explanation->cli->arena, strlen(unit) + 2, err) : NULL;
        if (spaced == NULL) {
            return false;
        }
        (void)snprintf(spaced, strlen(unit) + 2, "/%s", unit);
        metric->unit = spaced;
    }
    struct table_cursor row;
    if (explain_find(explanation, explanation->tables.limits, price->metric, &row)) {
        struct terms_walk walk = {.cursor = row, .has_row = true};
        metric->limits = terms_walk_limits(&walk, explanation->org_id, price->metric);
    }
    if (!explain_find(explanation, explanation->tables.usage, price->metric, &metric->usage)) {
        return err_set(err, ERR_DAMAGED, "'usage' has no row of metric '%s'", metric->name);
    }
    if (decimal_is_negative(table_get_decimal(&metric->usage, USAGE_QUANTITY))) {
        return err_set(err, ERR_DAMAGED, "metric '%s': usage below zero is sealed", metric->name);
    }
    return metric_charge(explanation, metric, err);
}

static bool metric_heading(const struct explanation *explanation,
                           const struct explain_metric *metric, struct err *err) {
    char cost[PRINT_NUMBER_MAX] = "";
    struct buffer line = {0};
    if (metric->is_rated) {
        (void)print_money(metric->has_charge_row
                              ? table_get_decimal(&metric->charge_row, CHARGES_COST)
                              : DECIMAL_ZERO,
                          explanation->plan->currency, cost);
    }
    bool is_fine = buffer_append(&line, text_from("\n"), err) &&
                   print_fill(&line, metric->price->metric, HEADING_WIDTH, err) &&
                   buffer_append_format(&line, err, " %30s\n", cost) &&
                   console_out_text(&explanation->cli->console, buffer_text(&line), err);
    buffer_release(&line);
    return is_fine;
}

static bool explain_price(const struct explanation *explanation, const struct terms_price *price,
                          struct err *err) {
    struct explain_metric metric;
    return metric_load(explanation, price, &metric, err) &&
           metric_heading(explanation, &metric, err) && explain_usage(explanation, &metric, err) &&
           (!metric.is_rated || explain_cost(explanation, &metric, err)) &&
           explain_record(explanation, &metric, err) &&
           explain_projection(explanation, &metric, err);
}

/* --- the org ------------------------------------------------------------------------------------
 */

static bool metric_is_known(const struct explanation *explanation, struct err *err) {
    char names[ERR_HINT_MAX];
    size_t size = 0;
    struct table_cursor row;
    struct text wanted = text_from(explanation->metric_wanted);
    const struct terms_plan *plan = explanation->plan;
    if (terms_find_price(plan, wanted) != NULL ||
        explain_find(explanation, explanation->tables.asides, wanted, &row)) {
        return true;
    }
    for (size_t index = 0; index < plan->prices_count && size < sizeof names; index++) {
        struct text name = plan->prices[index].metric;
        size += (size_t)snprintf(names + size, sizeof names - size, "%s%.*s", index > 0 ? ", " : "",
                                 (int)name.size_bytes, name.bytes);
    }
    (void)err_set(err, ERR_USAGE, "--metric: plan '%.*s' has no price for '%s'",
                  (int)plan->plan_id.size_bytes, plan->plan_id.bytes, explanation->metric_wanted);
    return err_hint(err, "its metrics are: %s", plan->prices_count > 0 ? names : "none");
}

static bool explain_metrics(const struct explanation *explanation, struct err *err) {
    const struct terms_plan *plan = explanation->plan;
    if (explanation->tables.usage == NULL) {
        return console_out(&explanation->cli->console, err, "\nnot metered yet\n");
    }
    for (size_t index = 0; index < plan->prices_count; index++) {
        struct arena_mark mark = arena_mark(explanation->cli->arena);
        bool is_wanted =
            explanation->metric_wanted == NULL ||
            text_equals(plan->prices[index].metric, text_from(explanation->metric_wanted));
        if (is_wanted && !explain_price(explanation, &plan->prices[index], err)) {
            return false;
        }
        arena_rewind(explanation->cli->arena, mark);
    }
    return explain_cap(explanation, err);
}

static bool currency_in_capitals(struct explanation *explanation, struct err *err) {
    struct text code = table_get_text(&explanation->org, ORGS_CURRENCY);
    char *capitals = arena_alloc(explanation->cli->arena, code.size_bytes + 1, err);
    for (size_t index = 0; capitals != NULL && index < code.size_bytes; index++) {
        capitals[index] = (char)toupper((unsigned char)code.bytes[index]);
    }
    explanation->currency = capitals;
    return capitals != NULL;
}

static bool explain_all(struct explanation *explanation, struct err *err) {
    if (!currency_in_capitals(explanation, err) || !explain_load_zone(explanation, err)) {
        return false;
    }
    if (!table_is_null(&explanation->org, ORGS_REASON)) {
        return explain_org(explanation, err) && explain_set_aside(explanation, err);
    }
    if (!terms_find_plan(&explanation->terms, table_get_int64(&explanation->org, ORGS_TERMS),
                         table_get_text(&explanation->org, ORGS_PLAN_ID), &explanation->plan,
                         err) ||
        (explanation->metric_wanted != NULL && !metric_is_known(explanation, err))) {
        return false;
    }
    return explain_org(explanation, err) && explain_metrics(explanation, err) &&
           explain_unpriced(explanation, err);
}

/* --- tables -------------------------------------------------------------------------------------
 */

static bool open_if_done(struct run *run, const struct table_schema *schema, size_t shard_index,
                         struct table **table, struct err *err) {
    return !run_has_table(run, schema) || run_input_open(run, schema, shard_index, table, err);
}

static bool tables_open(struct explanation *explanation, size_t shard, struct err *err) {
    struct explain_tables *tables = &explanation->tables;
    struct run *run = explanation->run;
    return open_if_done(run, &checkpoint_limits, shard, &tables->limits, err) &&
           open_if_done(run, &checkpoint_subscriptions, shard, &tables->subscriptions, err) &&
           open_if_done(run, &checkpoint_series, shard, &tables->series, err) &&
           open_if_done(run, &checkpoint_days, shard, &tables->days, err) &&
           open_if_done(run, &checkpoint_keys, shard, &tables->keys, err) &&
           open_if_done(run, &checkpoint_levels, shard, &tables->levels, err) &&
           open_if_done(run, &checkpoint_asides, shard, &tables->asides, err) &&
           open_if_done(run, &checkpoint_usage, shard, &tables->usage, err) &&
           open_if_done(run, &checkpoint_negatives, shard, &tables->negatives, err) &&
           open_if_done(run, &checkpoint_charges, shard, &tables->charges, err) &&
           open_if_done(run, &checkpoint_projections, shard, &tables->projections, err) &&
           open_if_done(run, &checkpoint_estimates, shard, &tables->estimates, err) &&
           open_if_done(run, &checkpoint_changes, shard, &tables->changes, err) &&
           open_if_done(run, &checkpoint_records, shard, &tables->records, err) &&
           (!emission_is_done(run) || run_is_replay(run) ||
            open_if_done(run, &checkpoint_items, shard, &tables->items, err)) &&
           open_if_done(run, &checkpoint_adjustments, shard, &tables->adjustments, err);
}

static void tables_close(struct explanation *explanation) {
    struct explain_tables *tables = &explanation->tables;
    struct table *all[] = {
        tables->negatives,  tables->orgs,        tables->limits,     tables->subscriptions,
        tables->series,     tables->days,        tables->keys,       tables->estimates,
        tables->changes,    tables->levels,      tables->asides,     tables->usage,
        tables->charges,    tables->projections, tables->records,    tables->adjustments,
        explanation->plans, explanation->prices, explanation->tiers, tables->items,
    };
    for (size_t index = 0; index < sizeof all / sizeof all[0]; index++) {
        table_close(all[index]);
    }
}

/* Leaves the cursor at the org, and its shard's table of orgs open. */
static bool org_find(struct explanation *explanation, size_t *shard_index, bool *is_found,
                     struct err *err) {
    struct explain_tables *tables = &explanation->tables;
    *is_found = false;
    for (size_t shard = 0; shard < run_shards_count(explanation->run); shard++) {
        if (!run_input_open(explanation->run, &checkpoint_orgs, shard, &tables->orgs, err)) {
            return false;
        }
        explanation->org = table_cursor_start(tables->orgs);
        while (table_cursor_next(&explanation->org)) {
            struct text org_id = table_get_text(&explanation->org, ORGS_ORG_ID);
            if (text_equals(org_id, explanation->org_id)) {
                *shard_index = shard;
                *is_found = true;
                return true;
            }
        }
        table_close(tables->orgs);
        tables->orgs = NULL;
    }
    return true;
}

static bool explain_one(struct explanation *explanation, const char *org_id, struct err *err) {
    struct run *run = explanation->run;
    size_t shard_index;
    bool is_found;
    if (!explain_check_orgs(run, "explain", err) ||
        !org_find(explanation, &shard_index, &is_found, err)) {
        return false;
    }
    if (!is_found) {
        return explain_unknown_org(run, org_id, err);
    }
    return tables_open(explanation, shard_index, err) &&
           run_input_open(run, &checkpoint_plans, 0, &explanation->plans, err) &&
           run_input_open(run, &checkpoint_prices, 0, &explanation->prices, err) &&
           run_input_open(run, &checkpoint_tiers, 0, &explanation->tiers, err) &&
           terms_load(&explanation->terms, explanation->plans, explanation->prices,
                      explanation->tiers, explanation->cli->arena, err) &&
           explain_all(explanation, err);
}

/* The days behind the numbers; of an org that was not closed, all that were not. */
static void explain_next(const struct explanation *explanation, const char *path,
                         const char *org_id) {
    const char *run_word = shell_word(path, &(struct shell_word){0});
    const char *org_word = shell_word(org_id, &(struct shell_word){0});
    if (explanation->plan == NULL && run_stage_is_done(explanation->run, &stage_report)) {
        cli_next(explanation->cli, "less %s/reports/exceptions.csv", run_word);
    } else if (explanation->plan == NULL || explanation->tables.usage == NULL) {
        cli_next(explanation->cli, "periodclose status %s", run_word);
    } else {
        cli_next(explanation->cli, "periodclose inspect %s/%s/%s --org %s", run_word,
                 stage_extract.name, checkpoint_days.name, org_word);
    }
}

static bool explain_run(struct cli *cli, struct err *err) {
    const char *path;
    const char *org_id;
    size_t jobs;
    struct explanation explanation = {.cli = cli};
    if (!cli_run_path(cli, &path, err) || !cli_required(cli, OPTION_ORG, &org_id, err) ||
        !cli_jobs(cli, &jobs, err)) {
        return false;
    }
    if (cli->options.values_count[OPTION_ORG] > 1) {
        return err_set(err, ERR_USAGE, "--org: explain tells of one org at a time");
    }
    if (!run_open_jobs(cli->sys, path, stages_all(), RUN_INSPECT, jobs, &explanation.run, err)) {
        return false;
    }
    explanation.org_id = text_from(org_id);
    explanation.metric_wanted = option_value(&cli->options, OPTION_METRIC);
    bool is_fine = explain_one(&explanation, org_id, err);
    if (is_fine) {
        explain_next(&explanation, path, org_id);
    }
    tables_close(&explanation);
    run_close(explanation.run);
    return is_fine;
}

const struct command command_explain = {
    .name = "explain",
    .summary = "every step from usage to cents of one org, in words",
    .arguments = "RUN --org ID [--metric NAME]",
    .positionals_max = 1,
    .positional = "RUN",
    .options = OPTION_BIT(OPTION_RUN_DIR) | OPTION_BIT(OPTION_ORG) | OPTION_BIT(OPTION_METRIC) |
               OPTION_BIT(OPTION_JOBS),
    .option_texts =
        {
            {OPTION_ORG, "the org", NULL},
        },
    .description =
        "Tells for each metric of an org what was used and when, the limit and where it\n"
        "comes from, the overage, each tier with quantity x price, the exact sum, how it was\n"
        "rounded, what the cap took off, what is billed, and what the next period may cost.\n"
        "Of an org that was not closed it tells why, and what to do.",
    .example = "periodclose explain /var/lib/periodclose/2026-10 --org acme --metric tokens",
    .run = explain_run,
};
