/* control_totals.csv: every equation that was checked before a stage was sealed. */
#include "report/reports.h"

static const char *const columns[] = {
    "stage", "name", "unit", "left", "right", "difference", "ok",
};

static bool control_totals_is_due(const struct report_source *source) {
    return source->totals_count > 0;
}

static bool control_totals_write(const struct report_source *source, struct report_file *file,
                                 struct totals *totals, struct err *err) {
    (void)totals;
    for (size_t index = 0; index < source->totals_count; index++) {
        const struct report_total *total = &source->totals[index];
        struct decimal difference;
        if (!decimal_subtract(total->left, total->right, &difference)) {
            return err_set(err, ERR_RANGE, "control total '%s' does not fit", total->name);
        }
        report_words(file, total->stage);
        report_text(file, text_from(total->name));
        report_text(file, text_from(total->unit));
        report_decimal(file, total->left);
        report_decimal(file, total->right);
        report_decimal(file, difference);
        report_words(file, decimal_is_zero(difference) ? "true" : "false");
        if (!report_end_row(file, err)) {
            return false;
        }
    }
    return true;
}

const struct report report_control_totals = {
    .file_name = "control_totals.csv",
    REPORT_COLUMNS(columns),
    .is_last = true,
    .is_due = control_totals_is_due,
    .write = control_totals_write,
};
