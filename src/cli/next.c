/*
 * The next command to type: how a run stands decides it, or what is wrong with it. It must work
 * when it is typed as it is told, and must never lose anything.
 */
#include <stdarg.h>
#include <stdio.h>

#include "cli/closing.h"
#include "cli/emission.h"
#include "closing_run.h"
#include "stage/stages.h"

void cli_next(struct cli *cli, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(cli->next, sizeof cli->next, format, arguments);
    va_end(arguments);
}

static bool append_word(struct buffer *line, const char *option, const char *value,
                        struct err *err) {
    return buffer_append_format(line, err, " --%s %s", option,
                                shell_word(value, &(struct shell_word){0}));
}

void cli_next_without(struct cli *cli, uint64_t left_out) {
    struct buffer line = {0};
    struct err err = {0};
    bool is_fine = buffer_append_format(&line, &err, "periodclose %s", cli->command->name);
    for (size_t index = 0; is_fine && index < cli->positionals_count; index++) {
        is_fine = buffer_append_format(
            &line, &err, " %s", shell_word(cli->positionals[index], &(struct shell_word){0}));
    }
    for (size_t option = 0; option < OPTIONS_COUNT; option++) {
        const struct option_row *row = &option_table[option];
        bool is_told = cli->options.is_typed[option] && (left_out & OPTION_BIT(option)) == 0;
        for (size_t index = 0; is_fine && is_told && index < cli->options.values_count[option];
             index++) {
            is_fine = row->argument == NULL
                          ? buffer_append_format(&line, &err, " --%s", row->name)
                          : append_word(&line, row->name, cli->options.values[option][index], &err);
        }
    }
    if (is_fine && line.size_bytes < sizeof cli->next) {
        cli_next(cli, "%.*s", (int)line.size_bytes, line.bytes);
    }
    buffer_release(&line);
    err_release(&err); /* what does not fit is not told */
}

/* --- how a run stands ---------------------------------------------------------------------------
 */

static bool has_file(const struct cli *cli, const char *run_path, const char *relative) {
    char path[FILE_PATH_MAX];
    enum path_kind kind = PATH_MISSING;
    struct err err = {0};
    bool is_there = path_format(path, &err, "%s/%s", run_path, relative) &&
                    path_kind(cli->sys, path, &kind, &err) && kind == PATH_FILE;
    err_release(&err); /* what cannot be seen is not named */
    return is_there;
}

static bool is_run(const struct cli *cli, const char *path) {
    struct run *run;
    struct err err = {0};
    if (run_open(cli->sys, path, stages_all(), RUN_STATUS, &run, &err)) {
        run_close(run);
        return true;
    }
    err_release(&err); /* the failure to tell of is another one */
    return false;
}

void cli_next_of_reports(struct cli *cli, const struct run *run) {
    static const char exceptions[] = "reports/exceptions.csv";
    static const char overages[] = "reports/overages.csv";
    const char *path = shell_word(run_path(run), &(struct shell_word){0});
    bool has_overages = has_file(cli, run_path(run), overages);
    bool has_exceptions = has_file(cli, run_path(run), exceptions);
    if (!has_overages && !has_exceptions) {
        cli_next(cli, "periodclose report %s", path);
        return;
    }
    bool is_exceptions = !has_overages || (has_exceptions && cli->status == ERR_SET_ASIDE);
    cli_next(cli, "less %s/%s", path, is_exceptions ? exceptions : overages);
}

/* Of invoices all counts are noted, zeros too. */
static bool has_invoices(const char *noted, const char *none) {
    return noted != NULL && strstr(noted, none) == NULL;
}

/*
 * What is to be looked at is noted in words: no table is read for it. In the order of the exit
 * codes: what the run settles when it is gone on with, what stays unknown, what was refused.
 */
