/*
 * Where a close stands: its run directory is opened, and comes to be when everything that was typed
 * has been looked at. What --restart and --dry-run are not told, they take from the run that is
 * there.
 */
#include "closing_run.h"
#include "guard.h"
#include "stage/stages.h"

/* What a run is begun with, and which options say it anew. */
static const struct kept_pin {
    enum pin_group group;
    const char *name;
    uint64_t options;
} kept_pins[] = {
    {PIN_OPTION, pin_period, OPTION_BIT(OPTION_PERIOD)},
    {PIN_OPTION, pin_orgs, OPTION_BIT(OPTION_ORG)},
    {PIN_VERSION, pin_source, OPTION_BIT(OPTION_SOURCE) | OPTION_BIT(OPTION_DATABASE)},
    {PIN_VERSION, pin_database, OPTION_BIT(OPTION_SOURCE) | OPTION_BIT(OPTION_DATABASE)},
    {PIN_VERSION, pin_previous_path, OPTION_BIT(OPTION_PREVIOUS)},
    {PIN_OPTION, pin_reason, OPTION_BIT(OPTION_PREVIOUS) | OPTION_BIT(OPTION_REASON)},
    {PIN_OPTION, pin_reprice, OPTION_BIT(OPTION_PREVIOUS) | OPTION_BIT(OPTION_REPRICE)},
    {PIN_OPTION, pin_overage_billing, OPTION_BIT(OPTION_OVERAGE_BILLING)},
    {PIN_VERSION, pin_until, OPTION_BIT(OPTION_UNTIL) | OPTION_BIT(OPTION_DRY_RUN)},
    {PIN_OPTION, pin_emit, OPTION_BIT(OPTION_EMIT)},
    {PIN_OPTION, pin_max_wait, OPTION_BIT(OPTION_EMIT) | OPTION_BIT(OPTION_MAX_WAIT)},
    {PIN_OPTION, pin_standalone, OPTION_BIT(OPTION_EMIT) | OPTION_BIT(OPTION_NO_STANDALONE)},
    {PIN_OPTION, pin_discountable, OPTION_BIT(OPTION_EMIT) | OPTION_BIT(OPTION_DISCOUNTABLE)},
    {PIN_OPTION, pin_attach, OPTION_BIT(OPTION_EMIT) | OPTION_BIT(OPTION_ATTACH)},
    {PIN_VERSION, pin_batch, OPTION_BIT(OPTION_EMIT) | OPTION_BIT(OPTION_BATCH)},
    {PIN_VERSION, pin_finalize, OPTION_BIT(OPTION_EMIT) | OPTION_BIT(OPTION_FINALIZE)},
    {PIN_VERSION, pin_rate, OPTION_BIT(OPTION_EMIT) | OPTION_BIT(OPTION_RATE)},
    {PIN_VERSION, pin_earlier_billed,
     OPTION_BIT(OPTION_EMIT) | OPTION_BIT(OPTION_PREVIOUS) | OPTION_BIT(OPTION_EARLIER_BILLED)},
};

static bool is_said_anew(const struct option_values *options, uint64_t which) {
    for (size_t option = 0; option < OPTIONS_COUNT; option++) {
        if ((which & OPTION_BIT(option)) != 0 && option_is_set(options, (enum option)option)) {
            return true;
        }
    }
    return false;
}

static bool carry_pin(struct closing *closing, const struct run *before, enum pin_group group,
                      const char *name, struct err *err) {
    const char *value = run_pinned(before, group, name);
    return value == NULL || run_pin(closing->run, group, name, value, false, err);
}

/* The limits of a close hold for the same close begun anew, or tried, however it is typed. */
static bool carry_guards(struct closing *closing, const struct run *before, struct err *err) {
    const char *typed = option_value(&closing->cli->options, OPTION_PERIOD);
    const char *theirs = run_pinned(before, PIN_OPTION, pin_period);
    if (typed != NULL && (theirs == NULL || strcmp(typed, theirs) != 0)) {
        return true;
    }
    return carry_pin(closing, before, PIN_VERSION, pin_max_total, err) &&
           carry_pin(closing, before, PIN_VERSION, pin_max_change, err);
}

/* A dry run shows what the run would come to, at its time. */
static bool carry_times(struct closing *closing, const struct run *before, struct err *err) {
    const struct option_values *options = &closing->cli->options;
    return (option_is_set(options, OPTION_NOW) ||
            carry_pin(closing, before, PIN_OPTION, pin_now, err)) &&
           (option_is_set(options, OPTION_CUTOFF) ||
            (carry_pin(closing, before, PIN_OPTION, pin_cutoff, err) &&
             carry_pin(closing, before, PIN_OPTION, pin_keeps_cutoff, err)));
}

/* A cutoff that was a default is one again; one that was given, or of the run revised, stays. */
static bool carry_cutoff(struct closing *closing, const struct run *before, struct err *err) {
    const uint64_t anew = OPTION_BIT(OPTION_CUTOFF) | OPTION_BIT(OPTION_PREVIOUS);
    const char *cutoff = run_pinned(before, PIN_OPTION, pin_cutoff);
    const char *now = run_pinned(before, PIN_OPTION, pin_now);
    const char *kept = run_pinned(before, PIN_OPTION, pin_keeps_cutoff);
    bool is_default = cutoff == NULL || now == NULL || strcmp(cutoff, now) == 0;
    bool is_given = kept == NULL || strcmp(kept, cutoff_given) == 0;
    if (is_default || !is_given || is_said_anew(&closing->cli->options, anew)) {
        return true;
    }
    return carry_pin(closing, before, PIN_OPTION, pin_cutoff, err) &&
           carry_pin(closing, before, PIN_OPTION, pin_keeps_cutoff, err);
}

