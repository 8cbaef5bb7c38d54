/* diff: which orgs and metrics differ between two runs, stage by stage, and by how much money. */
#include <stdio.h>

#include "cli/closing.h"
#include "cli/commands.h"
#include "diff.h"
#include "stage/stages.h"

#define BIT(column) (UINT32_C(1) << (column))

#define COLUMNS(...)                                                                               \
    .columns = {__VA_ARGS__},                                                                      \
    .columns_count = sizeof((const size_t[]){__VA_ARGS__}) / sizeof(size_t)

/* In the order of the stages; of what is not listed is told how many rows differ (diff_table). */
static const struct comparison comparisons[] = {
    {.schema = &checkpoint_orgs,
     .noun = "org",
     .nouns = "orgs",
     COLUMNS(ORGS_DISPOSITION, ORGS_REASON, ORGS_STATUS, ORGS_PLAN_ID, ORGS_CURRENCY,
             ORGS_OVERAGE_ENABLED, ORGS_OVERAGE_CAP, ORGS_PERIOD_START, ORGS_PERIOD_END,
             ORGS_SUBSCRIBED_DAYS, ORGS_NAME, ORGS_TIMEZONE, ORGS_ANCHOR_DAY,
             ORGS_STRIPE_CUSTOMER_ID, ORGS_STRIPE_SUBSCRIPTION_ID, ORGS_STRIPE_ITEM_MODE,
             ORGS_DODO_CUSTOMER_ID),
     .money_column = DIFF_NO_COLUMN},
    {.schema = &checkpoint_usage,
     .has_metric = true,
     .noun = "quantity",
     .nouns = "quantities",
     COLUMNS(USAGE_QUANTITY, USAGE_EVENTS),
     .money_column = DIFF_NO_COLUMN},
    {.schema = &checkpoint_negatives,
     .has_metric = true,
     .noun = "negative net",
     .nouns = "negative nets",
     COLUMNS(NEGATIVES_NET),
     .money_column = DIFF_NO_COLUMN},
    {.schema = &checkpoint_charges,
     .has_metric = true,
     .noun = "charge",
     .nouns = "charges",
     COLUMNS(CHARGES_LIMIT, CHARGES_OVERAGE, CHARGES_BLOCKED, CHARGES_EXACT_COST,
             CHARGES_UNCAPPED_COST, CHARGES_CAP_REDUCTION, CHARGES_COST),
     .zero_columns = BIT(CHARGES_OVERAGE) | BIT(CHARGES_BLOCKED) | BIT(CHARGES_EXACT_COST) |
                     BIT(CHARGES_UNCAPPED_COST) | BIT(CHARGES_CAP_REDUCTION) | BIT(CHARGES_COST),
     .money_columns = BIT(CHARGES_UNCAPPED_COST) | BIT(CHARGES_CAP_REDUCTION) | BIT(CHARGES_COST),
     .money_column = CHARGES_COST},
    {.schema = &checkpoint_projections,
     .has_metric = true,
     .noun = "projection",
     .nouns = "projections",
     COLUMNS(PROJECTIONS_PROJECTED, PROJECTIONS_SLOPE_PER_DAY, PROJECTIONS_R_SQUARED),
     .money_column = DIFF_NO_COLUMN},
    {.schema = &checkpoint_estimates,
     .has_metric = true,
     .noun = "estimate",
     .nouns = "estimates",
     COLUMNS(ESTIMATES_PROJECTED_OVERAGE, ESTIMATES_PROJECTED_COST),
     .zero_columns = BIT(ESTIMATES_PROJECTED_OVERAGE) | BIT(ESTIMATES_PROJECTED_COST),
     .money_columns = BIT(ESTIMATES_PROJECTED_COST),
     .money_column = ESTIMATES_PROJECTED_COST},
    {.schema = &checkpoint_changes,
     .has_metric = true,
     .noun = "change",
     .nouns = "changes",
     COLUMNS(CHANGES_PREVIOUS, CHANGES_CHANGE),
     .money_column = DIFF_NO_COLUMN},
    {.schema = &checkpoint_records,
     .has_metric = true,
     .noun = "record",
     .nouns = "records",
     COLUMNS(RECORDS_REVISION, RECORDS_COST, RECORDS_PREVIOUS_COST, RECORDS_BILLED, RECORDS_STATUS),
     .money_columns = BIT(RECORDS_COST) | BIT(RECORDS_PREVIOUS_COST) | BIT(RECORDS_BILLED),
     .money_column = RECORDS_BILLED,
     .unrecorded = "computed"},
    {.schema = &checkpoint_items,
     .has_metric = true,
     .noun = "item",
     .nouns = "items",
     COLUMNS(ITEMS_STATUS, ITEMS_REASON, ITEMS_STRIPE_ITEM_ID),
     .money_columns = BIT(ITEMS_BILLED),
     .money_column = DIFF_NO_COLUMN,
     .unrecorded = "not_emitted"},
};

