/*
 * emit: one outcome per invoice item. With --emit none nothing is sent: every record with something
 * to bill has the outcome not_emitted, held or disabled, and the totals say how much that is.
 */
#include "emit.h"

#include "stage/stages.h"

enum { ITEMS_BATCH_ROWS = 1024 };

enum emit_input {
    INPUT_ORGS,
    INPUT_RECORDS,
    INPUT_CHARGES, /* to send, as those that follow */
    INPUT_LIMITS,
    INPUT_PLANS,
    INPUT_PRICES,
    INPUT_TIERS,
    INPUTS_COUNT,
};

static const struct table_schema *const emit_inputs[INPUTS_COUNT] = {
    [INPUT_ORGS] = &checkpoint_orgs,       [INPUT_RECORDS] = &checkpoint_records,
    [INPUT_CHARGES] = &checkpoint_charges, [INPUT_LIMITS] = &checkpoint_limits,
    [INPUT_PLANS] = &checkpoint_plans,     [INPUT_PRICES] = &checkpoint_prices,
    [INPUT_TIERS] = &checkpoint_tiers,
};

enum emit_output { OUTPUT_ITEMS, OUTPUT_INVOICES, OUTPUTS_COUNT };

static const struct stage_output emit_outputs[OUTPUTS_COUNT] = {
    [OUTPUT_ITEMS] = {.schema = &checkpoint_items, .is_sharded = true},
    [OUTPUT_INVOICES] = {.schema = &checkpoint_invoices},
};

/* Left: from the records. Right: from the items, whatever became of them. */
const char emit_equation[] = "billed = sent + held + failed + unknown + not emitted";

/* The outcome of an item that is not sent, from the status of its record. */
static struct text emit_unsent_status(struct text record_status) {
    if (text_equals(record_status, text_from("computed"))) {
        return text_from("not_emitted");
    }
    return record_status;
}

static bool emit_put(struct table_writer *items, const struct table_cursor *org,
                     const struct table_cursor *record, struct totals *totals, struct err *err) {
    struct decimal billed = table_get_decimal(record, RECORDS_BILLED);
    struct text currency = table_get_text(org, ORGS_CURRENCY);
    struct text status = table_get_text(record, RECORDS_STATUS);
    table_put_text(items, ITEMS_ORG_ID, table_get_text(record, RECORDS_ORG_ID));
    table_put_text(items, ITEMS_METRIC, table_get_text(record, RECORDS_METRIC));
    table_put_int64(items, ITEMS_REVISION, table_get_int64(record, RECORDS_REVISION));
    table_put_decimal(items, ITEMS_BILLED, billed);
    table_put_text(items, ITEMS_CURRENCY, currency);
    table_put_text(items, ITEMS_STATUS, emit_unsent_status(status));
    if (text_equals(status, text_from("held"))) {
        table_put_text(items, ITEMS_REASON, text_from("suspended"));
    }
    return table_end_row(items, err) &&
           totals_add_right(totals, emit_equation, currency, billed, err);
}

static bool emit_rows(struct table *orgs, struct table *records, struct table_writer *items,
                      struct totals *totals, struct err *err) {
    struct table_cursor org = table_cursor_start(orgs);
    struct table_cursor record = table_cursor_start(records);
    bool has_org = table_cursor_next(&org);
    while (table_cursor_next(&record)) {
        struct text org_id = table_get_text(&record, RECORDS_ORG_ID);
        while (has_org && !text_equals(table_get_text(&org, ORGS_ORG_ID), org_id)) {
            has_org = table_cursor_next(&org);
        }
        if (!has_org) {
            return err_set(err, ERR_DAMAGED, "%s: a record of an org that is not there",
                           table_path(records));
        }
        struct decimal billed = table_get_decimal(&record, RECORDS_BILLED);
        if (!totals_add_left(totals, emit_equation, table_get_text(&org, ORGS_CURRENCY), billed,
                             err)) {
            return false;
        }
        if (!decimal_is_zero(billed) && !emit_put(items, &org, &record, totals, err)) {
            return false;
        }
    }
    return true;
}

bool emit_items_create(struct run *run, size_t shard_index, struct table_writer **items,
                       struct err *err) {
    if (!run_output_create(run, &checkpoint_items, shard_index, items, err)) {
        return false;
    }
    table_writer_bound_batch(*items, ITEMS_BATCH_ROWS);
    return true;
}

/* A close that sends nothing, and has no invoices. */
static bool emit_compute(const struct stage_shard *shard, struct err *err) {
    struct table_writer *items = shard->outputs[OUTPUT_ITEMS];
    table_writer_bound_batch(items, ITEMS_BATCH_ROWS);
    return emit_rows(shard->inputs[INPUT_ORGS], shard->inputs[INPUT_RECORDS], items, shard->totals,
                     err);
}

static bool emit_send(struct run *run, struct stage_session *session, struct err *err) {
    if (!emit_write_back_open(run, session, &session->write_back, err)) {
        return false;
    }
    bool is_fine = (session->emission == EMISSION_DODO
                        ? emit_dodo(run, session, err) && emit_no_invoices(run, err)
                        : emit_stripe(run, session, err)) &&
                   emit_write_back_flush(session->write_back, err);
    emit_write_back_close(session->write_back);
    session->write_back = NULL;
    return is_fine;
}

static bool emit_touches(const struct run *run, const struct stage_session *session) {
    return session->emission != EMISSION_NONE && !run_is_replay(run);
}

static bool emit_only_computes(const struct run *run, const struct stage_session *session) {
    return !emit_touches(run, session);
}

static bool emit_perform(struct run *run, const struct stage *stage, struct stage_session *session,
                         struct err *err) {
    (void)stage;
    return run_is_dry(run) ? emit_dry(run, session, err) && emit_no_invoices(run, err)
                           : emit_send(run, session, err);
}

const struct stage stage_emit = {
    .name = "emit",
    .number = 60,
    .version = 3,
    .effect = EFFECT_SENDS,
    .summary = "put invoice items on customers' bills, once each",
    .inputs = emit_inputs,
    .inputs_count = INPUTS_COUNT,
    .outputs = emit_outputs,
    .outputs_count = OUTPUTS_COUNT,
    .compute = emit_compute,
    .perform = emit_perform,
    .only_computes = emit_only_computes,
    .touches = emit_touches,
};
