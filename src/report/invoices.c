/* invoices.csv: a row per invoice of our own: what was put on it, and what it came to. */
#include "report/reports.h"

static const char *const columns[] = {
    "stripe_invoice_id",
    "stripe_customer_id",
    "currency",
    "items",
    "amount",
    "total_at_stripe",
    "state",
    "status",
    "open_items",
    "reason",
    "detail",
    "request_id",
};

static bool invoices_is_due(const struct report_source *source) {
    return source->is_emitting && source->invoices != NULL &&
           table_rows_count(source->invoices) > 0;
}

static void put_optional(struct report_file *file, const struct table_cursor *row, size_t column) {
    if (table_is_null(row, column)) {
        report_empty(file);
    } else {
        report_text(file, table_get_text(row, column));
    }
}

static bool invoices_write(const struct report_source *source, struct report_file *file,
                           struct totals *totals, struct err *err) {
    struct table_cursor row = table_cursor_start(source->invoices);
    (void)totals;
    while (table_cursor_next(&row)) {
        struct text code = table_get_text(&row, INVOICES_CURRENCY);
        const struct currency *currency = currency_find(code);
        if (currency == NULL) {
            return err_set(err, ERR_DAMAGED, "%s: currency '%.*s' is not known",
                           table_path(source->invoices), (int)code.size_bytes, code.bytes);
        }
        report_text(file, table_get_text(&row, INVOICES_INVOICE_ID));
        report_text(file, table_get_text(&row, INVOICES_CUSTOMER_ID));
        report_words(file, currency->code);
        report_int64(file, table_get_int64(&row, INVOICES_ITEMS));
        report_money(file, table_get_decimal(&row, INVOICES_OURS), currency);
        report_money(file, table_get_decimal(&row, INVOICES_THEIRS), currency);
        put_optional(file, &row, INVOICES_STATE);
        report_text(file, table_get_text(&row, INVOICES_STATUS));
        report_int64(file, table_get_int64(&row, INVOICES_OPEN_ITEMS));
        put_optional(file, &row, INVOICES_REASON);
        put_optional(file, &row, INVOICES_DETAIL);
        put_optional(file, &row, INVOICES_REQUEST_ID);
        if (!report_end_row(file, err)) {
            return false;
        }
    }
    return true;
}

const struct report report_invoices = {
    .file_name = "invoices.csv",
    REPORT_COLUMNS(columns),
    .is_due = invoices_is_due,
    .write = invoices_write,
};
