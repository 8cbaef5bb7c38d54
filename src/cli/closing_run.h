/*
 * Closing a period: what run and recalculate share.
 *
 *   closing_run.c        from the command line to the summary: claim, guards, stages
 *   closing_begin.c      the run directory: opened, and begun when all that was typed is looked at
 *   closing_pins.c       pins what was typed: period, orgs, times, the run that is revised
 *   closing_source.c     pins the source: a folder of files by content, or a database
 *
 * Everything that decides the result is pinned before the first stage. Starting again compares it.
 * What else a start must know that names nothing but the run directory is kept beside it: where the
 * source is, guards, --until. All of it is there from the manifest's first moment.
 */
#ifndef PERIODCLOSE_SRC_CLI_CLOSING_RUN_H
#define PERIODCLOSE_SRC_CLI_CLOSING_RUN_H

#include "cli/closing.h"
#include "cli/emission.h"

/* How a close is told, and what is different about it; NULL: an ordinary one. */
struct closing_kind {
    const char *name; /* for billing.close_runs */
    bool is_dry;      /* nothing is recorded */
    bool takes_late;  /* the default cutoff is now, also for orgs that are recorded */
    /* Instead of the summary for people. */
    bool (*tell)(struct cli *cli, struct run *run, struct err *err);
};

bool closing_run(struct cli *cli, const struct closing_kind *kind, struct err *err);

/* --- inside ---------------------------------------------------------------------------------- */

struct closing {
    struct cli *cli;
    struct run *run;
    struct run *previous;
    const struct closing_kind *kind; /* NULL: an ordinary close */
    struct buffer conninfo;          /* of a run that is gone on with */
    struct stage_session session;
    struct emission_aids aids;
    struct run_options options;
    char path[FILE_PATH_MAX];
};

/* Pins that more than one file knows. */
extern const char pin_orgs[];
extern const char pin_reprice[];
extern const char pin_overage_billing[];
extern const char pin_until[]; /* --until, told, not compared: it counts up to that stage's end */
extern const char pin_keeps_cutoff[];
extern const char cutoff_given[]; /* its value when one was typed */

/* closing_begin.c */
bool closing_open(struct closing *closing, struct err *err);
/*
 * The hint of a refusal, as nothing has begun in path: where the run is that --restart moved aside
 * before it died, else the words given. False.
 */
bool closing_hint_unbegun(const struct closing *closing, const char *path, const char *words,
                          struct err *err);
/* When everything is known to be as it should: the run comes to be, or what changed is saved. */
bool closing_begin(struct closing *closing, struct err *err);

/* closing_pins.c */
/*
 * Nothing was computed yet: rows may be corrected by now, and where the command is whole what is
 * typed, too.
 */
void closing_forget(struct closing *closing);
/* From the root: a later start may be typed elsewhere. */
bool closing_keep_path(struct closing *closing, const char *name, const char *path,
                       struct err *err);
bool closing_pin_all(struct closing *closing, struct err *err);

/* closing_source.c */
bool closing_pin_source(struct closing *closing, struct err *err);

#endif
