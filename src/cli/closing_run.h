/* What run and recalculate share: closing a period, or one org's again. */
#ifndef PERIODCLOSE_SRC_CLI_CLOSING_RUN_H
#define PERIODCLOSE_SRC_CLI_CLOSING_RUN_H

#include "cli/closing.h"

/* How a close is told, and what is different about it; NULL: an ordinary one. */
struct closing_kind {
    const char *name; /* for billing.close_runs */
    bool is_dry;      /* nothing is recorded */
    bool takes_late;  /* the default cutoff is now, also for orgs that are recorded */
    /* Instead of the summary for people. */
    bool (*tell)(struct cli *cli, struct run *run, struct err *err);
};

bool closing_run(struct cli *cli, const struct closing_kind *kind, struct err *err);

#endif
