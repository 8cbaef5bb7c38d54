/* From records in the database to groups of items. */
#include "settle.h"

#include <stdio.h>

#include "sys/clock.h"

enum { PAGE_ORGS = 250 }; /* with all their records: of twenty metrics 14 MB */

enum record_column {
    RECORD_ORG_ID,
    RECORD_PERIOD_END,
    RECORD_IS_SUSPENDED,
    RECORD_STRIPE_CUSTOMER,
    RECORD_STRIPE_SUBSCRIPTION,
    RECORD_DODO_CUSTOMER,
    RECORD_IS_BY_QUANTITY,
    RECORD_METRIC,
    RECORD_REVISION,
    RECORD_CURRENCY,
    RECORD_BILLED,
    RECORD_OVERAGE,
    RECORD_LIMIT,
    RECORD_UNIT_PRICE,
    RECORD_IS_PER_UNIT,
    RECORD_UNIT,
    RECORD_BILLING_START,
    RECORD_BILLING_END,
    RECORD_STATUS,
    RECORD_ITEM_ID,
    RECORD_CREATED_AT,
    RECORD_RUN_DIGEST,
    RECORD_IS_BEHIND,
};

bool settle_page_open(struct settle_page *page, const struct settle_options *options, struct db *db,
                      const char *period, struct text after, int64_t revision, struct err *err) {
    struct db_params params = {0};
    char day[INSTANT_TEXT_MAX];
    *page = (struct settle_page){.options = options, .period = period};
    session_period(&(struct stage_session){.month = options->month}, day);
    db_params_text(&params, text_from(day));
    db_params_text(&params, after);
    db_params_int64(&params, PAGE_ORGS);
    db_params_int64(&params, revision);
    return db_run(db, "settle/records.sql", &params, &page->result, err);
}

void settle_page_close(struct settle_page *page) {
    db_result_release(&page->result);
}

bool settle_page_is_last(const struct settle_page *page) {
    return page->result.rows_count == 0;
}

bool settle_page_after(const struct settle_page *page, struct buffer *after, struct err *err) {
    struct text org_id;
    buffer_clear(after);
    return db_result_text(&page->result, page->result.rows_count - 1, RECORD_ORG_ID, &org_id,
                          err) &&
           buffer_append(after, org_id, err);
}

/* --- one item -----------------------------------------------------------------------------------
 */

static bool text_or_empty(const struct settle_page *page, enum record_column column,
                          struct text *text, struct err *err) {
    *text = (struct text){"", 0};
    return db_result_is_null(&page->result, page->row, column) ||
           db_result_text(&page->result, page->row, column, text, err);
}

static bool read_item(const struct settle_page *page, struct text org_id, struct emit_item *item,
                      struct err *err) {
    const struct db_result *result = &page->result;
    size_t row = page->row;
    struct text currency;
    struct text run_id;
    bool is_by_quantity = false;
    bool is_per_unit = false;
    *item = (struct emit_item){.org_id = org_id, .period = page->period};
    if (!db_result_text(result, row, RECORD_METRIC, &item->metric, err) ||
        !db_result_int64(result, row, RECORD_REVISION, &item->revision, err) ||
        !db_result_text(result, row, RECORD_CURRENCY, &currency, err) ||
        !db_result_decimal(result, row, RECORD_BILLED, &item->billed, err) ||
        !db_result_decimal(result, row, RECORD_OVERAGE, &item->overage, err) ||
        !db_result_decimal(result, row, RECORD_LIMIT, &item->limit, err) ||
        (!db_result_is_null(result, row, RECORD_UNIT_PRICE) &&
         !db_result_decimal(result, row, RECORD_UNIT_PRICE, &item->unit_price, err)) ||
        !db_result_bool(result, row, RECORD_IS_BY_QUANTITY, &is_by_quantity, err) ||
        !db_result_bool(result, row, RECORD_IS_PER_UNIT, &is_per_unit, err) ||
        !text_or_empty(page, RECORD_UNIT, &item->unit, err) ||
        !db_result_instant(result, row, RECORD_BILLING_START, &item->period_start, err) ||
        !db_result_instant(result, row, RECORD_BILLING_END, &item->period_end, err) ||
        !db_result_text(result, row, RECORD_RUN_DIGEST, &run_id, err)) {
        return false;
    }
    item->currency = currency_find(currency);
    if (item->currency == NULL) {
        return err_set(err, ERR_DATABASE, "a record of org '%.*s' is in currency '%.*s'",
                       (int)org_id.size_bytes, org_id.bytes, (int)currency.size_bytes,
                       currency.bytes);
    }
    item->run_id = run_id.size_bytes > 0 ? run_id.bytes : NULL;
    if (is_by_quantity && is_per_unit) {
        emit_item_use_quantity(item);
    }
    return emit_item_set_amount(item, err) &&
           emit_key_of(org_id, item->metric, page->period, item->revision, &item->key, err);
}

