#include "cli/cli.h"

#include <stdarg.h>
#include <stdio.h>

#include "run/run.h"
#include "stage/stages.h"
#include "sys/process.h"

/* Options that every command takes. */
static const uint64_t common_options = OPTION_BIT(OPTION_HELP) | OPTION_BIT(OPTION_LOG_FORMAT) |
                                       OPTION_BIT(OPTION_QUIET) | OPTION_BIT(OPTION_VERSION);

enum { JOBS_MAX = 256, MEMORY_DEFAULT_BYTES = 128 * 1024 * 1024 };

static const uint64_t memory_min_bytes = 32 * 1024 * 1024;

static const struct command *command_find(const char *name) {
    struct command_list list = commands_all();
    for (size_t index = 0; index < list.commands_count; index++) {
        if (strcmp(list.commands[index]->name, name) == 0) {
            return list.commands[index];
        }
    }
    return NULL;
}

bool cli_required(const struct cli *cli, enum option option, const char **value, struct err *err) {
    *value = option_value(&cli->options, option);
    if (*value == NULL) {
        return err_set(err, ERR_USAGE, "--%s %s is required", option_table[option].name,
                       option_table[option].argument);
    }
    return true;
}

/* A whole number from 1 to max; false for anything else. */
static bool parse_count(const char *text, uint64_t max, uint64_t *count) {
    *count = 0;
    for (const char *digit = text; *digit != '\0'; digit++) {
        if (*digit < '0' || *digit > '9') {
            return false;
        }
        *count = *count * 10 + (uint64_t)(*digit - '0');
        if (*count > max) {
            return false;
        }
    }
    return text[0] != '\0' && *count > 0;
}

bool cli_jobs(const struct cli *cli, size_t *jobs, struct err *err) {
    const char *text = option_value(&cli->options, OPTION_JOBS);
    uint64_t count = process_processors_count();
    if (text != NULL && !parse_count(text, JOBS_MAX, &count)) {
        return err_set(err, ERR_USAGE, "--jobs: '%s' is not a number from 1 to %d", text, JOBS_MAX);
    }
    *jobs = count < JOBS_MAX ? (size_t)count : JOBS_MAX;
    return true;
}

bool cli_memory(const struct cli *cli, uint64_t *memory_bytes, struct err *err) {
    const char *text = option_value(&cli->options, OPTION_MEMORY);
    *memory_bytes = MEMORY_DEFAULT_BYTES;
    if (text == NULL) {
        return true;
    }
    char digits[32];
    size_t size = strlen(text);
    uint64_t factor = 1;
    if (size > 0 && size < sizeof digits) {
        char last = text[size - 1];
        factor = last == 'K'   ? 1024
                 : last == 'M' ? 1024 * 1024
                 : last == 'G' ? 1024 * 1024 * 1024
                               : 1;
        memcpy(digits, text, size + 1);
        digits[factor > 1 ? size - 1 : size] = '\0';
        uint64_t count;
        if (parse_count(digits, UINT64_C(1) << 20, &count) && factor > 1) {
            *memory_bytes = count * factor;
        } else if (factor == 1 && parse_count(digits, UINT64_C(1) << 40, &count)) {
            *memory_bytes = count;
        } else {
            *memory_bytes = 0;
        }
    } else {
        *memory_bytes = 0;
    }
    if (*memory_bytes < memory_min_bytes) {
        return err_set(err, ERR_USAGE, "--memory: '%s' is not a size of at least 32M", text);
    }
    return true;
}

bool cli_instant(const struct cli *cli, enum option option, struct instant *instant,
                 struct err *err) {
    const char *text = option_value(&cli->options, option);
    const char *reason = instant_parse(text_from(text), instant);
    if (reason != NULL) {
        return err_set(err, ERR_USAGE, "--%s: '%s' %s", option_table[option].name, text, reason);
    }
    return true;
}

bool cli_run_path(const struct cli *cli, const char **path, struct err *err) {
    const char *option = option_value(&cli->options, OPTION_RUN_DIR);
    *path = cli->positionals_count > 0 ? cli->positionals[0] : option;
    if (*path == NULL) {
        return err_set(err, ERR_USAGE, "which run directory?");
    }
    if (*path != option && cli->options.is_typed[OPTION_RUN_DIR]) {
        return err_set(err, ERR_USAGE, "which run directory: '%.400s' or '%.400s'?", *path, option);
    }
    return true;
}

static bool cli_apply_common(struct cli *cli, struct err *err) {
    const char *format = option_value(&cli->options, OPTION_LOG_FORMAT);
    if (format != NULL && strcmp(format, "json") != 0 && strcmp(format, "text") != 0) {
        return err_set(err, ERR_USAGE, "--log-format: '%s' is neither text nor json", format);
    }
    cli->console.is_json = format != NULL && strcmp(format, "json") == 0;
    cli->console.is_quiet = option_is_set(&cli->options, OPTION_QUIET);
    return true;
}

