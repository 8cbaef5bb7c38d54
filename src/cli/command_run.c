/*
 * run: closes a period, or goes on where an earlier run of the same directory stopped.
 *
 * Everything that decides the result is pinned before the first stage: period, orgs, cutoff, the
 * source's files by content, the run that is revised. Starting again compares them.
 */
#include <stdio.h>
#include <stdlib.h>

#include "cli/closing.h"
#include "cli/commands.h"
#include "cli/emission.h"
#include "closing_run.h"
#include "core/memory.h"
#include "database_option.h"
#include "db/migrate.h"
#include "guard.h"
#include "source/dataset.h"
#include "stage/claim.h"
#include "stage/stages.h"
#include "sys/clock.h"
#include "sys/process.h"
#include "sys/zone.h"

static const char pin_orgs[] = "orgs";
static const char pin_reprice[] = "reprice";
static const char pin_files[] = "files";
static const char pin_database[] = "database";
static const char pin_overage_billing[] = "overage_billing";
static const char pin_keeps_cutoff[] = "recorded_cutoff";

struct closing {
    struct cli *cli;
    struct run *run;
    struct run *previous;
    const struct closing_kind *kind; /* NULL: an ordinary close */
    struct buffer conninfo;          /* of a run that is gone on with */
    struct stage_session session;
    struct emission_aids aids;
    struct run_options options;
    bool is_guarded;
    char path[FILE_PATH_MAX];
};

static bool run_pin_orgs(struct closing *closing, struct err *err) {
    const struct text *orgs = closing->session.selected_orgs;
    struct buffer list = {0};
    bool is_fine = true;
    for (size_t index = 0; is_fine && index < closing->session.selected_orgs_count; index++) {
        is_fine = buffer_append_format(&list, err, "%s%.*s", index > 0 ? "," : "",
                                       (int)orgs[index].size_bytes, orgs[index].bytes);
    }
    is_fine = is_fine && buffer_append(&list, (struct text){"", 1}, err) &&
              run_pin(closing->run, PIN_OPTION, pin_orgs, list.bytes,
                      closing->session.selected_orgs_count > 0 || !run_is_new(closing->run), err);
    buffer_release(&list);
    return is_fine;
}

/* Pins an instant: what was typed, else the pinned one, else fallback; *instant is what holds. */
static bool run_pin_instant(struct closing *closing, enum option option, const char *name,
                            struct instant fallback, struct instant *instant, struct err *err) {
    bool is_given = option_is_set(&closing->cli->options, option);
    char text[INSTANT_TEXT_MAX];
    *instant = fallback;
    if (is_given && !cli_instant(closing->cli, option, instant, err)) {
        return false;
    }
    (void)instant_format(*instant, text);
    if (!run_pin(closing->run, PIN_OPTION, name, text, is_given, err)) {
        return false;
    }
    const char *pinned = run_pinned(closing->run, PIN_OPTION, name);
    if (pinned != NULL && instant_parse(text_from(pinned), instant) != NULL) {
        return err_set(err, ERR_DAMAGED, "%s: pinned %s '%s' is no time stamp", closing->path, name,
                       pinned);
    }
    return true;
}

static bool run_pin_period(struct closing *closing, struct err *err) {
    const char *period = option_value(&closing->cli->options, OPTION_PERIOD);
    const char *pinned = run_pinned(closing->run, PIN_OPTION, pin_period);
    if (period == NULL && pinned == NULL) {
        return cli_required(closing->cli, OPTION_PERIOD, &period, err);
    }
    const char *reason =
        month_parse(text_from(period != NULL ? period : pinned), &closing->session.month);
    if (reason != NULL) {
        return err_set(err, ERR_USAGE, "--period: '%s' %s", period, reason);
    }
    return run_pin(closing->run, PIN_OPTION, pin_period, period != NULL ? period : pinned, true,
                   err);
}

/*
 * A revision of some orgs knows nothing of what the runs before it billed the others: revised from
 * there, they would be billed from zero. So it can only be revised for the same orgs.
 */
