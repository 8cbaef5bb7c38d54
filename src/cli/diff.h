/*
 * What `diff` compares: inside of the command, split over command_diff*.c.
 *
 * A comparison is one table that both runs have, its key (org_id, or org_id and metric) and the
 * columns that matter. Both runs are walked side by side in key order, shard by shard each, so that
 * shards may be cut differently and nothing grows with the number of rows.
 */
#ifndef PERIODCLOSE_CLI_DIFF_H
#define PERIODCLOSE_CLI_DIFF_H

#include "cli/cli.h"
#include "cli/print.h"
#include "cli/shard_walk.h"

enum { DIFF_COLUMNS_MAX = 20, DIFF_ORG_MAX = 512, DIFF_NO_COLUMN = TABLE_COLUMNS_MAX };

struct comparison {
    const struct table_schema *schema;
    bool has_metric; /* the key's second column; else the key is the org alone */
    const char *noun;
    const char *nouns;
    size_t columns_count;
    size_t columns[DIFF_COLUMNS_MAX];
    uint32_t zero_columns;  /* bits: a missing row stands for zeros in them; 0: for nothing */
    uint32_t money_columns; /* bits: amounts, shown with the decimals of the currency */
    size_t money_column;    /* the difference that is told as money; DIFF_NO_COLUMN: none */
    const char *unrecorded; /* the status in a folder of what a database has as recorded, or NULL */
};

enum side { SIDE_A, SIDE_B, SIDES_COUNT };

struct diff {
    struct cli *cli;
    struct run *runs[SIDES_COUNT];
    enum print_format format;
    const char *metric_wanted; /* --metric, or NULL */
    uint64_t differing;        /* keys, over all tables */
    bool has_other;            /* differences that are told, but not row by row */
    bool is_identical;         /* the files, as far as was looked */
    char
        first_org[DIFF_ORG_MAX]; /* the first org that differs in a row; empty: none, or too long */
};

/* One side of a comparison: its rows, and the orgs beside them for their currencies. */
struct diff_side {
    struct shard_walk rows;
    struct shard_walk orgs;
};

/* A key that is on both sides, or on one. */
struct diff_pair {
    bool has[SIDES_COUNT];
    const struct table_cursor *rows[SIDES_COUNT]; /* NULL where it has none */
    struct text org_id;
    struct text metric;              /* empty for orgs */
    const struct currency *currency; /* NULL: unknown */
};

struct diff_counts {
    uint64_t compared;
    uint64_t differing;
    uint64_t only[SIDES_COUNT];
    uint64_t unrecorded[SIDES_COUNT]; /* on that side, and recorded on the other */
    size_t org_width;                 /* of the longest id and metric that differ, in characters */
    size_t metric_width;
};

/* Is org and metric among those asked for? */
bool diff_is_wanted(const struct diff *diff, struct text org_id, struct text metric);
bool diff_cell_differs(const struct diff_pair *pair, const struct comparison *comparison,
                       size_t column);

/* command_diff_rows.c: walks both sides; with widths, prints each pair that differs. */
bool diff_walk(struct diff *diff, const struct comparison *comparison,
               const struct diff_counts *widths, struct diff_counts *counts, struct err *err);

/* command_diff_print.c */
bool diff_print_header(const struct diff *diff, struct err *err);
bool diff_print_pair(const struct diff *diff, const struct comparison *comparison,
                     const struct diff_pair *pair, const struct diff_counts *widths,
                     struct err *err);

/* A value as people read it; "-" for none. */
bool diff_append_cell(struct buffer *line, const struct table_cursor *row,
                      const struct table_schema *schema, size_t column, struct err *err);

/* command_diff_tables.c: has only one side the table, since the stage of the other is of a version
 * that had none? *has_it: that side. What the manifest names and is not there is damage instead. */
bool diff_table_is_on_one_side(const struct diff *diff, const struct stage *stage,
                               const struct table_schema *schema, enum side *has_it);
/* Of it nothing is compared: that is told, and no difference. */
bool diff_say_one_side(const struct diff *diff, const struct stage *stage, const char *words,
                       enum side has_it, struct err *err);
bool diff_is_of_table(const struct run_file *file, const struct table_schema *schema);
/* How many rows of a table without a comparison differ, and the first. */
bool diff_table(struct diff *diff, const struct stage *stage, const struct table_schema *schema,
                struct err *err);

/* command_diff_totals.c: the cost of both runs per currency; what is billed where that is another.
 */
bool diff_totals(const struct diff *diff, struct err *err);

#endif
