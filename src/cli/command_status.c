/* status: how far a run is, how much, what is next. Takes no lock and reads no checkpoint. */
#include <jansson.h>
#include <stdlib.h>

#include "cli/closing.h"
#include "cli/commands.h"
#include "cli/emission.h"
#include "guard.h"
#include "stage/stages.h"

struct status {
    struct run *run;
    bool is_held; /* somebody works on it now */
    struct buffer who;
    bool has_progress;
    struct run_progress_text progress;
};

static uint64_t status_bytes(const struct run_file *files, size_t files_count) {
    uint64_t bytes = 0;
    for (size_t index = 0; index < files_count; index++) {
        bytes += files[index].size_bytes;
    }
    return bytes;
}

static uint64_t status_rows(const struct run_file *files, size_t files_count) {
    uint64_t rows = 0;
    for (size_t index = 0; index < files_count; index++) {
        rows += files[index].rows_count;
    }
    return rows;
}

static bool status_is_at(const struct status *status, const struct stage *stage) {
    return status->is_held && status->has_progress &&
           strcmp(status->progress.stage, stage->name) == 0;
}

static bool status_tell_stage(struct cli *cli, const struct status *status,
                              const struct stage *stage, struct err *err) {
    size_t files_count;
    const struct run_file *files = run_stage_files(status->run, stage, &files_count);
    if (!run_stage_is_done(status->run, stage)) {
        if (!status_is_at(status, stage)) {
            return console_out(&cli->console, err, "  %-9s to do\n", stage->name);
        }
        const struct run_progress_text *progress = &status->progress;
        char time[INSTANT_TEXT_MAX];
        (void)instant_format(progress->updated_at, time);
        if (progress->total == 0) { /* nobody knows yet how much it will be */
            return console_out(&cli->console, err, "  %-9s at work: since %s\n", stage->name, time);
        }
        return console_out(&cli->console, err, "  %-9s at work: %llu of %llu %s at %s\n",
                           stage->name, (unsigned long long)progress->done,
                           (unsigned long long)progress->total, progress->unit, time);
    }
    int64_t elapsed_us = run_stage_elapsed_us(status->run, stage);
    uint64_t rows = status_rows(files, files_count);
    return console_out(&cli->console, err,
                       "  %-9s done  %4zu %-5s %12llu %-4s %14llu bytes  "
                       "%lld.%03lld s\n",
                       stage->name, files_count, files_count == 1 ? "file" : "files",
                       (unsigned long long)rows, rows == 1 ? "row" : "rows",
                       (unsigned long long)status_bytes(files, files_count),
                       (long long)(elapsed_us / 1000000), (long long)(elapsed_us / 1000 % 1000));
}

static const char *status_word(const struct status *status, const struct stage *next) {
    if (status->is_held) {
        return "at work";
    }
    if (run_pinned(status->run, PIN_OPTION, pin_dry_run) != NULL) {
        return "dry run: nothing was recorded";
    }
    return next == NULL ? "closed" : "stopped";
}

static const char *or_none(const char *text) {
    return text != NULL ? text : "-";
}

/* Why nothing was recorded; what of a closed run is to be looked at. */
static const char *status_refused(const struct run *run) {
    return run_stage_is_done(run, &stage_record) ? NULL : run_pinned(run, PIN_VERSION, pin_refused);
}

static const char *status_asides(const struct run *run) {
    return run_next_stage(run) == NULL ? run_pinned(run, PIN_VERSION, pin_asides) : NULL;
}

static bool status_tell_asides(struct cli *cli, const struct run *run, struct err *err) {
    const char *refused = status_refused(run);
    const char *asides = status_asides(run);
    return (refused == NULL || console_out(&cli->console, err, "refused   %s\n", refused)) &&
           (asides == NULL || console_out(&cli->console, err, "to check  %s\n", asides));
}

/* As they are typed. */
static bool status_tell_limits(struct cli *cli, const struct run *run, struct err *err) {
    const char *total = run_pinned(run, PIN_VERSION, pin_max_total);
    const char *change = run_pinned(run, PIN_VERSION, pin_max_change);
    if (total == NULL && change == NULL) {
        return true;
    }
    if (!console_out(&cli->console, err, "limits   ")) {
        return false;
    }
    while (total != NULL && *total != '\0') {
        size_t size = strcspn(total, " ");
        if (!console_out(&cli->console, err, " --max-total %.*s", (int)size, total)) {
            return false;
        }
        total += size + (total[size] == ' ' ? 1 : 0);
    }
    return (change == NULL || console_out(&cli->console, err, " --max-change %s", change)) &&
           console_out(&cli->console, err, "\n");
}

