/* The items of one shard: from its records to groups, and from their results to rows. */
#include "core/memory.h"
#include "emit.h"
#include "stage/stages.h"

bool emit_shard_open(struct emit_shard *shard, struct run *run, const struct stage_session *session,
                     const struct terms *terms, const char *period, size_t shard_index,
                     struct err *err) {
    *shard = (struct emit_shard){.run = run, .session = session, .terms = terms, .period = period};
    if (!emit_earlier_walk_open(session->earlier, &shard->earlier, err) ||
        !run_input_open(run, &checkpoint_orgs, shard_index, &shard->orgs, err) ||
        !run_input_open(run, &checkpoint_records, shard_index, &shard->records, err) ||
        !run_input_open(run, &checkpoint_charges, shard_index, &shard->charges, err) ||
        !run_input_open(run, &checkpoint_limits, shard_index, &shard->limits, err) ||
        !emit_behind_load(run, session, shard->records, &shard->is_behind, err)) {
        emit_shard_close(shard);
        return false;
    }
    shard->org = table_cursor_start(shard->orgs);
    shard->record = table_cursor_start(shard->records);
    shard->charge = terms_walk_start(shard->charges);
    shard->limit = terms_walk_start(shard->limits);
    shard->has_record = table_cursor_next(&shard->record);
    shard->total = table_rows_count(shard->orgs);
    return true;
}

bool emit_shard_open_compared(struct emit_shard *shard, struct run *run,
                              const struct stage_session *session, const struct terms *terms,
                              const char *period, size_t shard_index, struct err *err) {
    if (!emit_shard_open(shard, run, session, terms, period, shard_index, err)) {
        return false;
    }
    if (!run_stage_is_done(run, &stage_emit)) {
        return true;
    }
    if (!run_input_open(run, &checkpoint_items, shard_index, &shard->last_items, err)) {
        emit_shard_close(shard);
        return false;
    }
    shard->last_item = terms_walk_start(shard->last_items);
    return true;
}

static bool was_held(struct emit_shard *shard, const struct emit_item *item) {
    return shard->last_items != NULL &&
           terms_walk_to(&shard->last_item, item->org_id, item->metric) &&
           text_equals(table_get_text(&shard->last_item.cursor, ITEMS_STATUS), text_from("held"));
}

void emit_shard_close(struct emit_shard *shard) {
    emit_earlier_walk_close(shard->earlier);
    shard->earlier = NULL;
    mem_free(shard->is_behind);
    shard->is_behind = NULL;
    table_writer_destroy(shard->items);
    table_close(shard->orgs);
    table_close(shard->records);
    table_close(shard->charges);
    table_close(shard->limits);
    table_close(shard->last_items);
    shard->last_items = NULL;
    shard->items = NULL;
    shard->orgs = NULL;
    shard->records = NULL;
    shard->charges = NULL;
    shard->limits = NULL;
}

/* --- from records to items ----------------------------------------------------------------------
 */

static struct text optional_text(const struct table_cursor *cursor, size_t column) {
    return table_is_null(cursor, column) ? (struct text){"", 0} : table_get_text(cursor, column);
}

static bool fill_item(struct emit_shard *shard, const struct terms_plan *plan,
                      struct emit_item *item, struct err *err) {
    struct text metric = table_get_text(&shard->record, RECORDS_METRIC);
    const struct terms_price *price = terms_find_price(plan, metric);
    *item = (struct emit_item){
        .org_id = table_get_text(&shard->org, ORGS_ORG_ID),
        .metric = metric,
        .period = shard->period,
        .revision = table_get_int64(&shard->record, RECORDS_REVISION),
        .currency = plan->currency,
        .billed = table_get_decimal(&shard->record, RECORDS_BILLED),
        .period_start = table_get_instant(&shard->org, ORGS_PERIOD_START),
        .period_end = table_get_instant(&shard->org, ORGS_PERIOD_END),
    };
    if (price == NULL) {
        return err_set(err, ERR_DAMAGED, "%s: a record without its price",
                       table_path(shard->records));
    }
    struct limits limits = terms_walk_limits(&shard->limit, item->org_id, metric);
    item->limit = charge_limit(&price->price, &limits);
    if (terms_walk_to(&shard->charge, item->org_id, metric)) {
        item->overage = table_get_decimal(&shard->charge.cursor, CHARGES_OVERAGE);
    }
    item->unit = price->unit;
    item->unit_price = price->price.unit_price;
    struct text mode = table_get_text(&shard->org, ORGS_STRIPE_ITEM_MODE);
    if (price->price.model == MODEL_PER_UNIT && text_equals(mode, text_from("quantity"))) {
        emit_item_use_quantity(item);
    }
    return emit_item_set_amount(item, err) &&
           (shard->has_no_keys ||
            emit_key_of(item->org_id, metric, shard->period, item->revision, &item->key, err));
}

