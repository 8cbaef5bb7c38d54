/*
 * The command line: one table of commands, and what each is given.
 *
 * cli_main is the whole program but for the operating system it runs on, so that tests can run it
 * with an operating system that fails. It returns the exit status.
 */
#ifndef PERIODCLOSE_CLI_CLI_H
#define PERIODCLOSE_CLI_CLI_H

#include "cli/console.h"
#include "cli/options.h"
#include "core/arena.h"
#include "core/shell.h"

enum { CLI_COMMAND_MAX = 8192 };

struct command;

struct cli {
    const struct sys *sys;
    struct console console;
    struct arena *arena;           /* of the command */
    const struct command *command; /* what is run; NULL: none yet */
    struct option_values options;
    char command_line[CLI_COMMAND_MAX];  /* as typed, quoted for a shell; cut */
    char command_again[CLI_COMMAND_MAX]; /* the same without --restart */
    const char **positionals;
    size_t positionals_count;
    enum err_code status;       /* of a command that succeeds: 0, 1 (diff) or 4 */
    char next[CLI_COMMAND_MAX]; /* the next command to type: the last line on stderr; empty: none */
};

/* What an option is for in one command, where the words of the table do not say it. */
struct option_text {
    enum option option;
    const char *help;
    const char *argument; /* NULL: as in the table */
};

enum { OPTION_TEXTS_MAX = 8 };

struct command {
    const char *name;
    const char *summary;   /* one line */
    const char *arguments; /* positionals and required options, as in a synopsis */
    size_t positionals_min;
    size_t positionals_max;
    /* What completion offers for them: "RUN" and "DIR" folders, "RUN/STAGE/TABLE", "FILE" files,
     * else words with | between. */
    const char *positional;
    uint64_t options; /* bits; help, log-format and quiet are always allowed */
    struct option_text option_texts[OPTION_TEXTS_MAX + 1]; /* the first without help ends them */
    const char *description; /* paragraphs of whole sentences, lines under 80 columns */
    const char *example;     /* one command line */
    bool (*run)(struct cli *cli, struct err *err);
};

struct command_list {
    const struct command *const *commands;
    size_t commands_count;
};
struct command_list commands_all(void);

int cli_main(int argc, char *const *argv, const struct sys *sys);

/* Help of the whole program and of one command. */
bool help_program(struct cli *cli, struct err *err);
bool help_command(struct cli *cli, const struct command *command, struct err *err);

/* Shared by commands. */
bool cli_required(const struct cli *cli, enum option option, const char **value, struct err *err);
bool cli_jobs(const struct cli *cli, size_t *jobs, struct err *err);
bool cli_memory(const struct cli *cli, uint64_t *memory_bytes, struct err *err);
bool cli_instant(const struct cli *cli, enum option option, struct instant *instant,
                 struct err *err); /* the option must be set */
/* Sets cli->next; cut, never overflowing. */
void cli_next(struct cli *cli, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* How that run directory stands, or the dry run in it, or help of `run` where status could not
 * tell, either. */
void cli_next_status(struct cli *cli, const char *run_path);
/* What comes next with a run as it stands: go on, look at it, verify it. */
void cli_next_of_run(struct cli *cli, const struct run *run);
/* The command as it was typed, but for these options (bits). */
void cli_next_without(struct cli *cli, uint64_t left_out);
/* A report of it to look at; the command that writes them when there is none. */
void cli_next_of_reports(struct cli *cli, const struct run *run);
/*
 * After a failure in which the same command would only fail again (11 to 14): what repairs the run
 * that is damaged, with a hint, else how it stands. Other failures: leaves all as it is.
 */
void cli_next_remedy(struct cli *cli, const char *path, struct err *err);
/* Positional RUN, or --run-dir. */
bool cli_run_path(const struct cli *cli, const char **path, struct err *err);

#endif