static bool run_check_previous_orgs(struct closing *closing, const char *path, struct err *err) {
    const char *revised = run_pinned(closing->previous, PIN_VERSION, pin_previous_path);
    const char *theirs = run_pinned(closing->previous, PIN_OPTION, pin_orgs);
    const char *ours = run_pinned(closing->run, PIN_OPTION, pin_orgs);
    if (revised == NULL || theirs == NULL || theirs[0] == '\0' ||
        (ours != NULL && strcmp(ours, theirs) == 0)) {
        return true;
    }
    (void)err_set(err, ERR_MISMATCH, "--previous: %s revised only '%s', this run is to revise '%s'",
                  path, theirs, ours != NULL && ours[0] != '\0' ? ours : "all orgs");
    return err_hint(err, "revise those with the same --org, and the others from %s", revised);
}

/* The run that is revised: finished through rate and record, of the same period. */
static bool run_open_previous(struct closing *closing, struct err *err) {
    const char *path = option_value(&closing->cli->options, OPTION_PREVIOUS);
    if (path == NULL) {
        path = run_pinned(closing->run, PIN_VERSION, pin_previous_path);
    }
    if (path == NULL) {
        return true;
    }
    if (!run_open_jobs(closing->cli->sys, path, stages_all(), RUN_INSPECT, closing->options.jobs,
                       &closing->previous, err)) {
        return err_wrap(err, "--previous");
    }
    const char *period = run_pinned(closing->previous, PIN_OPTION, pin_period);
    char own[INSTANT_TEXT_MAX];
    (void)month_format(closing->session.month, own);
    if (!run_stage_is_done(closing->previous, &stage_record)) {
        (void)err_set(err, ERR_MISMATCH, "--previous: %s is not finished: stage '%s' is not done",
                      path, stage_record.name);
        return err_hint(err, "periodclose status %s", shell_word(path, &(struct shell_word){0}));
    }
    if (period == NULL || strcmp(period, own) != 0) {
        return err_set(err, ERR_MISMATCH, "--previous: %s closed %s, this run closes %s", path,
                       period != NULL ? period : "nothing", own);
    }
    if (run_pinned(closing->previous, PIN_OPTION, pin_dry_run) != NULL) {
        return err_set(err, ERR_MISMATCH, "--previous: %s is a dry run: it recorded nothing", path);
    }
    if (run_is_replay(closing->previous)) {
        return err_set(err, ERR_MISMATCH, "--previous: %s is a replay: it recorded nothing", path);
    }
    if (!run_check_previous_orgs(closing, path, err)) {
        return false;
    }
    closing->session.previous = closing->previous;
    return run_pin(closing->run, PIN_INPUT, pin_previous, run_id(closing->previous), true, err) &&
           run_pin(closing->run, PIN_VERSION, pin_previous_path, path, false, err);
}

static bool run_pin_revision(struct closing *closing, struct err *err) {
    const struct option_values *options = &closing->cli->options;
    const char *reason = option_value(options, OPTION_REASON);
    bool is_repriced = option_is_set(options, OPTION_REPRICE);
    if (closing->previous == NULL) {
        bool is_database = option_is_set(options, OPTION_DATABASE) ||
                           run_pinned(closing->run, PIN_VERSION, pin_database) != NULL;
        if (!is_database &&
            (reason != NULL || is_repriced || option_is_set(options, OPTION_FORCE))) {
            return err_set(err, ERR_USAGE, "--%s goes with --previous RUN, the run that is revised",
                           reason != NULL ? "reason"
                           : is_repriced  ? "reprice"
                                          : "force");
        }
        return true;
    }
    if (!run_pin(closing->run, PIN_OPTION, pin_reason, reason != NULL ? reason : "", reason != NULL,
                 err) ||
        !run_pin(closing->run, PIN_OPTION, pin_reprice, is_repriced ? "true" : "false", is_repriced,
                 err)) {
        return false;
    }
    const char *pinned = run_pinned(closing->run, PIN_OPTION, pin_reason);
    closing->session.reason = pinned != NULL && pinned[0] != '\0' ? pinned : NULL;
    pinned = run_pinned(closing->run, PIN_OPTION, pin_reprice);
    closing->session.is_repriced = pinned != NULL && strcmp(pinned, "true") == 0;
    return true;
}