static bool cli_check_positionals(const struct cli *cli, const struct command *command,
                                  struct err *err) {
    if (cli->positionals_count > command->positionals_max) {
        return err_set(err, ERR_USAGE, "%s: one word too many: '%s'", command->name,
                       cli->positionals[command->positionals_max]);
    }
    if (cli->positionals_count < command->positionals_min) {
        return err_set(err, ERR_USAGE, "%s: wants %s", command->name, command->arguments);
    }
    for (size_t index = 0; index < cli->positionals_count; index++) {
        if (cli->positionals[index][0] == '\0') {
            (void)err_set(err, ERR_USAGE, "%s: word %zu is empty", command->name, index + 1);
            return err_hint(err, "if it comes from a variable, that one is not set");
        }
    }
    return true;
}

static bool cli_show_version(struct cli *cli, struct err *err) {
    return console_out(&cli->console, err, "periodclose %s\n", PERIODCLOSE_VERSION);
}

static bool cli_run_command(struct cli *cli, const struct command *command, int argc,
                            char *const *argv, struct err *err) {
    uint64_t allowed = command->options | common_options;
    cli->command = command;
    if (!options_parse(argc, argv, allowed, cli->arena, &cli->options, &cli->positionals,
                       &cli->positionals_count, err) ||
        !cli_apply_common(cli, err)) {
        return false;
    }
    if (option_is_set(&cli->options, OPTION_HELP)) {
        return help_command(cli, command, err);
    }
    if (option_is_set(&cli->options, OPTION_VERSION)) {
        return cli_show_version(cli, err);
    }
    return cli_check_positionals(cli, command, err) && command->run(cli, err);
}

static bool cli_run(struct cli *cli, int argc, char *const *argv, const struct command **command,
                    struct err *err) {
    if (argc < 2) {
        (void)err_set(err, ERR_USAGE, "which command?");
        return err_hint(err, "periodclose --help lists them");
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        return help_program(cli, err);
    }
    if (strcmp(argv[1], "--version") == 0) {
        return cli_show_version(cli, err);
    }
    *command = command_find(argv[1]);
    if (*command == NULL) {
        (void)err_set(err, ERR_USAGE, "'%s' is no command", argv[1]);
        return err_hint(err, "periodclose --help lists them");
    }
    return cli_run_command(cli, *command, argc - 2, argv + 2, err);
}

/* Cut where it does not fit. */
static void command_line_add(char command_line[CLI_COMMAND_MAX], const char *word) {
    size_t size = strlen(command_line);
    (void)snprintf(command_line + size, CLI_COMMAND_MAX - size, "%s%s", size > 0 ? " " : "",
                   shell_word(word, &(struct shell_word){0}));
}

/* Is the word after this one its value? */
static bool takes_next_word(const char *word) {
    for (size_t option = 0; option < OPTIONS_COUNT; option++) {
        const struct option_row *row = &option_table[option];
        if (row->argument != NULL && strncmp(word, "--", 2) == 0 &&
            strcmp(word + 2, row->name) == 0) {
            return true;
        }
    }
    return false;
}

static void cli_keep_command_line(struct cli *cli, int argc, char *const *argv) {
    bool is_option = true;
    for (int index = 0; index < argc; index++) {
        const char *word = index == 0 ? "periodclose" : argv[index];
        command_line_add(cli->command_line, word);
        if (!is_option || strcmp(word, "--restart") != 0) {
            command_line_add(cli->command_again, word);
        }
        is_option = !is_option || !takes_next_word(word);
    }
}

/*
 * The next command after a failure that no command has said one for: what repairs a run that is
 * damaged, how one stands that is in use or something else, the same again after a signal, else
 * help. Never what loses something.
 */
static void cli_next_failed(struct cli *cli, const struct command *command, struct err *err) {
    const char *path = cli->positionals_count > 0 ? cli->positionals[0]
                                                  : option_value(&cli->options, OPTION_RUN_DIR);
    bool is_same = strcmp(cli->next, cli->command_line) == 0;
    if (cli->next[0] != '\0' && (err->code != ERR_USAGE || !is_same)) {
        return;
    }
    cli->next[0] = '\0';
    if (err->code == ERR_INTERRUPTED) {
        cli_next(cli, "%s", cli->command_line);
    } else if (path != NULL) {
        cli_next_remedy(cli, path, err);
    }
    if (cli->next[0] == '\0') {
        cli_next(cli, "periodclose %s%s--help", command != NULL ? command->name : "",
                 command != NULL ? " " : "");
    }
}

int cli_main(int argc, char *const *argv, const struct sys *sys) {
    struct cli cli = {.sys = sys};
    struct err err = {0};
    const struct command *command = NULL;
    console_init(&cli.console, sys);
    cli_keep_command_line(&cli, argc, argv);
    cli.arena = arena_create(&err);
    bool is_fine = cli.arena != NULL && cli_run(&cli, argc, argv, &command, &err);
    console_flush(&cli.console); /* also what was said before a failure */
    if (is_fine && cli.console.has_lost_output) {
        is_fine = err_set(&err, ERR_FILE, "cannot write all of the output to stdout");
    }
    int status = (int)cli.status;
    if (!is_fine) {
        status = (int)err.code;
        cli_next_failed(&cli, command, &err);
        console_tell_error(&cli.console, &err);
        console_next(&cli.console, "%s", cli.next);
        err_release(&err);
    } else if (cli.next[0] != '\0') {
        console_next(&cli.console, "%s", cli.next);
    }
    arena_destroy(cli.arena);
    console_release(&cli.console);
    return status;
}
