/* migrate: brings the schema of a database to what this program needs. */
#include <string.h>

#include "cli/commands.h"
#include "database_option.h"
#include "db/migrate.h"

struct migrating {
    struct cli *cli;
    bool is_dry;
    bool is_told;
    struct err err; /* of telling */
};

static void migrate_tell(void *context, const char *name, bool is_applied_before) {
    struct migrating *migrating = context;
    const char *state = is_applied_before   ? "was there"
                        : migrating->is_dry ? "to be applied"
                                            : "applied";
    if (migrating->is_told) {
        migrating->is_told =
            console_out(&migrating->cli->console, &migrating->err, "%-13s  %s\n", state, name);
    }
}

static bool migrate_all(struct cli *cli, struct db *db, struct err *err) {
    size_t count;
    struct migrating migrating = {
        .cli = cli, .is_dry = option_is_set(&cli->options, OPTION_DRY_RUN), .is_told = true};
    const struct migrate_options options = {
        .is_dry = migrating.is_dry, .tell = migrate_tell, .context = &migrating};
    if (!migrate_run(db, &options, &count, err)) {
        err_release(&migrating.err);
        return false;
    }
    if (!migrating.is_told) {
        *err = migrating.err;
        return false;
    }
    if (migrating.is_dry) {
        cli_next(cli, "periodclose migrate%s",
                 cli_database_again(cli, &(struct database_words){0}));
    } else {
        cli_next_close(cli);
    }
    return console_out(&cli->console, err, "%zu %s\n", count,
                       migrating.is_dry ? "to be applied" : "applied");
}

static bool migrate_command(struct cli *cli, struct err *err) {
    const char *conninfo;
    struct db *db;
    if (!cli_database(cli, &conninfo, err) ||
        !db_open(cli->sys, &(struct db_options){.conninfo = conninfo}, &db, err)) {
        return false;
    }
    bool is_done = true;
    if (db_is_standby(db) && !option_is_set(&cli->options, OPTION_DRY_RUN)) {
        (void)err_set(err, ERR_DATABASE, "%s is a read-only standby", db_description(db));
        is_done = err_hint(err, "name the primary with --database");
    }
    is_done = is_done && migrate_all(cli, db, err);
    /* The schema's owner is meant, not the job; what says so itself (a role is missing) stands. */
    if (!is_done && strcmp(db_state(db), "42501") == 0 && strstr(err->hint, "grant ") != NULL) {
        (void)err_hint(err, "migrate as the owner of the schema billing, or with the right to make "
                            "it: grant create on database NAME to USER");
    }
    db_close(db);
    return is_done;
}

const struct command command_migrate = {
    .name = "migrate",
    .summary = "make or update the schema of a database",
    .arguments = "--database CONNINFO",
    .options = OPTION_BIT(OPTION_DATABASE) | OPTION_BIT(OPTION_DRY_RUN),
    .option_texts =
        {
            {OPTION_DRY_RUN, "only list what would be applied", NULL},
        },
    .description =
        "Applies the migrations that the database does not have yet, each in a transaction\n"
        "of its own, and notes them with their SHA-256 in billing.schema_migrations. Safe\n"
        "to type twice and from two places at once. A migration that was applied and has\n"
        "changed since is refused, and so is a database that is ahead of this program.\n\n"
        "Run it as the owner of the schema; it makes the roles that others work with.\n"
        "With --dry-run it only lists.",
    .example = "periodclose migrate --database 'host=db1 dbname=billing user=postgres'",
    .run = migrate_command,
};
