/*
 * verify: is what is sealed right? Checksums, control totals, reports, and every quantity and cost
 * once more through code that shares no arithmetic with the stages (rating/recompute.h).
 */
#include <stdarg.h>
#include <stdio.h>

#include "cli/commands.h"
#include "stage/stages.h"
#include "verify.h"

struct disagreement *disagreements_add(struct disagreements *disagreements) {
    uint64_t index = disagreements->count++;
    return index < DISAGREEMENTS_SHOWN_MAX ? &disagreements->first[index] : NULL;
}

void disagreement_name(char name[DISAGREEMENT_NAME_MAX], struct text text) {
    (void)snprintf(name, DISAGREEMENT_NAME_MAX, "%.*s",
                   text.size_bytes < DISAGREEMENT_NAME_MAX ? (int)text.size_bytes
                                                           : DISAGREEMENT_NAME_MAX - 1,
                   text.bytes);
}

bool verify_tell(const struct verification *verification, struct err *err, const char *what,
                 const char *format, ...) {
    char line[1024];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    return console_out(&verification->cli->console, err, "%-16s%s\n", what, line);
}

/* No damage: what is sealed is whole. But nobody may take it for a part of the run. */
static bool note_foreign(void *context, const char *path, struct err *err) {
    const struct verification *verification = context;
    struct buffer line = {0};
    bool is_fine = print_escape(&line, text_from(path), err);
    if (is_fine) {
        console_say(&verification->cli->console, LOG_NOTE,
                    "note: %.*s is not of this run: its next start removes what the manifest does "
                    "not list",
                    (int)line.size_bytes, line.bytes);
    }
    buffer_release(&line);
    return is_fine;
}

/* Opening the run has read every file; here it is only told. */
static bool verify_checksums(struct verification *verification, struct err *err) {
    struct stage_list list = run_stages(verification->run);
    uint64_t files_total = 0;
    uint64_t bytes_total = 0;
    char files_text[PRINT_NUMBER_MAX];
    char bytes_text[PRINT_NUMBER_MAX];
    for (size_t index = 0; index < list.stages_count; index++) {
        size_t files_count;
        const struct run_file *files =
            run_stage_files(verification->run, list.stages[index], &files_count);
        for (size_t file = 0; file < files_count; file++) {
            bytes_total += files[file].size_bytes;
        }
        files_total += files_count;
    }
    (void)print_count(files_total, files_text);
    (void)print_count(bytes_total, bytes_text);
    return verify_tell(verification, err, "checksums", "%s files, %s bytes: all as sealed",
                       files_text, bytes_text) &&
           run_each_foreign(verification->run, note_foreign, verification, err);
}

static bool verify_totals(struct verification *verification, struct err *err) {
    struct stage_list list = run_stages(verification->run);
    uint64_t checked = 0;
    uint64_t agreeing = 0;
    char checked_text[PRINT_NUMBER_MAX];
    char agreeing_text[PRINT_NUMBER_MAX];
    for (size_t index = 0; index < list.stages_count; index++) {
        size_t rows_count;
        const struct totals_row *rows =
            run_stage_totals(verification->run, list.stages[index], &rows_count);
        for (size_t row = 0; row < rows_count; row++) {
            checked++;
            if (decimal_compare(rows[row].left, rows[row].right) == 0) {
                agreeing++;
                continue;
            }
            struct disagreement *found = disagreements_add(&verification->disagreements);
            if (found != NULL) {
                disagreement_name(found->org_id, text_from(list.stages[index]->name));
                disagreement_name(found->metric, text_from(rows[row].unit));
                disagreement_name(found->what, text_from(rows[row].name));
                (void)decimal_format(rows[row].left, found->sealed);
                (void)decimal_format(rows[row].right, found->expected);
            }
        }
    }
    (void)print_count(checked, checked_text);
    (void)print_count(agreeing, agreeing_text);
    return verify_tell(verification, err, "control totals", "%s of %s agree", agreeing_text,
                       checked_text);
}

static bool tell_disagreement(struct console *console, const struct disagreement *found,
                              struct err *err) {
    struct buffer line = {0};
    bool is_fine = buffer_append(&line, text_from("  "), err) &&
                   print_fill(&line, text_from(found->org_id), 20, err) &&
                   buffer_append(&line, text_from("  "), err) &&
                   print_fill(&line, text_from(found->metric), 16, err) &&
                   buffer_append(&line, text_from("  "), err) &&
                   print_escape(&line, text_from(found->what), err) &&
                   buffer_append_format(&line, err, ": sealed %s, should be %s\n", found->sealed,
                                        found->expected) &&
                   console_out_text(console, buffer_text(&line), err);
    buffer_release(&line);
    return is_fine;
}

