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

static bool run_restart(struct closing *closing, struct err *err) {
    char moved_to[FILE_PATH_MAX];
    const struct option_values *options = &closing->cli->options;
    const char *typed;
    if (!option_is_set(options, OPTION_RESTART)) {
        return true;
    }
    /* What the old run knows goes aside with it. */
    if (!cli_required(closing->cli, OPTION_PERIOD, &typed, err) ||
        (!option_is_set(options, OPTION_DATABASE) &&
         !cli_required(closing->cli, OPTION_SOURCE, &typed, err))) {
        return err_wrap(err, "--restart");
    }
    if (!run_move_aside(closing->cli->sys, closing->path, stages_all(), moved_to, err)) {
        return false;
    }
    if (moved_to[0] != '\0') {
        console_say(&closing->cli->console, LOG_INFO, "moved the run that was there to %s",
                    moved_to);
    }
    return true;
}

/* A dry run begins anew each time: the one before is thrown away, under its lock. */
static bool run_drop_dry(struct closing *closing, struct err *err) {
    char moved_to[FILE_PATH_MAX];
    return run_move_aside(closing->cli->sys, closing->path, stages_all(), moved_to, err) &&
           (moved_to[0] == '\0' || path_remove_tree(closing->cli->sys, moved_to, err));
}

static bool run_open_directory(struct closing *closing, struct err *err) {
    const char *path;
    struct cli *cli = closing->cli;
    closing->options.is_dry = option_is_set(&cli->options, OPTION_DRY_RUN) ||
                              (closing->kind != NULL && closing->kind->is_dry);
    if (!cli_required(cli, OPTION_RUN_DIR, &path, err) ||
        !path_format(closing->path, err, "%s%s", path, closing->options.is_dry ? "/dry-run" : "") ||
        !run_restart(closing, err)) {
        return false;
    }
    if (closing->options.is_dry &&
        (!directory_create_all(cli->sys, path, err) || !run_drop_dry(closing, err))) {
        return false;
    }
    if (!run_open_jobs(cli->sys, closing->path, stages_all(), RUN_CREATE, closing->options.jobs,
                       &closing->run, err)) {
        return false;
    }
    if (run_is_replay(closing->run)) {
        /* With other prices, perhaps: nobody may take it for the close. */
        (void)err_set(err, ERR_MISMATCH, "%s is a replay of %s", closing->path,
                      run_replay_origin(closing->run));
        return err_hint(err, "go on with the replay command, or take another --run-dir");
    }
    return run_tell_command(closing->run, cli->command_line, err);
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
    if (!guards_parse(cli, &closing->is_guarded, err) ||
        !closing_options(cli, &closing->options, err) || !run_find_until(closing, err) ||
        !run_open_directory(closing, err) || !closing_pin_all(closing, err)) {
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
           (!closing->is_guarded ||
            guards_pass(cli, closing->run, &closing->session, &closing->options, err)) &&
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
    if (is_input && !option_is_set(&closing->cli->options, OPTION_RESTART)) {
        (void)err_hint(err, "correct the quantity, price or limit, and begin anew with --restart");
        cli_next(closing->cli, "%s --restart", closing->cli->command_line);
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