/* now and cutoff: a revision's default cutoff is the one sealed with the run it revises. */
static bool run_pin_times(struct closing *closing, struct err *err) {
    struct instant now;
    struct instant cutoff;
    if (!run_pin_instant(closing, OPTION_NOW, pin_now, clock_now(closing->cli->sys), &now, err)) {
        return false;
    }
    cutoff = now;
    if (closing->previous != NULL) {
        const char *sealed = run_pinned(closing->previous, PIN_OPTION, pin_cutoff);
        if (sealed != NULL && instant_parse(text_from(sealed), &cutoff) != NULL) {
            return err_set(err, ERR_DAMAGED, "--previous: pinned cutoff '%s' is no time stamp",
                           sealed);
        }
    }
    return run_pin_instant(closing, OPTION_CUTOFF, pin_cutoff, cutoff, &closing->session.cutoff,
                           err);
}

/* The files of the source, by content: the list, then each. */
static bool run_pin_files(struct closing *closing, const struct dataset_file *files,
                          size_t files_count, struct err *err) {
    struct buffer names = {0};
    bool is_fine = true;
    for (size_t index = 0; is_fine && index < files_count; index++) {
        is_fine =
            buffer_append_format(&names, err, "%s%s", index > 0 ? " " : "", files[index].name);
    }
    is_fine = is_fine && buffer_append(&names, (struct text){"", 1}, err) &&
              run_pin(closing->run, PIN_INPUT, pin_files, names.bytes, true, err);
    for (size_t index = 0; is_fine && index < files_count; index++) {
        if (files[index].has_content) {
            char value[DATASET_FILE_TEXT_MAX];
            dataset_file_format(&files[index], value);
            is_fine = run_pin(closing->run, PIN_INPUT, files[index].name, value, true, err);
        }
    }
    buffer_release(&names);
    return is_fine;
}

/* A mistyped folder leaves no run behind. */
static bool run_source_is_there(struct closing *closing, const char *folder, struct err *err) {
    enum path_kind kind;
    if (!path_kind(closing->cli->sys, folder, &kind, err)) {
        return false;
    }
    if (kind == PATH_DIRECTORY) {
        return true;
    }
    (void)err_set(err, ERR_INPUT, "--source: '%.700s' is %s", folder,
                  kind == PATH_MISSING ? "not there" : "not a folder");
    return err_hint(err, "name the folder that holds orgs.csv, plans.csv, prices.csv and "
                         "subscriptions.csv");
}

/* Files that are not there, or are there under a name that nobody reads, are told. */
static bool run_note_files(struct closing *closing, const struct dataset_file *files,
                           size_t files_count, struct err *err) {
    struct console *console = &closing->cli->console;
    struct directory_listing listing;
    bool has_usage = false;
    for (size_t index = 0; index < files_count; index++) {
        has_usage = has_usage || dataset_is_usage_file(files[index].name);
    }
    if (!has_usage) {
        console_say(console, LOG_NOTE, "note: %s has no usage.csv: nothing was used but seats",
                    closing->session.source_folder);
    }
    if (!directory_list(closing->cli->sys, closing->session.source_folder, &listing, err)) {
        return false;
    }
    for (size_t name = 0; name < listing.names_count; name++) {
        size_t index = 0;
        while (index < files_count && strcmp(files[index].name, listing.names[name]) != 0) {
            index++;
        }
        size_t size = strlen(listing.names[name]);
        if (index == files_count && size > 4 &&
            strcmp(listing.names[name] + size - 4, ".csv") == 0) {
            console_say(console, LOG_NOTE,
                        "note: %s is not read: no file of a dataset has that name",
                        listing.names[name]);
        }
    }
    directory_release(&listing);
    return true;
}