/* What keeps a group from being sent, from the status of its records. */
static const char *held_reason(struct text record_status, bool is_released) {
    return text_equals(record_status, text_from("held"))       ? (is_released ? NULL : "suspended")
           : text_equals(record_status, text_from("disabled")) ? "disabled"
                                                               : NULL;
}

/* By what the database says of the record at hand; each is asked about once. */
static bool is_behind(struct emit_shard *shard) {
    return shard->is_behind != NULL && emit_is_revision(&shard->record) &&
           shard->is_behind[shard->revisions_count++];
}

static bool add_records(struct emit_shard *shard, struct emit_group *group,
                        const struct terms_plan *plan, struct err *err) {
    const struct emit_fresh_org *fresh = emit_fresh_find(shard->session->fresh, group->org_id);
    bool is_released = fresh != NULL && !fresh->is_suspended;
    while (shard->has_record &&
           text_equals(table_get_text(&shard->record, RECORDS_ORG_ID), group->org_id)) {
        if (!decimal_is_zero(table_get_decimal(&shard->record, RECORDS_BILLED))) {
            struct emit_work *work = emit_group_add(group, err);
            if (work == NULL || !fill_item(shard, plan, &work->item, err)) {
                return false;
            }
            work->was_held = was_held(shard, &work->item);
            bool waits = is_behind(shard);
            waits =
                !emit_earlier_is_settled(shard->earlier, group->org_id, work->item.metric) || waits;
            if (waits) {
                work->held_reason = "earlier_revision";
            }
            group->held_reason =
                held_reason(table_get_text(&shard->record, RECORDS_STATUS), is_released);
            bool is_free = group->held_reason == NULL && work->held_reason == NULL;
            if (is_free && work->item.amount < 0 &&
                shard->session->emission != EMISSION_STRIPE) { /* a meter takes no credit */
                work->held_reason = "negative_amount";
            }
        }
        shard->has_record = table_cursor_next(&shard->record);
    }
    return true;
}

static void set_customer(struct emit_shard *shard, struct emit_group *group) {
    const struct emit_fresh_org *fresh = emit_fresh_find(shard->session->fresh, group->org_id);
    if (fresh != NULL) {
        group->customer = shard->is_dodo ? fresh->dodo_customer : fresh->customer;
        group->subscription = fresh->subscription;
        return;
    }
    group->customer = optional_text(&shard->org, shard->is_dodo ? ORGS_DODO_CUSTOMER_ID
                                                                : ORGS_STRIPE_CUSTOMER_ID);
    group->subscription = optional_text(&shard->org, ORGS_STRIPE_SUBSCRIPTION_ID);
}

/* The next org with a record; with gives_all the next one that was rated. */
static bool next_org(struct emit_shard *shard, bool *has_records, bool *is_over, struct err *err) {
    struct text org_id =
        shard->has_record ? table_get_text(&shard->record, RECORDS_ORG_ID) : (struct text){"", 0};
    *is_over = !shard->has_record && !shard->gives_all;
    while (!*is_over) {
        if (!table_cursor_next(&shard->org)) {
            *is_over = true;
            return !shard->has_record ||
                   err_set(err, ERR_DAMAGED, "%s: a record of an org that is not there",
                           table_path(shard->records));
        }
        *has_records =
            shard->has_record && text_equals(table_get_text(&shard->org, ORGS_ORG_ID), org_id);
        bool is_rated =
            text_equals(table_get_text(&shard->org, ORGS_DISPOSITION), text_from("rated"));
        if (*has_records || (shard->gives_all && is_rated)) {
            return true;
        }
    }
    return true;
}

