/*
 * Writing a result: COPY straight into the tables. All rows are new, being keyed by revision, so
 * there is nothing to update and no conflict but one of our own making, which rolls all back.
 * The rows of one table after the other, each in a pass over the shards: one connection, nothing
 * kept in memory.
 */
#include "record_write.h"
#include "sys/process.h"

static const struct table_schema *const side_schemas[SIDES_COUNT] = {
    [SIDE_CHARGES] = &checkpoint_charges,         [SIDE_NEGATIVES] = &checkpoint_negatives,
    [SIDE_LIMITS] = &checkpoint_limits,           [SIDE_SERIES] = &checkpoint_series,
    [SIDE_PROJECTIONS] = &checkpoint_projections, [SIDE_ESTIMATES] = &checkpoint_estimates,
    [SIDE_RECORDS] = &checkpoint_records,
};

/* One table: its statement, and what of an org goes there. Either may be NULL. */
struct written_table {
    const char *statement;
    bool (*put_org)(struct writing *writing, struct err *err);
    bool (*put_price)(struct writing *writing, struct err *err);
};

int64_t writing_run_number(const struct writing *writing) {
    return writing->ledger->session->claim.run_id;
}

/* --- passes ---------------------------------------------------------------------------------- */

static bool walk_orgs(struct writing *writing, const struct written_table *table,
                      size_t shard_index, struct err *err) {
    enum { PROGRESS_ORGS = 1024 };
    const struct ledger_org *org = writing->ledger->shards[shard_index].orgs;
    struct rated_walk *walk = &writing->walk;
    for (; rated_walk_next_org(walk, err); org++) {
        bool is_written =
            org->state != LEDGER_SAME; /* the walk goes over its prices all the same */
        writing->org = org;
        if (is_written && table->put_org != NULL && !table->put_org(writing, err)) {
            return false;
        }
        while (table->put_price != NULL && rated_walk_next_price(walk, err)) {
            if (is_written && !table->put_price(writing, err)) {
                return false;
            }
        }
        if (err->code != ERR_NONE ||
            (++writing->progress % PROGRESS_ORGS == 0 && !interrupt_check(err))) {
            return false;
        }
    }
    return err->code == ERR_NONE;
}

static bool walk_shard(struct writing *writing, const struct written_table *table,
                       size_t shard_index, struct err *err) {
    struct run *run = writing->ledger->run;
    struct table *orgs = NULL;
    struct table *usage = NULL;
    struct table *sides[SIDES_COUNT] = {0};
    bool is_fine = run_input_open(run, &checkpoint_orgs, shard_index, &orgs, err) &&
                   run_input_open(run, &checkpoint_usage, shard_index, &usage, err);
    for (size_t side = 0; is_fine && side < SIDES_COUNT; side++) {
        is_fine = run_input_open(run, side_schemas[side], shard_index, &sides[side], err);
    }
    if (is_fine) {
        writing->walk = rated_walk_start(writing->ledger->terms, orgs);
        rated_walk_usage(&writing->walk, usage);
        for (size_t side = 0; side < SIDES_COUNT; side++) {
            rated_walk_beside(&writing->walk, side, sides[side]);
        }
        writing->limits = terms_walk_start(sides[SIDE_LIMITS]);
        is_fine = walk_orgs(writing, table, shard_index, err);
    }
    for (size_t side = 0; side < SIDES_COUNT; side++) {
        table_close(sides[side]);
    }
    table_close(orgs);
    table_close(usage);
    return is_fine;
}

static bool walk_shards(struct writing *writing, const struct written_table *table,
                        struct err *err) {
    const struct previous_tables *previous = &writing->ledger->previous;
    writing->recorded = previous_walk_start(previous->records, previous->shards_count);
    for (size_t shard = 0; shard < writing->ledger->shards_count; shard++) {
        if (!walk_shard(writing, table, shard, err)) {
            return false;
        }
    }
    return true;
}

static bool copy_table(struct writing *writing, const struct written_table *table,
                       struct err *err) {
    uint64_t rows_count;
    if (!db_copy_in_begin(writing->ledger->db, table->statement, &writing->copy, err)) {
        return false;
    }
    if (!walk_shards(writing, table, err) || !db_copy_in_finish(&writing->copy, &rows_count, err)) {
        db_copy_in_abort(&writing->copy);
        return false;
    }
    return true;
}

bool writing_copy_alerts(struct writing *writing, struct err *err) {
    static const struct written_table alerts = {"record/copy_alerts.sql", writing_look_at_alerts,
                                                writing_put_alerts};
    return copy_table(writing, &alerts, err);
}

/* --- all of it ------------------------------------------------------------------------------- */

static bool write_all(struct writing *writing, struct err *err) {
    static const struct written_table looked_at = {NULL, writing_use_plan, NULL};
    static const struct written_table tables[] = {
        {"record/copy_terms.sql", writing_put_terms, NULL},
        {"record/copy_usage.sql", NULL, writing_put_usage},
        {"record/copy_overages.sql", NULL, writing_put_record},
        {"record/copy_periods.sql", writing_put_mark, NULL},
    };
    if (!ledger_digest_plans(writing->ledger, &writing->sealed, err) ||
        !walk_shards(writing, &looked_at, err) ||
        !ledger_seal_plans(writing->ledger, &writing->sealed, err)) {
        return false;
    }
    for (size_t index = 0; index < sizeof tables / sizeof *tables; index++) {
        if (!copy_table(writing, &tables[index], err)) {
            return false;
        }
    }
    return writing_check_sums(writing, err) && writing_note_alerts(writing, err) &&
           writing_mark_done(writing, err);
}

/* What the walks need of the session. */
static struct writing writing_start(struct ledger *ledger) {
    const struct month month = ledger->session->month;
    const struct month next = month_add(month, 1);
    return (struct writing){
        .ledger = ledger,
        .period_days = civil_to_days((struct civil_date){month.year, month.month, 1}),
        .next_period_days = civil_to_days((struct civil_date){next.year, next.month, 1}),
    };
}

/* Nothing is new: the claim goes, as if the run had never been. */
static bool forget_run(struct ledger *ledger, struct err *err) {
    struct db_params params = {0};
    db_params_int64(&params, ledger->session->claim.run_id);
    return db_run(ledger->db, "record/forget_run.sql", &params, NULL, err);
}

bool ledger_write(struct ledger *ledger, struct err *err) {
    struct writing writing = writing_start(ledger);
    bool is_nothing = ledger->counts[LEDGER_NEW] + ledger->counts[LEDGER_CHANGED] == 0;
    bool is_done = is_nothing ? forget_run(ledger, err) : write_all(&writing, err);
    sealed_digests_release(&writing.sealed);
    buffer_release(&writing.scratch);
    return is_done && db_commit(ledger->db, err);
}

static bool sum_price(struct writing *writing, struct err *err) {
    return writing_sum_usage(writing, err) && writing_sum_record(writing, err);
}

bool ledger_check(struct ledger *ledger, struct err *err) {
    static const struct written_table summed = {NULL, writing_sum_mark, sum_price};
    struct writing writing = writing_start(ledger);
    return walk_shards(&writing, &summed, err) && writing_check_sums(&writing, err);
}
