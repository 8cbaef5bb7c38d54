/* --database: a connection string without a password on the command line. */
#ifndef PERIODCLOSE_SRC_CLI_DATABASE_OPTION_H
#define PERIODCLOSE_SRC_CLI_DATABASE_OPTION_H

#include "cli/cli.h"
#include "db/db.h"

/* The option must be given; ERR_USAGE too when it is malformed or holds a password in argv. */
bool cli_database(const struct cli *cli, const char **conninfo, struct err *err);

/*
 * The same, connected, as the job where the login is a member of it, with this program's schema.
 * sees_all_rows: for commands over all orgs. Without, a login sees what it may.
 */
bool cli_open_database(const struct cli *cli, bool sees_all_rows, struct db **db, struct err *err);

/* " --database WORD" at the end of a next command; nothing where the environment names it. */
struct database_words {
    char text[SHELL_WORD_MAX + 16];
};
const char *cli_database_again(const struct cli *cli, struct database_words *room);

/* Next: a close of the month that ended last out of the database, which only shows what it would
 * be. */
void cli_next_close(struct cli *cli);

#endif
