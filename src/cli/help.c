/*
 * Help, the man page (mdoc) and bash completion: all walk the tables of commands, options and
 * stages, so none of them can fall behind.
 */
#include <stdio.h>

#include "cli/commands.h"
#include "stage/stages.h"

struct exit_code {
    enum err_code code;
    const char *meaning;
};

static const struct exit_code exit_codes[] = {
    {ERR_NONE, "done, or already closed with the same result"},
    {ERR_DIFFERENT, "diff found differences"},
    {ERR_USAGE, "usage: the command line is wrong"},
    {ERR_SET_ASIDE, "done, but orgs were set aside or items held"},
    {ERR_INPUT, "bad input: nothing was written"},
    {ERR_LOCKED, "another run holds the run directory, or the period in the database"},
    {ERR_DAMAGED, "state is damaged: a file is torn, edited or foreign"},
    {ERR_MISMATCH,
     "state does not match: inputs or options changed, or another result is recorded"},
    {ERR_CONTROL, "control totals or verification do not agree"},
    {ERR_DRIFT, "drift between us and the other side"},
    {ERR_DATABASE, "database"},
    {ERR_REFUSED, "Stripe or Dodo refused"},
    {ERR_UNKNOWN, "sent, outcome unknown"},
    {ERR_CONTENT, "exists with other content"},
    {ERR_FILE, "file system"},
    {ERR_MEMORY, "memory"},
    {ERR_RANGE, "number out of range"},
    {ERR_INTERRUPTED, "interrupted, resumable"},
};

enum { EXIT_CODES_COUNT = sizeof exit_codes / sizeof exit_codes[0] };

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