enum { COMPARISONS_COUNT = sizeof comparisons / sizeof comparisons[0] };

bool diff_is_wanted(const struct diff *diff, struct text org_id, struct text metric) {
    const struct option_values *options = &diff->cli->options;
    if (diff->metric_wanted != NULL && metric.size_bytes > 0 &&
        !text_equals(metric, text_from(diff->metric_wanted))) {
        return false;
    }
    for (size_t index = 0; index < options->values_count[OPTION_ORG]; index++) {
        if (text_equals(org_id, text_from(options->values[OPTION_ORG][index]))) {
            return true;
        }
    }
    return options->values_count[OPTION_ORG] == 0;
}

/* --- files --------------------------------------------------------------------------------------
 */

static bool has_file(const struct run_file *files, size_t files_count,
                     const struct run_file *wanted) {
    for (size_t index = 0; index < files_count; index++) {
        if (strcmp(files[index].path, wanted->path) == 0) {
            return digest_equals(&files[index].digest, &wanted->digest);
        }
    }
    return false;
}

/* Do the files of a table differ, in their rows or in what they say of their origin? */
static bool files_differ(const struct diff *diff, const struct stage *stage,
                         const struct table_schema *schema) {
    for (enum side side = SIDE_A; side < SIDES_COUNT; side++) {
        size_t files_count;
        size_t others_count;
        enum side other = side == SIDE_A ? SIDE_B : SIDE_A;
        const struct run_file *files = run_stage_files(diff->runs[side], stage, &files_count);
        const struct run_file *others = run_stage_files(diff->runs[other], stage, &others_count);
        for (size_t index = 0; index < files_count; index++) {
            if (diff_is_of_table(&files[index], schema) &&
                !has_file(others, others_count, &files[index])) {
                return true;
            }
        }
    }
    return false;
}

/* --- stages -------------------------------------------------------------------------------------
 */

/* Of a folder nothing is recorded: told once, no difference. */
static bool say_unrecorded(const struct diff *diff, const struct comparison *comparison,
                           const struct diff_counts *counts, struct err *err) {
    for (enum side side = SIDE_A; side < SIDES_COUNT; side++) {
        char count[PRINT_NUMBER_MAX];
        (void)print_count(counts->unrecorded[side], count);
        if (counts->unrecorded[side] > 0 &&
            !console_out(&diff->cli->console, err, ", %s %s in %s and recorded in %s", count,
                         strcmp(comparison->unrecorded, "computed") == 0 ? "computed"
                                                                         : "not emitted",
                         side == SIDE_A ? "A" : "B", side == SIDE_A ? "B" : "A")) {
            return false;
        }
    }
    return true;
}

static bool say_counts(struct diff *diff, const struct stage *stage,
                       const struct comparison *comparison, const struct diff_counts *counts,
                       struct err *err) {
    char compared[PRINT_NUMBER_MAX];
    char differing[PRINT_NUMBER_MAX];
    (void)print_count(counts->compared, compared);
    (void)print_count(counts->differing, differing);
    if (diff->format != PRINT_TEXT) {
        return true;
    }
    if (counts->differing == 0) {
        return console_out(&diff->cli->console, err, "%-8s the same: %s %s", stage->name, compared,
                           counts->compared == 1 ? comparison->noun : comparison->nouns) &&
               say_unrecorded(diff, comparison, counts, err) &&
               console_out(&diff->cli->console, err, "\n");
    }
    char only[SIDES_COUNT][PRINT_NUMBER_MAX];
    (void)print_count(counts->only[SIDE_A], only[SIDE_A]);
    (void)print_count(counts->only[SIDE_B], only[SIDE_B]);
    bool has_only = counts->only[SIDE_A] + counts->only[SIDE_B] > 0;
    bool is_one = counts->compared == 1;
    return console_out(&diff->cli->console, err, "%-8s %s of %s %s differ%s", stage->name,
                       differing, compared, is_one ? comparison->noun : comparison->nouns,
                       counts->differing == 1 ? "s" : "") &&
           say_unrecorded(diff, comparison, counts, err) &&
           (has_only ? console_out(&diff->cli->console, err, " (%s only in A, %s only in B)\n",
                                   only[SIDE_A], only[SIDE_B])
                     : console_out(&diff->cli->console, err, "\n"));
}