static void next_of_closed(struct cli *cli, const struct run *run, const char *path) {
    const char *asides = run_pinned(run, PIN_VERSION, pin_asides);
    const char *invoices = run_pinned(run, PIN_VERSION, pin_invoices);
    static const char lasting[] = " unknown for good";
    const char *unknown = asides != NULL ? strstr(asides, " unknown") : NULL;
    /* What is unknown for good is noted last. */
    bool is_lasting = unknown != NULL && strncmp(unknown, lasting, strlen(lasting)) == 0;
    if ((unknown != NULL && !is_lasting) || has_invoices(invoices, " 0 unknown")) {
        cli_next(cli, "periodclose run --run-dir %s", path);
    } else if (is_lasting) {
        cli_next(cli, "periodclose reconcile %s", path); /* the run would only say the same */
    } else if (asides != NULL && strstr(asides, " refused") != NULL) {
        cli_next(cli, "less %s/reports/invoice_items.csv", path);
    } else if (has_invoices(invoices, " 0 refused") || has_invoices(invoices, " 0 different")) {
        cli_next(cli, "less %s/reports/invoices.csv", path);
    } else if (asides == NULL) {
        cli_next(cli, "periodclose verify %s", path);
    } else {
        cli_next(cli, "less %s/reports/exceptions.csv", path);
    }
}

void cli_next_of_run(struct cli *cli, const struct run *run) {
    const struct stage *next = run_next_stage(run);
    const char *path = shell_word(run_path(run), &(struct shell_word){0});
    const char *origin = run_replay_path(run);
    if (run_pinned(run, PIN_OPTION, pin_dry_run) != NULL) {
        cli_next_of_reports(cli, run);
    } else if (next == NULL) {
        next_of_closed(cli, run, path);
    } else if (!run_is_replay(run) && run_pinned(run, PIN_VERSION, pin_refused) != NULL &&
               !run_stage_is_done(run, &stage_record)) {
        cli_next(cli, "periodclose report %s", path); /* going on would be refused again */
    } else if (!run_is_replay(run)) {
        cli_next(cli, "periodclose run --run-dir %s", path);
    } else if (origin != NULL && run_replay_from(run) != NULL) {
        cli_next(cli, "periodclose replay %s --from %s --run-dir %s",
                 shell_word(origin, &(struct shell_word){0}), run_replay_from(run)->name, path);
    } else {
        cli_next(cli, "periodclose replay --help");
    }
}

void cli_next_status(struct cli *cli, const char *run_path) {
    char dry[FILE_PATH_MAX];
    struct err err = {0};
    const char *path = run_path;
    if (!is_run(cli, path)) {
        bool is_named = path_format(dry, &err, "%s/" RUN_DRY_FOLDER, run_path);
        err_release(&err);
        path = is_named && is_run(cli, dry) ? dry : NULL;
    }
    if (path != NULL) {
        cli_next(cli, "periodclose status %s", shell_word(path, &(struct shell_word){0}));
    } else {
        cli_next(cli, "periodclose run --help");
    }
}

/* --- a run that is damaged ----------------------------------------------------------------------
 */

/* Options that a run keeps under a name; what is usual need not be typed. Guards are not among
 * them: they hold for a run that is begun anew in the same place. */
static const struct kept_option {
    enum option option;
    enum pin_group group;
    const char *pin;
    const char *usual;
    const char *flag; /* the value for which the option is typed, as it has none; NULL: it has */
} kept_options[] = {
    {OPTION_CUTOFF, PIN_OPTION, pin_cutoff, NULL, NULL},
    {OPTION_UNTIL, PIN_VERSION, pin_until, NULL, NULL},
    {OPTION_EMIT, PIN_OPTION, pin_emit, "none", NULL},
    {OPTION_ATTACH, PIN_OPTION, pin_attach, "upcoming", NULL},
    {OPTION_BATCH, PIN_VERSION, pin_batch, "items", NULL},
    {OPTION_MAX_WAIT, PIN_OPTION, pin_max_wait, "45", NULL},
    {OPTION_NO_STANDALONE, PIN_OPTION, pin_standalone, NULL, "false"},
    {OPTION_DISCOUNTABLE, PIN_OPTION, pin_discountable, NULL, "true"},
    {OPTION_FINALIZE, PIN_VERSION, pin_finalize, NULL, "true"},
    {OPTION_RATE, PIN_VERSION, pin_rate, "20", NULL},
    {OPTION_EARLIER_BILLED, PIN_VERSION, pin_earlier_billed, NULL, "true"},
    {OPTION_OVERAGE_BILLING, PIN_OPTION, pin_overage_billing, "true", NULL},
    {OPTION_REPRICE, PIN_OPTION, pin_reprice, NULL, "true"},
    {OPTION_REASON, PIN_OPTION, pin_reason, "", NULL},
};

