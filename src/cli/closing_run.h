/*
 * Closing a period: what run and recalculate share.
 *
 *   closing_run.c        opens the run directory, takes the claim, executes the stages
 *   closing_pins.c       pins what was typed: period, orgs, times, the run that is revised
 *   closing_source.c     pins the source: a folder of files by content, or a database
 *
 * Everything that decides the result is pinned before the first stage. Starting again compares it.
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
    bool is_guarded;
    char path[FILE_PATH_MAX];
};

/* A pin of closing_pins.c that the source has a say in, too. */
extern const char pin_reprice[];

/* closing_pins.c */
bool closing_pin_all(struct closing *closing, struct err *err);

/* closing_source.c */
bool closing_pin_source(struct closing *closing, struct err *err);

#endif