bool emit_shard_next(void *context, struct emit_group *group, bool *is_found, struct err *err) {
    struct emit_shard *shard = context;
    *is_found = false;
    group->works_count = 0;
    while (!*is_found) {
        const struct terms_plan *plan;
        bool has_records;
        bool is_over;
        if (!next_org(shard, &has_records, &is_over, err)) {
            return false;
        }
        if (is_over) {
            return true;
        }
        group->org_id = table_get_text(&shard->org, ORGS_ORG_ID);
        group->period_end = table_get_instant(&shard->org, ORGS_PERIOD_END);
        set_customer(shard, group);
        group->held_reason = NULL;
        *is_found = shard->gives_all;
        if (!has_records) {
            continue;
        }
        if (!terms_find_plan(shard->terms, table_get_int64(&shard->org, ORGS_TERMS),
                             table_get_text(&shard->org, ORGS_PLAN_ID), &plan, err) ||
            !add_records(shard, group, plan, err)) {
            return false;
        }
        *is_found = *is_found || group->works_count > 0;
    }
    return true;
}

/* --- from results to rows -----------------------------------------------------------------------
 */

const char *emit_status_word(const struct emit_result *result) {
    switch (result->status) {
    case EMIT_SENT:
        return "sent";
    case EMIT_FAILED:
        return "failed";
    case EMIT_HELD:
        return strcmp(result->reason, "disabled") == 0 ? "disabled" : "held";
    case EMIT_OPEN:
    case EMIT_UNKNOWN:
        break;
    }
    return "unknown";
}

static void put_optional(struct table_writer *items, size_t column, const char *text) {
    if (text[0] != '\0') {
        table_put_text(items, column, text_from(text));
    }
}

static bool put_row(struct emit_shard *shard, const struct emit_work *work, struct err *err) {
    struct table_writer *items = shard->items;
    const struct emit_item *item = &work->item;
    const struct emit_result *result = &work->result;
    char key[EMIT_KEY_TEXT_MAX];
    const char *status =
        shard->is_dry && result->status != EMIT_HELD ? "not_emitted" : emit_status_word(result);
    table_put_text(items, ITEMS_ORG_ID, item->org_id);
    table_put_text(items, ITEMS_METRIC, item->metric);
    table_put_int64(items, ITEMS_REVISION, item->revision);
    table_put_decimal(items, ITEMS_BILLED, item->billed);
    table_put_text(items, ITEMS_CURRENCY, text_from(item->currency->code));
    table_put_text(items, ITEMS_STATUS, text_from(status));
    bool has_reason =
        strcmp(status, "held") == 0 || (result->status == EMIT_UNKNOWN && result->reason != NULL);
    if (has_reason) {
        table_put_text(items, ITEMS_REASON, text_from(result->reason));
    }
    put_optional(items, ITEMS_STRIPE_ITEM_ID, result->object_id);
    emit_key_format(&item->key, key);
    table_put_text(items, ITEMS_ITEM_KEY, text_from(key));
    table_put_int64(items, ITEMS_ATTEMPTS, (int64_t)result->attempts);
    put_optional(items, ITEMS_REQUEST_ID, result->request_id);
    put_optional(items, ITEMS_DETAIL, result->detail);
    put_optional(items, ITEMS_INVOICE_ID, result->invoice_id);
    return table_end_row(items, err) &&
           emit_write_back_put(shard->session->write_back, item, status, result->object_id, err) &&
           totals_add_right(run_totals(shard->run), emit_equation, text_from(item->currency->code),
                            item->billed, err);
}

bool emit_shard_begin_items(struct emit_shard *shard, size_t shard_index, struct err *err) {
    return emit_items_create(shard->run, shard_index, &shard->items, err);
}

bool emit_shard_end_items(struct emit_shard *shard, size_t shard_index, struct err *err) {
    struct table_writer *items = shard->items;
    shard->items = NULL;
    return run_output_commit(shard->run, &checkpoint_items, shard_index, items, err);
}

bool emit_shard_done(void *context, const struct emit_group *group, struct err *err) {
    struct emit_shard *shard = context;
    for (size_t index = 0; index < group->works_count; index++) {
        if (!put_row(shard, &group->works[index], err)) {
            return false;
        }
    }
    run_progress(shard->run, ++shard->done, shard->total, "orgs");
    return true;
}
