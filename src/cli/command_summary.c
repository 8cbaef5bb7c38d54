/* summary: one org's overages as JSON (DESIGN.md 7), for programs that show them to the customer.
 */
#include "answer.h"
#include "cli/closing.h"
#include "cli/commands.h"
#include "cli/shard_walk.h"
#include "explain.h"
#include "rating/terms.h"
#include "stage/stages.h"

static bool summary_minor(struct decimal amount, const struct currency *currency, int64_t *minor,
                          struct err *err) {
    return money_to_minor(amount, currency, minor) ||
           err_set(err, ERR_RANGE, "cost does not fit in 64 bits of minor units");
}

static bool summary_overages(struct table *charges, struct text org_id,
                             const struct terms_plan *plan, json_t *overages, int64_t *total,
                             struct err *err) {
    struct terms_walk walk = terms_walk_start(charges);
    for (size_t index = 0; index < plan->prices_count; index++) {
        const struct terms_price *price = &plan->prices[index];
        int64_t minor;
        struct decimal overage = DECIMAL_ZERO;
        struct decimal cost = DECIMAL_ZERO;
        if (terms_walk_to(&walk, org_id, price->metric)) {
            overage = table_get_decimal(&walk.cursor, CHARGES_OVERAGE);
            cost = table_get_decimal(&walk.cursor, CHARGES_COST);
        }
        if (!summary_minor(cost, plan->currency, &minor, err)) {
            return false;
        }
        if (__builtin_add_overflow(*total, minor, total)) {
            return err_set(err, ERR_RANGE, "total cost does not fit in 64 bits of minor units");
        }
        bool has_unit_price = model_table[price->price.model].needs_unit_price;
        json_t *metric =
            answer_metric(overage, has_unit_price ? &price->price.unit_price : NULL, minor);
        if (!answer_put(overages, price->metric, metric, err)) {
            return false;
        }
    }
    return true;
}

static bool summary_org(struct cli *cli, struct run *run, size_t shard_index,
                        const struct table_cursor *org, const struct terms *terms,
                        struct err *err) {
    struct table *charges = NULL;
    const struct terms_plan *plan;
    char start[INSTANT_TEXT_MAX];
    char end[INSTANT_TEXT_MAX];
    int64_t total = 0;
    struct text org_id = table_get_text(org, ORGS_ORG_ID);
    if (!table_is_null(org, ORGS_REASON)) {
        return answer_print(cli, json_null(), err);
    }
    json_t *overages = json_object();
    (void)instant_format(table_get_instant(org, ORGS_PERIOD_START), start);
    (void)instant_format(table_get_instant(org, ORGS_PERIOD_END), end);
    bool is_fine = terms_find_plan(terms, table_get_int64(org, ORGS_TERMS),
                                   table_get_text(org, ORGS_PLAN_ID), &plan, err) &&
                   run_input_open(run, &checkpoint_charges, shard_index, &charges, err) &&
                   summary_overages(charges, org_id, plan, overages, &total, err);
    table_close(charges);
    if (!is_fine) {
        json_decref(overages);
        return false;
    }
    json_t *data = json_pack("{s:s%, s:{s:s, s:s}, s:o, s:I}", "orgId", org_id.bytes,
                             org_id.size_bytes, "period", "start", start, "end", end, "overages",
                             overages, "totalCost", (json_int_t)total);
    return answer_print(cli, data, err);
}

/* Looks for the org shard by shard; *is_found tells whether it was printed. */
static bool summary_shard(struct cli *cli, struct run *run, size_t shard_index,
                          const struct terms *terms, struct text org_id, bool *is_found,
                          struct err *err) {
    struct table *orgs;
    if (!run_input_open(run, &checkpoint_orgs, shard_index, &orgs, err)) {
        return false;
    }
    bool is_fine = true;
    struct table_cursor org = table_cursor_start(orgs);
    while (!*is_found && table_cursor_next(&org)) {
        if (text_equals(table_get_text(&org, ORGS_ORG_ID), org_id)) {
            *is_found = true;
            is_fine = summary_org(cli, run, shard_index, &org, terms, err);
        }
    }
    table_close(orgs);
    return is_fine;
}

/* Before anything is printed: all of them are there. */
static bool summary_check_orgs(struct cli *cli, struct run *run, struct err *err) {
    for (size_t index = 0; index < cli->options.values_count[OPTION_ORG]; index++) {
        const char *org_id = cli->options.values[OPTION_ORG][index];
        struct shard_walk orgs;
        bool is_found = false;
        bool is_fine = shard_walk_start(&orgs, run, &checkpoint_orgs, err) &&
                       shard_walk_to(&orgs, text_from(org_id), &is_found, err);
        shard_walk_close(&orgs);
        if (!is_fine || (!is_found && !explain_unknown_org(run, org_id, err))) {
            return false;
        }
    }
    return true;
}

