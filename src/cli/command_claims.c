/* claims: which runs hold which periods of a database; and takes a claim from one that is dead. */
#include <stdlib.h>

#include "cli/commands.h"
#include "database_option.h"
#include "db/migrate.h"
#include "stage/stages.h"
#include "sys/process.h"

static bool claims_tell(struct cli *cli, const struct db_result *claims, size_t row,
                        struct err *err) {
    int64_t run_id;
    struct text period;
    struct text orgs;
    struct text run_dir;
    struct text host;
    struct text started_by;
    struct instant started_at;
    char since[INSTANT_TEXT_MAX];
    if (!db_result_int64(claims, row, 0, &run_id, err) ||
        !db_result_text(claims, row, 1, &period, err) ||
        !db_result_text(claims, row, 2, &orgs, err) ||
        !db_result_text(claims, row, 3, &run_dir, err) ||
        !db_result_text(claims, row, 4, &host, err) ||
        !db_result_text(claims, row, 5, &started_by, err) ||
        !db_result_instant(claims, row, 6, &started_at, err)) {
        return false;
    }
    (void)instant_format(started_at, since);
    return console_out(
        &cli->console, err, "run %lld: period %.*s, %.*s, in %.*s on %.*s, by %.*s, since %s\n",
        (long long)run_id, (int)period.size_bytes, period.bytes, (int)orgs.size_bytes, orgs.bytes,
        (int)run_dir.size_bytes, run_dir.bytes, (int)host.size_bytes, host.bytes,
        (int)started_by.size_bytes, started_by.bytes, since);
}

/* Here, where its folder is, the run is gone on with; elsewhere somebody must know whether it
 * lives. */
static void claims_next(struct cli *cli, const struct db_result *claims) {
    char host[256];
    int64_t run_id;
    struct text run_dir;
    struct text claimed_on;
    struct err err = {0};
    struct run *run = NULL;
    process_host_name(host, sizeof host);
    if (claims->rows_count == 0 || !db_result_int64(claims, 0, 0, &run_id, &err) ||
        !db_result_text(claims, 0, 3, &run_dir, &err) ||
        !db_result_text(claims, 0, 4, &claimed_on, &err)) {
        err_release(&err);
        cli_next(cli, "periodclose run --help");
        return;
    }
    char path[FILE_PATH_MAX];
    bool is_here = text_equals(claimed_on, text_from(host)) &&
                   path_format(path, &err, "%.*s", (int)run_dir.size_bytes, run_dir.bytes) &&
                   run_open(cli->sys, path, stages_all(), RUN_STATUS, &run, &err);
    run_close(run);
    err_release(&err); /* then it is not here */
    if (is_here) {
        cli_next(cli, "periodclose status %s", shell_word(path, &(struct shell_word){0}));
    } else {
        cli_next(cli, "periodclose claims%s --release %lld --reason TEXT",
                 cli_database_again(cli, &(struct database_words){0}), (long long)run_id);
    }
}

static bool claims_list(struct cli *cli, struct db *db, struct err *err) {
    struct db_result claims = {0};
    bool is_done = db_run(db, "record/claims.sql", NULL, &claims, err);
    for (size_t row = 0; is_done && row < claims.rows_count; row++) {
        is_done = claims_tell(cli, &claims, row, err);
    }
    if (is_done && claims.rows_count == 0) {
        is_done = console_out(&cli->console, err, "no period is claimed\n");
    }
    if (is_done) {
        claims_next(cli, &claims);
    }
    db_result_release(&claims);
    return is_done;
}

static bool claims_release(struct cli *cli, struct db *db, struct err *err) {
    const char *typed = option_value(&cli->options, OPTION_RELEASE);
    const char *reason;
    struct db_params params = {0};
    char *end = NULL;
    long long run_id = strtoll(typed, &end, 10);
    if (run_id <= 0 || *end != '\0') {
        (void)err_set(err, ERR_USAGE, "--release: '%s' is no number of a run", typed);
        return err_hint(err, "periodclose claims --database CONNINFO lists them");
    }
    if (!cli_required(cli, OPTION_REASON, &reason, err)) {
        return false;
    }
    db_params_int64(&params, run_id);
    db_params_text(&params, text_from(reason));
    if (!db_run(db, "record/release_claim.sql", &params, NULL, err)) {
        if (strcmp(db_state(db), "55000") == 0) {
            err_release(err);
            (void)err_set(err, ERR_MISMATCH, "run %lld is not there, or holds no claim", run_id);
            return err_hint(err, "periodclose claims --database CONNINFO lists those that do");
        }
        return false;
    }
    cli_next(cli, "periodclose claims%s", cli_database_again(cli, &(struct database_words){0}));
    return console_out(&cli->console, err, "run %lld holds no claim any more\n", run_id);
}

static bool claims_command(struct cli *cli, struct err *err) {
    const char *conninfo;
    struct db *db = NULL;
    if (!cli_database(cli, &conninfo, err)) {
        return false;
    }
    const struct db_options options = {
        .conninfo = conninfo, .role = DB_ROLE_CLOSE, .sees_all_rows = true};
    bool is_done = db_open(cli->sys, &options, &db, err) && migrate_check(db, err);
    if (is_done) {
        is_done = option_is_set(&cli->options, OPTION_RELEASE) ? claims_release(cli, db, err)
                                                               : claims_list(cli, db, err);
    }
    db_close(db);
    return is_done;
}

const struct command command_claims = {
    .name = "claims",
    .summary = "which runs hold which periods of a database; frees one",
    .arguments = "--database CONNINFO [--release NUMBER --reason TEXT]",
    .options = OPTION_BIT(OPTION_DATABASE) | OPTION_BIT(OPTION_RELEASE) | OPTION_BIT(OPTION_REASON),
    .option_texts =
        {
            {OPTION_REASON, "why it is taken, for billing.close_runs", NULL},
        },
    .description =
        "A run that closes a period from a database claims it first, for all orgs or those\n"
        "it was given, so that no other run records the same meanwhile. It gives the claim\n"
        "back when it is done or fails. A run that was killed keeps it: going on with it\n"
        "(periodclose run --run-dir RUN) takes it up again.\n\n"
        "When its host is gone for good, --release frees the period. A run that was alive\n"
        "after all cannot record then: it stops, and asks for a claim of its own when it is\n"
        "typed again. Who released it, and why, is kept in billing.close_runs.",
    .example = "periodclose claims --database 'host=db1 dbname=billing' --release 17 --reason "
               "'host is gone'",
    .run = claims_command,
};