static bool compare_rows(struct diff *diff, const struct stage *stage,
                         const struct comparison *comparison, struct err *err) {
    enum side has_it;
    if (diff_table_is_on_one_side(diff, stage, comparison->schema, &has_it)) {
        return diff_say_one_side(diff, stage, comparison->nouns, has_it, err);
    }
    struct diff_counts counts = {0};
    if (!diff_walk(diff, comparison, NULL, &counts, err) ||
        !say_counts(diff, stage, comparison, &counts, err)) {
        return false;
    }
    diff->differing += counts.differing;
    struct diff_counts again = {0};
    return counts.differing == 0 || diff_walk(diff, comparison, &counts, &again, err);
}

static const struct comparison *find_comparison(const struct table_schema *schema) {
    for (size_t index = 0; index < COMPARISONS_COUNT; index++) {
        if (comparisons[index].schema == schema) {
            return &comparisons[index];
        }
    }
    return NULL;
}

/*
 * All tables of a stage whose files differ: first those that are told row by row, then the others.
 * What follows from differing rows (the tiers of a charge) is not told again, and of an org or a
 * metric that was picked only rows are.
 */
static bool compare_tables(struct diff *diff, const struct stage *stage, struct err *err) {
    bool has_filter = option_is_set(&diff->cli->options, OPTION_ORG) || diff->metric_wanted != NULL;
    uint64_t differing_before = diff->differing;
    for (size_t index = 0; index < COMPARISONS_COUNT; index++) {
        const struct stage_output *output;
        if (stage_of_table(run_stages(diff->runs[SIDE_A]), comparisons[index].schema, &output) ==
                stage &&
            !compare_rows(diff, stage, &comparisons[index], err)) {
            return false;
        }
    }
    if (has_filter || (diff->differing > differing_before && stage->effect != EFFECT_SOURCE)) {
        return true;
    }
    for (size_t index = 0; index < stage->outputs_count; index++) {
        const struct table_schema *schema = stage->outputs[index].schema;
        if (find_comparison(schema) == NULL && files_differ(diff, stage, schema) &&
            !diff_table(diff, stage, schema, err)) {
            return false;
        }
    }
    return true;
}

static bool is_identical(const struct diff *diff, const struct stage *stage) {
    for (size_t index = 0; index < stage->outputs_count; index++) {
        if (files_differ(diff, stage, stage->outputs[index].schema)) {
            return false;
        }
    }
    return true;
}

static bool compare_stage(struct diff *diff, const struct stage *stage, struct err *err) {
    struct console *console = &diff->cli->console;
    bool is_done[SIDES_COUNT];
    for (enum side side = SIDE_A; side < SIDES_COUNT; side++) {
        is_done[side] = run_stage_is_done(diff->runs[side], stage);
    }
    if (!is_done[SIDE_A] || !is_done[SIDE_B]) {
        diff->has_other = diff->has_other || is_done[SIDE_A] != is_done[SIDE_B];
        return diff->format != PRINT_TEXT ||
               console_out(console, err, "%-8s not done in %s\n", stage->name,
                           is_done[SIDE_A]   ? "B"
                           : is_done[SIDE_B] ? "A"
                                             : "either");
    }
    if (!is_identical(diff, stage)) {
        diff->is_identical = false;
        return compare_tables(diff, stage, err);
    }
    return diff->format != PRINT_TEXT || console_out(console, err, "%-8s identical\n", stage->name);
}

/* --- the command --------------------------------------------------------------------------------
 */

