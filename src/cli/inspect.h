/* What `inspect` shows: inside of the command, split over command_inspect*.c. */
#ifndef PERIODCLOSE_CLI_INSPECT_H
#define PERIODCLOSE_CLI_INSPECT_H

#include "cli/cli.h"
#include "cli/print.h"
#include "sys/files.h"

struct inspection {
    struct cli *cli;
    struct run *run;
    enum print_format format;
    const struct stage *stage;         /* NULL: the whole run */
    const struct table_schema *schema; /* NULL: the whole stage */
    bool has_shard;                    /* one file of the table, else all */
    size_t shard_index;
};

/* RUN[/STAGE[/TABLE]] taken apart by what is on disk; the words are empty where not given. */
struct inspect_target {
    char run_path[FILE_PATH_MAX];
    char stage[FILE_PATH_MAX];
    char table[FILE_PATH_MAX];
};

bool inspect_target_find(const struct sys *sys, const char *path, struct inspect_target *target,
                         struct err *err);
/* ERR_USAGE for an unknown stage or table, listing what there is. */
bool inspect_target_resolve(const struct inspect_target *target, struct inspection *inspection,
                            struct err *err);

/* command_inspect_overview.c: the run, or one stage, from manifest and declarations. */
bool inspect_run(const struct inspection *inspection, struct err *err);
bool inspect_stage(const struct inspection *inspection, struct err *err);

/* command_inspect_rows.c: the rows of a table; --org filters them. */
bool inspect_rows(const struct inspection *inspection, struct err *err);

#endif
