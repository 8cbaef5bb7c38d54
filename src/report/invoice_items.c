/* invoice_items.csv: a row per item: what was asked of Stripe, and what came of it. */
#include "report/reports.h"

static const char *const columns[] = {
    "item_key", "org_id",     "metric",
    "revision", "currency",   "amount",
    "status",   "reason",     "stripe_invoice_item_id",
    "attempts", "request_id", "detail",
};

static bool invoice_items_is_due(const struct report_source *source) {
    return source->is_emitting && source->shards_count > 0 && source->shards[0].items != NULL;
}

static const char amount_equation[] = "billed of items = amount in invoice_items.csv";

static void put_optional(struct report_file *file, const struct table_cursor *item, size_t column) {
    if (table_is_null(item, column)) {
        report_empty(file);
    } else {
        report_text(file, table_get_text(item, column));
    }
}

static bool invoice_items_row(struct report_file *file, const struct table_cursor *item,
                              struct totals *totals, struct err *err) {
    struct text code = table_get_text(item, ITEMS_CURRENCY);
    struct decimal billed = table_get_decimal(item, ITEMS_BILLED);
    const struct currency *currency = currency_find(code);
    if (currency == NULL) {
        return err_set(err, ERR_DAMAGED, "%s: currency '%.*s' is not known",
                       table_path(item->table), (int)code.size_bytes, code.bytes);
    }
    put_optional(file, item, ITEMS_ITEM_KEY);
    report_text(file, table_get_text(item, ITEMS_ORG_ID));
    report_text(file, table_get_text(item, ITEMS_METRIC));
    report_int64(file, table_get_int64(item, ITEMS_REVISION));
    report_words(file, currency->code);
    report_money(file, billed, currency);
    report_text(file, table_get_text(item, ITEMS_STATUS));
    put_optional(file, item, ITEMS_REASON);
    put_optional(file, item, ITEMS_STRIPE_ITEM_ID);
    report_int64(file,
                 table_is_null(item, ITEMS_ATTEMPTS) ? 0 : table_get_int64(item, ITEMS_ATTEMPTS));
    put_optional(file, item, ITEMS_REQUEST_ID);
    put_optional(file, item, ITEMS_DETAIL);
    return report_end_row(file, err) &&
           totals_add_right(totals, amount_equation, code, billed, err);
}

static bool invoice_items_write(const struct report_source *source, struct report_file *file,
                                struct totals *totals, struct err *err) {
    for (size_t index = 0; index < source->shards_count; index++) {
        struct table_cursor item = table_cursor_start(source->shards[index].items);
        while (table_cursor_next(&item)) {
            if (!invoice_items_row(file, &item, totals, err)) {
                return false;
            }
        }
        /* A second walk, so that a row left out shows. */
        item = table_cursor_start(source->shards[index].items);
        while (table_cursor_next(&item)) {
            if (!totals_add_left(totals, amount_equation, table_get_text(&item, ITEMS_CURRENCY),
                                 table_get_decimal(&item, ITEMS_BILLED), err)) {
                return false;
            }
        }
    }
    return true;
}

const struct report report_invoice_items = {
    .file_name = "invoice_items.csv",
    REPORT_COLUMNS(columns),
    .is_due = invoice_items_is_due,
    .write = invoice_items_write,
};