/* A cutoff that is typed is everybody's: where a default left what is recorded as it was seen,
 * typing it would make that another result. */
static bool is_default_cutoff(const struct run *run, const struct kept_option *kept) {
    const char *keeps = run_pinned(run, PIN_OPTION, pin_keeps_cutoff);
    return kept->option == OPTION_CUTOFF && keeps != NULL && strcmp(keeps, cutoff_given) != 0;
}

static bool append_kept(struct buffer *line, const struct run *run, struct err *err) {
    bool is_fine = true;
    for (size_t row = 0; is_fine && row < sizeof kept_options / sizeof kept_options[0]; row++) {
        const struct kept_option *kept = &kept_options[row];
        const char *name = option_table[kept->option].name;
        const char *value = run_pinned(run, kept->group, kept->pin);
        if (value == NULL || (kept->usual != NULL && strcmp(value, kept->usual) == 0) ||
            is_default_cutoff(run, kept)) {
            continue;
        }
        if (kept->flag == NULL) {
            is_fine = append_word(line, name, value, err);
        } else if (strcmp(value, kept->flag) == 0) {
            is_fine = buffer_append_format(line, err, " --%s", name);
        }
    }
    return is_fine;
}

/* Ids with commas between them; a backslash stands before what belongs to an id. */
static bool append_orgs(struct buffer *line, const char *list, struct err *err) {
    struct buffer id = {0};
    bool is_fine = true;
    for (const char *at = list; is_fine && list[0] != '\0'; at++) {
        if (*at != ',' && *at != '\0') {
            at += *at == '\\' && at[1] != '\0' ? 1 : 0;
            is_fine = buffer_append(&id, (struct text){at, 1}, err);
            continue;
        }
        is_fine = buffer_append(&id, (struct text){"", 1}, err) &&
                  append_word(line, option_table[OPTION_ORG].name, id.bytes, err);
        buffer_clear(&id);
        if (*at == '\0') {
            break;
        }
    }
    buffer_release(&id);
    return is_fine;
}

/* The command that the run began with, out of what it keeps. False: it does not keep enough. */
static bool append_command(struct buffer *line, const struct run *run, const char *run_dir,
                           struct err *err) {
    const char *period = run_pinned(run, PIN_OPTION, pin_period);
    const char *folder = run_pinned(run, PIN_VERSION, pin_source);
    const char *database = run_pinned(run, PIN_VERSION, pin_database);
    const char *previous = run_pinned(run, PIN_VERSION, pin_previous_path);
    const char *orgs = run_pinned(run, PIN_OPTION, "orgs");
    const char *forced = run_pinned(run, PIN_VERSION, "forced");
    if (period == NULL || (folder == NULL && database == NULL)) {
        return false;
    }
    return buffer_append(line, text_from("periodclose run"), err) &&
           append_word(line, option_table[OPTION_PERIOD].name, period, err) &&
           append_word(line, option_table[folder != NULL ? OPTION_SOURCE : OPTION_DATABASE].name,
                       folder != NULL ? folder : database, err) &&
           append_word(line, option_table[OPTION_RUN_DIR].name, run_dir, err) &&
           (previous == NULL ||
            append_word(line, option_table[OPTION_PREVIOUS].name, previous, err)) &&
           (forced == NULL || (buffer_append(line, text_from(" --force"), err) &&
                               append_word(line, option_table[OPTION_REASON].name, forced, err))) &&
           (orgs == NULL || append_orgs(line, orgs, err)) && append_kept(line, run, err);
}

