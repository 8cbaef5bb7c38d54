/* invoice_items.csv: a row per item: what was asked of Stripe, and what came of it. */
#include <stdlib.h>

#include "core/memory.h"
#include "report/reports.h"

static const char *const columns[] = {
    "item_key",
    "org_id",
    "metric",
    "revision",
    "currency",
    "amount",
    "status",
    "reason",
    "stripe_invoice_item_id",
    "attempts",
    "request_id",
    "detail",
    "stripe_invoice_id",
    "invoice_status",
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

/* The status of an invoice of our own, and nothing for others: a binary search in their table. */
struct invoice_row {
    struct text id;
    struct text status;
};

struct invoice_list {
    struct invoice_row *rows;
    size_t rows_count;
};

static bool invoice_list_load(struct invoice_list *list, struct table *invoices, struct err *err) {
    size_t count = invoices != NULL ? table_rows_count(invoices) : 0;
    *list = (struct invoice_list){0};
    if (count == 0) {
        return true;
    }
    list->rows = mem_alloc(count * sizeof *list->rows);
    if (list->rows == NULL) {
        return err_memory(err, count * sizeof *list->rows);
    }
    struct table_cursor row = table_cursor_start(invoices);
    while (table_cursor_next(&row)) {
        list->rows[list->rows_count++] =
            (struct invoice_row){.id = table_get_text(&row, INVOICES_INVOICE_ID),
                                 .status = table_get_text(&row, INVOICES_STATUS)};
    }
    return true;
}

static int compare_id(const void *id, const void *row) {
    return text_compare(*(const struct text *)id, ((const struct invoice_row *)row)->id);
}

static void put_invoice(struct report_file *file, const struct table_cursor *item,
                        const struct invoice_list *list) {
    put_optional(file, item, ITEMS_INVOICE_ID);
    const struct invoice_row *row = NULL;
    if (list->rows_count > 0 && !table_is_null(item, ITEMS_INVOICE_ID)) {
        struct text id = table_get_text(item, ITEMS_INVOICE_ID);
        row = bsearch(&id, list->rows, list->rows_count, sizeof *list->rows, compare_id);
    }
    if (row == NULL) {
        report_empty(file);
    } else {
        report_text(file, row->status);
    }
}

static bool invoice_items_row(struct report_file *file, const struct table_cursor *item,
                              const struct invoice_list *list, struct totals *totals,
                              struct err *err) {
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
    put_invoice(file, item, list);
    return report_end_row(file, err) &&
           totals_add_right(totals, amount_equation, code, billed, err);
}

static bool write_shards(const struct report_source *source, const struct invoice_list *list,
                         struct report_file *file, struct totals *totals, struct err *err) {
    for (size_t index = 0; index < source->shards_count; index++) {
        struct table_cursor item = table_cursor_start(source->shards[index].items);
        while (table_cursor_next(&item)) {
            if (!invoice_items_row(file, &item, list, totals, err)) {
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

static bool invoice_items_write(const struct report_source *source, struct report_file *file,
                                struct totals *totals, struct err *err) {
    struct invoice_list list;
    bool is_fine = invoice_list_load(&list, source->invoices, err) &&
                   write_shards(source, &list, file, totals, err);
    mem_free(list.rows);
    return is_fine;
}

const struct report report_invoice_items = {
    .file_name = "invoice_items.csv",
    REPORT_COLUMNS(columns),
    .is_due = invoice_items_is_due,
    .write = invoice_items_write,
};
