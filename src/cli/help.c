/* Help on a terminal. The man page is in help_man.c, bash completion in help_completion.c. */
#include "help.h"

#include <stdio.h>

#include "stage/stages.h"

const struct exit_code exit_codes[EXIT_CODES_COUNT] = {
    {ERR_NONE, "done, or already closed with the same result"},
    {ERR_DIFFERENT, "diff found differences"},
    {ERR_USAGE, "usage: the command line is wrong"},
    {ERR_SET_ASIDE, "done, but orgs were set aside, items held, or rows not taken"},
    {ERR_INPUT, "bad input"},
    {ERR_LOCKED, "locked: another run holds the run directory, or the period in the database"},
    {ERR_DAMAGED, "state is damaged: a file is torn, edited or foreign"},
    {ERR_MISMATCH,
     "state does not match: inputs or options changed, or another result is recorded"},
    {ERR_CONTROL, "control totals or verification do not agree"},
    {ERR_DRIFT, "drift: the other side (Stripe, Dodo, the cache) has something else"},
    {ERR_DATABASE, "database: not reached, not as it must be, or it refused"},
    {ERR_REFUSED, "Stripe or Dodo refused items, or the key"},
    {ERR_UNKNOWN, "sent, outcome unknown"},
    {ERR_CONTENT, "an item exists with other content: nothing more was sent"},
    {ERR_FILE, "file system"},
    {ERR_MEMORY, "memory"},
    {ERR_RANGE, "number out of range"},
    {ERR_INTERRUPTED, "interrupted, resumable"},
};

enum { HELP_WIDTH = 79, HELP_OPTION_COLUMN = 27 };

static size_t shown_columns(const char *bytes, size_t size_bytes) {
    size_t columns = 0;
    for (size_t index = 0; index < size_bytes; index++) {
        columns += ((unsigned char)bytes[index] & 0xC0) != 0x80 ? 1 : 0;
    }
    return columns;
}

/*
 * Words from that column on, broken before HELP_WIDTH, further lines indented, with a newline at
 * the end. A blank line stays: it begins a paragraph.
 */
static bool help_words(struct console *console, const char *words, size_t column, size_t indent,
                       struct err *err) {
    bool is_line_start = true;
    for (const char *word = words; *word != '\0';) {
        size_t blanks = strspn(word, " \n");
        bool is_paragraph = blanks >= 2 && word[0] == '\n' && word[1] == '\n';
        word += blanks;
        size_t size_bytes = strcspn(word, " \n");
        size_t columns = shown_columns(word, size_bytes);
        if (is_paragraph || (!is_line_start && column + 1 + columns > HELP_WIDTH)) {
            if (!console_out(console, err, "%s%*s", is_paragraph ? "\n\n" : "\n", (int)indent,
                             "")) {
                return false;
            }
            column = indent;
            is_line_start = true;
        }
        if (!console_out(console, err, "%s%.*s", is_line_start ? "" : " ", (int)size_bytes, word)) {
            return false;
        }
        column += columns + (is_line_start ? 0 : 1);
        is_line_start = false;
        word += size_bytes;
    }
    return console_out(console, err, "\n");
}

/* A name, and from `column` on what it is; on the next line where the name is too long. */
static bool help_row(struct console *console, const char *name, const char *text, size_t column,
                     struct err *err) {
    bool is_long = 2 + strlen(name) >= column;
    return console_out(console, err, "  %s%s%*s", name, is_long ? "\n" : "",
                       (int)(is_long ? column : column - 2 - strlen(name)), "") &&
           help_words(console, text, column, column, err);
}

struct option_row help_option_row(const struct command *command, enum option option) {
    struct option_row row = option_table[option];
    for (const struct option_text *text = command->option_texts; text->help != NULL; text++) {
        if (text->option == option) {
            row.help = text->help;
            row.argument = text->argument != NULL ? text->argument : row.argument;
        }
    }
    return row;
}

