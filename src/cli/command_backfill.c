/* backfill: what an old system says was used so far, into ledger and cache. */
#include <inttypes.h>

#include "cli/commands.h"
#include "cli/print.h"
#include "database_option.h"
#include "source/backfill.h"
#include "sys/clock.h"

struct backfilling {
    struct cli *cli;
    int64_t started_us;
};

static bool backfill_tell(void *context, const struct backfill_difference *difference,
                          struct err *err) {
    const struct backfilling *backfilling = context;
    struct console *console = &backfilling->cli->console;
    char cached[DECIMAL_TEXT_MAX];
    char truth[DECIMAL_TEXT_MAX];
    char more[DECIMAL_TEXT_MAX];
    (void)decimal_format(difference->cached, cached);
    (void)decimal_format(difference->truth, truth);
    (void)decimal_format(difference->difference, more);
    return print_csv(console, difference->org_id, err) && console_out(console, err, ",") &&
           print_csv(console, difference->metric, err) &&
           console_out(console, err, ",%s,%s,%s\n", cached, truth, more);
}

static void backfill_progress(void *context, uint64_t done, uint64_t total) {
    static const struct stage phase = {.name = "backfill"};
    struct backfilling *backfilling = context;
    const struct run_event event = {
        .kind = RUN_STAGE_GOES_ON,
        .stage = &phase,
        .done = done,
        .total = total,
        .unit = "rows",
        .elapsed_us = clock_monotonic_us(backfilling->cli->sys) - backfilling->started_us,
    };
    console_observe(&backfilling->cli->console, &event);
}

static bool backfill_options(const struct cli *cli, struct backfill_options *options,
                             struct err *err) {
    options->truth_path = option_value(&cli->options, OPTION_TRUTH);
    options->query = option_value(&cli->options, OPTION_QUERY);
    options->counts_seats = option_is_set(&cli->options, OPTION_SEATS);
    options->only_compares = option_is_set(&cli->options, OPTION_VERIFY);
    int given = (options->truth_path != NULL) + (options->query != NULL) + options->counts_seats;
    if (given != 1) {
        (void)err_set(err, ERR_USAGE, "exactly one of --truth, --query and --seats is needed");
        return err_hint(err, "--truth FILE.csv with the columns org_id, metric, quantity");
    }
    return true;
}

static void backfill_say(struct cli *cli, const struct backfill_options *options,
                         const struct backfill_counts *counts) {
    console_say(&cli->console, LOG_INFO, "%" PRIu64 " compared, %" PRIu64 " different%s",
                counts->compared, counts->different, options->only_compares ? "" : ": written");
    if (counts->unnamed > 0) {
        bool is_one = counts->unnamed == 1;
        console_say(&cli->console, LOG_NOTE,
                    "note: %" PRIu64 " row%s of the cache %s such a metric, but %s not in the "
                    "truth: %s not looked at",
                    counts->unnamed, is_one ? "" : "s", is_one ? "has" : "have",
                    is_one ? "is" : "are", is_one ? "it was" : "they were");
    }
}

/* After a comparison that found drift: the same, writing. After writing: the comparison. */
static void backfill_next(struct cli *cli, const struct backfill_options *options) {
    const char *value = options->truth_path != NULL ? options->truth_path : options->query;
    const char *name = options->truth_path != NULL ? "--truth "
                       : value != NULL             ? "--query "
                                                   : "--seats";
    cli_next(cli, "periodclose backfill %s%s%s%s", name,
             value != NULL ? shell_word(value, &(struct shell_word){0}) : "",
             options->only_compares ? "" : " --verify",
             cli_database_again(cli, &(struct database_words){0}));
}

static bool backfill_command(struct cli *cli, struct err *err) {
    struct backfilling backfilling = {.cli = cli, .started_us = clock_monotonic_us(cli->sys)};
    struct backfill_options options = {
        .tell = backfill_tell, .progress = backfill_progress, .context = &backfilling};
    struct backfill_counts counts;
    struct db *db;
    if (!backfill_options(cli, &options, err) || !cli_open_database(cli, true, &db, err)) {
        return false;
    }
    struct problems *problems = problems_create(err);
    bool is_fine = problems != NULL &&
                   console_out(&cli->console, err, "org_id,metric,cached,truth,difference\n") &&
                   backfill_run(cli->sys, db, &options, &counts, problems, err);
    problems_destroy(problems);
    db_close(db);
    if (!is_fine) {
        return false;
    }
    backfill_say(cli, &options, &counts);
    if (options.only_compares && counts.different > 0) {
        (void)err_set(err, ERR_DRIFT, "%" PRIu64 " of %" PRIu64 " row%s of the cache drift%s",
                      counts.different, counts.compared, counts.compared == 1 ? "" : "s",
                      counts.different == 1 ? "s" : "");
        backfill_next(cli, &options);
        return false;
    }
    if (options.only_compares) {
        cli_next_close(cli);
    } else {
        backfill_next(cli, &options);
    }
    return true;
}

const struct command command_backfill = {
    .name = "backfill",
    .summary = "what an old system counted, into ledger and cache",
    .arguments = "--truth FILE|--query SQL|--seats --database CONNINFO",
    .options = OPTION_BIT(OPTION_DATABASE) | OPTION_BIT(OPTION_TRUTH) | OPTION_BIT(OPTION_QUERY) |
               OPTION_BIT(OPTION_SEATS) | OPTION_BIT(OPTION_VERIFY),
    .description =
        "Compares the cache with the truth: a CSV file with the columns org_id, metric,\n"
        "quantity; a query that gives those three columns (names with their schema; it can\n"
        "only read); or with --seats the number of seats in the seat book. Differences go\n"
        "into ledger and cache with reason migration, in batches: of flows such rows are\n"
        "administrative for a close, never usage, and a level moves by them. With --verify\n"
        "nothing is written, and any difference is exit status 15.\n\n"
        "Safe to kill and to type again: a row of a file is written once for that content\n"
        "of the file, also when usage has gone on since; a query and the seat book say what\n"
        "is now. stdout lists the differences as CSV.",
    .example = "periodclose backfill --truth counts.csv --verify --database 'dbname=billing'",
    .run = backfill_command,
};
