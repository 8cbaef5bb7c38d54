/*
 * Pins what was typed, before the first stage: period, orgs, times, the run that is revised.
 * Starting again compares them. The source's pins are in closing_source.c.
 */
#include <stdio.h>

#include "closing_run.h"
#include "core/memory.h"
#include "guard.h"
#include "stage/claim.h"
#include "stage/stages.h"
#include "sys/clock.h"
#include "sys/zone.h"

const char pin_reprice[] = "reprice";
const char pin_database[] = "database";
const char pin_orgs[] = "orgs";
const char pin_overage_billing[] = "overage_billing";
const char pin_until[] = "until";

/* A list of ids: those commas are between them that have no backslash before. */
static bool list_orgs(const struct stage_session *session, struct buffer *list, struct err *err) {
    bool is_fine = true;
    for (size_t index = 0; is_fine && index < session->selected_orgs_count; index++) {
        struct text org_id = session->selected_orgs[index];
        is_fine = index == 0 || buffer_append(list, text_from(","), err);
        for (size_t at = 0; is_fine && at < org_id.size_bytes; at++) {
            bool is_marked = org_id.bytes[at] == ',' || org_id.bytes[at] == '\\';
            is_fine = (!is_marked || buffer_append(list, text_from("\\"), err)) &&
                      buffer_append(list, (struct text){org_id.bytes + at, 1}, err);
        }
    }
    return is_fine && buffer_append(list, (struct text){"", 1}, err);
}

/* The orgs that the run was begun with; the list is sorted as it was. */
static bool take_pinned_orgs(struct closing *closing, const char *list, struct err *err) {
    struct stage_session *session = &closing->session;
    size_t size_bytes = strlen(list) + 1;
    char *ids = arena_alloc_array(closing->cli->arena, size_bytes, 1, err);
    struct text *orgs = arena_alloc_array(closing->cli->arena, size_bytes, sizeof *orgs, err);
    if (ids == NULL || orgs == NULL) {
        return false;
    }
    orgs[0] = (struct text){ids, 0};
    session->selected_orgs = orgs;
    session->selected_orgs_count = 1;
    for (const char *at = list; *at != '\0'; at++) {
        struct text *org_id = &orgs[session->selected_orgs_count - 1];
        if (*at == ',') {
            org_id[1] = (struct text){org_id->bytes + org_id->size_bytes, 0};
            session->selected_orgs_count++;
            continue;
        }
        at += *at == '\\' && at[1] != '\0' ? 1 : 0;
        *ids++ = *at;
        org_id->size_bytes++;
    }
    return true;
}

