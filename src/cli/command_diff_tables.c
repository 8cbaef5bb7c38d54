/*
 * diff: the tables that are not told row by row. Their files may differ in what they say of their
 * origin alone (a folder, a database), so their rows are compared: how many differ, and the first.
 */
#include <stdio.h>

#include "diff.h"

struct plain_table {
    const struct table_schema *schema;
    const char *words;
    bool is_numbered;    /* its key is a series number, which tells a person nothing */
    bool has_nulls_last; /* in its key; else they are first */
};

static const struct plain_table plain_tables[] = {
    {&checkpoint_plans, "plans", false, false},
    {&checkpoint_prices, "prices", false, false},
    {&checkpoint_tiers, "price tiers", false, false},
    {&checkpoint_subscriptions, "subscriptions", false, false},
    {&checkpoint_limits, "limits", false, false},
    {&checkpoint_history, "earlier periods", false, false},
    {&checkpoint_seats, "seats", false, true},
    {&checkpoint_invitations, "invitations", false, false},
    {&checkpoint_series, "sums of usage", false, false},
    {&checkpoint_days, "days of usage", true, false},
    {&checkpoint_keys, "days of unique keys", true, false},
    {&checkpoint_levels, "days of levels", true, false},
    {&checkpoint_moments, "sums of days", true, false},
    {&checkpoint_daily, "days of very large usage", true, false},
    {&checkpoint_asides, "sums of late or unpriced usage", false, false},
    {&checkpoint_categories, "counts of events", false, false},
    {&checkpoint_lines, "tiers of charges", false, false},
    {&checkpoint_adjustments, "adjustments", false, false},
    {&checkpoint_invoices, "invoices", false, false},
};

/* Paths are FOLDER/TABLE[.SHARD].arrow. */
bool diff_is_of_table(const struct run_file *file, const struct table_schema *schema) {
    const char *slash = strrchr(file->path, '/');
    const char *name = slash != NULL ? slash + 1 : file->path;
    size_t length = strlen(schema->name);
    return strncmp(name, schema->name, length) == 0 && name[length] == '.';
}

static bool names_table(const struct run *run, const struct stage *stage,
                        const struct table_schema *schema) {
    size_t files_count;
    const struct run_file *files = run_stage_files(run, stage, &files_count);
    for (size_t index = 0; index < files_count; index++) {
        if (diff_is_of_table(&files[index], schema)) {
            return true;
        }
    }
    return false;
}

bool diff_table_is_on_one_side(const struct diff *diff, const struct stage *stage,
                               const struct table_schema *schema, enum side *has_it) {
    bool has[SIDES_COUNT];
    for (enum side side = SIDE_A; side < SIDES_COUNT; side++) {
        has[side] = run_stage_version(diff->runs[side], stage) == stage->version ||
                    names_table(diff->runs[side], stage, schema);
    }
    *has_it = has[SIDE_A] ? SIDE_A : SIDE_B;
    return has[SIDE_A] != has[SIDE_B];
}

bool diff_say_one_side(const struct diff *diff, const struct stage *stage, const char *words,
                       enum side has_it, struct err *err) {
    enum side other = has_it == SIDE_A ? SIDE_B : SIDE_A;
    int version = run_stage_version(diff->runs[other], stage);
    const char *letters[SIDES_COUNT] = {"A", "B"};
    struct console *console = &diff->cli->console;
    if (diff->format != PRINT_TEXT) {
        console_say(console, LOG_NOTE,
                    "note: %s: %s not compared, only %s has them: %s is of version %d of the stage",
                    stage->name, words, letters[has_it], letters[other], version);
        return true;
    }
    return console_out(
        console, err,
        "%-8s not compared: %s, only %s has them (%s is of version %d of the stage)\n", stage->name,
        words, letters[has_it], letters[other], version);
}

static const struct plain_table *find_table(const struct table_schema *schema) {
    size_t index = 0;
    while (index < sizeof plain_tables / sizeof *plain_tables &&
           plain_tables[index].schema != schema) {
        index++;
    }
    assert(index < sizeof plain_tables / sizeof *plain_tables); /* all others are comparisons */
    return &plain_tables[index];
}

/* What a folder is read for and a database need not be: events that came twice, or of other orgs
 * and times. They are no part of the close. */
static bool matters(const struct plain_table *table, const struct table_cursor *row) {
    static const char *const unread[] = {"not_selected", "duplicate", "outside"};
    bool is_read = true;
    for (size_t index = 0; table->schema == &checkpoint_categories && index < 3; index++) {
        is_read = is_read &&
                  !text_equals(table_get_text(row, CATEGORIES_CATEGORY), text_from(unread[index]));
    }
    return is_read;
}

static bool next_that_matters(const struct plain_table *table, struct shard_walk *rows,
                              struct err *err) {
    while (rows->has_row && !matters(table, &rows->cursor)) {
        if (!shard_walk_next(rows, err)) {
            return false;
        }
    }
    return true;
}

static int compare_numbers(int64_t left, int64_t right) {
    return (left > right) - (left < right);
}

static int compare_values(const struct plain_table *table, const struct table_cursor *left,
                          const struct table_cursor *right, size_t column) {
    bool is_null = table_is_null(left, column);
    if (is_null || table_is_null(right, column)) {
        int order = (int)table_is_null(right, column) - (int)is_null;
        return table->has_nulls_last ? -order : order;
    }
    switch (table->schema->columns[column].type) {
    case TABLE_DECIMAL:
        return decimal_compare(table_get_decimal(left, column), table_get_decimal(right, column));
    case TABLE_UTF8:
        return text_compare(table_get_text(left, column), table_get_text(right, column));
    case TABLE_INT64:
        return compare_numbers(table_get_int64(left, column), table_get_int64(right, column));
    case TABLE_TIMESTAMP:
        return instant_compare(table_get_instant(left, column), table_get_instant(right, column));
    case TABLE_DATE:
        return compare_numbers(table_get_date(left, column), table_get_date(right, column));
    case TABLE_BOOL:
        return (int)table_get_bool(left, column) - (int)table_get_bool(right, column);
    }
    return 0;
}

