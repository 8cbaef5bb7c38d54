#include "report/reports.h"

const struct report *const report_table[] = {
    &report_adjustments, &report_control_totals, &report_exceptions, &report_invoice_items,
    &report_overages,    &report_projections,    &report_usage,
};
const size_t report_table_count = sizeof report_table / sizeof report_table[0];

struct report_orgs report_orgs_start(const struct report_source *source,
                                     const struct report_shard *shard) {
    return (struct report_orgs){.terms = source->terms, .cursor = table_cursor_start(shard->orgs)};
}

bool report_orgs_next(struct report_orgs *orgs, struct err *err) {
    while (table_cursor_next(&orgs->cursor)) {
        if (!table_is_null(&orgs->cursor, ORGS_REASON)) {
            continue; /* set aside or listed */
        }
        orgs->org_id = table_get_text(&orgs->cursor, ORGS_ORG_ID);
        return terms_find_plan(orgs->terms, table_get_int64(&orgs->cursor, ORGS_TERMS),
                               table_get_text(&orgs->cursor, ORGS_PLAN_ID), &orgs->plan, err);
    }
    return false;
}

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
