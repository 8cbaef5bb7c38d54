/* --database: a connection string without a password on the command line. */
#ifndef PERIODCLOSE_SRC_CLI_DATABASE_OPTION_H
#define PERIODCLOSE_SRC_CLI_DATABASE_OPTION_H

#include "cli/cli.h"

/* The option must be given; ERR_USAGE too when it is malformed or holds a password in argv. */
bool cli_database(const struct cli *cli, const char **conninfo, struct err *err);

#endif
