/*
 * Bash completion: words of commands and options, values of options with a fixed set, folders and
 * files, and what stands in a run directory.
 */
#include "help.h"
#include "stage/stages.h"

/* --- values of options --------------------------------------------------------------------------
 */

/* What stands for a value in help says what completes it. */
static bool stands_for(const char *argument, const char *word) {
    return argument != NULL && strcmp(argument, word) == 0;
}

static bool is_folder(const char *argument) {
    return stands_for(argument, "DIR") || stands_for(argument, "RUN") ||
           stands_for(argument, "NEW");
}

/* csv|json, DAYS|none, N|N/min|none: those in lower case are words to choose from. */
static bool completion_words(struct console *console, const char *argument, struct err *err) {
    for (const char *word = argument; *word != '\0';) {
        size_t size_bytes = strcspn(word, "|");
        if (*word >= 'a' && *word <= 'z' &&
            !console_out(console, err, "%.*s ", (int)size_bytes, word)) {
            return false;
        }
        word += size_bytes + (word[size_bytes] == '|' ? 1 : 0);
    }
    return true;
}

static bool completion_stages(struct console *console, struct err *err) {
    struct stage_list stages = stages_all();
    for (size_t index = 0; index < stages.stages_count; index++) {
        if (!console_out(console, err, "%s ", stages.stages[index]->name)) {
            return false;
        }
    }
    return true;
}

/* What compgen is asked for: -d folders, -f files, -W 'WORDS'. */
static bool completion_value(struct console *console, const char *argument, struct err *err) {
    if (is_folder(argument)) {
        return console_out(console, err, "-d");
    }
    if (stands_for(argument, "FILE")) {
        return console_out(console, err, "-f");
    }
    return console_out(console, err, "-W '") &&
           (stands_for(argument, "STAGE") ? completion_stages(console, err)
                                          : completion_words(console, argument, err)) &&
           console_out(console, err, "'");
}

/* A row of `case COMMAND:--OPTION`; of any command where it is "*". */
static bool completion_row(struct console *console, const char *command,
                           const struct option_row *row, struct err *err) {
    return console_out(console, err,
                       "        %s:--%s)\n            mapfile -t COMPREPLY < <(compgen ", command,
                       row->name) &&
           completion_value(console, row->argument, err) &&
           console_out(console, err, " -- \"$current\")\n            return ;;\n");
}

/* First what one command takes otherwise than the others. */
static bool completion_values(struct console *console, struct err *err) {
    struct command_list list = commands_all();
    for (size_t index = 0; index < list.commands_count; index++) {
        const struct option_text *text = list.commands[index]->option_texts;
        for (; text->help != NULL; text++) {
            const struct option_row row = help_option_row(list.commands[index], text->option);
            if (text->argument != NULL &&
                !completion_row(console, list.commands[index]->name, &row, err)) {
                return false;
            }
        }
    }
    for (size_t option = 0; option < OPTIONS_COUNT; option++) {
        const struct option_row *row = &option_table[option];
        if (row->argument != NULL && !completion_row(console, "*", row, err)) {
            return false;
        }
    }
    return true;
}

/* --- words of commands --------------------------------------------------------------------------
 */

static bool completion_options(struct console *console, const struct command *command,
                               struct err *err) {
    const char *positional = command->positional != NULL ? command->positional : "";
    const char *kind = is_folder(positional)                       ? "folders"
                       : stands_for(positional, "FILE")            ? "files"
                       : stands_for(positional, "RUN/STAGE/TABLE") ? "tables"
                                                                   : "";
    if (!console_out(console, err, "        %s)\n            kind='%s'\n            words='",
                     command->name, kind) ||
        (kind[0] == '\0' && !completion_words(console, positional, err)) ||
        !console_out(console, err, "'\n            options='")) {
        return false;
    }
    for (size_t option = 0; option < OPTIONS_COUNT; option++) {
        if ((command->options & OPTION_BIT(option)) != 0 &&
            !console_out(console, err, "--%s ", option_table[option].name)) {
            return false;
        }
    }
    return console_out(console, err, "--help --log-format --quiet' ;;\n");
}

static bool completion_commands(struct console *console, struct err *err) {
    struct command_list list = commands_all();
    for (size_t index = 0; index < list.commands_count; index++) {
        if (!console_out(console, err, "%s ", list.commands[index]->name)) {
            return false;
        }
    }
    return true;
}

