/*
 * Pins the source of a close: the files of a folder by content, or which database it is. The run is
 * saved before it is read.
 */
#include "closing_run.h"
#include "core/memory.h"
#include "db/migrate.h"
#include "source/dataset.h"
#include "stage/stages.h"

static const char pin_files[] = "files";
const char pin_keeps_cutoff[] = "recorded_cutoff";
const char cutoff_given[] = "given";
static const char pin_forced[] = "forced";

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

/*
 * A mistyped folder leaves no run behind. When it was read to its end, and nobody names it again,
 * it may be gone: nothing is to be compared with what is sealed.
 */
static bool run_source_is_there(struct closing *closing, const char *folder, bool *is_there,
                                struct err *err) {
    enum path_kind kind;
    if (!path_kind_of_input(closing->cli->sys, folder, &kind, err)) {
        return false;
    }
    *is_there = kind == PATH_DIRECTORY;
    if (*is_there) {
        return true;
    }
    if (run_stage_is_done(closing->run, &stage_extract) &&
        !option_is_set(&closing->cli->options, OPTION_SOURCE)) {
        console_say(&closing->cli->console, LOG_NOTE,
                    "note: %s is not there any more: this run has all of it, and is not compared "
                    "with it",
                    folder);
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

/* A pinned text lasts until it is pinned anew; NULL stays NULL. */
static bool keep_text(struct closing *closing, const char **text, struct err *err) {
    if (*text == NULL) {
        return true;
    }
    size_t size_bytes = strlen(*text) + 1;
    char *copy = arena_alloc(closing->cli->arena, size_bytes, err);
    if (copy == NULL) {
        return false;
    }
    memcpy(copy, *text, size_bytes);
    *text = copy;
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
        if (!keep_text(closing, folder, err) || !keep_text(closing, conninfo, err)) {
            return false;
        }
    }
    if (*folder == NULL && *conninfo == NULL) {
        (void)err_set(err, ERR_USAGE, "neither --source nor --database is given");
        return err_hint(err, "name the dataset folder, or the database to read from");
    }
    return true;
}

/*
 * --force may come later than the run began: when it was refused to record another result. From
 * then on it holds, with its reason, and need not be typed again. It decides nothing of the result,
 * only whether that may be written, so it is no part of the run's id.
 */
static bool run_pin_forced(struct closing *closing, struct err *err) {
    const struct option_values *options = &closing->cli->options;
    struct stage_session *session = &closing->session;
    const char *typed = option_value(options, OPTION_REASON);
    const char *pinned = run_pinned(closing->run, PIN_VERSION, pin_forced);
    session->is_forced = option_is_set(options, OPTION_FORCE) || pinned != NULL;
    session->reason = typed != NULL ? typed : pinned;
    if (session->is_forced != (session->reason != NULL)) {
        (void)err_set(err, ERR_USAGE, "%s",
                      session->is_forced ? "--force needs --reason TEXT"
                                         : "--reason goes with --force");
        return err_hint(err, "with a database the revision before is there: --force --reason TEXT "
                             "records the next one");
    }
    if (typed == NULL || (pinned != NULL && strcmp(typed, pinned) == 0)) {
        return true;
    }
    if (pinned != NULL) {
        (void)err_set(err, ERR_MISMATCH,
                      "--reason: this directory was begun with '%.300s', now '%.300s'", pinned,
                      typed);
        return err_hint(err, "leave it out, or begin anew with --restart");
    }
    return run_pin_anew(closing->run, pin_forced, typed, err);
}

/* What a database has recorded is revised by --force alone: what it was before is there. */
static bool run_pin_recorded(struct closing *closing, struct err *err) {
    const struct option_values *options = &closing->cli->options;
    struct stage_session *session = &closing->session;
    bool is_given = option_is_set(options, OPTION_CUTOFF) ||
                    (closing->kind != NULL && closing->kind->takes_late);
    bool is_repriced = option_is_set(options, OPTION_REPRICE);
    if (closing->previous != NULL) {
        (void)err_set(err, ERR_USAGE, "--previous goes with --source, not --database");
        return err_hint(err, "with a database the revision before is there: --force --reason TEXT "
                             "records the next one");
    }
    if (!run_pin_forced(closing, err) ||
        !run_pin(closing->run, PIN_OPTION, pin_keeps_cutoff, is_given ? cutoff_given : "kept",
                 is_given, err) ||
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
        !migrate_check(session->database, err)) {
        return false;
    }
    bool is_done =
        db_conninfo_without_password(conninfo, &closing->conninfo, err) &&
        buffer_append(&closing->conninfo, (struct text){"", 1}, err) &&
        run_pin(closing->run, PIN_INPUT, pin_database, db_identity(session->database), true, err) &&
        run_pin_anew(closing->run, pin_database, closing->conninfo.bytes, err);
    session->conninfo = conninfo;
    return is_done && run_pin_recorded(closing, err) && closing_begin(closing, err);
}

static bool run_pin_folder(struct closing *closing, const char *folder, struct err *err) {
    struct dataset_file *files = NULL;
    size_t files_count = 0;
    bool is_there = true;
    closing->session.source_folder = folder;
    if (closing->cli->options.is_typed[OPTION_AGGREGATE]) {
        (void)err_set(err, ERR_USAGE, "--aggregate goes with --database, not --source");
        return err_hint(err, "leave it out: here it would change nothing");
    }
    if (!run_source_is_there(closing, folder, &is_there, err)) {
        return false;
    }
    if (!is_there) {
        return closing_begin(closing, err);
    }
    /* Reading the source takes time: until then whoever asks, or goes on, should know the run. */
    bool is_read = run_stage_is_done(closing->run, &stage_extract);
    if (!is_read &&
        (!closing_keep_path(closing, pin_source, folder, err) || !closing_begin(closing, err))) {
        return false;
    }
    /* What is still to be extracted is pinned as it is read: see extract. */
    const struct dataset_fingerprint_options options = {
        .jobs = closing->options.jobs,
        .is_without_large = !is_read,
    };
    bool is_fine =
        dataset_fingerprint(closing->cli->sys, folder, &options, &files, &files_count, err) &&
        run_pin_files(closing, files, files_count, err) &&
        run_note_files(closing, files, files_count, err) &&
        (!is_read ||
         (closing_keep_path(closing, pin_source, folder, err) && closing_begin(closing, err)));
    mem_free(files);
    return is_fine;
}

bool closing_pin_source(struct closing *closing, struct err *err) {
    const char *folder;
    const char *conninfo;
    if (!run_choose_source(closing, &folder, &conninfo, err)) {
        return false;
    }
    const char *other =
        run_pinned(closing->run, PIN_VERSION, conninfo != NULL ? pin_source : pin_database);
    if (other != NULL) {
        (void)err_set(err, ERR_MISMATCH, "%s was begun with another source: %s", closing->path,
                      other[0] != '\0' ? other : "a database, by libpq's environment");
        return err_hint(err, "leave it out, take another --run-dir, or begin anew with --restart");
    }
    return conninfo != NULL ? run_pin_database(closing, conninfo, err)
                            : run_pin_folder(closing, folder, err);
}