/* Which of the two is the source: what was typed, else what the run began with. */
static bool run_choose_source(struct closing *closing, const char **folder, const char **conninfo,
                              struct err *err) {
    const struct option_values *options = &closing->cli->options;
    *folder = option_value(options, OPTION_SOURCE);
    *conninfo = option_value(options, OPTION_DATABASE);
    if (*folder != NULL && *conninfo != NULL) {
        bool is_folder_typed = options->is_typed[OPTION_SOURCE];
        if (is_folder_typed == options->is_typed[OPTION_DATABASE]) {
            (void)err_set(err, ERR_USAGE, "both --source and --database are given");
            return err_hint(err, "a run reads one of them, also where they come from "
                                 "PERIODCLOSE_SOURCE and PERIODCLOSE_DATABASE");
        }
        *(is_folder_typed ? conninfo : folder) = NULL;
    }
    if (*folder == NULL && *conninfo == NULL) {
        *folder = run_pinned(closing->run, PIN_VERSION, pin_source);
        *conninfo = *folder == NULL ? run_pinned(closing->run, PIN_VERSION, pin_database) : NULL;
    }
    if (*folder == NULL && *conninfo == NULL) {
        (void)err_set(err, ERR_USAGE, "neither --source nor --database is given");
        return err_hint(err, "name the dataset folder, or the database to read from");
    }
    return true;
}

/*
 * What a database has recorded is revised by --force alone: what it was before is there. Neither is
 * pinned: they decide nothing of the result, only whether it may be written.
 */
static bool run_pin_recorded(struct closing *closing, struct err *err) {
    const struct option_values *options = &closing->cli->options;
    struct stage_session *session = &closing->session;
    bool is_given = option_is_set(options, OPTION_CUTOFF) ||
                    (closing->kind != NULL && closing->kind->takes_late);
    bool is_repriced = option_is_set(options, OPTION_REPRICE);
    session->reason = option_value(options, OPTION_REASON);
    session->is_forced = option_is_set(options, OPTION_FORCE);
    if (closing->previous != NULL || session->is_forced != (session->reason != NULL)) {
        (void)err_set(err, ERR_USAGE, "%s",
                      closing->previous != NULL ? "--previous goes with --source, not --database"
                      : session->is_forced      ? "--force needs --reason TEXT"
                                                : "--reason goes with --force");
        return err_hint(err, "with a database the revision before is there: --force --reason TEXT "
                             "records the next one");
    }
    if (!run_pin(closing->run, PIN_OPTION, pin_keeps_cutoff, is_given ? "given" : "kept", is_given,
                 err) ||
        !run_pin(closing->run, PIN_OPTION, pin_reprice, is_repriced ? "true" : "false", is_repriced,
                 err)) {
        return false;
    }
    const char *pinned = run_pinned(closing->run, PIN_OPTION, pin_keeps_cutoff);
    session->keeps_cutoff = pinned != NULL && strcmp(pinned, "kept") == 0;
    pinned = run_pinned(closing->run, PIN_OPTION, pin_reprice);
    session->is_repriced = pinned != NULL && strcmp(pinned, "true") == 0;
    return true;
}

/* Decides nothing of the result, so it is not pinned. */
static bool run_choose_adding(struct closing *closing, struct err *err) {
    const char *where = option_value(&closing->cli->options, OPTION_AGGREGATE);
    closing->session.adds_up_on_server = where != NULL && strcmp(where, "server") == 0;
    return where == NULL || closing->session.adds_up_on_server || strcmp(where, "client") == 0 ||
           err_set(err, ERR_USAGE, "--aggregate: '%.80s' is neither client nor server", where);
}

/* What is pinned is which database it is, by whatever host and user it is reached. */
static bool run_pin_database(struct closing *closing, const char *conninfo, struct err *err) {
    const struct db_options options = {
        .conninfo = conninfo, .role = DB_ROLE_CLOSE, .sees_all_rows = true};
    struct stage_session *session = &closing->session;
    if (!run_choose_adding(closing, err) ||
        !db_open(closing->cli->sys, &options, &session->database, err) ||
        !migrate_check(session->database, err) ||
        (run_is_new(closing->run) && !run_save(closing->run, err))) {
        return false;
    }
    bool is_done =
        db_conninfo_without_password(conninfo, &closing->conninfo, err) &&
        buffer_append(&closing->conninfo, (struct text){"", 1}, err) &&
        run_pin(closing->run, PIN_INPUT, pin_database, db_identity(session->database), true, err) &&
        run_pin(closing->run, PIN_VERSION, pin_database, closing->conninfo.bytes, false, err);
    session->conninfo = conninfo;
    return is_done && run_pin_recorded(closing, err);
}