static bool carry_all(struct closing *closing, const struct run *before, struct err *err) {
    for (size_t row = 0; row < sizeof kept_pins / sizeof kept_pins[0]; row++) {
        const struct kept_pin *kept = &kept_pins[row];
        if (!is_said_anew(&closing->cli->options, kept->options) &&
            !carry_pin(closing, before, kept->group, kept->name, err)) {
            return false;
        }
    }
    return closing->options.is_dry ? carry_times(closing, before, err)
                                   : carry_cutoff(closing, before, err);
}

bool closing_hint_unbegun(const struct closing *closing, const char *path, const char *words,
                          struct err *err) {
    const struct sys *sys = closing->cli->sys;
    char aside[FILE_PATH_MAX];
    enum path_kind kind;
    struct err unseen = {0};
    struct shell_word from;
    struct shell_word to;
    if (!path_kind(sys, path, &kind, &unseen) || !run_find_aside(sys, path, aside, &unseen)) {
        err_release(&unseen); /* what is refused is told, and not that nothing more is known */
        return err_hint(err, "%s", words);
    }
    if (aside[0] == '\0') {
        return err_hint(err, "%s", words);
    }
    if (kind != PATH_MISSING) {
        return err_hint(err,
                        "%s is a run that --restart moved aside: periodclose run --run-dir %s goes "
                        "on with it",
                        aside, shell_word(aside, &from));
    }
    (void)shell_word(path, &to);
    return err_hint(err,
                    "%s is a run that --restart moved aside: mv %s %s, then periodclose run "
                    "--run-dir %s --restart",
                    aside, shell_word(aside, &from), to.text, to.text);
}

/* What cannot be carried over from must be typed: why, in the hint. */
static bool refuse_to_carry(const struct closing *closing, const char *path, const char *why,
                            struct err *err) {
    if (!option_is_set(&closing->cli->options, OPTION_RESTART)) {
        return true; /* a dry run asks for what it lacks */
    }
    (void)err_set(err, ERR_USAGE,
                  "--restart: what %.700s was begun with is not known: name --period, and --source "
                  "or --database",
                  path);
    return closing_hint_unbegun(closing, path, why, err);
}

/*
 * A command that names period and source stands for itself, but for the guards. Any other one means
 * the run that is there, with what is typed instead.
 */
static bool carry(struct closing *closing, const char *path, struct err *err) {
    const struct option_values *options = &closing->cli->options;
    struct run *before;
    struct err missing = {0};
    bool is_whole =
        option_is_set(options, OPTION_PERIOD) &&
        (option_is_set(options, OPTION_SOURCE) || option_is_set(options, OPTION_DATABASE));
    if (!run_open(closing->cli->sys, path, stages_all(), RUN_STATUS, &before, &missing)) {
        bool is_fine = !is_whole ? refuse_to_carry(closing, path, missing.message, err)
                       : missing.code == ERR_DAMAGED ? guards_survive(closing->cli, path, err)
                                                     : true;
        err_release(&missing);
        return is_fine;
    }
    bool is_close = !run_is_replay(before) && run_pinned(before, PIN_OPTION, pin_dry_run) == NULL;
    bool is_fine = true;
    if (is_close) {
        is_fine =
            carry_guards(closing, before, err) && (is_whole || carry_all(closing, before, err));
    } else if (!is_whole) {
        is_fine = refuse_to_carry(closing, path, "it is a replay or a dry run", err);
    }
    run_close(before);
    return is_fine;
}

bool closing_open(struct closing *closing, struct err *err) {
    const char *path;
    struct cli *cli = closing->cli;
    bool is_dry = option_is_set(&cli->options, OPTION_DRY_RUN) ||
                  (closing->kind != NULL && closing->kind->is_dry);
    /* A dry run begins anew each time, and leaves the run itself alone. */
    bool is_anew = is_dry || option_is_set(&cli->options, OPTION_RESTART);
    closing->options.is_dry = is_dry;
    if (!cli_required(cli, OPTION_RUN_DIR, &path, err) ||
        !path_format(closing->path, err, "%s%s", path, is_dry ? "/dry-run" : "") ||
        !run_open_jobs(cli->sys, closing->path, stages_all(), is_anew ? RUN_REPLACE : RUN_PREPARE,
                       closing->options.jobs, &closing->run, err)) {
        return false;
    }
    if (run_is_replay(closing->run)) {
        /* With other prices, perhaps: nobody may take it for the close. */
        (void)err_set(err, ERR_MISMATCH, "%s is a replay of %s", closing->path,
                      run_replay_origin(closing->run));
        return err_hint(err, "go on with the replay command, or take another --run-dir");
    }
    return (!is_anew || carry(closing, path, err)) &&
           (run_is_new(closing->run) || run_tell_command(closing->run, cli->command_line, err));
}

bool closing_begin(struct closing *closing, struct err *err) {
    char moved_to[FILE_PATH_MAX];
    struct cli *cli = closing->cli;
    if (!run_is_new(closing->run)) {
        return run_save_changes(closing->run, err);
    }
    if (!run_begin(closing->run, moved_to, err)) {
        return false;
    }
    if (closing->options.is_dry) {
        if (moved_to[0] != '\0' && !path_remove_tree(cli->sys, moved_to, err)) {
            return false;
        }
    } else {
        /* From here on --restart would throw away what has begun. */
        cli_next(cli, "%s", cli->command_again);
    }
    if (moved_to[0] != '\0' && !closing->options.is_dry) {
        console_say(&cli->console, LOG_INFO, "moved the run that was there to %s", moved_to);
    }
    return run_tell_command(closing->run, cli->command_line, err);
}