static bool completion_cases(struct console *console, struct err *err) {
    struct command_list list = commands_all();
    for (size_t index = 0; index < list.commands_count; index++) {
        if (list.commands[index] != &command_help &&
            !completion_options(console, list.commands[index], err)) {
            return false;
        }
    }
    return console_out(console, err, "        help)\n            words='man completion ") &&
           completion_commands(console, err) && console_out(console, err, "' ;;\n");
}

/* --- the script ---------------------------------------------------------------------------------
 */

/* RUN/STAGE/TABLE: what stands in the run directory, by the names that inspect takes. */
static const char completion_tables[] =
    "# RUN, RUN/STAGE or RUN/STAGE/TABLE: what stands there, by its name\n"
    "_periodclose_tables() {\n"
    "    local current=$1 folder=${1%/*} path name found=''\n"
    "    COMPREPLY=()\n"
    "    if [[ $current == */*/* && -e ${folder%/*}/manifest.json ]]; then\n"
    "        for path in \"${folder%/*}\"/[0-9][0-9]-\"${folder##*/}\"/*.arrow "
    "\"$folder\"/*.arrow; "
    "do\n"
    "            name=${path##*/}\n"
    "            name=$folder/${name%%.*}\n"
    "            [[ -e $path && $name == \"$current\"* && $found != *\" $name \"* ]] || continue\n"
    "            found=\"$found $name \"\n"
    "            COMPREPLY+=(\"$name\")\n"
    "        done\n"
    "    elif [[ $current == */* && -e $folder/manifest.json ]]; then\n"
    "        for path in \"$folder\"/[0-9][0-9]-*/*.arrow; do\n"
    "            name=${path%/*}\n"
    "            name=${name##*/}\n"
    "            name=$folder/${name#[0-9][0-9]-}/\n"
    "            [[ -e $path && $name == \"$current\"* && $found != *\" $name \"* ]] || continue\n"
    "            found=\"$found $name \"\n"
    "            COMPREPLY+=(\"$name\")\n"
    "        done\n"
    "        compopt -o nospace 2>/dev/null || true\n"
    "    else\n"
    "        mapfile -t COMPREPLY < <(compgen -d -- \"$current\")\n"
    "    fi\n"
    "}\n";

static const char completion_start[] =
    "_periodclose() {\n"
    "    local current=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]}\n"
    "    local words='' options='' kind=''\n"
    "    if [[ $current == = ]]; then # --option=: bash takes the sign for a word\n"
    "        current=''\n"
    "    elif [[ $before == = && $COMP_CWORD -gt 2 ]]; then\n"
    "        before=${COMP_WORDS[COMP_CWORD-2]}\n"
    "    fi\n"
    "    if [[ $COMP_CWORD -eq 1 ]]; then\n"
    "        mapfile -t COMPREPLY < <(compgen -W '--help --version ";

static const char completion_end[] =
    "    esac\n"
    "    if [[ $current == -* || -z $kind$words ]]; then\n"
    "        mapfile -t COMPREPLY < <(compgen -W \"$options\" -- \"$current\")\n"
    "    elif [[ $kind == folders ]]; then\n"
    "        mapfile -t COMPREPLY < <(compgen -d -- \"$current\")\n"
    "    elif [[ $kind == files ]]; then\n"
    "        mapfile -t COMPREPLY < <(compgen -f -- \"$current\")\n"
    "    elif [[ $kind == tables ]]; then\n"
    "        _periodclose_tables \"$current\"\n"
    "    else\n"
    "        mapfile -t COMPREPLY < <(compgen -W \"$words $options\" -- \"$current\")\n"
    "    fi\n"
    "}\n"
    "complete -o filenames -F _periodclose periodclose\n";

bool help_completion(struct cli *cli, struct err *err) {
    struct console *console = &cli->console;
    return console_out(console, err, "# bash completion for periodclose\n") &&
           console_out_text(console, text_from(completion_tables), err) &&
           console_out_text(console, text_from(completion_start), err) &&
           completion_commands(console, err) &&
           console_out(console, err,
                       "' -- \"$current\")\n        return\n    fi\n"
                       "    case ${COMP_WORDS[1]}:$before in\n") &&
           completion_values(console, err) &&
           console_out(console, err, "    esac\n    case ${COMP_WORDS[1]} in\n") &&
           completion_cases(console, err) &&
           console_out_text(console, text_from(completion_end), err);
}
