/* The commands: one row and one file in src/cli each. */
#ifndef PERIODCLOSE_CLI_COMMANDS_H
#define PERIODCLOSE_CLI_COMMANDS_H

#include "cli/cli.h"

extern const struct command command_run;
extern const struct command command_migrate;
extern const struct command command_ingest;
extern const struct command command_claims;
extern const struct command command_backfill;
extern const struct command command_void;
extern const struct command command_waive;
extern const struct command command_recalculate;
extern const struct command command_status;
extern const struct command command_report;
extern const struct command command_replay;
extern const struct command command_inspect;
extern const struct command command_explain;
extern const struct command command_diff;
extern const struct command command_verify;
extern const struct command command_emit;
extern const struct command command_reconcile;
extern const struct command command_push;
extern const struct command command_sync;
extern const struct command command_summary;
extern const struct command command_check;
extern const struct command command_seats;
extern const struct command command_help;

#endif