static bool status_tell(struct cli *cli, const struct status *status, struct err *err) {
    struct run *run = status->run;
    struct stage_list list = run_stages(run);
    const struct stage *next = run_next_stage(run);
    if (!console_out(&cli->console, err, "run       %s\nperiod    %s\ncutoff    %s\nid        %s\n",
                     run_path(run), or_none(run_pinned(run, PIN_OPTION, pin_period)),
                     or_none(run_pinned(run, PIN_OPTION, pin_cutoff)), or_none(run_id(run)))) {
        return false;
    }
    const char *origin = run_replay_path(run);
    if (run_is_replay(run) &&
        !console_out(&cli->console, err, "replay of %s%s%s\n", or_none(run_replay_origin(run)),
                     origin != NULL ? " in " : "", origin != NULL ? origin : "")) {
        return false;
    }
    if (!status_tell_limits(cli, run, err) ||
        !console_out(&cli->console, err, "state     %s\n", status_word(status, next))) {
        return false;
    }
    if (!status_tell_asides(cli, run, err)) {
        return false;
    }
    if (status->is_held && !console_out(&cli->console, err, "held by   %.*s\n",
                                        (int)status->who.size_bytes, status->who.bytes)) {
        return false;
    }
    if (!console_out(&cli->console, err, "\n")) {
        return false;
    }
    for (size_t index = 0; index < list.stages_count; index++) {
        if (!status_tell_stage(cli, status, list.stages[index], err)) {
            return false;
        }
    }
    const char *invoices = run_pinned(run, PIN_VERSION, pin_invoices);
    return invoices == NULL || !emission_is_done(run) ||
           console_out(&cli->console, err, "\ninvoices  %s\n", invoices);
}

static json_t *status_stage_json(const struct status *status, const struct stage *stage) {
    size_t files_count;
    const struct run_file *files = run_stage_files(status->run, stage, &files_count);
    bool is_done = run_stage_is_done(status->run, stage);
    json_t *object = json_pack("{s:s, s:s}", "stage", stage->name, "state",
                               is_done                       ? "done"
                               : status_is_at(status, stage) ? "at_work"
                                                             : "to_do");
    if (is_done) {
        (void)json_object_set_new(object, "files", json_integer((json_int_t)files_count));
        (void)json_object_set_new(object, "rows",
                                  json_integer((json_int_t)status_rows(files, files_count)));
        (void)json_object_set_new(object, "bytes",
                                  json_integer((json_int_t)status_bytes(files, files_count)));
        (void)json_object_set_new(object, "elapsed_us",
                                  json_integer(run_stage_elapsed_us(status->run, stage)));
    } else if (status_is_at(status, stage)) {
        (void)json_object_set_new(object, "done", json_integer((json_int_t)status->progress.done));
        (void)json_object_set_new(object, "total",
                                  json_integer((json_int_t)status->progress.total));
        (void)json_object_set_new(object, "unit", json_string(status->progress.unit));
    }
    return object;
}

static bool status_tell_json(struct cli *cli, const struct status *status, struct err *err) {
    struct run *run = status->run;
    struct stage_list list = run_stages(run);
    const struct stage *next = run_next_stage(run);
    json_t *stages = json_array();
    for (size_t index = 0; index < list.stages_count; index++) {
        (void)json_array_append_new(stages, status_stage_json(status, list.stages[index]));
    }
    const char *invoices =
        emission_is_done(run) ? run_pinned(run, PIN_VERSION, pin_invoices) : NULL;
    json_t *object = json_pack(
        "{s:s, s:s?, s:s?, s:s?, s:b, s:s?, s:s, s:s?, s:s?, s:s?, s:s?, s:o}", "run",
        run_path(run), "id", run_id(run), "period", run_pinned(run, PIN_OPTION, pin_period),
        "cutoff", run_pinned(run, PIN_OPTION, pin_cutoff), "is_replay", (int)run_is_replay(run),
        "origin", run_replay_origin(run), "state",
        status->is_held ? "at_work"
        : next == NULL  ? "closed"
                        : "stopped",
        "next_stage", next != NULL ? next->name : NULL, "invoices", invoices, "refused",
        status_refused(run), "to_check", status_asides(run), "stages", stages);
    char *text = object != NULL ? json_dumps(object, JSON_INDENT(2)) : NULL;
    json_decref(object);
    if (text == NULL) {
        return err_memory(err, 4096);
    }
    bool is_fine = console_out_text(&cli->console, text_from(text), err) &&
                   console_out(&cli->console, err, "\n");
    free(text);
    return is_fine;
}

static void status_next(struct cli *cli, const struct status *status) {
    if (status->is_held) {
        cli_next(cli, "periodclose status %s",
                 shell_word(run_path(status->run), &(struct shell_word){0}));
    } else {
        cli_next_of_run(cli, status->run);
    }
}

static bool status_run(struct cli *cli, struct err *err) {
    const char *path;
    struct status status = {0};
    if (!cli_run_path(cli, &path, err) ||
        !run_open(cli->sys, path, stages_all(), RUN_STATUS, &status.run, err)) {
        return false;
    }
    bool is_fine = run_lock_holder(status.run, &status.is_held, &status.who, err) &&
                   run_progress_load(status.run, &status.has_progress, &status.progress, err) &&
                   (option_is_set(&cli->options, OPTION_JSON) ? status_tell_json(cli, &status, err)
                                                              : status_tell(cli, &status, err));
    if (is_fine) {
        status_next(cli, &status);
    }
    buffer_release(&status.who);
    run_close(status.run);
    return is_fine;
}

const struct command command_status = {
    .name = "status",
    .summary = "how far a run is, how much it did, what is next",
    .arguments = "RUN [--json]",
    .positionals_max = 1,
    .positional = "RUN",
    .options = OPTION_BIT(OPTION_RUN_DIR) | OPTION_BIT(OPTION_JSON),
    .description =
        "Tells of every stage whether it is done, with files, rows, bytes and time; of a\n"
        "run that is at work, how far it is. Takes no lock and reads no checkpoint, so\n"
        "it can be asked at any time.",
    .example = "periodclose status /var/lib/periodclose/2026-10",
    .run = status_run,
};
