/* inspect: a look into a run directory, without a tool for Arrow files at hand. */
#include <stdio.h>

#include "cli/commands.h"
#include "inspect.h"
#include "stage/stages.h"

static bool is_run_directory(const struct sys *sys, const char *path, bool *is_run,
                             struct err *err) {
    char manifest[FILE_PATH_MAX];
    enum path_kind kind;
    if (!path_format(manifest, err, "%s/manifest.json", path) ||
        !path_kind(sys, manifest, &kind, err)) {
        return false;
    }
    *is_run = kind == PATH_FILE;
    return true;
}

/* Cuts the last word of path off into word. False when there is none. */
static bool path_cut(char *path, char word[FILE_PATH_MAX]) {
    char *slash = strrchr(path, '/');
    if (slash == NULL || slash == path) {
        return false;
    }
    (void)snprintf(word, FILE_PATH_MAX, "%s", slash + 1);
    *slash = '\0';
    return true;
}

static void path_trim(char *path) {
    for (size_t size = strlen(path); size > 1 && path[size - 1] == '/'; size--) {
        path[size - 1] = '\0';
    }
}

bool inspect_target_find(const struct sys *sys, const char *path, struct inspect_target *target,
                         struct err *err) {
    char words[2][FILE_PATH_MAX] = {"", ""};
    enum { CUTS_MAX = 2 };
    *target = (struct inspect_target){.stage = ""};
    if (!path_format(target->run_path, err, "%s", path)) {
        return false;
    }
    path_trim(target->run_path);
    for (size_t cuts = 0;; cuts++) {
        bool is_run;
        if (!is_run_directory(sys, target->run_path, &is_run, err)) {
            return false;
        }
        if (is_run) {
            if (cuts > 0) {
                (void)snprintf(target->stage, sizeof target->stage, "%s", words[cuts - 1]);
            }
            if (cuts > 1) {
                (void)snprintf(target->table, sizeof target->table, "%s", words[0]);
            }
            return true;
        }
        if (cuts == CUTS_MAX || !path_cut(target->run_path, words[cuts])) {
            break;
        }
        path_trim(target->run_path);
    }
    /* No run directory on the way: opening the whole path says best what is wrong. */
    return path_format(target->run_path, err, "%s", path);
}

/* By name, or by the name of its folder. */
static const struct stage *stage_by_word(struct stage_list list, const char *word) {
    const struct stage *stage = stage_find(list, word);
    for (size_t index = 0; stage == NULL && index < list.stages_count; index++) {
        char folder[64];
        (void)snprintf(folder, sizeof folder, "%d-%s", list.stages[index]->number,
                       list.stages[index]->name);
        stage = strcmp(folder, word) == 0 ? list.stages[index] : NULL;
    }
    return stage;
}

static bool unknown_stage(struct stage_list list, const char *word, struct err *err) {
    char names[ERR_HINT_MAX];
    size_t size = 0;
    for (size_t index = 0; index < list.stages_count && size < sizeof names; index++) {
        size += (size_t)snprintf(names + size, sizeof names - size, "%s%s", index > 0 ? ", " : "",
                                 list.stages[index]->name);
    }
    (void)err_set(err, ERR_USAGE, "'%.200s' is no stage", word);
    return err_hint(err, "the stages are %s", names);
}

static bool unknown_table(const struct stage *stage, const char *word, struct err *err) {
    char names[ERR_HINT_MAX] = "none";
    size_t size = 0;
    for (size_t index = 0; index < stage->outputs_count && size < sizeof names; index++) {
        size += (size_t)snprintf(names + size, sizeof names - size, "%s%s", index > 0 ? ", " : "",
                                 stage->outputs[index].schema->name);
    }
    (void)err_set(err, ERR_USAGE, "stage '%s' has no table '%.200s'", stage->name, word);
    return err_hint(err, "its tables are: %s", names);
}

/* orgs: all files; orgs.arrow and orgs.1.arrow: that file. */
static bool table_is_named(const struct table_schema *schema, const char *word,
                           struct inspection *inspection) {
    static const char suffix[] = ".arrow";
    size_t name_size = strlen(schema->name);
    if (strncmp(word, schema->name, name_size) != 0) {
        return false;
    }
    const char *rest = word + name_size;
    inspection->has_shard = *rest != '\0';
    inspection->shard_index = 0;
    if (*rest == '\0' || strcmp(rest, suffix) == 0) {
        return true;
    }
    if (rest[0] != '.' || rest[1] < '1' || rest[1] > '9') {
        return false;
    }
    enum { SHARD_MAX = 1000000 };
    for (rest++; *rest >= '0' && *rest <= '9' && inspection->shard_index < SHARD_MAX; rest++) {
        inspection->shard_index = inspection->shard_index * 10 + (size_t)(*rest - '0');
    }
    return strcmp(rest, suffix) == 0;
}

