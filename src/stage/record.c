/*
 * record: which records this result makes, their revisions and differences.
 *
 * Without a database nothing is written outside the run directory: the table of records is the
 * record, and a later run revises it through --previous. With one (record_database.h), the revision
 * before is what the database has; an org whose result is recorded already is shown as it is there.
 * What becomes of each org is in record_shard.c.
 */
#include "record_shard.h"

#include "core/memory.h"
#include "stage/stages.h"
#include "sys/process.h"

/* Series are not among them: only a database is told closing levels, and a replay writes to none.
 */
enum record_input {
    INPUT_ORGS,
    INPUT_PLANS,
    INPUT_PRICES,
    INPUT_TIERS,
    INPUT_USAGE,
    INPUT_NEGATIVES,
    INPUT_CHARGES,
    INPUT_LIMITS, /* for a database, as those that follow */
    INPUT_PROJECTIONS,
    INPUT_ESTIMATES,
    INPUTS_COUNT,
};

static const struct table_schema *const record_inputs[INPUTS_COUNT] = {
    [INPUT_ORGS] = &checkpoint_orgs,
    [INPUT_PLANS] = &checkpoint_plans,
    [INPUT_PRICES] = &checkpoint_prices,
    [INPUT_TIERS] = &checkpoint_tiers,
    [INPUT_USAGE] = &checkpoint_usage,
    [INPUT_NEGATIVES] = &checkpoint_negatives,
    [INPUT_CHARGES] = &checkpoint_charges,
    [INPUT_LIMITS] = &checkpoint_limits,
    [INPUT_PROJECTIONS] = &checkpoint_projections,
    [INPUT_ESTIMATES] = &checkpoint_estimates,
};

enum record_output { OUTPUT_RECORDS, OUTPUT_ADJUSTMENTS, OUTPUTS_COUNT };

static const struct stage_output record_outputs[OUTPUTS_COUNT] = {
    [OUTPUT_RECORDS] = {.schema = &checkpoint_records, .is_sharded = true},
    [OUTPUT_ADJUSTMENTS] = {.schema = &checkpoint_adjustments, .is_sharded = true},
};

static bool record_one_shard(void *context, size_t shard_index, struct err *err) {
    const struct recorder *recorder = context;
    struct run *run = recorder->run;
    struct record_shard shard = {.recorder = recorder, .totals = recorder->totals[shard_index]};
    struct table *orgs = NULL;
    struct table *usage = NULL;
    struct table *negatives = NULL;
    struct table *charges = NULL;
    bool is_fine = false;
    if (recorder->previous != NULL) {
        record_start_previous(&shard, recorder->previous);
    }
    if (recorder->ledger != NULL) {
        shard.next_org = recorder->ledger->shards[shard_index].orgs;
    }
    if (!run_input_open(run, &checkpoint_orgs, shard_index, &orgs, err) ||
        !run_input_open(run, &checkpoint_usage, shard_index, &usage, err) ||
        !run_input_open(run, &checkpoint_negatives, shard_index, &negatives, err) ||
        !run_input_open(run, &checkpoint_charges, shard_index, &charges, err) ||
        !run_output_create(run, &checkpoint_records, shard_index, &shard.records, err) ||
        !run_output_create(run, &checkpoint_adjustments, shard_index, &shard.adjustments, err)) {
        goto out;
    }
    record_start(&shard, orgs, usage, negatives, charges);
    if (!record_rows(&shard, err)) {
        goto out;
    }
    is_fine = run_output_commit(run, &checkpoint_records, shard_index, shard.records, err);
    shard.records = NULL;
    if (is_fine) {
        is_fine =
            run_output_commit(run, &checkpoint_adjustments, shard_index, shard.adjustments, err);
        shard.adjustments = NULL;
    }
out:
    table_writer_destroy(shard.records);
    table_writer_destroy(shard.adjustments);
    table_close(orgs);
    table_close(usage);
    table_close(negatives);
    table_close(charges);
    return is_fine;
}

/* Runs the shards, each with totals of its own, merged in the order of shards. */
static bool record_all_shards(struct recorder *recorder, struct err *err) {
    struct run *run = recorder->run;
    size_t shards_count = run_shards_count(run);
    bool is_fine = false;
    recorder->totals = mem_alloc(shards_count * sizeof *recorder->totals);
    if (recorder->totals == NULL) {
        return err_memory(err, shards_count * sizeof *recorder->totals);
    }
    for (size_t index = 0; index < shards_count; index++) {
        recorder->totals[index] = totals_create(err);
        if (recorder->totals[index] == NULL) {
            goto out;
        }
    }
    is_fine = process_parallel(run_current_options(run)->jobs, shards_count, record_one_shard,
                               recorder, err);
    for (size_t index = 0; is_fine && index < shards_count; index++) {
        is_fine = totals_merge(run_totals(run), recorder->totals[index], err);
    }
out:
    for (size_t index = 0; index < shards_count; index++) {
        totals_destroy(recorder->totals[index]);
    }
    mem_free(recorder->totals);
    return is_fine;
}