/* Two months may be compared; who meant one must be told. */
static void note_periods(const struct diff *diff) {
    const char *periods[SIDES_COUNT];
    for (enum side side = SIDE_A; side < SIDES_COUNT; side++) {
        const char *period = run_pinned(diff->runs[side], PIN_OPTION, pin_period);
        periods[side] = period != NULL ? period : "-";
    }
    if (strcmp(periods[SIDE_A], periods[SIDE_B]) != 0) {
        console_say(&diff->cli->console, LOG_NOTE, "note: the periods differ: A is %s, B is %s",
                    periods[SIDE_A], periods[SIDE_B]);
    }
}

static bool diff_all(struct diff *diff, struct err *err) {
    struct stage_list list = run_stages(diff->runs[SIDE_A]);
    struct console *console = &diff->cli->console;
    if (diff->format == PRINT_TEXT
            ? !console_out(console, err, "A  %s\nB  %s\n\n", run_path(diff->runs[SIDE_A]),
                           run_path(diff->runs[SIDE_B]))
            : !diff_print_header(diff, err)) {
        return false;
    }
    note_periods(diff);
    for (size_t index = 0; index < list.stages_count; index++) {
        const struct stage *stage = list.stages[index];
        /* reports are made from the tables above: what differs in them was told */
        if (stage->effect != EFFECT_REPORTS && !compare_stage(diff, stage, err)) {
            return false;
        }
    }
    if (diff->differing > 0 || diff->has_other) {
        diff->cli->status = ERR_DIFFERENT;
        return diff->format != PRINT_TEXT || diff_totals(diff, err);
    }
    return diff->format != PRINT_TEXT ||
           console_out(console, err, diff->is_identical ? "\nidentical\n" : "\nthe same\n");
}

static void diff_next(const struct diff *diff) {
    const char *path = shell_word(diff->cli->positionals[SIDE_B], &(struct shell_word){0});
    if (diff->first_org[0] != '\0') {
        cli_next(diff->cli, "periodclose explain %s --org %s", path,
                 shell_word(diff->first_org, &(struct shell_word){0}));
    } else {
        cli_next(diff->cli, "periodclose status %s", path);
    }
}

static bool diff_run(struct cli *cli, struct err *err) {
    struct diff diff = {.cli = cli,
                        .metric_wanted = option_value(&cli->options, OPTION_METRIC),
                        .is_identical = true};
    size_t jobs;
    if (!print_format(cli, &diff.format, err) || !cli_jobs(cli, &jobs, err)) {
        return false;
    }
    bool is_fine = true;
    for (enum side side = SIDE_A; is_fine && side < SIDES_COUNT; side++) {
        is_fine = run_open_jobs(cli->sys, cli->positionals[side], stages_all(), RUN_INSPECT, jobs,
                                &diff.runs[side], err);
        if (!is_fine) {
            diff.runs[side] = NULL;
        }
    }
    is_fine = is_fine && diff_all(&diff, err);
    if (is_fine) {
        diff_next(&diff);
    }
    run_close(diff.runs[SIDE_A]);
    run_close(diff.runs[SIDE_B]);
    return is_fine;
}

const struct command command_diff = {
    .name = "diff",
    .summary = "what differs between two runs, and by how much money",
    .arguments = "RUN_A RUN_B [--org ID]... [--metric NAME] [--format csv|json]",
    .positionals_min = 2,
    .positionals_max = 2,
    .positional = "RUN",
    .options = OPTION_BIT(OPTION_ORG) | OPTION_BIT(OPTION_METRIC) | OPTION_BIT(OPTION_FORMAT) |
               OPTION_BIT(OPTION_JOBS),
    .option_texts =
        {
            {OPTION_FORMAT, "a row for every value that differs, instead of text", NULL},
        },
    .description =
        "Compares orgs, quantities, charges, projections and records, stage by stage: a line\n"
        "for every (org, metric) that differs, with both values and the difference in money,\n"
        "then the cost of both runs per currency, and what they bill where that is another\n"
        "sum (revisions). Of prices, seats and what else went in: how many\n"
        "rows differ, and the first. With --format csv or json, a row for every\n"
        "value that differs.\n"
        "\n"
        "A run from a folder and one from a database of the same data are the same:\n"
        "that one recorded what the other computed, and that one read events of other\n"
        "periods or orgs, or some twice, is no difference. Of a table that only one of them\n"
        "has, since another version of the program closed the other, a line is told.\n"
        "\n"
        "Exit status 0 when the runs are the same, 1 when they differ.",
    .example = "periodclose diff /var/lib/periodclose/2026-10 what-if --metric tokens",
    .run = diff_run,
};
