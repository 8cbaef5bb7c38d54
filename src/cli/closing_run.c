/* Closing a period in a run directory: open it, claim the period, execute, name what comes next. */
#include "closing_run.h"
#include "core/memory.h"
#include "database_option.h"
#include "guard.h"
#include "stage/claim.h"
#include "stage/stages.h"

static bool run_find_until(struct closing *closing, struct err *err) {
    const char *name = option_value(&closing->cli->options, OPTION_UNTIL);
    if (name == NULL) {
        return true;
    }
    closing->options.until = stage_find(stages_all(), name);
    if (closing->options.until == NULL) {
        (void)err_set(err, ERR_USAGE, "--until: '%s' is no stage", name);
        return err_hint(err, "periodclose --help lists them");
    }
    return true;
}

/*
 * A run that was to stop after a stage, and died before it, still stops there: what comes next is
 * perhaps recorded.
 */
static bool run_keep_until(struct closing *closing, struct err *err) {
    if (closing->options.until != NULL) {
        return run_pin_anew(closing->run, pin_until, closing->options.until->name, err);
    }
    const char *kept = run_pinned(closing->run, PIN_VERSION, pin_until);
    const struct stage *until = kept != NULL ? stage_find(stages_all(), kept) : NULL;
    if (until == NULL || run_stage_is_done(closing->run, until)) {
        return run_pin_anew(closing->run, pin_until, NULL, err);
    }
    closing->options.until = until;
    console_say(&closing->cli->console, LOG_NOTE,
                "note: stops after stage '%s', as this run was begun to; --until %s goes on to the "
                "end",
                kept, stage_report.name);
    return true;
}

static void run_note(void *context, const char *text) {
    console_say(context, LOG_NOTE, "note: %s", text);
}

static void run_tell_start(struct closing *closing) {
    char cutoff[INSTANT_TEXT_MAX];
    (void)instant_format(closing->session.cutoff, cutoff);
    console_say(&closing->cli->console, LOG_INFO,
                "periodclose " PERIODCLOSE_VERSION ": period %s, source %s, run %s, cutoff %s, "
                "jobs %zu, memory %llu MiB%s",
                run_pinned(closing->run, PIN_OPTION, pin_period),
                closing->session.database != NULL ? db_description(closing->session.database)
                                                  : closing->session.source_folder,
                closing->path, cutoff, closing->options.jobs,
                (unsigned long long)(closing->options.memory_bytes >> 20),
                closing->options.is_dry ? ", dry run" : "");
}

/* Before the source is read: nobody else records what this run is about to. */
static bool run_take_claim(struct closing *closing, struct err *err) {
    const struct run_options *options = &closing->options;
    bool is_early = options->until != NULL && options->until->number < stage_record.number;
    if (closing->session.conninfo == NULL || options->is_dry || is_early ||
        run_stage_is_done(closing->run, &stage_record)) {
        return true;
    }
    return claim_take(closing->run, &closing->session, err);
}

/* A failure keeps nobody else from the period. */
static void run_give_back_claim(struct closing *closing) {
    struct err err = {0};
    if (closing->run == NULL || claim_give_back(closing->run, &closing->session, &err)) {
        return;
    }
    console_say(&closing->cli->console, LOG_NOTE,
                "note: the claim of run %lld could not be given back: %s. It is taken up again by "
                "the same command",
                (long long)closing->session.claim.run_id, err.message);
    err_release(&err);
}

static bool run_execute_and_tell(struct closing *closing, struct err *err) {
    struct cli *cli = closing->cli;
    if (closing->kind == NULL) {
        return closing_execute(cli, closing->run, &closing->session, &closing->options, err);
    }
    if (!run_execute(closing->run, &closing->options, &closing->session, err)) {
        return false;
    }
    cli_next(cli, "less %s/reports/overages.csv",
             shell_word(closing->path, &(struct shell_word){0}));
    return closing->kind->tell(cli, closing->run, err);
}

static bool run_close_period(struct closing *closing, struct err *err) {
    struct cli *cli = closing->cli;
    closing->session.note = run_note;
    closing->session.note_context = &cli->console;
    const char *conninfo;
    /* Before the command line, with a password perhaps, is written anywhere. */
    if (option_is_set(&cli->options, OPTION_DATABASE) && !cli_database(cli, &conninfo, err)) {
        return false;
    }
    closing_next_same(cli);
    if (!guards_parse(cli, err) || !closing_options(cli, &closing->options, err) ||
        !run_find_until(closing, err) || !closing_open(closing, err)) {
        return false;
    }
    closing_forget(closing);
    if (!guards_pin(cli, closing->run, err) || !run_keep_until(closing, err) ||
        !closing_pin_all(closing, err)) {
        return false;
    }
    run_tell_start(closing);
    if (run_pinned(closing->run, PIN_VERSION, pin_refused) != NULL &&
        !run_pin_anew(closing->run, pin_refused, NULL, err)) {
        return false;
    }
    if (!emission_reopen(closing->run, &closing->session, err) ||
        (!run_stage_is_done(closing->run, &stage_emit) &&
         !emission_aids_open(cli, closing->run, false, &closing->session, &closing->aids, err))) {
        return false;
    }
    return run_take_claim(closing, err) &&
           guards_pass(cli, closing->run, &closing->session, &closing->options, err) &&
           run_execute_and_tell(closing, err);
}

/* For status, which would tell to go on otherwise, to be refused again. */
static void run_note_refusal(struct closing *closing, const struct err *refusal) {
    struct err err = {0};
    if (closing->options.is_dry ||
        (run_pin_anew(closing->run, pin_refused, refusal->message, &err) &&
         run_save(closing->run, &err))) {
        return;
    }
    console_say(&closing->cli->console, LOG_NOTE, "note: status cannot tell of it: %s",
                err.message);
    err_release(&err);
}

/* What to type next, where the same command would only fail again: never what loses something. */
static void run_tell_remedy(struct closing *closing, struct err *err) {
    bool is_before_record = closing->run != NULL && run_next_stage(closing->run) == &stage_record;
    if (closing->path[0] != '\0') {
        cli_next_remedy(closing->cli, closing->path, err);
    }
    if (is_before_record && err->code == ERR_CONTROL) { /* a guard: what it stopped is reviewed */
        cli_next(closing->cli, "periodclose report %s",
                 shell_word(closing->path, &(struct shell_word){0}));
    }
    if (is_before_record && err->code == ERR_MISMATCH && closing->session.database != NULL) {
        run_note_refusal(closing, err);
    }
    /* What is sealed was computed from the number that is too large. */
    bool is_input = err->code == ERR_RANGE && err->hint[0] == '\0';
    if (is_input) {
        (void)err_hint(err, "correct the quantity, price or limit, and begin anew with --restart");
        cli_next(closing->cli, "%s --restart", closing->cli->command_again);
    }
}

bool closing_run(struct cli *cli, const struct closing_kind *kind, struct err *err) {
    struct closing closing = {.cli = cli, .kind = kind};
    closing.session.kind = kind != NULL ? kind->name : NULL;
    bool is_fine = run_close_period(&closing, err);
    if (!is_fine) {
        run_give_back_claim(&closing);
        run_tell_remedy(&closing, err);
    }
    emission_aids_close(&closing.aids);
    db_close(closing.session.database);
    buffer_release(&closing.conninfo);
    run_close(closing.previous);
    run_close(closing.run);
    return is_fine;
}
