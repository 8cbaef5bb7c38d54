/* ingest: usage files, or a whole dataset folder, into a database. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/commands.h"
#include "core/memory.h"
#include "database_option.h"
#include "source/ingest.h"
#include "sys/clock.h"
#include "sys/process.h"

struct ingesting {
    struct cli *cli;
    int64_t started_us[2]; /* of each phase; 0: not begun */
};

static void ingest_progress(void *context, enum ingest_phase phase, uint64_t done, uint64_t total) {
    static const struct stage phases[] = {
        [INGEST_READS] = {.name = "read"}, [INGEST_WRITES] = {.name = "write"}};
    struct ingesting *ingesting = context;
    int64_t now_us = clock_monotonic_us(ingesting->cli->sys);
    if (ingesting->started_us[phase] == 0) {
        ingesting->started_us[phase] = now_us;
    }
    const struct run_event event = {
        .kind = RUN_STAGE_GOES_ON,
        .stage = &phases[phase],
        .done = done,
        .total = total,
        .unit = phase == INGEST_READS ? "bytes" : "rows",
        .elapsed_us = now_us - ingesting->started_us[phase],
    };
    console_observe(&ingesting->cli->console, &event);
}

static bool ingest_print(struct cli *cli, const struct ingest_counts *counts, size_t counts_count,
                         struct err *err) {
    bool is_fine =
        counts_count == 0 || console_out(&cli->console, err, "%-24s %12s %12s %12s %12s\n", "file",
                                         "rows", "taken", "duplicates", "refused");
    for (size_t index = 0; is_fine && index < counts_count; index++) {
        const struct ingest_counts *file = &counts[index];
        is_fine = console_out(&cli->console, err,
                              "%-24s %12" PRIu64 " %12" PRIu64 " %12" PRIu64 " %12" PRIu64 "\n",
                              file->name, file->rows, file->taken, file->duplicates, file->refused);
    }
    return is_fine;
}

/* Refused rows are told when all others are taken: what to do is another thing then. */
static bool ingest_end(const struct problems *problems, struct err *err) {
    if (problems_check(problems, err)) {
        return true;
    }
    return err->code != ERR_INPUT ||
           err_hint(err, "all other rows were taken; put the corrected ones into a file of their "
                         "own, as rows without event_id would count twice in a changed file");
}

static bool ingest_into(struct cli *cli, struct db *db, const char *scratch, struct err *err) {
    struct ingesting ingesting = {.cli = cli};
    struct ingest_options options = {
        .path = cli->positionals[0],
        .scratch_folder = scratch,
        .progress = ingest_progress,
        .progress_context = &ingesting,
    };
    struct ingest_counts *counts = NULL;
    size_t counts_count = 0;
    struct problems *problems = problems_create(err);
    bool is_fine = problems != NULL && cli_jobs(cli, &options.jobs, err) &&
                   ingest_run(cli->sys, db, &options, &counts, &counts_count, problems, err);
    const char *note;
    for (size_t index = 0; problems != NULL && (note = problems_note_text(problems, index)) != NULL;
         index++) {
        console_say(&cli->console, LOG_NOTE, "%s", note);
    }
    struct err printing = {0};
    if (!ingest_print(cli, counts, counts_count, is_fine ? err : &printing)) {
        is_fine = false;
    }
    err_release(&printing);
    is_fine = is_fine && ingest_end(problems, err);
    mem_free(counts);
    problems_destroy(problems);
    return is_fine;
}

/* A folder of this process alone, for what does not fit in memory while small files are judged. */
static bool ingest_scratch(const struct cli *cli, char path[FILE_PATH_MAX], struct err *err) {
    const char *folder = getenv("TMPDIR");
    return path_format(path, err, "%s/periodclose-ingest-%d-%" PRId64,
                       folder != NULL && folder[0] != '\0' ? folder : "/tmp", process_id(),
                       clock_monotonic_us(cli->sys)) &&
           directory_create(cli->sys, path, err);
}

static bool ingest_command(struct cli *cli, struct err *err) {
    char scratch[FILE_PATH_MAX];
    struct db *db;
    if (!cli_open_database(cli, true, &db, err)) {
        return false;
    }
    bool is_fine = ingest_scratch(cli, scratch, err);
    if (is_fine) {
        struct err removing = {0};
        is_fine = ingest_into(cli, db, scratch, err);
        if (!path_remove_tree(cli->sys, scratch, is_fine ? err : &removing)) {
            is_fine = false;
        }
        err_release(&removing);
    }
    db_close(db);
    if (is_fine) {
        cli_next_close(cli);
    }
    return is_fine;
}

const struct command command_ingest = {
    .name = "ingest",
    .summary = "usage files or a dataset folder into a database",
    .arguments = "FILE|DIR --database CONNINFO",
    .positionals_min = 1,
    .positionals_max = 1,
    .positional = "FILE",
    .options = OPTION_BIT(OPTION_DATABASE) | OPTION_BIT(OPTION_JOBS),
    .description =
        "Takes a file of usage, or a folder with all files of a dataset. Rows are judged as\n"
        "a run judges them; with a bad one nothing is written. Then new and changed rows of\n"
        "the small files are written together, and usage in batches, each with its keys and\n"
        "the cache. An org whose subscriptions overlap is refused with all it has.\n\n"
        "An event is known by its org and event_id: the same content is a duplicate, other\n"
        "content is refused and listed (exit 10, after all else was taken). A row without\n"
        "event_id is known by its line in a file of exactly that content. So it is safe to\n"
        "kill an ingest and to type it again, but a file that has changed since is another\n"
        "file: give its rows event ids, or only the new rows.\n\n"
        "stdout says for each file how many rows were taken, duplicates or refused.",
    .example = "periodclose ingest usage-2026-10.csv --database 'host=db1 dbname=billing'",
    .run = ingest_command,
};
