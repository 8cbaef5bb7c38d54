/* run: closes a period, or goes on where an earlier run of the same directory stopped. */
#include "cli/commands.h"
#include "cli/emission.h"
#include "closing_run.h"

static bool run_run(struct cli *cli, struct err *err) {
    return closing_run(cli, NULL, err);
}

const struct command command_run = {
    .name = "run",
    .summary = "close a period, or go on where a run stopped",
    .arguments = "--period YYYY-MM --source DIR|--database CONNINFO --run-dir RUN [OPTIONS]",
    .options = OPTION_BIT(OPTION_PERIOD) | OPTION_BIT(OPTION_DATABASE) | OPTION_BIT(OPTION_SOURCE) |
               OPTION_BIT(OPTION_AGGREGATE) | OPTION_BIT(OPTION_RUN_DIR) |
               OPTION_BIT(OPTION_UNTIL) | OPTION_BIT(OPTION_JOBS) | OPTION_BIT(OPTION_MEMORY) |
               OPTION_BIT(OPTION_EMIT) | EMISSION_OPTIONS | OPTION_BIT(OPTION_CUTOFF) |
               OPTION_BIT(OPTION_NOW) | OPTION_BIT(OPTION_ORG) | OPTION_BIT(OPTION_PREVIOUS) |
               OPTION_BIT(OPTION_REPRICE) | OPTION_BIT(OPTION_REASON) | OPTION_BIT(OPTION_FORCE) |
               OPTION_BIT(OPTION_RESTART) | OPTION_BIT(OPTION_DRY_RUN) |
               OPTION_BIT(OPTION_OVERAGE_BILLING) | OPTION_BIT(OPTION_MAX_TOTAL) |
               OPTION_BIT(OPTION_MAX_CHANGE),
    .option_texts =
        {
            {OPTION_DATABASE, "database to read and to record in: libpq connection string or URI",
             NULL},
            {OPTION_RUN_DIR, "where checkpoints, manifest and reports go", NULL},
            {OPTION_PREVIOUS,
             "with --source: revise that finished run of the same period, bill only the difference",
             NULL},
            {OPTION_REASON,
             "why a revision is made (with --previous or --force), for adjustments.csv", NULL},
            {OPTION_FORCE,
             "with a database: record another result as the next revision (needs --reason)", NULL},
            {OPTION_JOBS, "worker threads, and connections to a database (default: processors)",
             NULL},
        },
    .description =
        "Closes the period that begins in the month given, for every org of the source,\n"
        "stage by stage. Each stage leaves a sealed checkpoint in RUN.\n\n"
        "Safe to type twice: a finished run does nothing more and says the same; one\n"
        "that was stopped or killed goes on behind the last sealed stage. If the source\n"
        "or an option is not what the run began with, it stops and shows both.\n\n"
        "The source is a folder of CSV files, or a PostgreSQL database: --database takes a\n"
        "libpq connection string or URI, without the password, which comes from ~/.pgpass\n"
        "or PGPASSWORD. Everything is read in one snapshot, and the result is recorded there,\n"
        "in one transaction. What is recorded already is left alone; another result is refused\n"
        "(exit 13) but with --force --reason TEXT: then it becomes the next revision, rated\n"
        "with the terms of the first, and only the difference is billed. Usage that came after\n"
        "the recorded cutoff is listed as late, and taken in with a new --cutoff.\n\n"
        "With --previous, the run revises a finished run of the same period: orgs that\n"
        "were rated there keep the terms sealed there, and only the difference is\n"
        "billed.\n\n"
        "What a run is begun with is kept from its first moment, so that RUN alone goes on\n"
        "with it: run --run-dir RUN. With --restart, or --dry-run, and without period or\n"
        "source, what is not typed is as RUN was begun.\n\n"
        "--max-total and --max-change stop a close that looks wrong before anything is\n"
        "recorded (exit 14). They hold for every later start of the run, and for dry runs of\n"
        "it, until others are typed; none lifts them.",
    .example = "periodclose run --period 2026-10 --source /srv/billing/2026-10 "
               "--run-dir /var/lib/periodclose/2026-10",
    .run = run_run,
};
