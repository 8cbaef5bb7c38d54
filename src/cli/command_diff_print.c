/* diff: what differs in one (org, metric), for people, as CSV, as JSON. */
#include <stdio.h>

#include "diff.h"

/* --- for people ---------------------------------------------------------------------------------
 */

bool diff_append_cell(struct buffer *line, const struct table_cursor *row,
                      const struct table_schema *schema, size_t column, struct err *err) {
    char text[PRINT_NUMBER_MAX] = "";
    if (table_is_null(row, column)) {
        return buffer_append(line, text_from("-"), err);
    }
    switch (schema->columns[column].type) {
    case TABLE_DECIMAL:
        (void)print_decimal(table_get_decimal(row, column), text);
        break;
    case TABLE_UTF8:
        return print_escape(line, table_get_text(row, column), err);
    case TABLE_INT64:
        (void)snprintf(text, sizeof text, "%lld", (long long)table_get_int64(row, column));
        break;
    case TABLE_TIMESTAMP:
        (void)instant_format(table_get_instant(row, column), text);
        break;
    case TABLE_DATE:
        (void)civil_format(table_get_date(row, column), text);
        break;
    case TABLE_BOOL:
        return buffer_append(line, text_from(table_get_bool(row, column) ? "true" : "false"), err);
    }
    return buffer_append(line, text_from(text), err);
}

static bool append_value(struct buffer *line, const struct diff_pair *pair, enum side side,
                         const struct comparison *comparison, size_t column, struct err *err) {
    char text[PRINT_NUMBER_MAX] = "";
    const struct table_cursor *row = pair->rows[side];
    bool is_decimal = comparison->schema->columns[column].type == TABLE_DECIMAL;
    if (!is_decimal || (row != NULL && table_is_null(row, column))) {
        return diff_append_cell(line, row, comparison->schema, column, err);
    }
    /* a row that is missing stands for zero, where values of it are told at all */
    struct decimal value = row != NULL ? table_get_decimal(row, column) : DECIMAL_ZERO;
    if ((comparison->money_columns >> column & 1) != 0 && pair->currency != NULL) {
        (void)print_amount(value, pair->currency, text);
    } else {
        (void)print_decimal(value, text);
    }
    return buffer_append(line, text_from(text), err);
}

/* B - A; what one side does not have counts as nothing. False: does not fit, or is no money. */
static bool money_difference(const struct diff_pair *pair, const struct comparison *comparison,
                             struct decimal *difference) {
    struct decimal values[SIDES_COUNT] = {DECIMAL_ZERO, DECIMAL_ZERO};
    size_t column = comparison->money_column;
    if (column == DIFF_NO_COLUMN || pair->currency == NULL) {
        return false;
    }
    for (enum side side = SIDE_A; side < SIDES_COUNT; side++) {
        if (pair->has[side] && !table_is_null(pair->rows[side], column)) {
            values[side] = table_get_decimal(pair->rows[side], column);
        }
    }
    return decimal_subtract(values[SIDE_B], values[SIDE_A], difference);
}

static bool append_change(struct buffer *line, const struct diff_pair *pair,
                          const struct comparison *comparison, size_t column, bool is_first,
                          struct err *err) {
    const char *name = comparison->schema->columns[column].name;
    return buffer_append_format(line, err, "%s%s ", is_first ? "" : "; ", name) &&
           append_value(line, pair, SIDE_A, comparison, column, err) &&
           buffer_append(line, text_from(" -> "), err) &&
           append_value(line, pair, SIDE_B, comparison, column, err);
}

static bool append_only(struct buffer *line, const struct diff_pair *pair,
                        const struct comparison *comparison, struct err *err) {
    enum side side = pair->has[SIDE_A] ? SIDE_A : SIDE_B;
    size_t column = comparison->money_column != DIFF_NO_COLUMN ? comparison->money_column
                                                               : comparison->columns[0];
    return buffer_append_format(line, err, "only in %s: %s ", side == SIDE_A ? "A" : "B",
                                comparison->schema->columns[column].name) &&
           append_value(line, pair, side, comparison, column, err);
}

static bool append_changes(struct buffer *line, const struct diff_pair *pair,
                           const struct comparison *comparison, struct err *err) {
    bool is_first = true;
    if (comparison->zero_columns == 0 && (!pair->has[SIDE_A] || !pair->has[SIDE_B])) {
        return append_only(line, pair, comparison, err);
    }
    for (size_t index = 0; index < comparison->columns_count; index++) {
        size_t column = comparison->columns[index];
        if (!diff_cell_differs(pair, comparison, column)) {
            continue;
        }
        if (!append_change(line, pair, comparison, column, is_first, err)) {
            return false;
        }
        is_first = false;
    }
    return true;
}

