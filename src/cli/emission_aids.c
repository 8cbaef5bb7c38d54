/* What sending needs besides the run itself: the runs it revises, and what orgs are now. */
#include "cli/emission.h"
#include "cli/shard_walk.h"
#include "stage/emission.h"
#include "stage/stages.h"

/* One that is gone is no trouble with the disk: what is to be sent depends on it. */
static bool check_is_there(struct cli *cli, const char *path, struct err *err) {
    enum path_kind kind;
    if (!path_kind(cli->sys, path, &kind, err)) {
        return false;
    }
    return kind != PATH_MISSING ||
           err_set(err, ERR_MISMATCH, "there is no run directory '%.700s'", path);
}

static bool open_earlier(struct cli *cli, struct run *run, struct emission_aids *aids,
                         struct err *err) {
    const struct run *revision = run;
    const char *path;
    while ((path = run_pinned(revision, PIN_VERSION, pin_previous_path)) != NULL) {
        const char *id = run_pinned(revision, PIN_INPUT, pin_previous);
        struct run *earlier;
        if (aids->runs_count == EMISSION_EARLIER_MAX) {
            return err_set(err, ERR_RANGE, "%s revises more than %d runs", run_path(run),
                           (int)EMISSION_EARLIER_MAX);
        }
        if (!check_is_there(cli, path, err) ||
            !run_open(cli->sys, path, stages_all(), RUN_INSPECT, &earlier, err)) {
            (void)err_wrap(err, "the revision before");
            return err_hint(err, "its items must be settled before a difference to them is sent: "
                                 "bring the run directory back to where it was");
        }
        aids->runs[aids->runs_count++] = earlier;
        if (id != NULL && (run_id(earlier) == NULL || strcmp(run_id(earlier), id) != 0)) {
            return err_set(err, ERR_MISMATCH, "%s is not the run that was revised (%s)", path, id);
        }
        revision = earlier;
    }
    return true;
}

static bool is_emitting(const struct run *run) {
    const char *emit = run_pinned(run, PIN_OPTION, pin_emit);
    return emit != NULL && strcmp(emit, "none") != 0;
}

static bool has_bills(struct run *run, bool *is_any, struct err *err) {
    struct shard_walk walk = {0};
    *is_any = false;
    bool is_fine = shard_walk_start(&walk, run, &checkpoint_records, err);
    while (is_fine && walk.has_row && !*is_any) {
        *is_any = !decimal_is_zero(table_get_decimal(&walk.cursor, RECORDS_BILLED)) &&
                  !text_equals(table_get_text(&walk.cursor, RECORDS_STATUS), text_from("disabled"));
        is_fine = shard_walk_next(&walk, err);
    }
    shard_walk_close(&walk);
    return is_fine;
}

/*
 * A difference to what nobody was billed bills too little, or gives back what was never taken. A
 * run without --emit sends nothing, ever: whether it was billed by other means, only people know.
 * Whoever said so of a run said it of all before it.
 */
static bool check_billed(struct run *run, const struct emission_aids *aids, struct err *err) {
    const struct run *revision = run;
    for (size_t index = 0; index < aids->runs_count; index++) {
        struct run *earlier = aids->runs[index];
        bool is_any;
        const char *billed = run_pinned(revision, PIN_VERSION, pin_earlier_billed);
        if (billed != NULL && strcmp(billed, "true") == 0) {
            return true;
        }
        if (!is_emitting(earlier)) {
            if (!has_bills(earlier, &is_any, err)) {
                return err_wrap(err, "the revision before");
            }
            if (is_any) {
                (void)err_set(err, ERR_MISMATCH,
                              "%s was closed with --emit none: what it billed was not sent, and "
                              "this run would send the difference to it alone",
                              run_path(earlier));
                return err_hint(err, "to bill all of it, close anew without --previous; if it was "
                                     "billed by other means, say --earlier-billed");
            }
        }
        revision = earlier;
    }
    return true;
}

/* What a run without --emit billed is billed by other means: nothing of it is waited for. */
static size_t choose_emitting(const struct emission_aids *aids, struct run **runs) {
    size_t count = 0;
    for (size_t index = 0; index < aids->runs_count; index++) {
        if (is_emitting(aids->runs[index])) {
            runs[count++] = aids->runs[index];
        }
    }
    return count;
}

bool emission_aids_open(struct cli *cli, struct run *run, bool is_again,
                        struct stage_session *session, struct emission_aids *aids,
                        struct err *err) {
    struct run *emitting[EMISSION_EARLIER_MAX];
    const char *folder = run_pinned(run, PIN_VERSION, pin_source);
    if (session->emission == EMISSION_NONE || run_is_replay(run)) {
        return true;
    }
    if (!open_earlier(cli, run, aids, err) || !check_billed(run, aids, err)) {
        return false;
    }
    size_t count = choose_emitting(aids, emitting);
    if (count > 0 && !emission_earlier_open(emitting, count, &aids->earlier, err)) {
        return false;
    }
    session->earlier = aids->earlier;
    if (!is_again || (folder == NULL && session->conninfo == NULL)) {
        return true;
    }
    bool is_read = session->conninfo != NULL
                       ? emission_fresh_load_database(run, session->conninfo, &aids->fresh, err)
                       : emission_fresh_load(run, folder, &aids->fresh, err);
    if (!is_read) {
        (void)err_wrap(err, "what changed in %s", folder != NULL ? folder : "the database");
        return false;
    }
    session->fresh = aids->fresh;
    return true;
}

void emission_aids_close(struct emission_aids *aids) {
    emission_earlier_close(aids->earlier);
    emission_fresh_release(aids->fresh);
    for (size_t index = 0; index < aids->runs_count; index++) {
        run_close(aids->runs[index]);
    }
    *aids = (struct emission_aids){0};
}
