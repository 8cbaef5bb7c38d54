/*
 * recalculate: one org's period again, with all usage that there is now; as JSON. Without --force
 * it is a dry run: what would change. With it, the next revision is recorded, and billed by its
 * difference.
 */
#include "answer.h"
#include "cli/commands.h"
#include "cli/shard_walk.h"
#include "closing_run.h"
#include "core/money.h"
#include "stage/stages.h"

static bool minor_of(struct decimal amount, const struct currency *currency, int64_t *minor,
                     struct err *err) {
    return money_to_minor(amount, currency, minor) ||
           err_set(err, ERR_RANGE, "a cost does not fit in 64 bits of minor units");
}

static bool add_change(json_t *changes, const struct table_cursor *row, int64_t *total,
                       struct err *err) {
    char old_usage[DECIMAL_TEXT_MAX];
    char new_usage[DECIMAL_TEXT_MAX];
    int64_t old_cost;
    int64_t new_cost;
    int64_t difference;
    struct text metric = table_get_text(row, ADJUSTMENTS_METRIC);
    const struct currency *currency = currency_find(table_get_text(row, ADJUSTMENTS_CURRENCY));
    if (currency == NULL) {
        return err_set(err, ERR_DAMAGED, "%s: unknown currency", table_path(row->table));
    }
    (void)decimal_format(table_get_decimal(row, ADJUSTMENTS_OLD_USAGE), old_usage);
    (void)decimal_format(table_get_decimal(row, ADJUSTMENTS_NEW_USAGE), new_usage);
    if (!minor_of(table_get_decimal(row, ADJUSTMENTS_OLD_COST), currency, &old_cost, err) ||
        !minor_of(table_get_decimal(row, ADJUSTMENTS_NEW_COST), currency, &new_cost, err)) {
        return false;
    }
    if (__builtin_sub_overflow(new_cost, old_cost, &difference) ||
        __builtin_add_overflow(*total, difference, total)) {
        return err_set(err, ERR_RANGE, "the difference does not fit in 64 bits of minor units");
    }
    json_t *change = json_pack("{s:s, s:s, s:I, s:I, s:I}", "oldUsage", old_usage, "newUsage",
                               new_usage, "oldCost", (json_int_t)old_cost, "newCost",
                               (json_int_t)new_cost, "difference", (json_int_t)difference);
    return answer_put(changes, metric, change, err);
}

static bool add_changes(json_t *changes, struct run *run, int64_t *total, struct err *err) {
    struct shard_walk rows = {0};
    bool is_fine = shard_walk_start(&rows, run, &checkpoint_adjustments, err);
    while (is_fine && rows.has_row) {
        is_fine = add_change(changes, &rows.cursor, total, err) && shard_walk_next(&rows, err);
    }
    shard_walk_close(&rows);
    return is_fine;
}

static bool recalculate_tell(struct cli *cli, struct run *run, struct err *err) {
    struct shard_walk orgs = {0};
    json_t *changes = json_object();
    json_t *data = NULL;
    int64_t total = 0;
    const char *new_results = run_pinned(run, PIN_VERSION, pin_new_results);
    bool is_new = new_results != NULL && strcmp(new_results, "0") != 0;
    bool is_forced = option_is_set(&cli->options, OPTION_FORCE);
    bool is_fine = (changes != NULL || err_memory(err, 4096)) &&
                   shard_walk_start(&orgs, run, &checkpoint_orgs, err) &&
                   add_changes(changes, run, &total, err);
    if (is_fine) {
        struct text org_id = table_get_text(&orgs.cursor, ORGS_ORG_ID);
        struct text currency = table_get_text(&orgs.cursor, ORGS_CURRENCY);
        bool is_rated = table_is_null(&orgs.cursor, ORGS_REASON);
        struct text reason = is_rated ? text_from(is_new ? "" : "unchanged")
                                      : table_get_text(&orgs.cursor, ORGS_REASON);
        data = json_pack("{s:s%, s:s, s:s%, s:b, s:b, s:s%, s:O, s:I}", "orgId", org_id.bytes,
                         org_id.size_bytes, "period", run_pinned(run, PIN_OPTION, pin_period),
                         "currency", currency.bytes, currency.size_bytes, "rated", (int)is_rated,
                         "recorded", (int)(is_forced && is_rated && is_new), "reason", reason.bytes,
                         reason.size_bytes, "changes", changes, "difference", (json_int_t)total);
        is_fine = answer_print(cli, data, err);
    }
    json_decref(changes);
    shard_walk_close(&orgs);
    return is_fine;
}

