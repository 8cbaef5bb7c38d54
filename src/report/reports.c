#include "report/reports.h"

const struct report *const report_table[] = {
    &report_adjustments, &report_control_totals, &report_exceptions,  &report_invoice_items,
    &report_invoices,    &report_overages,       &report_projections, &report_usage,
};
const size_t report_table_count = sizeof report_table / sizeof report_table[0];

const char *report_record_status(const struct table_cursor *org, struct decimal billed) {
    if (!table_get_bool(org, ORGS_OVERAGE_ENABLED)) {
        return "disabled";
    }
    if (decimal_is_zero(billed)) {
        return "zero";
    }
    if (text_equals(table_get_text(org, ORGS_STATUS), text_from("suspended"))) {
        return "held";
    }
    return "computed";
}
