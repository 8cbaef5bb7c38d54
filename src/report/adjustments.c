/* adjustments.csv: what a revision changed. Only runs that revise another have it. */
#include "report/reports.h"

static const char *const columns[] = {
    "org_id",   "metric",   "late_events", "late_quantity", "old_usage", "new_usage",
    "old_cost", "new_cost", "difference",  "currency",      "reason",
};

static bool adjustments_is_due(const struct report_source *source) {
    return source->is_revision && source->shards_count > 0 && source->shards[0].adjustments != NULL;
}

static bool adjustments_put(struct report_file *file, const struct table_cursor *row,
                            struct err *err) {
    const struct currency *currency = currency_find(table_get_text(row, ADJUSTMENTS_CURRENCY));
    struct decimal old_cost = table_get_decimal(row, ADJUSTMENTS_OLD_COST);
    struct decimal new_cost = table_get_decimal(row, ADJUSTMENTS_NEW_COST);
    struct decimal difference;
    if (currency == NULL || !decimal_subtract(new_cost, old_cost, &difference)) {
        return err_set(err, ERR_DAMAGED, "%s: unknown currency, or costs out of range",
                       table_path(row->table));
    }
    report_text(file, table_get_text(row, ADJUSTMENTS_ORG_ID));
    report_text(file, table_get_text(row, ADJUSTMENTS_METRIC));
    report_int64(file, table_get_int64(row, ADJUSTMENTS_LATE_EVENTS));
    report_decimal(file, table_get_decimal(row, ADJUSTMENTS_LATE_QUANTITY));
    report_decimal(file, table_get_decimal(row, ADJUSTMENTS_OLD_USAGE));
    report_decimal(file, table_get_decimal(row, ADJUSTMENTS_NEW_USAGE));
    report_money(file, old_cost, currency);
    report_money(file, new_cost, currency);
    report_money(file, difference, currency);
    report_words(file, currency->code);
    if (table_is_null(row, ADJUSTMENTS_REASON)) {
        report_empty(file);
    } else {
        report_text(file, table_get_text(row, ADJUSTMENTS_REASON));
    }
    return report_end_row(file, err);
}

static bool adjustments_write(const struct report_source *source, struct report_file *file,
                              struct totals *totals, struct err *err) {
    (void)totals;
    for (size_t index = 0; index < source->shards_count; index++) {
        struct table_cursor row = table_cursor_start(source->shards[index].adjustments);
        while (table_cursor_next(&row)) {
            if (!adjustments_put(file, &row, err)) {
                return false;
            }
        }
    }
    return true;
}

const struct report report_adjustments = {
    .file_name = "adjustments.csv",
    REPORT_COLUMNS(columns),
    .is_due = adjustments_is_due,
    .write = adjustments_write,
};
