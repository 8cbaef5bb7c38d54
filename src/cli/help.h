/*
 * Help, the man page and bash completion: all walk the tables of commands, options and stages, so
 * none of them can fall behind.
 */
#ifndef PERIODCLOSE_SRC_CLI_HELP_H
#define PERIODCLOSE_SRC_CLI_HELP_H

#include "cli/commands.h"

struct exit_code {
    enum err_code code;
    const char *meaning;
};

enum { EXIT_CODES_COUNT = 18 };
extern const struct exit_code exit_codes[EXIT_CODES_COUNT];

/* The option as that command means it: its own words before those of the table. */
struct option_row help_option_row(const struct command *command, enum option option);

bool help_man(struct cli *cli, struct err *err);
bool help_completion(struct cli *cli, struct err *err);

#endif