/*
 * What the record says became of it. A meter event that was about to be sent is told apart for a
 * day; after that nobody can tell whether it was.
 */
static bool read_state(const struct settle_page *page, bool is_suspended, struct emit_work *work,
                       struct err *err) {
    const struct db_result *result = &page->result;
    bool is_metered = page->options->emission == EMISSION_STRIPE_METERS;
    struct text status;
    struct text item_id;
    struct instant created_at;
    bool is_behind = false;
    if (!db_result_text(result, page->row, RECORD_STATUS, &status, err) ||
        !text_or_empty(page, RECORD_ITEM_ID, &item_id, err) ||
        !db_result_instant(result, page->row, RECORD_CREATED_AT, &created_at, err) ||
        !db_result_bool(result, page->row, RECORD_IS_BEHIND, &is_behind, err)) {
        return false;
    }
    if (text_equals(status, text_from("sent"))) {
        work->recorded_id = item_id.bytes;
        return true;
    }
    bool is_held = text_equals(status, text_from("held"));
    bool is_negative = work->item.amount < 0 && page->options->emission != EMISSION_STRIPE;
    work->was_held = is_held;
    work->held_reason = text_equals(status, text_from("disabled")) ? "disabled"
                        : is_held && is_suspended                  ? "suspended"
                        : is_behind                                ? "earlier_revision"
                        : is_negative                              ? "negative_amount"
                                                                   : NULL;
    int64_t age_us = clock_now(page->options->sys).us - created_at.us;
    bool is_old = age_us < 0 || age_us >= METER_EVENTS_APART_US;
    bool is_doubtful = is_old && text_equals(status, text_from("unknown")) &&
                       !page->options->sending->is_never_sent;
    if (is_metered && is_doubtful && work->held_reason == NULL) {
        work->result.status = EMIT_UNKNOWN;
        (void)snprintf(work->result.detail, sizeof work->result.detail,
                       "whether it was sent is not known, and Stripe cannot be asked");
    }
    return true;
}

/* --- one org ------------------------------------------------------------------------------------
 */

static bool read_org(const struct settle_page *page, struct emit_group *group, bool *is_suspended,
                     struct err *err) {
    bool is_dodo = page->options->emission == EMISSION_DODO;
    *is_suspended = false;
    group->works_count = 0;
    group->held_reason = NULL;
    return db_result_text(&page->result, page->row, RECORD_ORG_ID, &group->org_id, err) &&
           db_result_instant(&page->result, page->row, RECORD_PERIOD_END, &group->period_end,
                             err) &&
           db_result_bool(&page->result, page->row, RECORD_IS_SUSPENDED, is_suspended, err) &&
           text_or_empty(page, is_dodo ? RECORD_DODO_CUSTOMER : RECORD_STRIPE_CUSTOMER,
                         &group->customer, err) &&
           text_or_empty(page, RECORD_STRIPE_SUBSCRIPTION, &group->subscription, err);
}

static bool is_of_group(const struct settle_page *page, const struct emit_group *group,
                        bool *is_same, struct err *err) {
    struct text org_id;
    *is_same = false;
    if (page->row == page->result.rows_count) {
        return true;
    }
    if (!db_result_text(&page->result, page->row, RECORD_ORG_ID, &org_id, err)) {
        return false;
    }
    *is_same = text_equals(org_id, group->org_id);
    return true;
}

static bool next_group(struct settle_page *page, struct emit_group *group, struct err *err) {
    bool is_suspended;
    bool is_same = true;
    if (!read_org(page, group, &is_suspended, err)) {
        return false;
    }
    while (is_same) {
        if (!db_result_is_null(&page->result, page->row, RECORD_METRIC)) {
            struct emit_work *work = emit_group_add(group, err);
            if (work == NULL || !read_item(page, group->org_id, &work->item, err) ||
                !read_state(page, is_suspended, work, err)) {
                return false;
            }
        }
        page->row++;
        if (!is_of_group(page, group, &is_same, err)) {
            return false;
        }
    }
    if (group->works_count > EMIT_ITEMS_PER_INVOICE_MAX) {
        group->held_reason = "too_many_items";
    }
    return true;
}

bool settle_page_next(void *context, struct emit_group *group, bool *is_found, struct err *err) {
    struct settle_page *page = context;
    *is_found = false;
    while (!*is_found && page->row < page->result.rows_count) {
        if (!next_group(page, group, err)) {
            return false;
        }
        *is_found = page->gives_all || group->works_count > 0;
    }
    return true;
}