static bool print_pair_text(const struct diff *diff, const struct comparison *comparison,
                            const struct diff_pair *pair, const struct diff_counts *widths,
                            struct err *err) {
    enum { ORG_WIDTH = 20, METRIC_WIDTH = 16, MONEY_WIDTH = 16 }; /* at least */
    size_t org_width = widths->org_width > ORG_WIDTH ? widths->org_width : ORG_WIDTH;
    size_t metric_width = widths->metric_width > METRIC_WIDTH ? widths->metric_width : METRIC_WIDTH;
    struct buffer line = {0};
    struct decimal difference;
    char money[PRINT_NUMBER_MAX] = "";
    if (money_difference(pair, comparison, &difference)) {
        (void)print_difference(difference, pair->currency, money);
    }
    bool is_fine = buffer_append(&line, text_from("  "), err) &&
                   print_fill(&line, pair->org_id, org_width, err) &&
                   buffer_append(&line, text_from("  "), err) &&
                   (!comparison->has_metric ||
                    (print_fill(&line, pair->metric, metric_width, err) &&
                     (comparison->money_column == DIFF_NO_COLUMN
                          ? buffer_append(&line, text_from("  "), err)
                          : buffer_append_format(&line, err, "  %*s  ", MONEY_WIDTH, money)))) &&
                   append_changes(&line, pair, comparison, err) &&
                   buffer_append(&line, text_from("\n"), err) &&
                   console_out_text(&diff->cli->console, buffer_text(&line), err);
    buffer_release(&line);
    return is_fine;
}

/* --- for programs -------------------------------------------------------------------------------
 */

bool diff_print_header(const struct diff *diff, struct err *err) {
    return diff->format != PRINT_CSV ||
           console_out(&diff->cli->console, err,
                       "stage,table,org_id,metric,column,a,b,difference,currency\n");
}

/* A decimal of one side: zero where a missing row stands for it. False: there is none. */
static bool cell_decimal(const struct diff_pair *pair, const struct comparison *comparison,
                         size_t column, enum side side, struct decimal *value) {
    *value = DECIMAL_ZERO;
    if (!pair->has[side]) {
        return (comparison->zero_columns >> column & 1) != 0;
    }
    if (table_is_null(pair->rows[side], column)) {
        return false;
    }
    *value = table_get_decimal(pair->rows[side], column);
    return true;
}

/* Of decimals that both sides have: B - A. */
static bool cell_difference(const struct diff_pair *pair, const struct comparison *comparison,
                            size_t column, char text[DECIMAL_TEXT_MAX]) {
    struct decimal values[SIDES_COUNT];
    struct decimal difference;
    text[0] = '\0';
    if (comparison->schema->columns[column].type != TABLE_DECIMAL ||
        !cell_decimal(pair, comparison, column, SIDE_A, &values[SIDE_A]) ||
        !cell_decimal(pair, comparison, column, SIDE_B, &values[SIDE_B]) ||
        !decimal_subtract(values[SIDE_B], values[SIDE_A], &difference)) {
        return false;
    }
    (void)decimal_format(difference, text);
    return true;
}

static bool print_cell_row(const struct diff *diff, const struct comparison *comparison,
                           const struct diff_pair *pair, size_t column, struct err *err) {
    struct console *console = &diff->cli->console;
    const struct stage_output *output;
    const char *stage =
        stage_of_table(run_stages(diff->runs[SIDE_A]), comparison->schema, &output)->name;
    const struct table_column *declared = &comparison->schema->columns[column];
    char difference[DECIMAL_TEXT_MAX];
    const char *currency = pair->currency != NULL ? pair->currency->code : "";
    bool has_difference = cell_difference(pair, comparison, column, difference);
    bool is_zero = (comparison->zero_columns >> column & 1) != 0; /* where the row is missing */
    if (diff->format == PRINT_CSV) {
        bool is_fine = console_out(console, err, "%s,%s,", stage, comparison->schema->name) &&
                       print_csv(console, pair->org_id, err) && console_out(console, err, ",") &&
                       print_csv(console, pair->metric, err) &&
                       console_out(console, err, ",%s,", declared->name);
        for (enum side side = SIDE_A; is_fine && side < SIDES_COUNT; side++) {
            is_fine = (pair->has[side]
                           ? print_cell_csv(console, pair->rows[side], column, declared->type, err)
                           : console_out(console, err, "%s", is_zero ? "0" : "")) &&
                      console_out(console, err, ",");
        }
        return is_fine && console_out(console, err, "%s,%s\n", difference, currency);
    }
    bool is_fine =
        console_out(console, err, "{\"stage\":\"%s\",\"table\":\"%s\",\"org_id\":", stage,
                    comparison->schema->name) &&
        print_json(console, pair->org_id, err) && console_out(console, err, ",\"metric\":") &&
        (comparison->has_metric ? print_json(console, pair->metric, err)
                                : console_out(console, err, "null")) &&
        console_out(console, err, ",\"column\":\"%s\"", declared->name);
    for (enum side side = SIDE_A; is_fine && side < SIDES_COUNT; side++) {
        is_fine = console_out(console, err, ",\"%s\":", side == SIDE_A ? "a" : "b") &&
                  (pair->has[side]
                       ? print_cell_json(console, pair->rows[side], column, declared->type, err)
                       : console_out(console, err, "%s", is_zero ? "\"0\"" : "null"));
    }
    const char *quote = has_difference ? "\"" : "";
    return is_fine && console_out(console, err, ",\"difference\":%s%s%s,\"currency\":\"%s\"}\n",
                                  quote, has_difference ? difference : "null", quote, currency);
}

bool diff_print_pair(const struct diff *diff, const struct comparison *comparison,
                     const struct diff_pair *pair, const struct diff_counts *widths,
                     struct err *err) {
    if (diff->format == PRINT_TEXT) {
        return print_pair_text(diff, comparison, pair, widths, err);
    }
    for (size_t index = 0; index < comparison->columns_count; index++) {
        size_t column = comparison->columns[index];
        if (diff_cell_differs(pair, comparison, column) &&
            !print_cell_row(diff, comparison, pair, column, err)) {
            return false;
        }
    }
    return true;
}
