/* reconcile: compares what was recorded and sent with what stands at the other side. */
#include "cli/commands.h"
#include "cli/emission.h"
#include "core/memory.h"
#include "database_option.h"
#include "reconcile_report.h"
#include "stage/emission.h"
#include "stage/stages.h"

struct comparison {
    struct cli *cli;
    struct run *run;
    struct stage_session session;
    struct run_options options;
    struct emission_aids aids;
    struct emit_key resend[RECONCILE_RESEND_MAX];
    size_t resend_count;
    const char *earlier[EMISSION_EARLIER_MAX];
    struct reconcile_report report;
};

/* --- comparing and repairing --------------------------------------------------------------------
 */

static bool compare(struct comparison *comparison, bool repairs, struct reconcile *reconcile,
                    struct err *err) {
    *reconcile = (struct reconcile){.repairs = repairs,
                                    .resend = comparison->resend,
                                    .resend_count = repairs ? comparison->resend_count : 0,
                                    .earlier_run_ids = comparison->earlier,
                                    .earlier_run_ids_count = comparison->aids.runs_count,
                                    .context = &comparison->report,
                                    .found = reconcile_report_found};
    return reconcile_report_begin(&comparison->report, err) &&
           emission_reconcile(comparison->run, &comparison->session, reconcile, err) &&
           reconcile_report_end(&comparison->report, reconcile, err);
}

/* On stdout stands what compares, for a machine that reads it. */
static bool send(struct comparison *comparison, struct err *err) {
    struct cli *cli = comparison->cli;
    struct console *console = &cli->console;
    console->is_mute = comparison->report.format != PRINT_TEXT;
    bool is_fine =
        console_out(console, err, "\n") &&
        closing_execute(cli, comparison->run, &comparison->session, &comparison->options, err) &&
        console_out(console, err, "\n");
    console->is_mute = false;
    return is_fine;
}

static bool repair(struct comparison *comparison, const struct reconcile *reconcile,
                   struct err *err) {
    const uint64_t *kinds = comparison->report.kinds;
    bool has_work = kinds[RECONCILE_NEVER_SENT] > 0 || kinds[RECONCILE_UNRECORDED] > 0 ||
                    kinds[RECONCILE_UNKNOWN] > 0 || reconcile->counts.resent > 0 ||
                    reconcile->counts.held > 0;
    if (!has_work) {
        return true;
    }
    return (!run_stage_is_done(comparison->run, &stage_emit) ||
            run_unseal_sending(comparison->run, err)) &&
           send(comparison, err);
}

static bool reconcile_all(struct comparison *comparison, struct err *err) {
    struct reconcile reconcile;
    struct cli *cli = comparison->cli;
    bool repairs = option_is_set(&cli->options, OPTION_REPAIR) || comparison->resend_count > 0;
    const char *path = shell_word(run_path(comparison->run), &(struct shell_word){0});
    if (!compare(comparison, repairs, &reconcile, err)) {
        return false;
    }
    if (repairs && !reconcile_check_resent(comparison->resend_count, &reconcile, err)) {
        return false;
    }
    if (repairs && (reconcile.counts.findings > 0 || reconcile.counts.held > 0)) {
        if (!repair(comparison, &reconcile, err) || !compare(comparison, false, &reconcile, err)) {
            return false;
        }
    }
    if (reconcile.counts.findings == 0) {
        cli_next(cli, "periodclose verify %s", path);
        return true;
    }
    const uint64_t *kinds = comparison->report.kinds;
    bool can_repair = kinds[RECONCILE_NEVER_SENT] > 0 || kinds[RECONCILE_UNRECORDED] > 0;
    cli->status = cli->status == ERR_UNKNOWN ? ERR_UNKNOWN : ERR_DRIFT;
    if (can_repair && !repairs) {
        cli_next(cli, "periodclose reconcile %s --repair", path);
    } else {
        reconcile_report_next(&comparison->report, run_path(comparison->run));
    }
    reconcile_report_advise(&comparison->report);
    return true;
}

/* --- the command --------------------------------------------------------------------------------
 */

/* A run out of a database writes there what became of its items. */
static bool choose_database(struct comparison *comparison, struct err *err) {
    struct cli *cli = comparison->cli;
    struct stage_session *session = &comparison->session;
    session->conninfo = run_pinned(comparison->run, PIN_VERSION, "database");
    return session->conninfo == NULL || !option_is_set(&cli->options, OPTION_DATABASE) ||
           cli_database(cli, &session->conninfo, err);
}

static bool open_aids(struct comparison *comparison, struct err *err) {
    struct emission_aids *aids = &comparison->aids;
    if (!emission_aids_open(comparison->cli, comparison->run, true, &comparison->session, aids,
                            err)) {
        return false;
    }
    for (size_t index = 0; index < aids->runs_count; index++) {
        const char *id = run_id(aids->runs[index]);
        comparison->earlier[index] = id != NULL ? id : "";
    }
    return true;
}

static void note(void *context, const char *text) {
    console_say(context, LOG_NOTE, "note: %s", text);
}

