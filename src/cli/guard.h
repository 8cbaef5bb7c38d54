/*
 * Guards: limits that the operator sets for a close, looked at before anything is recorded or sent.
 *
 *     --max-total CUR=AMOUNT   the cost of all rated orgs in that currency is at most AMOUNT
 *     --max-change PERCENT     per currency, it differs by at most PERCENT from the period before
 *
 * They decide nothing of the result, and are no part of the run's id. They are kept with the run:
 * whoever goes on with it, with whatever command, is held to them, until another value is typed for
 * that currency, or "none", which is kept, too. What they compare are sealed charges, and the costs
 * of the period before as the source has them.
 */
#ifndef PERIODCLOSE_SRC_CLI_GUARD_H
#define PERIODCLOSE_SRC_CLI_GUARD_H

#include "cli/cli.h"
#include "stage/session.h"

/* Names of their pins: PIN_VERSION. */
extern const char pin_max_total[];  /* "usd=10 jpy=300", or none */
extern const char pin_max_change[]; /* a percentage, or none */

/* ERR_USAGE for one that is not well formed: known before anything is computed. */
bool guards_parse(const struct cli *cli, struct err *err);
/* Keeps what was typed with the run, beside what was kept before. */
bool guards_pin(const struct cli *cli, struct run *run, struct err *err);
/*
 * path is begun anew, or tried, and its manifest cannot be read (ERR_DAMAGED): a guard that it
 * seems to keep must be typed, whatever is to hold, or it is refused. What cannot be known is told.
 */
bool guards_survive(struct cli *cli, const char *path, struct err *err);
/*
 * Performs the stages that touch nothing outside, then looks, also when it looked before.
 * ERR_CONTROL when a guard does not hold: it is a total that is not what it
 * should be (exit 14), and like every other equation it stops the run before the next effect.
 * Nothing to do without guards, when the run is recorded, or when options->until stops before that.
 */
bool guards_pass(struct cli *cli, struct run *run, struct stage_session *session,
                 struct run_options *options, struct err *err);

#endif
