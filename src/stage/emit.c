/*
 * emit: one outcome per invoice item. With --emit none nothing is sent: every record with something
 * to bill has the outcome not_emitted, held or disabled, and the totals say how much that is.
 */
#include "emit.h"

#include "core/memory.h"
#include "stage/stages.h"
#include "sys/process.h"

enum { ITEMS_BATCH_ROWS = 1024 };

static const struct table_schema *const emit_inputs[] = {
    &checkpoint_orgs,  &checkpoint_records, &checkpoint_charges, &checkpoint_limits,
    &checkpoint_plans, &checkpoint_prices,  &checkpoint_tiers,
};

static const struct stage_output emit_outputs[] = {
    {.schema = &checkpoint_items, .is_sharded = true},
    {.schema = &checkpoint_invoices},
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

/* A close that sends nothing: its shards, each with totals of its own. */
struct emit_unsent {
    struct run *run;
    struct totals **totals;
};

static bool emit_shard(void *context, size_t shard_index, struct err *err) {
    const struct emit_unsent *unsent = context;
    struct run *run = unsent->run;
    struct table *orgs = NULL;
    struct table *records = NULL;
    struct table_writer *items = NULL;
    bool is_fine = run_input_open(run, &checkpoint_orgs, shard_index, &orgs, err) &&
                   run_input_open(run, &checkpoint_records, shard_index, &records, err) &&
                   emit_items_create(run, shard_index, &items, err) &&
                   emit_rows(orgs, records, items, unsent->totals[shard_index], err);
    if (is_fine) {
        is_fine = run_output_commit(run, &checkpoint_items, shard_index, items, err);
    } else {
        table_writer_destroy(items);
    }
    table_close(orgs);
    table_close(records);
    return is_fine;
}

/* Merged in the order of shards. */
static bool emit_all_shards(struct run *run, struct err *err) {
    size_t shards_count = run_shards_count(run);
    bool is_fine = true;
    struct emit_unsent unsent = {.run = run,
                                 .totals = mem_alloc(shards_count * sizeof(struct totals *))};
    if (unsent.totals == NULL) {
        return err_memory(err, shards_count * sizeof(struct totals *));
    }
    for (size_t index = 0; is_fine && index < shards_count; index++) {
        unsent.totals[index] = totals_create(err);
        is_fine = unsent.totals[index] != NULL;
    }
    is_fine = is_fine && process_parallel(run_current_options(run)->jobs, shards_count, emit_shard,
                                          &unsent, err);
    for (size_t index = 0; index < shards_count; index++) {
        is_fine = is_fine && totals_merge(run_totals(run), unsent.totals[index], err);
        totals_destroy(unsent.totals[index]);
    }
    mem_free(unsent.totals);
    return is_fine;
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

static bool emit_perform(struct run *run, const struct stage *stage, struct stage_session *session,
                         struct err *err) {
    (void)stage;
    if (emit_touches(run, session)) {
        return run_is_dry(run) ? emit_dry(run, session, err) && emit_no_invoices(run, err)
                               : emit_send(run, session, err);
    }
    return emit_all_shards(run, err) && emit_no_invoices(run, err);
}

const struct stage stage_emit = {
    .name = "emit",
    .number = 60,
    .version = 3,
    .effect = EFFECT_SENDS,
    .summary = "put invoice items on customers' bills, once each",
    .inputs = emit_inputs,
    .inputs_count = sizeof emit_inputs / sizeof emit_inputs[0],
    .outputs = emit_outputs,
    .outputs_count = sizeof emit_outputs / sizeof emit_outputs[0],
    .perform = emit_perform,
    .touches = emit_touches,
};
