/* emit: sends what was held or refused and can be sent now, and settles what is unknown. */
#include "cli/commands.h"
#include "cli/emission.h"
#include "database_option.h"
#include "stage/emission.h"
#include "stage/stages.h"

static bool put_request(void *context, struct text line, struct err *err) {
    struct cli *cli = context;
    return console_out_text(&cli->console, line, err) && console_out(&cli->console, err, "\n");
}

/* As a sending would end: 4 when something is held. */
static bool show(struct cli *cli, struct run *run, const struct stage_session *session,
                 struct err *err) {
    const struct preview_sink sink = {.context = cli, .put = put_request};
    struct emission_preview_counts counts;
    if (!emission_preview(run, session, &sink, &counts, err)) {
        return false;
    }
    console_say(&cli->console, LOG_NOTE,
                "note: %llu item%s would be sent or settled, %llu held, %llu sent before or "
                "switched off",
                (unsigned long long)counts.open, counts.open == 1 ? "" : "s",
                (unsigned long long)counts.held, (unsigned long long)counts.others);
    cli->status = counts.held > 0 ? ERR_SET_ASIDE : cli->status;
    return true;
}

static bool emit_again(struct cli *cli, struct run *run, struct emission_aids *aids,
                       struct err *err) {
    struct stage_session session = {0};
    struct run_options options = {0};
    const char *period = run_pinned(run, PIN_OPTION, pin_period);
    if (run_is_replay(run) || run_pinned(run, PIN_OPTION, pin_dry_run) != NULL) {
        return err_set(err, ERR_MISMATCH, "%s is a %s: it sends nothing", run_path(run),
                       run_is_replay(run) ? "replay" : "dry run");
    }
    if (!run_stage_is_done(run, &stage_record)) {
        (void)err_set(err, ERR_MISMATCH, "%s: stage '%s' is not done", run_path(run),
                      stage_record.name);
        return err_hint(err, "go on with the run first: periodclose run --run-dir %s",
                        shell_word(run_path(run), &(struct shell_word){0}));
    }
    if (period == NULL || month_parse(text_from(period), &session.month) != NULL) {
        return err_set(err, ERR_DAMAGED, "%s: the pinned period is no month", run_path(run));
    }
    if (!closing_options(cli, &options, err) || !emission_pin(cli, run, &session, err)) {
        return false;
    }
    if (session.emission == EMISSION_NONE) {
        (void)err_set(err, ERR_USAGE, "%s was begun with --emit none", run_path(run));
        cli_next_status(cli, run_path(run));
        return err_hint(err, "nothing of it is to be sent");
    }
    session.sending.retries_failed = true;
    session.conninfo = run_pinned(run, PIN_VERSION, "database");
    if (session.conninfo != NULL && option_is_set(&cli->options, OPTION_DATABASE) &&
        !cli_database(cli, &session.conninfo, err)) {
        return false;
    }
    if (!emission_aids_open(cli, run, true, &session, aids, err)) {
        return false;
    }
    if (option_is_set(&cli->options, OPTION_DRY_RUN)) {
        if (session.emission != EMISSION_STRIPE) {
            return err_set(err, ERR_USAGE, "--dry-run: only items of --emit stripe can be shown");
        }
        cli_next(cli, "periodclose emit %s", shell_word(run_path(run), &(struct shell_word){0}));
        return show(cli, run, &session, err);
    }
    return (!run_stage_is_done(run, &stage_emit) || run_unseal_sending(run, err)) &&
           closing_execute(cli, run, &session, &options, err);
}

static bool emit_run(struct cli *cli, struct err *err) {
    const char *path;
    struct run *run;
    closing_next_same(cli);
    if (!cli_run_path(cli, &path, err)) {
        return false;
    }
    if (!run_open(cli->sys, path, stages_all(), RUN_UPDATE, &run, err)) {
        cli->next[0] = '\0'; /* the same again would find no run there, either */
        cli_next_remedy(cli, path, err);
        return false;
    }
    struct emission_aids aids = {0};
    bool is_fine =
        run_tell_command(run, cli->command_line, err) && emit_again(cli, run, &aids, err);
    emission_aids_close(&aids);
    run_close(run);
    if (!is_fine) {
        cli_next_remedy(cli, path, err);
    }
    return is_fine;
}

const struct command command_emit = {
    .name = "emit",
    .summary = "send what was held or refused and can be sent now",
    .arguments = "RUN",
    .positionals_max = 1,
    .positional = "RUN",
    .options = OPTION_BIT(OPTION_RUN_DIR) | OPTION_BIT(OPTION_JOBS) | OPTION_BIT(OPTION_MEMORY) |
               OPTION_BIT(OPTION_DRY_RUN) | OPTION_BIT(OPTION_DATABASE) | EMISSION_OPTIONS,
    .option_texts =
        {
            {OPTION_DATABASE, "another way to the run's own database", NULL},
            {OPTION_DRY_RUN, "only print the requests it would begin with", NULL},
        },
    .description =
        "Goes through the items of a run again: what was sent stays as it is, what is\n"
        "unknown is settled first, what was refused is tried under a new attempt, and\n"
        "what was held is sent if it can be sent now. Customers, subscriptions and\n"
        "suspensions of orgs whose items were not sent are read again: from orgs.csv of\n"
        "the folder that the run began with, or from its database. Then the reports are\n"
        "written again. A run out of a database writes there what became of each item;\n"
        "--database is another way to the same one.\n\n"
        "What items say stays as the run began: another --attach, --max-wait, --no-standalone\n"
        "or --discountable is refused (exit 13).\n\n"
        "--dry-run prints the requests that it would begin with, a JSON object a line,\n"
        "and sends nothing; it needs no API key. An item that is held is a line, too:\n"
        "held says why.",
    .example = "periodclose emit /var/lib/periodclose/2026-10",
    .run = emit_run,
};