static bool run_pin_folder(struct closing *closing, const char *folder, struct err *err) {
    struct dataset_file *files = NULL;
    size_t files_count = 0;
    closing->session.source_folder = folder;
    /* Reading the source takes time: until then status should know the run. */
    if (run_is_new(closing->run) &&
        (!run_source_is_there(closing, folder, err) || !run_save(closing->run, err))) {
        return false;
    }
    /* What is still to be extracted is pinned as it is read: see extract. */
    const struct dataset_fingerprint_options options = {
        .jobs = closing->options.jobs,
        .is_without_large = !run_stage_is_done(closing->run, &stage_extract),
    };
    bool is_fine =
        dataset_fingerprint(closing->cli->sys, folder, &options, &files, &files_count, err) &&
        run_pin_files(closing, files, files_count, err) &&
        run_note_files(closing, files, files_count, err) &&
        run_pin(closing->run, PIN_VERSION, pin_source, folder, false, err);
    mem_free(files);
    return is_fine;
}

static bool run_pin_source(struct closing *closing, struct err *err) {
    const char *folder;
    const char *conninfo;
    if (!run_choose_source(closing, &folder, &conninfo, err)) {
        return false;
    }
    const char *other =
        run_pinned(closing->run, PIN_VERSION, conninfo != NULL ? pin_source : pin_database);
    if (other != NULL) {
        return err_set(err, ERR_MISMATCH, "%s was begun with another source: %s", closing->path,
                       other);
    }
    return conninfo != NULL ? run_pin_database(closing, conninfo, err)
                            : run_pin_folder(closing, folder, err);
}

static bool run_pin_versions(struct closing *closing, struct err *err) {
    char zones[32];
    (void)zone_database_version(zones, sizeof zones);
    return run_pin(closing->run, PIN_VERSION, "periodclose", PERIODCLOSE_VERSION, false, err) &&
           run_pin(closing->run, PIN_VERSION, "tz_database", zones, false, err);
}

static bool run_pin_emission(struct closing *closing, struct err *err) {
    return emission_pin(closing->cli, closing->run, &closing->session, err);
}

/* Off for everybody: a default that is typed nowhere stays out of the run's id. */
static bool run_pin_overage_billing(struct closing *closing, struct err *err) {
    const char *typed = option_value(&closing->cli->options, OPTION_OVERAGE_BILLING);
    if (typed != NULL && strcmp(typed, "true") != 0 && strcmp(typed, "false") != 0) {
        (void)err_set(err, ERR_USAGE, "--overage-billing: '%s' is neither true nor false", typed);
        return err_hint(err, "also when it comes from PERIODCLOSE_OVERAGE_BILLING");
    }
    if (!run_pin(closing->run, PIN_OPTION, pin_overage_billing, typed != NULL ? typed : "true",
                 typed != NULL, err)) {
        return false;
    }
    const char *pinned = run_pinned(closing->run, PIN_OPTION, pin_overage_billing);
    closing->session.is_overage_off = pinned != NULL && strcmp(pinned, "false") == 0;
    return true;
}

/* A dry run is marked, so that nobody takes it for the close. */
static bool run_pin_dry(struct closing *closing, struct err *err) {
    bool is_pinned = run_pinned(closing->run, PIN_OPTION, pin_dry_run) != NULL;
    if (closing->options.is_dry) {
        return run_pin(closing->run, PIN_OPTION, pin_dry_run, "true", true, err);
    }
    if (is_pinned) {
        (void)err_set(err, ERR_MISMATCH, "%s is a dry run", closing->path);
        return err_hint(err, "take the run directory it was made for: the folder above");
    }
    return true;
}

