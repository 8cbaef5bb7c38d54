/*
 * What commands share about a run: opening it, its period and options, and the summary for a
 * person.
 */
#ifndef PERIODCLOSE_CLI_CLOSING_H
#define PERIODCLOSE_CLI_CLOSING_H

#include "cli/cli.h"
#include "stage/session.h"

/* Names of the pins that commands write and read. */
extern const char pin_period[];
extern const char pin_previous[];      /* run id of the revision before */
extern const char pin_previous_path[]; /* where it was; told, not compared */
extern const char pin_reason[];
extern const char pin_cutoff[];
extern const char pin_now[];
extern const char pin_dry_run[];  /* only in dry runs */
extern const char pin_source[];   /* where the dataset is; told, not compared */
extern const char pin_database[]; /* which database, and how it was reached; the latter told only */
extern const char pin_refused[];  /* told: why the result was not recorded, while it is not */
extern const char pin_asides[];   /* told: what of a closed run is to be looked at, in words */

/* "2 orgs set aside", after a comma where something stands before it; nothing for none. */
bool closing_add_aside(struct buffer *asides, uint64_t count, const char *noun, const char *what,
                       struct err *err);

/*
 * Runs what is left to do; tells progress, and what came of it (closing_tell); on failure sets
 * cli->next. The sums it tells are made while the last files are made durable.
 */
bool closing_execute(struct cli *cli, struct run *run, struct stage_session *session,
                     const struct run_options *options, struct err *err);

/* jobs, memory, observe. */
bool closing_options(struct cli *cli, struct run_options *options, struct err *err);

/* --org, sorted, each once. */
bool closing_selected_orgs(struct cli *cli, struct stage_session *session, struct err *err);

/* The whole command line again, quoted for a shell, in cli->next. */
void closing_next_same(struct cli *cli);

#endif