bool inspect_target_resolve(const struct inspect_target *target, struct inspection *inspection,
                            struct err *err) {
    struct stage_list list = run_stages(inspection->run);
    if (target->stage[0] == '\0') {
        return true;
    }
    inspection->stage = stage_by_word(list, target->stage);
    if (inspection->stage == NULL) {
        return unknown_stage(list, target->stage, err);
    }
    if (!run_stage_is_done(inspection->run, inspection->stage)) {
        (void)err_set(err, ERR_USAGE, "stage '%s' is not done yet", inspection->stage->name);
        return err_hint(err, "periodclose status %s",
                        shell_word(run_path(inspection->run), &(struct shell_word){0}));
    }
    if (target->table[0] == '\0') {
        return true;
    }
    for (size_t index = 0; index < inspection->stage->outputs_count; index++) {
        const struct stage_output *output = &inspection->stage->outputs[index];
        size_t shards_count = output->is_sharded ? run_shards_count(inspection->run) : 1;
        if (table_is_named(output->schema, target->table, inspection) &&
            (!inspection->has_shard || inspection->shard_index < shards_count)) {
            inspection->schema = output->schema;
            return true;
        }
    }
    return unknown_table(inspection->stage, target->table, err);
}

/* One step nearer: from the run to its last stage, to its first table, to an org. */
static void inspect_next(const struct inspection *inspection, const char *path) {
    struct cli *cli = inspection->cli;
    const char *run_word = shell_word(path, &(struct shell_word){0});
    const char *org_id = option_value(&cli->options, OPTION_ORG);
    const struct stage *stage = inspection->stage;
    struct stage_list list = run_stages(inspection->run);
    for (size_t index = 0; inspection->stage == NULL && index < list.stages_count; index++) {
        bool has_tables = list.stages[index]->outputs_count > 0;
        if (has_tables && run_stage_is_done(inspection->run, list.stages[index])) {
            stage = list.stages[index];
        }
    }
    if (stage == NULL) {
        cli_next(cli, "periodclose status %s", run_word);
    } else if (inspection->stage == NULL) {
        cli_next(cli, "periodclose inspect %s/%s", run_word, stage->name);
    } else if (inspection->schema == NULL && stage->outputs_count > 0) {
        cli_next(cli, "periodclose inspect %s/%s/%s", run_word, stage->name,
                 stage->outputs[0].schema->name);
    } else if (org_id != NULL) {
        cli_next(cli, "periodclose explain %s --org %s", run_word,
                 shell_word(org_id, &(struct shell_word){0}));
    } else {
        cli_next(cli, "periodclose inspect %s", run_word);
    }
}

static bool inspect_command(struct cli *cli, struct err *err) {
    const char *path;
    struct inspect_target target;
    struct inspection inspection = {.cli = cli};
    size_t jobs;
    if (!cli_run_path(cli, &path, err) || !print_format(cli, &inspection.format, err) ||
        !cli_jobs(cli, &jobs, err) || !inspect_target_find(cli->sys, path, &target, err)) {
        return false;
    }
    if (!run_open_jobs(cli->sys, target.run_path, stages_all(), RUN_INSPECT, jobs, &inspection.run,
                       err)) {
        cli_next_remedy(cli, target.run_path, err);
        return false;
    }
    cli_next(cli, "periodclose status %s", shell_word(target.run_path, &(struct shell_word){0}));
    bool is_fine = inspect_target_resolve(&target, &inspection, err);
    if (is_fine && inspection.schema == NULL && option_is_set(&cli->options, OPTION_ORG)) {
        is_fine = err_set(err, ERR_USAGE, "--org: only with a table, as in RUN/rate/charges");
    } else if (is_fine) {
        is_fine = inspection.stage == NULL    ? inspect_run(&inspection, err)
                  : inspection.schema == NULL ? inspect_stage(&inspection, err)
                                              : inspect_rows(&inspection, err);
    }
    if (is_fine) {
        inspect_next(&inspection, target.run_path);
    }
    run_close(inspection.run);
    return is_fine;
}

const struct command command_inspect = {
    .name = "inspect",
    .summary = "what a run directory holds: stages, tables, rows",
    .arguments = "RUN[/STAGE[/TABLE]] [--org ID]... [--format csv|json]",
    .positionals_max = 1,
    .positional = "RUN/STAGE/TABLE",
    .options = OPTION_BIT(OPTION_RUN_DIR) | OPTION_BIT(OPTION_ORG) | OPTION_BIT(OPTION_FORMAT) |
               OPTION_BIT(OPTION_JOBS),
    .option_texts =
        {
            {OPTION_RUN_DIR, "what to look at, instead of the word RUN/STAGE/TABLE", NULL},
            {OPTION_ORG, "of a table: only rows of this org; may be given several times", NULL},
            {OPTION_FORMAT, "form of the output (of rows: csv, if not given)", NULL},
        },
    .description =
        "Of a run: what is pinned, and the stages with their files, rows, bytes, SHA-256 and\n"
        "control totals. Of a stage (rate, or 30-rate): its tables and their columns. Of a\n"
        "table: its rows, as CSV or as JSON, one object a line, with decimals and 64-bit\n"
        "numbers as strings. Tables by day tell the org and the metric, too.\n"
        "\n"
        "All files are verified before anything is shown. No lock is taken.",
    .example = "periodclose inspect /var/lib/periodclose/2026-10/rate/charges --org acme",
    .run = inspect_command,
};