static bool run_pin_all(struct closing *closing, struct err *err) {
    /* Nothing was computed yet: what is typed now may be a correction. */
    if (option_is_set(&closing->cli->options, OPTION_SOURCE) ||
        option_is_set(&closing->cli->options, OPTION_DATABASE)) {
        const char *const kept[] = {pin_period, pin_now, pin_cutoff, pin_dry_run};
        run_forget_unsealed(closing->run, kept, sizeof kept / sizeof kept[0]);
    }
    return run_pin_dry(closing, err) &&
           closing_selected_orgs(closing->cli, &closing->session, err) &&
           run_pin_period(closing, err) && run_pin_orgs(closing, err) &&
           run_open_previous(closing, err) && run_pin_revision(closing, err) &&
           run_pin_times(closing, err) && run_pin_emission(closing, err) &&
           run_pin_overage_billing(closing, err) && run_pin_source(closing, err) &&
           run_pin_versions(closing, err);
}

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
        !run_open_directory(closing, err) || !run_pin_all(closing, err)) {
        return false;
    }
    run_tell_start(closing);
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

/* What to type next, where the same command would only fail again: never what loses something. */
static void run_tell_remedy(struct closing *closing, struct err *err) {
    bool is_state = err->code == ERR_LOCKED || err->code == ERR_MISMATCH ||
                    err->code == ERR_DAMAGED || err->code == ERR_CONTROL;
    if (is_state && closing->path[0] != '\0') {
        cli_next_status(closing->cli, closing->path);
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

static bool run_run(struct cli *cli, struct err *err) {
    return closing_run(cli, NULL, err);
}

const struct command command_run = {
    .name = "run",
    .summary = "close a period, or go on where a run stopped",
    .arguments = "--period YYYY-MM --source DIR|--database CONNINFO --run-dir RUN [OPTIONS]",
    .options = OPTION_BIT(OPTION_PERIOD) | OPTION_BIT(OPTION_DATABASE) | OPTION_BIT(OPTION_SOURCE) |
               OPTION_BIT(OPTION_AGGREGATE) | OPTION_BIT(OPTION_RUN_DIR) |
               OPTION_BIT(OPTION_UNTIL) | OPTION_BIT(OPTION_JOBS) | OPTION_BIT(OPTION_MEMORY) |
               OPTION_BIT(OPTION_EMIT) | EMISSION_OPTIONS | OPTION_BIT(OPTION_CUTOFF) |
               OPTION_BIT(OPTION_NOW) | OPTION_BIT(OPTION_ORG) | OPTION_BIT(OPTION_PREVIOUS) |
               OPTION_BIT(OPTION_REPRICE) | OPTION_BIT(OPTION_REASON) | OPTION_BIT(OPTION_FORCE) |
               OPTION_BIT(OPTION_RESTART) | OPTION_BIT(OPTION_DRY_RUN) |
               OPTION_BIT(OPTION_OVERAGE_BILLING) | OPTION_BIT(OPTION_MAX_TOTAL) |
               OPTION_BIT(OPTION_MAX_CHANGE),
    .description =
        "Closes the period that begins in the month given, for every org of the source,\n"
        "stage by stage. Each stage leaves a sealed checkpoint in RUN.\n\n"
        "Safe to type twice: a finished run does nothing more and says the same; one\n"
        "that was stopped or killed goes on behind the last sealed stage. If the source\n"
        "or an option is not what the run began with, it stops and shows both.\n\n"
        "The source is a folder of CSV files, or a PostgreSQL database: --database takes a\n"
        "libpq connection string or URI, without the password, which comes from ~/.pgpass\n"
        "or PGPASSWORD. Everything is read in one snapshot, and the result is recorded there,\n"
        "in one transaction. What is recorded already is left alone; another result is refused\n"
        "(exit 13) but with --force --reason TEXT: then it becomes the next revision, rated\n"
        "with the terms of the first, and only the difference is billed. Usage that came after\n"
        "the recorded cutoff is listed as late, and taken in with a new --cutoff.\n\n"
        "With --previous, the run revises a finished run of the same period: orgs that\n"
        "were rated there keep the terms sealed there, and only the difference is\n"
        "billed.\n\n"
        "--max-total and --max-change stop a close that looks wrong before anything is\n"
        "recorded (exit 14). They are not pinned: typed again with others, it goes on.",
    .example = "periodclose run --period 2026-10 --source /srv/billing/2026-10 "
               "--run-dir /var/lib/periodclose/2026-10",
    .run = run_run,
};