/* Begins anew; the damaged run is moved aside. False: nobody knows any more how it began. */
static bool next_anew(struct cli *cli, const struct run *run) {
    struct buffer line = {0};
    struct err err = {0};
    char path[FILE_PATH_MAX];
    bool is_dry = run_pinned(run, PIN_OPTION, pin_dry_run) != NULL;
    bool is_told = path_format(path, &err, "%s", run_path(run));
    char *slash = is_told ? strrchr(path, '/') : NULL;
    if (is_dry && slash != NULL) {
        *slash = '\0'; /* a dry run lies in the folder that it was made for */
    }
    is_told = is_told && append_command(&line, run, path, &err) &&
              buffer_append(&line, text_from(is_dry ? " --dry-run" : " --restart"), &err) &&
              buffer_append(&line, (struct text){"", 1}, &err) &&
              line.size_bytes <= sizeof cli->next;
    if (is_told) {
        cli_next(cli, "%s", line.bytes);
    }
    buffer_release(&line);
    err_release(&err); /* help is told instead */
    return is_told;
}

/* Are the stage's files a function of those before it alone, so that a replay leaves the same? */
static bool is_recomputed(const struct run *run, const struct stage *stage) {
    const char *emit = run_pinned(run, PIN_OPTION, pin_emit);
    bool is_sent = emit != NULL && strcmp(emit, "none") != 0;
    switch (stage->effect) {
    case EFFECT_NONE:
        return true;
    case EFFECT_DATABASE:
        return run_pinned(run, PIN_VERSION, pin_database) == NULL;
    case EFFECT_SENDS:
        return run_pinned(run, PIN_VERSION, pin_database) == NULL && !is_sent;
    case EFFECT_SOURCE:
    case EFFECT_REPORTS:
        break;
    }
    return false;
}

static void repair_by_replay(struct cli *cli, const struct run *run,
                             const struct run_damage *damage, struct err *err) {
    char beside[FILE_PATH_MAX];
    char from[FILE_PATH_MAX];
    char to[FILE_PATH_MAX];
    struct err cut = {0};
    if (!path_format(beside, &cut, "%s.%s", run_path(run), damage->stage->name) ||
        !path_format(from, &cut, "%s/%s", beside, damage->file->path) ||
        !path_format(to, &cut, "%s/%s", run_path(run), damage->file->path)) {
        err_release(&cut); /* so deep a folder has no room beside it */
        cli_next(cli, "periodclose replay --help");
        return;
    }
    (void)err_hint(err, "it is computed again in a folder beside, the same bytes, and taken from "
                        "there; or restore the file from a backup");
    cli_next(cli, "periodclose replay %s --from %s --run-dir %s; cp %s %s",
             shell_word(run_path(run), &(struct shell_word){0}), damage->stage->name,
             shell_word(beside, &(struct shell_word){0}), shell_word(from, &(struct shell_word){0}),
             shell_word(to, &(struct shell_word){0}));
}

/* Is that file of the run it was carried from as it was sealed? */
static bool is_whole_in(const struct run *run, const struct run_file *file, const char *path) {
    struct table_seal seal;
    struct err unread = {0};
    if (!table_file_digest(run_sys(run), path, &seal, &unread)) {
        err_release(&unread);
        return false;
    }
    return seal.size_bytes == file->size_bytes && digest_equals(&seal.digest, &file->digest);
}

