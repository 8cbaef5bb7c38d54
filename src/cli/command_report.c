/* report: the reports from what there is, again or for review before the run is finished. */
#include "cli/closing.h"
#include "cli/commands.h"
#include "stage/stages.h"

static bool report_all(struct cli *cli, struct run *run, struct err *err) {
    struct stage_session session = {0};
    struct run_options options = {0};
    if (!closing_options(cli, &options, err)) {
        return false;
    }
    if (!run_stage_is_done(run, &stage_report)) {
        if (!run_perform_reports(run, &stage_report, &options, &session, err)) {
            return false;
        }
        const struct stage *next = run_next_stage(run);
        return console_out(&cli->console, err,
                           "%s/reports: for review: stage '%s' is still to be done\n",
                           run_path(run), next->name);
    }
    return run_unseal_reports(run, err) && run_execute(run, &options, &session, err) &&
           console_out(&cli->console, err, "%s/reports: written again\n", run_path(run));
}

static bool report_run(struct cli *cli, struct err *err) {
    const char *path;
    struct run *run;
    if (!cli_run_path(cli, &path, err) ||
        !run_open(cli->sys, path, stages_all(), RUN_UPDATE, &run, err)) {
        return false;
    }
    bool is_fine = run_tell_command(run, cli->command_line, err) && report_all(cli, run, err);
    if (is_fine && run_next_stage(run) != NULL) {
        cli_next_of_reports(cli, run); /* for review: they are to be read before it goes on */
    } else if (is_fine) {
        cli_next(cli, "periodclose verify %s", shell_word(path, &(struct shell_word){0}));
    }
    run_close(run);
    return is_fine;
}

const struct command command_report = {
    .name = "report",
    .summary = "write the CSV reports from what there is",
    .arguments = "RUN",
    .positionals_max = 1,
    .positional = "RUN",
    .options = OPTION_BIT(OPTION_RUN_DIR) | OPTION_BIT(OPTION_JOBS) | OPTION_BIT(OPTION_MEMORY),
    .description =
        "Writes the reports again from the sealed tables: the same tables give the same\n"
        "bytes. On a run that stopped early (--until rate, say) it writes those that the\n"
        "finished stages allow, for review; they are written anew when the run goes on.",
    .example = "periodclose report /var/lib/periodclose/2026-10",
    .run = report_run,
};