static bool summary_find(struct cli *cli, struct run *run, const char *org_id,
                         const struct terms *terms, struct err *err) {
    bool is_found = false;
    bool is_fine = true;
    for (size_t shard = 0; is_fine && !is_found && shard < run_shards_count(run); shard++) {
        is_fine = summary_shard(cli, run, shard, terms, text_from(org_id), &is_found, err);
    }
    return is_fine;
}

/* One line per org, in the order typed. */
static bool summary_orgs(struct cli *cli, struct run *run, struct err *err) {
    struct terms terms;
    struct table *plans = NULL;
    struct table *prices = NULL;
    struct table *tiers = NULL;
    bool is_fine = explain_check_orgs(run, "sum up", err) && summary_check_orgs(cli, run, err) &&
                   run_input_open(run, &checkpoint_plans, 0, &plans, err) &&
                   run_input_open(run, &checkpoint_prices, 0, &prices, err) &&
                   run_input_open(run, &checkpoint_tiers, 0, &tiers, err) &&
                   terms_load(&terms, plans, prices, tiers, cli->arena, err);
    for (size_t index = 0; is_fine && index < cli->options.values_count[OPTION_ORG]; index++) {
        is_fine = summary_find(cli, run, cli->options.values[OPTION_ORG][index], &terms, err);
    }
    table_close(plans);
    table_close(prices);
    table_close(tiers);
    return is_fine;
}

/* What is typed wins over the environment: a run directory, then the database. */
static bool is_of_database(const struct cli *cli) {
    const struct option_values *options = &cli->options;
    return option_is_set(options, OPTION_DATABASE) && cli->positionals_count == 0 &&
           (options->is_typed[OPTION_DATABASE] || !option_is_set(options, OPTION_RUN_DIR));
}

static bool summary_run(struct cli *cli, struct err *err) {
    const char *path;
    const char *org_id;
    struct run *run;
    if (is_of_database(cli)) {
        return summary_database(cli, err);
    }
    if (cli->options.is_typed[OPTION_DATABASE]) {
        return err_set(err, ERR_USAGE, "both a run directory and --database are given");
    }
    if (option_is_set(&cli->options, OPTION_PERIOD)) {
        return err_set(err, ERR_USAGE, "--period goes with --database: a run has one period");
    }
    if (!cli_run_path(cli, &path, err) || !cli_required(cli, OPTION_ORG, &org_id, err) ||
        !run_open(cli->sys, path, stages_all(), RUN_INSPECT, &run, err)) {
        return false;
    }
    bool is_fine = summary_orgs(cli, run, err);
    if (is_fine) {
        cli_next(cli, "periodclose explain %s --org %s", shell_word(path, &(struct shell_word){0}),
                 shell_word(org_id, &(struct shell_word){0}));
    }
    run_close(run);
    return is_fine;
}

const struct command command_summary = {
    .name = "summary",
    .summary = "one org's overages as JSON",
    .arguments = "RUN|--database CONNINFO --org ID...",
    .positionals_max = 1,
    .positional = "RUN",
    .options = OPTION_BIT(OPTION_RUN_DIR) | OPTION_BIT(OPTION_ORG) | OPTION_BIT(OPTION_DATABASE) |
               OPTION_BIT(OPTION_PERIOD),
    .option_texts =
        {
            {OPTION_PERIOD, "of a database: the period (default: the last that was recorded)",
             NULL},
            {OPTION_DATABASE,
             "database to ask, instead of a run directory: libpq connection string or URI", NULL},
            {OPTION_ORG, "the org; given several times, a line for each", NULL},
        },
    .description =
        "Prints {\"success\":true,\"data\":{\"orgId\",\"period\",\"overages\",\"totalCost\"}}: "
        "every\n"
        "metric of the plan, zeros too; costs are integers in minor units, amount and\n"
        "unitPrice decimal strings (unitPrice null for tiers). data is null when the org\n"
        "was not rated (no plan, set aside). With several --org, one such line for each, in\n"
        "the order typed.\n\n"
        "Out of a run directory, or out of the database: the period that was recorded last,\n"
        "or --period, by its latest revision.",
    .example = "periodclose summary /var/lib/periodclose/2026-10 --org acme",
    .run = summary_run,
};