/* By the columns from..until: below, at or above zero. */
static int compare_columns(const struct plain_table *table,
                           const struct shard_walk rows[SIDES_COUNT], size_t from, size_t until) {
    int order = 0;
    for (size_t column = from; order == 0 && column < until; column++) {
        order = compare_values(table, &rows[SIDE_A].cursor, &rows[SIDE_B].cursor, column);
    }
    return order;
}

static int compare_keys(const struct plain_table *table,
                        const struct shard_walk rows[SIDES_COUNT]) {
    if (!rows[SIDE_A].has_row || !rows[SIDE_B].has_row) {
        return rows[SIDE_A].has_row ? -1 : 1;
    }
    return compare_columns(table, rows, 0, table->schema->key_columns_count);
}

/* "starter, tokens: unit_price 0.1 -> 0.3", "acme, u7: only in A". */
static bool append_row(struct buffer *line, const struct plain_table *table,
                       const struct shard_walk rows[SIDES_COUNT], int order, struct err *err) {
    const struct table_cursor *key = &rows[order <= 0 ? SIDE_A : SIDE_B].cursor;
    const struct table_schema *schema = table->schema;
    for (size_t column = 0; column < schema->key_columns_count; column++) {
        /* of plans and prices: today's, or those sealed before */
        bool is_terms = strcmp(schema->columns[column].name, "terms") == 0;
        if (!is_terms && !table_is_null(key, column) &&
            (!buffer_append(line, text_from(line->size_bytes > 0 ? ", " : ""), err) ||
             !diff_append_cell(line, key, schema, column, err))) {
            return false;
        }
    }
    if (order != 0) {
        return buffer_append_format(line, err, ": only in %s", order < 0 ? "A" : "B");
    }
    const char *separator = ":";
    for (size_t column = schema->key_columns_count; column < schema->columns_count; column++) {
        if (compare_columns(table, rows, column, column + 1) == 0) {
            continue;
        }
        if (!buffer_append_format(line, err, "%s %s ", separator, schema->columns[column].name) ||
            !diff_append_cell(line, &rows[SIDE_A].cursor, schema, column, err) ||
            !buffer_append(line, text_from(" -> "), err) ||
            !diff_append_cell(line, &rows[SIDE_B].cursor, schema, column, err)) {
            return false;
        }
        separator = ";";
    }
    return true;
}

static bool walk_tables(struct diff *diff, const struct plain_table *table,
                        struct diff_counts *counts, struct buffer *first, struct err *err) {
    struct shard_walk rows[SIDES_COUNT] = {0};
    bool is_fine = shard_walk_start(&rows[SIDE_A], diff->runs[SIDE_A], table->schema, err) &&
                   shard_walk_start(&rows[SIDE_B], diff->runs[SIDE_B], table->schema, err);
    while (is_fine) {
        is_fine = next_that_matters(table, &rows[SIDE_A], err) &&
                  next_that_matters(table, &rows[SIDE_B], err);
        if (!is_fine || (!rows[SIDE_A].has_row && !rows[SIDE_B].has_row)) {
            break;
        }
        int order = compare_keys(table, rows);
        bool differs = order != 0 || compare_columns(table, rows, table->schema->key_columns_count,
                                                     table->schema->columns_count) != 0;
        counts->compared++;
        counts->differing += differs ? 1 : 0;
        is_fine = !differs || counts->differing > 1 || table->is_numbered ||
                  append_row(first, table, rows, order, err);
        is_fine = is_fine && (order > 0 || shard_walk_next(&rows[SIDE_A], err)) &&
                  (order < 0 || shard_walk_next(&rows[SIDE_B], err));
    }
    shard_walk_close(&rows[SIDE_A]);
    shard_walk_close(&rows[SIDE_B]);
    return is_fine;
}

static bool say_table(const struct diff *diff, const struct stage *stage,
                      const struct plain_table *table, const struct diff_counts *counts,
                      struct text first, struct err *err) {
    struct console *console = &diff->cli->console;
    char compared[PRINT_NUMBER_MAX];
    char differing[PRINT_NUMBER_MAX];
    (void)print_count(counts->compared, compared);
    (void)print_count(counts->differing, differing);
    if (!console_out(console, err, "%-8s %s of %s %s differ%s", stage->name, differing, compared,
                     table->words, counts->differing == 1 ? "s" : "")) {
        return false;
    }
    return (first.size_bytes == 0 ||
            (console_out(console, err, counts->differing == 1 ? ": " : ", the first: ") &&
             console_out_text(console, first, err))) &&
           console_out(console, err, "\n");
}

bool diff_table(struct diff *diff, const struct stage *stage, const struct table_schema *schema,
                struct err *err) {
    const struct plain_table *table = find_table(schema);
    enum side has_it;
    if (diff_table_is_on_one_side(diff, stage, schema, &has_it)) {
        return diff_say_one_side(diff, stage, table->words, has_it, err);
    }
    struct diff_counts counts = {0};
    struct buffer first = {0};
    bool is_fine = walk_tables(diff, table, &counts, &first, err);
    if (is_fine && counts.differing > 0) {
        diff->has_other = true;
        is_fine = diff->format != PRINT_TEXT ||
                  say_table(diff, stage, table, &counts, buffer_text(&first), err);
    }
    buffer_release(&first);
    return is_fine;
}