static bool reconcile_prepare(struct comparison *comparison, struct err *err) {
    struct cli *cli = comparison->cli;
    struct run *run = comparison->run;
    const char *period = run_pinned(run, PIN_OPTION, pin_period);
    if (run_is_replay(run) || run_pinned(run, PIN_OPTION, pin_dry_run) != NULL) {
        return err_set(err, ERR_MISMATCH, "%s is a %s: nothing of it was sent", run_path(run),
                       run_is_replay(run) ? "replay" : "dry run");
    }
    if (!run_stage_is_done(run, &stage_record)) {
        (void)err_set(err, ERR_MISMATCH, "%s: nothing of it was sent: stage '%s' is not done",
                      run_path(run), stage_record.name);
        return err_hint(err, "go on with the run first: periodclose run --run-dir %s",
                        shell_word(run_path(run), &(struct shell_word){0}));
    }
    if (period == NULL || month_parse(text_from(period), &comparison->session.month) != NULL) {
        return err_set(err, ERR_DAMAGED, "%s: the pinned period is no month", run_path(run));
    }
    if (!reconcile_report_init(&comparison->report, cli, err) ||
        !closing_options(cli, &comparison->options, err) ||
        !emission_pin(cli, run, &comparison->session, err) ||
        !reconcile_read_resend(cli, comparison->resend, &comparison->resend_count, err)) {
        return false;
    }
    comparison->report.period = period;
    comparison->report.emission = comparison->session.emission;
    if (comparison->session.emission == EMISSION_NONE) {
        cli_next_status(cli, run_path(run));
        return err_set(err, ERR_USAGE, "%s was begun with --emit none: nothing of it was sent",
                       run_path(run));
    }
    if (comparison->session.emission == EMISSION_STRIPE_METERS) {
        console_say(&cli->console, LOG_NOTE,
                    "note: Stripe does not list events of meters: this is what the journal knows "
                    "of them");
    }
    comparison->session.sending.retries_failed = true;
    comparison->session.note = note;
    comparison->session.note_context = &cli->console;
    return choose_database(comparison, err) && open_aids(comparison, err);
}

static bool reconcile_command(struct cli *cli, struct err *err) {
    const char *path = NULL;
    if (option_is_set(&cli->options, OPTION_PERIOD)) {
        return reconcile_period(cli, err);
    }
    struct comparison *comparison = mem_alloc(sizeof *comparison);
    if (comparison == NULL) {
        return err_memory(err, sizeof *comparison);
    }
    comparison->cli = cli;
    bool is_fine = cli_run_path(cli, &path, err) &&
                   run_open(cli->sys, path, stages_all(), RUN_UPDATE, &comparison->run, err);
    if (is_fine) {
        closing_next_same(cli);
    }
    is_fine = is_fine && run_tell_command(comparison->run, cli->command_line, err) &&
              reconcile_prepare(comparison, err) && reconcile_all(comparison, err);
    emission_aids_close(&comparison->aids);
    run_close(comparison->run);
    mem_free(comparison);
    if (!is_fine && path != NULL) {
        cli_next_remedy(cli, path, err);
    }
    return is_fine;
}

const struct command command_reconcile = {
    .name = "reconcile",
    .summary = "compare what was sent with what stands at Stripe or Dodo",
    .arguments = "RUN | --period YYYY-MM --database CONNINFO  [--repair] [--resend KEY]",
    .positionals_max = 1,
    .positional = "RUN",
    .options = OPTION_BIT(OPTION_RUN_DIR) | OPTION_BIT(OPTION_PERIOD) |
               OPTION_BIT(OPTION_DATABASE) | OPTION_BIT(OPTION_EMIT) | OPTION_BIT(OPTION_JOBS) |
               OPTION_BIT(OPTION_MEMORY) | OPTION_BIT(OPTION_FORMAT) | OPTION_BIT(OPTION_JSON) |
               OPTION_BIT(OPTION_REPAIR) | OPTION_BIT(OPTION_RESEND) | EMISSION_OPTIONS,
    .option_texts =
        {
            {OPTION_PERIOD, "compare what a database has recorded of that period", NULL},
            {OPTION_DATABASE, "with --period: that database; else another way to the run's own",
             NULL},
            {OPTION_RUN_DIR,
             "the run directory, instead of the word RUN; with --period, where --repair keeps its "
             "journal (default: reconcile-YYYY-MM)",
             NULL},
            {OPTION_EMIT, "with --period: where the items went (default: stripe)",
             "stripe|stripe-meters|dodo"},
            {OPTION_BATCH,
             "of a run: how items go on an invoice of their own, one by one (default), or as "
             "lines, those of an org by one request",
             NULL},
            {OPTION_FINALIZE,
             "of a run: finalise invoices of their own that have all their items and the right "
             "total",
             NULL},
            {OPTION_FORMAT, "a row or an object for every finding, instead of text", NULL},
            {OPTION_JSON, "the same as --format json", NULL},
        },
    .description =
        "Lists the items that each customer of the closed orgs has at Stripe since the\n"
        "period's end (the events that Dodo has, with --emit dodo), matches them by their\n"
        "keys, and prints what is not as it was recorded: never sent, removed there,\n"
        "different, not recorded as sent, or there without a record. With such a finding\n"
        "the exit status is 15. Events of Stripe's meters cannot be listed: of them it tells\n"
        "what the journal knows.\n\n"
        "With --period the records in the database are compared, without a run directory\n"
        "(it may be lost): all revisions, with --emit stripe (the default), dodo or\n"
        "stripe-meters.\n\n"
        "--repair notes what stands there unknown to us and sends what was never sent; it\n"
        "deletes nothing. With --period its journal stands in --run-dir, else in the folder\n"
        "reconcile-YYYY-MM. What was removed at Stripe may have been somebody's goodwill: it\n"
        "is sent again only when its key is named with --resend, and so is an event of a\n"
        "meter that stayed unknown.\n\n"
        "Of a run, another --attach, --max-wait, --no-standalone or --discountable than it\n"
        "began with is refused (exit 13).\n\n"
        "--json prints an object on a line: period, target, findings, items, as_recorded and\n"
        "counts by kind; after a repair a second one.",
    .example = "periodclose reconcile /var/lib/periodclose/2026-10",
    .run = reconcile_command,
};