static bool help_option(struct cli *cli, const struct option_row *row, struct err *err) {
    char left[64];
    (void)snprintf(left, sizeof left, "--%s%s%s", row->name, row->argument != NULL ? " " : "",
                   row->argument != NULL ? row->argument : "");
    return help_row(&cli->console, left, row->help, HELP_OPTION_COLUMN, err);
}

bool help_program(struct cli *cli, struct err *err) {
    struct command_list list = commands_all();
    struct stage_list stages = stages_all();
    struct console *console = &cli->console;
    if (!console_out(console, err,
                     "periodclose closes a billing period: it reads usage, seats and plans, works\n"
                     "in stages that each leave a checkpoint, and writes reports that add up.\n\n"
                     "usage: periodclose COMMAND [OPTIONS]\n\ncommands:\n")) {
        return false;
    }
    for (size_t index = 0; index < list.commands_count; index++) {
        if (!help_row(console, list.commands[index]->name, list.commands[index]->summary, 13,
                      err)) {
            return false;
        }
    }
    if (!console_out(console, err, "\nstages, in order:\n")) {
        return false;
    }
    for (size_t index = 0; index < stages.stages_count; index++) {
        if (!help_row(console, stages.stages[index]->name, stages.stages[index]->summary, 13,
                      err)) {
            return false;
        }
    }
    if (!console_out(console, err, "\nexit codes:\n")) {
        return false;
    }
    for (size_t index = 0; index < EXIT_CODES_COUNT; index++) {
        char code[12];
        (void)snprintf(code, sizeof code, "%d", (int)exit_codes[index].code);
        if (!help_row(console, code, exit_codes[index].meaning, 6, err)) {
            return false;
        }
    }
    return console_out(console, err,
                       "\nEvery option may come from the environment: --run-dir is "
                       "PERIODCLOSE_RUN_DIR.\n"
                       "periodclose COMMAND --help says more; so does man periodclose.\n");
}

static bool help_options(struct cli *cli, const struct command *command, struct err *err) {
    uint64_t shown = command->options | OPTION_BIT(OPTION_LOG_FORMAT) | OPTION_BIT(OPTION_QUIET) |
                     OPTION_BIT(OPTION_HELP);
    for (enum option option = 0; option < OPTIONS_COUNT; option++) {
        const struct option_row row = help_option_row(command, option);
        if ((shown & OPTION_BIT(option)) != 0 && !help_option(cli, &row, err)) {
            return false;
        }
    }
    return true;
}

bool help_command(struct cli *cli, const struct command *command, struct err *err) {
    struct console *console = &cli->console;
    char synopsis[512];
    (void)snprintf(synopsis, sizeof synopsis, "periodclose %s %s", command->name,
                   command->arguments);
    enum { USAGE_COLUMN = 7 };
    return console_out(console, err, "usage: ") &&
           help_words(console, synopsis, USAGE_COLUMN, USAGE_COLUMN, err) &&
           console_out(console, err, "\n") &&
           help_words(console, command->description, 0, 0, err) &&
           console_out(console, err, "\noptions:\n") && help_options(cli, command, err) &&
           console_out(console, err, "\nexample:\n  %s\n", command->example);
}

static bool run_help(struct cli *cli, struct err *err) {
    if (cli->positionals_count == 0) {
        return help_program(cli, err);
    }
    if (strcmp(cli->positionals[0], "man") == 0) {
        return help_man(cli, err);
    }
    if (strcmp(cli->positionals[0], "completion") == 0) {
        return help_completion(cli, err);
    }
    struct command_list list = commands_all();
    for (size_t index = 0; index < list.commands_count; index++) {
        if (strcmp(list.commands[index]->name, cli->positionals[0]) == 0) {
            return help_command(cli, list.commands[index], err);
        }
    }
    return err_set(err, ERR_USAGE, "'%s' is no command", cli->positionals[0]);
}

const struct command command_help = {
    .name = "help",
    .summary = "help of a command; the man page (man); bash completion (completion)",
    .arguments = "[COMMAND|man|completion]",
    .positionals_max = 1,
    .description = "Shows help. `help man` prints the man page in mdoc, `help completion` the\n"
                   "bash completion; `make install` installs both.",
    .example = "periodclose help run",
    .run = run_help,
};