/* With a database: compares with what is there, makes the tables, and writes. */
static bool record_in_database(struct recorder *recorder, struct stage_session *session,
                               struct err *err) {
    struct ledger ledger;
    bool is_dry = run_is_dry(recorder->run);
    bool is_done = ledger_open(&ledger, recorder->run, session, recorder->terms, err);
    if (is_done) {
        recorder->ledger = &ledger;
        recorder->previous = &ledger.previous;
        if (recorder->reason == NULL && ledger.reason.size_bytes > 0) {
            is_done = buffer_append(&ledger.reason, (struct text){"", 1}, err);
            recorder->reason = ledger.reason.bytes;
        }
    }
    is_done = is_done && record_all_shards(recorder, err);
    if (is_done && ledger.is_written) {
        is_done = ledger_check(&ledger, err);
    } else if (is_done && !is_dry) {
        bool is_refused = ledger.counts[LEDGER_CHANGED] > 0 && !session->is_forced;
        is_done = is_refused ? ledger_refuse_changes(&ledger, err) : ledger_write(&ledger, err);
    }
    is_done = is_done && ledger_pin_results(&ledger, err);
    ledger_close(&ledger);
    return is_done;
}

/* A revision of what lies in another run directory. */
static bool record_in_folder(struct recorder *recorder, struct stage_session *session,
                             struct err *err) {
    struct previous_tables previous = {0};
    bool is_done = previous_open(session->previous, &previous, err);
    if (is_done) {
        recorder->previous = &previous;
        is_done = record_all_shards(recorder, err);
    }
    previous_close(&previous);
    return is_done;
}

static bool record_touches(const struct run *run, const struct stage_session *session) {
    return session->conninfo != NULL && !run_is_replay(run);
}

static bool record_only_computes(const struct run *run, const struct stage_session *session) {
    return !record_touches(run, session) && session->previous == NULL;
}

/* A first result without a database. */
static bool record_compute(const struct stage_shard *shard, struct err *err) {
    struct terms terms;
    const struct recorder recorder = {.terms = &terms};
    struct record_shard work = {.recorder = &recorder,
                                .totals = shard->totals,
                                .records = shard->outputs[OUTPUT_RECORDS],
                                .adjustments = shard->outputs[OUTPUT_ADJUSTMENTS]};
    if (!terms_load(&terms, shard->inputs[INPUT_PLANS], shard->inputs[INPUT_PRICES],
                    shard->inputs[INPUT_TIERS], shard->arena, err)) {
        return false;
    }
    record_start(&work, shard->inputs[INPUT_ORGS], shard->inputs[INPUT_USAGE],
                 shard->inputs[INPUT_NEGATIVES], shard->inputs[INPUT_CHARGES]);
    return record_rows(&work, err);
}

static bool record_perform(struct run *run, const struct stage *stage,
                           struct stage_session *session, struct err *err) {
    (void)stage;
    struct terms terms;
    struct table *plans = NULL;
    struct table *prices = NULL;
    struct table *tiers = NULL;
    struct arena *arena = arena_create(err);
    bool is_fine = arena != NULL && run_input_open(run, &checkpoint_plans, 0, &plans, err) &&
                   run_input_open(run, &checkpoint_prices, 0, &prices, err) &&
                   run_input_open(run, &checkpoint_tiers, 0, &tiers, err) &&
                   terms_load(&terms, plans, prices, tiers, arena, err);
    if (is_fine) {
        struct recorder recorder = {
            .run = run, .session = session, .terms = &terms, .reason = session->reason};
        is_fine = record_touches(run, session) ? record_in_database(&recorder, session, err)
                                               : record_in_folder(&recorder, session, err);
    }
    table_close(plans);
    table_close(prices);
    table_close(tiers);
    arena_destroy(arena);
    return is_fine;
}

const struct stage stage_record = {
    .name = "record",
    .number = 50,
    .version = 3,
    .effect = EFFECT_DATABASE,
    .summary = "write records: revisions and the differences that are billed",
    .inputs = record_inputs,
    .inputs_count = INPUTS_COUNT,
    .outputs = record_outputs,
    .outputs_count = OUTPUTS_COUNT,
    .compute = record_compute,
    .perform = record_perform,
    .only_computes = record_only_computes,
    .touches = record_touches,
};