static bool recalculate_command(struct cli *cli, struct err *err) {
    const char *typed;
    const struct closing_kind kind = {
        .name = "recalculate",
        .is_dry = !option_is_set(&cli->options, OPTION_FORCE),
        .takes_late = true,
        .tell = recalculate_tell,
    };
    if (!cli_required(cli, OPTION_ORG, &typed, err) ||
        !cli_required(cli, OPTION_PERIOD, &typed, err) ||
        !cli_required(cli, OPTION_DATABASE, &typed, err)) {
        return false;
    }
    if (cli->options.values_count[OPTION_ORG] > 1) {
        return err_set(err, ERR_USAGE, "--org: one org at a time");
    }
    return closing_run(cli, &kind, err);
}

const struct command command_recalculate = {
    .name = "recalculate",
    .summary = "one org's recorded period again, with late usage; as JSON",
    .arguments =
        "--period YYYY-MM --database CONNINFO --org ID --run-dir RUN [--force --reason TEXT]",
    .options = OPTION_BIT(OPTION_PERIOD) | OPTION_BIT(OPTION_DATABASE) | OPTION_BIT(OPTION_ORG) |
               OPTION_BIT(OPTION_RUN_DIR) | OPTION_BIT(OPTION_FORCE) | OPTION_BIT(OPTION_REASON) |
               OPTION_BIT(OPTION_REPRICE) | OPTION_BIT(OPTION_CUTOFF) | OPTION_BIT(OPTION_NOW) |
               OPTION_BIT(OPTION_RESTART) | OPTION_BIT(OPTION_JOBS) | OPTION_BIT(OPTION_MEMORY),
    .option_texts =
        {
            {OPTION_RUN_DIR, "where checkpoints, manifest and reports go", NULL},
            {OPTION_REASON, "why, for adjustments.csv and billing.close_runs", NULL},
            {OPTION_ORG, "the org", NULL},
            {OPTION_CUTOFF, "usage recorded after this instant is late (default: now)", NULL},
            {OPTION_JOBS, "worker threads, and connections to the database (default: processors)",
             NULL},
        },
    .description =
        "Closes the period again for one org, with all usage that is there by now, rated with\n"
        "the terms that were sealed with the period (--reprice: with today's). RUN keeps the\n"
        "checkpoints and reports, as of any run.\n\n"
        "Without --force it is a dry run, in RUN/dry-run: the answer tells what would change.\n"
        "With --force --reason TEXT the result becomes the next revision, and only the\n"
        "difference is billed.\n\n"
        "On stdout, costs in minor units of the currency:\n"
        "{\"success\":true,\"data\":{\"orgId\",\"period\",\"currency\",\"rated\",\"recorded\",\n"
        "\"reason\",\"changes\":{METRIC:{\"oldUsage\",\"newUsage\",\"oldCost\",\"newCost\",\n"
        "\"difference\"}},\"difference\"}}. reason says why nothing is recorded: why the org is\n"
        "not rated, or unchanged.",
    .example =
        "periodclose recalculate --period 2026-10 --database 'host=db1 dbname=billing' "
        "--org acme --run-dir /var/lib/periodclose/acme-2026-10 --force --reason 'late import'",
    .run = recalculate_command,
};
