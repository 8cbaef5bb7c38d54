/* The man page, in mdoc. */
#include "help.h"
#include "stage/stages.h"

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

static bool man_options(struct console *console, const struct command *command, uint64_t options,
                        struct err *err) {
    if (!console_out(console, err, ".Bl -tag -width Ds\n")) {
        return false;
    }
    for (enum option option = 0; option < OPTIONS_COUNT; option++) {
        const struct option_row row = help_option_row(command, option);
        if ((options & OPTION_BIT(option)) == 0) {
            continue;
        }
        if (!console_out(console, err, ".It Fl \\-%s%s%s\n", row.name,
                         row.argument != NULL ? " Ar " : "",
                         row.argument != NULL ? row.argument : "") ||
            !man_text(console, row.help, err)) {
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
            (command->options != 0 && !man_options(console, command, command->options, err)) ||
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

/* tests/program/help.sh looks for every variable that the sources name. */
static const struct {
    const char *names;
    const char *text;
} man_variables[] = {
    {"PERIODCLOSE_OPTION",
     "every option may come from here:\n.Ev PERIODCLOSE_RUN_DIR\nis\n.Fl \\-run\\-dir .\nAn option "
     "that is typed wins, an empty variable counts as none, and a flag is on for 1, true, yes or "
     "on, off for 0, false, no or off."},
    {"STRIPE_API_KEY , DODO_PAYMENTS_API_KEY", "the key to send, sync and reconcile with"},
    {"STRIPE_WEBHOOK_SECRET , DODO_PAYMENTS_WEBHOOK_KEY",
     "what the signature of a webhook is checked with (sync \\-\\-event)"},
    {"STRIPE_API_KEY_FILE , DODO_PAYMENTS_API_KEY_FILE , STRIPE_WEBHOOK_SECRET_FILE , "
     "DODO_PAYMENTS_WEBHOOK_KEY_FILE",
     "the file that holds one of these, where it is not set itself"},
    {"CREDENTIALS_DIRECTORY",
     "set by systemd: the folder with a credential named as one of these, where neither is set"},
    {"STRIPE_API_BASE , DODO_PAYMENTS_API_BASE",
     "another address of the API, as https://test.dodopayments.com (Dodo's test mode); plain http "
     "only to this machine"},
    {"HTTP_STRIPE_SIGNATURE , HTTP_WEBHOOK_ID , HTTP_WEBHOOK_TIMESTAMP , HTTP_WEBHOOK_SIGNATURE",
     "headers of a webhook, as CGI sets them (sync \\-\\-event)"},
    {"PGHOST , PGPORT , PGDATABASE , PGUSER , PGPASSWORD , PGPASSFILE , PGSERVICE",
     "and the rest of libpq's own: what a connection string leaves out"},
    {"https_proxy , no_proxy", "the proxy of requests, as libcurl takes it"},
    {"CURL_CA_BUNDLE , SSL_CERT_FILE , SSL_CERT_DIR",
     "certificates to trust, instead of those of the system"},
    {"TMPDIR", "where ingest puts what does not fit in memory (/tmp)"},
    {"TERM", "a terminal that is not dumb gets a progress bar"},
};

enum { MAN_VARIABLES_COUNT = sizeof man_variables / sizeof man_variables[0] };

static bool man_environment(struct console *console, struct err *err) {
    if (!console_out(console, err, ".Sh ENVIRONMENT\n.Bl -tag -width Ds\n")) {
        return false;
    }
    for (size_t index = 0; index < MAN_VARIABLES_COUNT; index++) {
        if (!console_out(console, err, ".It Ev %s\n%s\n", man_variables[index].names,
                         man_variables[index].text)) {
            return false;
        }
    }
    return console_out(console, err,
                       ".El\n.Pp\nSecrets are never taken from the command line, and stand in no "
                       "log, file or message.\n");
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
    "periodclose diff run\\-2026\\-10 what\\-if\n.Ed\n.Pp\n"
    "Late usage came in: close it again, and bill the difference.\n"
    ".Bd -literal -offset indent\n"
    "periodclose run \\-\\-period 2026\\-10 \\-\\-source shop \\-\\-cutoff "
    "2026\\-11\\-20T00:00:00Z "
    "\\\\\n    \\-\\-previous run\\-2026\\-10 \\-\\-reason 'late import' \\-\\-run\\-dir "
    "run\\-2026\\-10\\-rev2\n.Ed\n.Pp\n"
    "The same out of a database, with items on the customers' bills; and later what could not be "
    "sent then:\n"
    ".Bd -literal -offset indent\n"
    "periodclose migrate \\-\\-database 'host=db1 dbname=billing user=postgres'\n"
    "periodclose ingest shop \\-\\-database 'host=db1 dbname=billing'\n"
    "export STRIPE_API_KEY_FILE=/etc/periodclose/stripe.key\n"
    "periodclose run \\-\\-period 2026\\-10 \\-\\-database 'host=db1 dbname=billing' \\\\\n"
    "    \\-\\-run\\-dir run\\-2026\\-10 \\-\\-emit stripe\n"
    "periodclose emit run\\-2026\\-10\n.Ed\n";

/* Options of every command, once. */
static const uint64_t man_common_options = OPTION_BIT(OPTION_LOG_FORMAT) |
                                           OPTION_BIT(OPTION_QUIET) | OPTION_BIT(OPTION_HELP) |
                                           OPTION_BIT(OPTION_VERSION);

bool help_man(struct cli *cli, struct err *err) {
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
           man_options(console, &command_help, man_common_options, err) &&
           man_stages(console, err) && man_environment(console, err) &&
           console_out_text(console, text_from(man_files), err) && man_exit_codes(console, err) &&
           console_out_text(console, text_from(man_examples), err);
}