/* A file that a replay took over: whoever it was taken from may have it still. */
static void repair_carried(struct cli *cli, const struct run *run, const struct run_damage *damage,
                           struct err *err) {
    const char *origin = run_replay_path(run);
    char from[FILE_PATH_MAX];
    char to[FILE_PATH_MAX];
    struct err cut = {0};
    enum path_kind kind = PATH_MISSING;
    if (origin == NULL || !path_kind(cli->sys, origin, &kind, &cut) || kind != PATH_DIRECTORY ||
        !path_format(from, &cut, "%s/%s", origin, damage->file->path) ||
        !path_format(to, &cut, "%s/%s", run_path(run), damage->file->path)) {
        err_release(&cut);
        (void)err_hint(err, "restore the file from a backup: the run that it was taken over from "
                            "is not there any more");
        cli_next(cli, "periodclose status %s", shell_word(run_path(run), &(struct shell_word){0}));
    } else if (is_whole_in(run, damage->file, from)) {
        (void)err_hint(err, "the run that it was taken over from has it as it was sealed: it is "
                            "taken from there again");
        cli_next(cli, "cp %s %s && periodclose verify %s",
                 shell_word(from, &(struct shell_word){0}), shell_word(to, &(struct shell_word){0}),
                 shell_word(run_path(run), &(struct shell_word){0}));
    } else {
        (void)err_hint(err, "the run that it was taken over from has it no better: bring that one "
                            "back, then replay into another --run-dir; or restore the file from a "
                            "backup");
        cli_next(cli, "periodclose verify %s", shell_word(origin, &(struct shell_word){0}));
    }
}

/* What brings the run back whose file is not as sealed. */
static void repair(struct cli *cli, const struct run *run, const struct run_damage *damage,
                   struct err *err) {
    const struct stage *from = run_replay_from(run);
    bool is_carried = from != NULL && damage->stage->number < from->number;
    if (damage->stage->effect == EFFECT_REPORTS) {
        cli_next(cli, "periodclose report %s", shell_word(run_path(run), &(struct shell_word){0}));
    } else if (is_carried) {
        repair_carried(cli, run, damage, err);
    } else if (run_is_replay(run) && !is_recomputed(run, damage->stage)) {
        (void)err_hint(err, "restore the file from a backup, or replay into another --run-dir");
        cli_next(cli, "periodclose replay --help");
    } else if (is_recomputed(run, damage->stage) &&
               run_pinned(run, PIN_OPTION, pin_dry_run) == NULL) {
        repair_by_replay(cli, run, damage, err);
    } else if (!next_anew(cli, run)) {
        cli_next(cli, "periodclose run --help");
    }
}

/* False: every sealed file of it is as sealed, or nothing can be told. */
static bool next_repair(struct cli *cli, const char *path, struct err *err) {
    struct run *run;
    struct err ignored = {0};
    struct run_damage damage;
    bool is_found = false;
    if (!run_open(cli->sys, path, stages_all(), RUN_STATUS, &run, &ignored)) {
        err_release(&ignored); /* told already */
        return false;
    }
    if (!run_find_damage(run, &is_found, &damage, &ignored)) {
        err_release(&ignored);
    } else if (is_found) {
        repair(cli, run, &damage, err);
    }
    run_close(run);
    return is_found;
}

/* The run that the command works on, or another one that it reads. */
static bool next_repair_any(struct cli *cli, const char *path, struct err *err) {
    const char *previous = option_value(&cli->options, OPTION_PREVIOUS);
    bool is_told =
        next_repair(cli, path, err) || (previous != NULL && next_repair(cli, previous, err));
    for (size_t index = 0; !is_told && index < cli->positionals_count; index++) {
        is_told = next_repair(cli, cli->positionals[index], err);
    }
    const char *written = option_value(&cli->options, OPTION_RUN_DIR); /* of a replay */
    return is_told || (written != NULL && next_repair(cli, written, err));
}

void cli_next_remedy(struct cli *cli, const char *path, struct err *err) {
    bool is_state = err->code == ERR_DAMAGED || err->code == ERR_LOCKED ||
                    err->code == ERR_MISMATCH || err->code == ERR_CONTROL;
    if (is_state && (err->code != ERR_DAMAGED || !next_repair_any(cli, path, err))) {
        cli_next_status(cli, path);
    }
}