static bool tell_disagreements(struct verification *verification, struct err *err) {
    const struct disagreements *found = &verification->disagreements;
    struct console *console = &verification->cli->console;
    char count_text[PRINT_NUMBER_MAX];
    uint64_t shown =
        found->count < DISAGREEMENTS_SHOWN_MAX ? found->count : DISAGREEMENTS_SHOWN_MAX;
    if (found->count == 0) {
        return true;
    }
    (void)print_count(found->count, count_text);
    if (!console_out(console, err, "\n%s value%s not agree", count_text,
                     found->count == 1 ? " does" : "s do") ||
        !console_out(console, err, "%s:\n", shown < found->count ? "; the first" : "")) {
        return false;
    }
    for (uint64_t index = 0; index < shown; index++) {
        if (!tell_disagreement(console, &found->first[index], err)) {
            return false;
        }
    }
    (void)err_set(err, ERR_CONTROL, "%s: %s value%s not agree", run_path(verification->run),
                  count_text, found->count == 1 ? " does" : "s do");
    return err_hint(err,
                    "do not bill from this run; see what else its stages say: periodclose "
                    "replay %s --from meter --run-dir NEW",
                    shell_word(run_path(verification->run), &(struct shell_word){0}));
}

static bool verify_all(struct verification *verification, struct err *err) {
    if (run_next_stage(verification->run) == run_stages(verification->run).stages[0]) {
        return verify_tell(verification, err, "nothing yet", "no stage of the run is done");
    }
    return verify_checksums(verification, err) && verify_totals(verification, err) &&
           verify_charges(verification, err) && verify_reports(verification, err) &&
           tell_disagreements(verification, err);
}

/* Of a run that is verified there is nothing left but to read it; else it goes on. */
static void verify_next(const struct verification *verification) {
    struct cli *cli = verification->cli;
    if (run_stage_is_done(verification->run, &stage_report)) {
        cli_next_of_reports(cli, verification->run);
    } else {
        cli_next_of_run(cli, verification->run);
    }
}

/* A number that does not agree is no damage: nobody knows yet which side is right. */
static void verify_next_wrong(const struct verification *verification) {
    char beside[FILE_PATH_MAX];
    struct err cut = {0};
    const char *path = run_path(verification->run);
    if (path_format(beside, &cut, "%s.%s", path, stage_meter.name)) {
        cli_next(verification->cli, "periodclose replay %s --from %s --run-dir %s",
                 shell_word(path, &(struct shell_word){0}), stage_meter.name,
                 shell_word(beside, &(struct shell_word){0}));
    }
    err_release(&cut);
}

static bool verify_run(struct cli *cli, struct err *err) {
    const char *path;
    struct verification *verification = arena_alloc(cli->arena, sizeof *verification, err);
    if (verification == NULL || !cli_run_path(cli, &path, err) ||
        !cli_jobs(cli, &verification->jobs, err) ||
        !run_open_jobs(cli->sys, path, stages_all(), RUN_INSPECT, verification->jobs,
                       &verification->run, err)) {
        return false;
    }
    verification->cli = cli;
    bool is_fine = verify_all(verification, err);
    if (is_fine) {
        verify_next(verification);
    } else if (err->code == ERR_CONTROL) {
        verify_next_wrong(verification);
    }
    run_close(verification->run);
    return is_fine;
}

const struct command command_verify = {
    .name = "verify",
    .summary = "checksums, control totals, and every cost computed once more",
    .arguments = "RUN",
    .positionals_max = 1,
    .positional = "RUN",
    .options = OPTION_BIT(OPTION_RUN_DIR) | OPTION_BIT(OPTION_JOBS),
    .description =
        "Reads every sealed file and compares its SHA-256; checks every control total; the\n"
        "reports against SHA256SUMS, and the sums of overages.csv against the tables.\n"
        "Computes every quantity, overage, tier, cost, trend and projection once\n"
        "more from what extract sealed, with plain sums on decimal digits that share no code\n"
        "with the stages.\n"
        "\n"
        "Exit status 12 when a file is not as sealed, 14 when a number does not agree: then\n"
        "the first 20 are shown. Takes no lock and changes nothing.",
    .example = "periodclose verify /var/lib/periodclose/2026-10",
    .run = verify_run,
};