static bool help_options(struct cli *cli, uint64_t options, struct err *err) {
    for (size_t option = 0; option < OPTIONS_COUNT; option++) {
        if ((options & OPTION_BIT(option)) != 0 && !help_option(cli, &option_table[option], err)) {
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
    if (!console_out(console, err, "usage: ") ||
        !help_words(console, synopsis, USAGE_COLUMN, USAGE_COLUMN, err) ||
        !console_out(console, err, "\n") || !help_words(console, command->description, 0, 0, err) ||
        (command->options != 0 && !console_out(console, err, "\noptions:\n")) ||
        !help_options(cli, command->options, err)) {
        return false;
    }
    return help_option(cli, &option_table[OPTION_LOG_FORMAT], err) &&
           help_option(cli, &option_table[OPTION_QUIET], err) &&
           help_option(cli, &option_table[OPTION_HELP], err) &&
           console_out(console, err, "\nexample:\n  %s\n", command->example);
}

/* --- man page -----------------------------------------------------------------------------------
 */

/* One byte of text for mdoc: backslashes and dashes are escaped, a dot at a line's start too. */
static bool man_byte(struct console *console, char byte, bool is_line_start, struct err *err) {
    switch (byte) {
    case '\\':
        return console_out(console, err, "\\e");
    case '-':
        return console_out(console, err, "\\-");
    case '.':
    case '\'':
        return console_out(console, err, "%s%c", is_line_start ? "\\&" : "", byte);
    default:
        return console_out(console, err, "%c", byte);
    }
}

/* Text for mdoc: a blank line begins a paragraph, a new sentence begins a new line. */
static bool man_text(struct console *console, const char *text, struct err *err) {
    bool is_line_start = true;
    for (const char *byte = text; *byte != '\0'; byte++) {
        if (*byte == '\n' && byte[1] == '\n') {
            if (!console_out(console, err, "\n.Pp\n")) {
                return false;
            }
            byte++;
            is_line_start = true;
            continue;
        }
        if (!man_byte(console, *byte, is_line_start, err)) {
            return false;
        }
        is_line_start = *byte == '\n';
        if ((*byte == '.' || *byte == '?') && byte[1] == ' ') {
            byte++;
            is_line_start = true;
            if (!console_out(console, err, "\n")) {
                return false;
            }
        }
    }
    return console_out(console, err, "\n");
}

static bool man_options(struct console *console, uint64_t options, struct err *err) {
    if (!console_out(console, err, ".Bl -tag -width Ds\n")) {
        return false;
    }
    for (size_t option = 0; option < OPTIONS_COUNT; option++) {
        const struct option_row *row = &option_table[option];
        if ((options & OPTION_BIT(option)) == 0) {
            continue;
        }
        if (!console_out(console, err, ".It Fl \\-%s%s%s\n", row->name,
                         row->argument != NULL ? " Ar " : "",
                         row->argument != NULL ? row->argument : "") ||
            !man_text(console, row->help, err)) {
            return false;
        }
    }
    return console_out(console, err, ".El\n");
}

static bool man_commands(struct console *console, struct err *err) {
    struct command_list list = commands_all();
    for (size_t index = 0; index < list.commands_count; index++) {
        const struct command *command = list.commands[index];
        if (!console_out(console, err, ".Ss %s\n.Nm\n.Cm %s\n.Ar %s\n.Pp\n", command->name,
                         command->name, command->arguments) ||
            !man_text(console, command->description, err) ||
            (command->options != 0 && !man_options(console, command->options, err)) ||
            !console_out(console, err, ".Bd -literal -offset indent\n") ||
            !man_text(console, command->example, err) || !console_out(console, err, ".Ed\n")) {
            return false;
        }
    }
    return true;
}

static bool man_stages(struct console *console, struct err *err) {
    struct stage_list stages = stages_all();
    if (!console_out(console, err, ".Sh STAGES\n.Bl -tag -width project\n")) {
        return false;
    }
    for (size_t index = 0; index < stages.stages_count; index++) {
        if (!console_out(console, err, ".It Cm %s\n%s\n", stages.stages[index]->name,
                         stages.stages[index]->summary)) {
            return false;
        }
    }
    return console_out(console, err, ".El\n");
}

static bool man_exit_codes(struct console *console, struct err *err) {
    if (!console_out(console, err, ".Sh EXIT STATUS\n.Bl -tag -width Ds\n")) {
        return false;
    }
    for (size_t index = 0; index < EXIT_CODES_COUNT; index++) {
        if (!console_out(console, err, ".It %d\n%s\n", (int)exit_codes[index].code,
                         exit_codes[index].meaning)) {
            return false;
        }
    }
    return console_out(
        console, err,
        ".El\n.Pp\nWhere several apply: 22, 23, 21, 15, 4. The last line on standard "
        "error\nsays the next command to type.\n");
}

static const char man_files[] =
    ".Sh FILES\n.Bl -tag -width Ds\n"
    ".It Pa RUN/manifest.json\n"
    "what is pinned (options, inputs by content) and what is sealed\n"
    ".It Pa RUN/lock\nheld while somebody works on the run; its text says who\n"
    ".It Pa RUN/progress.json\nhow far the stage at work is\n"
    ".It Pa RUN/NN\\-STAGE/*.arrow\nthe checkpoints: Apache Arrow IPC files\n"
    ".It Pa RUN/reports/*.csv\nthe reports, with\n.Pa SHA256SUMS\n"
    ".It Pa RUN/dry\\-run\nthe run directory of a dry run\n.El\n";

static const char man_examples[] =
    ".Sh EXAMPLES\nClose October, look at the result, ask why one customer pays what:\n"
    ".Bd -literal -offset indent\n"
    "periodclose run \\-\\-period 2026\\-10 \\-\\-source shop \\-\\-run\\-dir run\\-2026\\-10\n"
    "periodclose verify run\\-2026\\-10\n"
    "periodclose explain run\\-2026\\-10 \\-\\-org globex\n.Ed\n.Pp\n"
    "Go on after a kill (period and source are known), and see how far it is meanwhile:\n"
    ".Bd -literal -offset indent\nperiodclose run \\-\\-run\\-dir run\\-2026\\-10\n"
    "periodclose status run\\-2026\\-10\n.Ed\n.Pp\n"
    "What would it have cost under other prices?\n"
    ".Bd -literal -offset indent\n"
    "periodclose replay run\\-2026\\-10 \\-\\-from rate \\-\\-prices new\\-prices "
    "\\-\\-run\\-dir what\\-if\n"
    "periodclose diff run\\-2026\\-10 what\\-if\n.Ed\n";

/* Options of every command, once. */
static const uint64_t man_common_options = OPTION_BIT(OPTION_LOG_FORMAT) |
                                           OPTION_BIT(OPTION_QUIET) | OPTION_BIT(OPTION_HELP) |
                                           OPTION_BIT(OPTION_VERSION);

static bool help_man(struct cli *cli, struct err *err) {
    struct console *console = &cli->console;
    return console_out(console, err,
                       ".Dd $Mdocdate$\n.Dt PERIODCLOSE 1\n.Os\n.Sh NAME\n.Nm periodclose\n"
                       ".Nd close a billing period, stage by stage\n.Sh SYNOPSIS\n.Nm\n"
                       ".Ar command\n.Op Ar options\n.Sh DESCRIPTION\n"
                       "Reads a period's usage, seats and plans, computes what each organisation\n"
                       "used beyond its plan and what that costs, projects the next period and\n"
                       "writes CSV reports.\nEach stage leaves a checkpoint in the run directory:\n"
                       "a run that was killed is started again with the same command and goes\n"
                       "on where it stopped; a finished one can be replayed, explained and\n"
                       "compared.\n.Sh COMMANDS\n") &&
           man_commands(console, err) &&
           console_out(console, err, ".Sh COMMON OPTIONS\nEvery command takes these, too.\n") &&
           man_options(console, man_common_options, err) && man_stages(console, err) &&
           console_out(console, err,
                       ".Sh ENVIRONMENT\nEvery option may come from the environment:\n"
                       ".Ev PERIODCLOSE_RUN_DIR\nis\n.Fl \\-run\\-dir .\n"
                       "An option that is typed wins.\n") &&
           console_out_text(console, text_from(man_files), err) && man_exit_codes(console, err) &&
           console_out_text(console, text_from(man_examples), err);
}

/* --- bash completion ----------------------------------------------------------------------------
 */

/* What stands for an option's value in help says what completes it. */
static bool takes_folder(const struct option_row *row) {
    return row->argument != NULL &&
           (strcmp(row->argument, "DIR") == 0 || strcmp(row->argument, "RUN") == 0);
}

static bool takes_stage(const struct option_row *row) {
    return row->argument != NULL && strcmp(row->argument, "STAGE") == 0;
}

/* none, csv|json: words of lower case to choose from. */
static bool takes_word(const struct option_row *row) {
    return row->argument != NULL && row->argument[0] >= 'a' && row->argument[0] <= 'z';
}

static bool completion_row(struct console *console, const struct option_row *row, struct err *err) {
    if (takes_folder(row)) {
        return console_out(console, err,
                           "        --%s)\n            mapfile -t COMPREPLY < <(compgen -d -- "
                           "\"$current\")\n            return ;;\n",
                           row->name);
    }
    if (!console_out(console, err,
                     "        --%s)\n            mapfile -t COMPREPLY < <(compgen -W '",
                     row->name)) {
        return false;
    }
    struct stage_list stages = stages_all();
    for (size_t index = 0; takes_stage(row) && index < stages.stages_count; index++) {
        if (!console_out(console, err, "%s ", stages.stages[index]->name)) {
            return false;
        }
    }
    for (const char *byte = takes_word(row) ? row->argument : ""; *byte != '\0'; byte++) {
        if (!console_out(console, err, "%c", *byte == '|' ? ' ' : *byte)) {
            return false;
        }
    }
    return console_out(console, err, "' -- \"$current\")\n            return ;;\n");
}

/* Values of options, by the word before. */
static bool completion_values(struct console *console, struct err *err) {
    for (size_t option = 0; option < OPTIONS_COUNT; option++) {
        const struct option_row *row = &option_table[option];
        if (row->argument != NULL && !completion_row(console, row, err)) {
            return false;
        }
    }
    return true;
}

static bool completion_options(struct console *console, const struct command *command,
                               struct err *err) {
    if (!console_out(console, err, "        %s)\n            words='--help --log-format --quiet",
                     command->name)) {
        return false;
    }
    for (size_t option = 0; option < OPTIONS_COUNT; option++) {
        if ((command->options & OPTION_BIT(option)) != 0 &&
            !console_out(console, err, " --%s", option_table[option].name)) {
            return false;
        }
    }
    return console_out(console, err, "'%s ;;\n",
                       command->positionals_max > 0 ? "\n            folders=yes" : "");
}

static bool completion_commands(struct console *console, struct err *err) {
    struct command_list list = commands_all();
    for (size_t index = 0; index < list.commands_count; index++) {
        if (!console_out(console, err, " %s", list.commands[index]->name)) {
            return false;
        }
    }
    return true;
}

static bool help_completion(struct cli *cli, struct err *err) {
    struct console *console = &cli->console;
    struct command_list list = commands_all();
    bool is_fine = console_out(console, err,
                               "# bash completion for periodclose\n_periodclose() {\n"
                               "    local current=${COMP_WORDS[COMP_CWORD]} words='' folders=''\n"
                               "    case ${COMP_WORDS[COMP_CWORD-1]} in\n") &&
                   completion_values(console, err) &&
                   console_out(console, err, "    esac\n    case ${COMP_WORDS[1]} in\n");
    for (size_t index = 0; is_fine && index < list.commands_count; index++) {
        is_fine = list.commands[index] == &command_help ||
                  completion_options(console, list.commands[index], err);
    }
    is_fine = is_fine && console_out(console, err, "        help) words='man completion") &&
              completion_commands(console, err) &&
              console_out(console, err,
                          "' ;;\n    esac\n"
                          "    if [ \"$COMP_CWORD\" -eq 1 ]; then\n"
                          "        words='--help --version") &&
              completion_commands(console, err);
    return is_fine &&
           console_out(console, err,
                       "'\n    fi\n"
                       "    if [[ $current == -* || $COMP_CWORD -eq 1 || -z $folders ]]; then\n"
                       "        mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$current\")\n"
                       "    else\n"
                       "        mapfile -t COMPREPLY < <(compgen -d -- \"$current\")\n    fi\n}\n"
                       "complete -o filenames -F _periodclose periodclose\n");
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