static bool run_pin_orgs(struct closing *closing, struct err *err) {
    struct buffer list = {0};
    bool is_given = closing->session.selected_orgs_count > 0;
    bool is_fine = list_orgs(&closing->session, &list, err) &&
                   run_pin(closing->run, PIN_OPTION, pin_orgs, list.bytes, is_given, err);
    buffer_release(&list);
    const char *pinned = run_pinned(closing->run, PIN_OPTION, pin_orgs);
    if (!is_fine || is_given || pinned == NULL || pinned[0] == '\0') {
        return is_fine;
    }
    return take_pinned_orgs(closing, pinned, err);
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
        char words[ERR_HINT_MAX];
        (void)cli_required(closing->cli, OPTION_PERIOD, &period, err);
        (void)snprintf(
            words, sizeof words,
            "no run has begun in %.300s that would know it: name --period, and --source or "
            "--database",
            closing->path);
        return closing_hint_unbegun(closing, closing->path, words, err);
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

/* A mistyped name is bad input; a run that was there is state that does not match. */
static bool run_check_previous_is_there(const struct closing *closing, const char *path,
                                        struct err *err) {
    enum path_kind kind;
    if (!path_kind(closing->cli->sys, path, &kind, err)) {
        return false;
    }
    if (kind != PATH_MISSING) {
        return true;
    }
    if (run_pinned(closing->run, PIN_INPUT, pin_previous) == NULL) {
        (void)err_set(err, ERR_INPUT, "--previous: there is no run directory '%.700s'", path);
        return err_hint(err, "name the run directory of the close that is revised");
    }
    (void)err_set(err, ERR_MISMATCH,
                  "--previous: the run that is revised is no longer there: '%.700s'", path);
    return err_hint(err,
                    "bring it back, or name where it is now: periodclose run --run-dir %s "
                    "--previous RUN",
                    shell_word(closing->path, &(struct shell_word){0}));
}

/* From the root: a later start may be typed elsewhere. What is no UTF-8 is kept as it was typed. */
bool closing_keep_path(struct closing *closing, const char *name, const char *path,
                       struct err *err) {
    char full[FILE_PATH_MAX];
    if (!path_from_root(path, full, err)) {
        return false;
    }
    return run_pin_anew(closing->run, name, text_is_utf8(text_from(full)) ? full : path, err);
}

/*
 * The run that is revised: finished through rate and record, of the same period. When the revision
 * itself is recorded, nothing asks for it any more.
 */
static bool run_open_previous(struct closing *closing, struct err *err) {
    const char *path = option_value(&closing->cli->options, OPTION_PREVIOUS);
    if (path == NULL && run_stage_is_done(closing->run, &stage_record)) {
        return true;
    }
    if (path == NULL) {
        path = run_pinned(closing->run, PIN_VERSION, pin_previous_path);
    }
    if (path == NULL) {
        return true;
    }
    if (!run_check_previous_is_there(closing, path, err)) {
        return false;
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
           closing_keep_path(closing, pin_previous_path, path, err);
}

/* What is typed goes before what the environment has. */
static bool is_of_database(const struct closing *closing) {
    const struct option_values *options = &closing->cli->options;
    bool is_folder_typed = options->is_typed[OPTION_SOURCE] && !options->is_typed[OPTION_DATABASE];
    return (option_is_set(options, OPTION_DATABASE) && !is_folder_typed) ||
           run_pinned(closing->run, PIN_VERSION, pin_database) != NULL;
}

/* A revision of a run is another run: it replaces nothing that would have to be forced. */
static bool run_check_force(const struct closing *closing, struct err *err) {
    if (!closing->cli->options.is_typed[OPTION_FORCE] || is_of_database(closing)) {
        return true;
    }
    (void)err_set(err, ERR_USAGE,
                  "--force is for what a database has recorded, and this revises a run");
    return err_hint(err, "leave it out: with --previous RUN --reason TEXT it would change nothing");
}

static bool run_pin_revision(struct closing *closing, struct err *err) {
    const struct option_values *options = &closing->cli->options;
    const char *reason = option_value(options, OPTION_REASON);
    bool is_repriced = option_is_set(options, OPTION_REPRICE);
    if (closing->previous == NULL && run_pinned(closing->run, PIN_INPUT, pin_previous) == NULL) {
        if (!is_of_database(closing) &&
            (reason != NULL || is_repriced || option_is_set(options, OPTION_FORCE))) {
            (void)err_set(err, ERR_USAGE,
                          "--%s is for revising what is recorded, and neither --database nor "
                          "--previous is given",
                          option_is_set(options, OPTION_FORCE) ? "force"
                          : reason != NULL                     ? "reason"
                                                               : "reprice");
            return err_hint(err, "with a database: --database CONNINFO --force --reason TEXT; from "
                                 "files: --previous RUN --reason TEXT, without --force, where RUN "
                                 "is the run that is revised");
        }
        return true;
    }
    if (!run_check_force(closing, err) ||
        !run_pin(closing->run, PIN_OPTION, pin_reason, reason != NULL ? reason : "", reason != NULL,
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

void closing_forget(struct closing *closing) {
    const char *const kept[] = {pin_period,    pin_now,        pin_cutoff, pin_dry_run,
                                pin_max_total, pin_max_change, pin_until,  pin_claim};
    const struct option_values *options = &closing->cli->options;
    if (run_is_new(closing->run) ||
        (!option_is_set(options, OPTION_SOURCE) && !option_is_set(options, OPTION_DATABASE))) {
        return;
    }
    /* One that names the source alone, from the environment perhaps, corrects nothing else. */
    bool is_whole = option_is_set(options, OPTION_PERIOD);
    run_forget_unsealed(closing->run, is_whole ? kept : NULL, sizeof kept / sizeof kept[0]);
}

bool closing_pin_all(struct closing *closing, struct err *err) {
    return run_pin_dry(closing, err) &&
           closing_selected_orgs(closing->cli, &closing->session, err) &&
           run_pin_period(closing, err) && run_pin_orgs(closing, err) &&
           run_open_previous(closing, err) && run_pin_revision(closing, err) &&
           run_pin_times(closing, err) && run_pin_emission(closing, err) &&
           run_pin_overage_billing(closing, err) && run_pin_versions(closing, err) &&
           closing_pin_source(closing, err);
}
