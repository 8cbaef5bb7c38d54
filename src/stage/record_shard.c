/*
 * Which records a result makes, their revisions and differences.
 *
 * A record exists when this result's overage, or an earlier revision's, is above zero; billed is
 * the cost minus what the revision before cost.
 *
 * What the revision before billed must be this one's to change: an org or a metric that fell out of
 * it would be billed from zero by the next revision, which is made from this one.
 */
#include "record_shard.h"

#include "report/reports.h"
#include "source/recorded.h"

enum record_side { SIDE_CHARGES, SIDE_NEGATIVES };

/* What one result says of one (org, metric). */
struct result {
    struct decimal overage;
    struct decimal cost;
    struct decimal quantity;
    struct decimal net;
    int64_t events;
};

/* What the revision before said of it. */
struct previous_result {
    bool is_found; /* the metric was rated there */
    bool has_record;
    bool is_waived; /* nothing is billed for it, whatever it costs */
    int64_t revision;
    struct result result;
};

/* NULL for a row that is not there: no charge, no negative net. */
static struct result record_result(const struct table_cursor *usage,
                                   const struct table_cursor *charge,
                                   const struct table_cursor *negative) {
    struct result result = {
        .quantity = table_get_decimal(usage, USAGE_QUANTITY),
        .events = table_get_int64(usage, USAGE_EVENTS),
    };
    result.net = negative != NULL ? table_get_decimal(negative, NEGATIVES_NET) : result.quantity;
    if (charge != NULL) {
        result.overage = table_get_decimal(charge, CHARGES_OVERAGE);
        result.cost = table_get_decimal(charge, CHARGES_COST);
    }
    return result;
}

/* NULL when the previous run has no such row. */
static const struct table_cursor *previous_row(struct previous_walk *walk, struct text org_id,
                                               struct text metric) {
    return previous_walk_to(walk, org_id, metric) ? &walk->walk.cursor : NULL;
}

static struct previous_result record_previous(struct record_shard *shard) {
    struct previous_result previous = {.is_found = false};
    if (shard->state == LEDGER_NEW) {
        return previous;
    }
    struct text org_id = shard->walk.org_id;
    struct text metric = shard->walk.price->metric;
    const struct table_cursor *usage = previous_row(&shard->previous_usage, org_id, metric);
    if (usage == NULL) {
        return previous;
    }
    previous.is_found = true;
    previous.result = record_result(usage, previous_row(&shard->previous_charges, org_id, metric),
                                    previous_row(&shard->previous_negatives, org_id, metric));
    const struct table_cursor *record = previous_row(&shard->previous_records, org_id, metric);
    if (record != NULL) {
        previous.has_record = true;
        previous.revision = table_get_int64(record, RECORDS_REVISION);
        previous.is_waived =
            shard->recorder->ledger != NULL && table_get_bool(record, RECORDED_RECORDS_IS_WAIVED);
    }
    return previous;
}

/* cost - previous_cost = billed, per currency. */
static bool record_add_totals(struct totals *totals, struct text unit, struct decimal cost,
                              struct decimal previous_cost, struct decimal billed,
                              struct err *err) {
    static const char row[] = "cost - previous_cost = billed";
    struct decimal negative;
    if (!decimal_subtract(DECIMAL_ZERO, previous_cost, &negative)) {
        return err_set(err, ERR_RANGE, "previous cost does not fit");
    }
    return totals_add_left(totals, row, unit, cost, err) &&
           totals_add_left(totals, row, unit, negative, err) &&
           totals_add_right(totals, row, unit, billed, err);
}

/* What becomes of it, as far as is known now. */
static struct text record_status(const struct record_shard *shard, struct decimal billed) {
    const struct recorder *recorder = shard->recorder;
    const char *status = report_record_status(&shard->walk.org, billed);
    bool is_recorded = recorder->ledger != NULL && !run_is_dry(recorder->run);
    return text_from(is_recorded && strcmp(status, "computed") == 0 ? "recorded" : status);
}

/* The record that stands, as the database has it: nothing new is billed. */
static bool record_keep(struct record_shard *shard, struct err *err) {
    struct table_writer *out = shard->records;
    const struct rated_walk *walk = &shard->walk;
    const struct table_cursor *row =
        previous_row(&shard->previous_records, walk->org_id, walk->price->metric);
    if (row == NULL) {
        return true;
    }
    struct decimal cost = table_get_decimal(row, RECORDS_COST);
    struct decimal previous_cost = table_get_decimal(row, RECORDS_PREVIOUS_COST);
    struct decimal billed = table_get_decimal(row, RECORDS_BILLED);
    struct text recorded_status = table_get_text(row, RECORDS_STATUS);
    bool is_disabled = text_equals(recorded_status, text_from("disabled"));
    table_put_text(out, RECORDS_ORG_ID, walk->org_id);
    table_put_text(out, RECORDS_METRIC, walk->price->metric);
    table_put_int64(out, RECORDS_REVISION, table_get_int64(row, RECORDS_REVISION));
    table_put_decimal(out, RECORDS_COST, cost);
    table_put_decimal(out, RECORDS_PREVIOUS_COST, previous_cost);
    table_put_decimal(out, RECORDS_BILLED, billed);
    /* What became of its item is the emit stage's to find out again. */
    table_put_text(out, RECORDS_STATUS,
                   is_disabled ? recorded_status : record_status(shard, billed));
    return table_end_row(out, err) &&
           record_add_totals(shard->totals, text_from(walk->plan->currency->code), cost,
                             previous_cost, billed, err);
}

static bool record_put(struct record_shard *shard, const struct result *result,
                       const struct previous_result *previous, struct err *err) {
    struct table_writer *out = shard->records;
    const struct rated_walk *walk = &shard->walk;
    struct decimal previous_cost = previous->result.cost;
    struct decimal billed;
    if (!decimal_subtract(result->cost, previous_cost, &billed)) {
        return err_set(err, ERR_RANGE, "the difference to the revision before does not fit");
    }
    bool is_changed = decimal_compare(result->cost, previous_cost) != 0 ||
                      decimal_compare(result->overage, previous->result.overage) != 0;
    int64_t revision = previous->has_record ? previous->revision + (is_changed ? 1 : 0)
                       : previous->is_found ? 2
                                            : 1;
    if (!is_changed && previous->has_record && shard->recorder->ledger != NULL) {
        return record_keep(shard, err);
    }
    table_put_text(out, RECORDS_ORG_ID, walk->org_id);
    table_put_text(out, RECORDS_METRIC, walk->price->metric);
    table_put_int64(out, RECORDS_REVISION, revision);
    table_put_decimal(out, RECORDS_COST, result->cost);
    table_put_decimal(out, RECORDS_PREVIOUS_COST, previous_cost);
    table_put_decimal(out, RECORDS_BILLED, billed);
    table_put_text(out, RECORDS_STATUS, record_status(shard, billed));
    return table_end_row(out, err) &&
           record_add_totals(shard->totals, text_from(walk->plan->currency->code), result->cost,
                             previous_cost, billed, err);
}

static bool record_adjustment(struct record_shard *shard, const struct result *now,
                              const struct result *before, struct err *err) {
    struct table_writer *out = shard->adjustments;
    const struct rated_walk *walk = &shard->walk;
    struct decimal late_quantity;
    if (decimal_compare(now->quantity, before->quantity) == 0 && now->events == before->events &&
        decimal_compare(now->cost, before->cost) == 0) {
        return true;
    }
    if (!decimal_subtract(now->net, before->net, &late_quantity)) {
        return err_set(err, ERR_RANGE, "late quantity does not fit");
    }
    table_put_text(out, ADJUSTMENTS_ORG_ID, walk->org_id);
    table_put_text(out, ADJUSTMENTS_METRIC, walk->price->metric);
    table_put_int64(out, ADJUSTMENTS_LATE_EVENTS, now->events - before->events);
    table_put_decimal(out, ADJUSTMENTS_LATE_QUANTITY, late_quantity);
    table_put_decimal(out, ADJUSTMENTS_OLD_USAGE, before->quantity);
    table_put_decimal(out, ADJUSTMENTS_NEW_USAGE, now->quantity);
    table_put_decimal(out, ADJUSTMENTS_OLD_COST, before->cost);
    table_put_decimal(out, ADJUSTMENTS_NEW_COST, now->cost);
    table_put_text(out, ADJUSTMENTS_CURRENCY, text_from(walk->plan->currency->code));
    if (shard->recorder->reason != NULL) {
        table_put_text(out, ADJUSTMENTS_REASON, text_from(shard->recorder->reason));
    }
    return table_end_row(out, err);
}

static bool record_price(struct record_shard *shard, struct err *err) {
    const struct rated_side *charge = &shard->walk.sides[SIDE_CHARGES];
    const struct rated_side *negative = &shard->walk.sides[SIDE_NEGATIVES];
    if (shard->state == LEDGER_NEW && !charge->is_here) {
        return true; /* nothing was billed, and nothing is */
    }
    if (shard->state == LEDGER_SAME) {
        return record_keep(shard, err);
    }
    struct previous_result previous = record_previous(shard);
    struct result result =
        record_result(&shard->walk.usage, charge->is_here ? &charge->cursor : NULL,
                      negative->is_here ? &negative->cursor : NULL);
    if (previous.is_waived && !shard->recorder->session->is_repriced) {
        result.cost = DECIMAL_ZERO;
    }
    if ((!decimal_is_zero(result.overage) || previous.has_record) &&
        !record_put(shard, &result, &previous, err)) {
        return false;
    }
    return !previous.is_found || record_adjustment(shard, &result, &previous.result, err);
}

/* Every metric that the revision before billed the org for has a price to be rated with. */
static bool record_check_metrics(struct record_shard *shard, struct text org_id,
                                 const struct terms_plan *plan, struct err *err) {
    struct terms_walk *walk = &shard->previous_billed.walk;
    (void)previous_walk_to(&shard->previous_billed, org_id, (struct text){"", 0});
    for (; walk->has_row && text_equals(table_get_text(&walk->cursor, RECORDS_ORG_ID), org_id);
         walk->has_row = table_cursor_next(&walk->cursor)) {
        struct text metric = table_get_text(&walk->cursor, RECORDS_METRIC);
        struct decimal cost = table_get_decimal(&walk->cursor, RECORDS_COST);
        if (decimal_is_zero(cost) || terms_find_price(plan, metric) != NULL) {
            continue;
        }
        char amount[DECIMAL_TEXT_MAX];
        (void)money_format(cost, plan->currency, amount);
        (void)err_set(err, ERR_MISMATCH,
                      "org '%.*s', metric '%.*s': the revision before billed %s %s, but plan "
                      "'%.*s' has no price for it",
                      (int)org_id.size_bytes, org_id.bytes, (int)metric.size_bytes, metric.bytes,
                      amount, plan->currency->code, (int)plan->plan_id.size_bytes,
                      plan->plan_id.bytes);
        return err_hint(err, "give the metric a price (at 0 it is credited), or leave out "
                             "--reprice");
    }
    return true;
}

/* An org that was rated is rated again, in the same currency. */
static bool record_check_previous(struct record_shard *shard, struct err *err) {
    const struct terms_plan *plan = shard->walk.plan; /* NULL when it is not rated */
    struct text org_id = shard->walk.org_id;
    if (shard->recorder->previous == NULL || !previous_orgs_to(&shard->previous_orgs, org_id) ||
        !table_is_null(&shard->previous_orgs.cursor, ORGS_REASON)) {
        return true;
    }
    if (plan == NULL) {
        struct text reason = table_get_text(&shard->walk.org, ORGS_REASON);
        (void)err_set(err, ERR_MISMATCH,
                      "org '%.*s': the revision before rated it, now it is not: %.*s",
                      (int)org_id.size_bytes, org_id.bytes, (int)reason.size_bytes, reason.bytes);
        return err_hint(err, "a revision has the orgs of the one before: see --cutoff, --reprice "
                             "and the org's subscriptions");
    }
    struct text currency = table_get_text(&shard->previous_orgs.cursor, ORGS_CURRENCY);
    if (!text_equals(currency, text_from(plan->currency->code))) {
        (void)err_set(err, ERR_MISMATCH,
                      "org '%.*s': the revision before billed in %.*s, this one would in %s",
                      (int)org_id.size_bytes, org_id.bytes, (int)currency.size_bytes,
                      currency.bytes, plan->currency->code);
        return err_hint(err, "there is no difference between two currencies: leave out --reprice");
    }
    return record_check_metrics(shard, org_id, plan, err);
}

bool record_rows(struct record_shard *shard, struct err *err) {
    bool is_first = shard->recorder->previous == NULL;
    while (rated_walk_next_any(&shard->walk, err)) {
        if (!record_check_previous(shard, err)) {
            return false;
        }
        shard->state = is_first ? LEDGER_NEW : LEDGER_CHANGED;
        if (shard->recorder->ledger != NULL && shard->walk.plan != NULL) {
            shard->state = shard->next_org->state;
            shard->next_org++;
        }
        if (shard->state == LEDGER_NEW && !rated_walk_has_side(&shard->walk, SIDE_CHARGES)) {
            rated_walk_pass_prices(&shard->walk); /* nothing was billed, and nothing is */
            continue;
        }
        while (rated_walk_next_price(&shard->walk, err)) {
            if (!record_price(shard, err)) {
                return false;
            }
        }
        if (err->code != ERR_NONE) {
            return false;
        }
    }
    return err->code == ERR_NONE;
}

void record_start_previous(struct record_shard *shard, const struct previous_tables *previous) {
    size_t count = previous->shards_count;
    shard->previous_orgs = (struct previous_orgs){.tables = previous->orgs, .tables_count = count};
    shard->previous_billed = previous_walk_start(previous->records, count);
    shard->previous_usage = previous_walk_start(previous->usage, count);
    shard->previous_negatives = previous_walk_start(previous->negatives, count);
    shard->previous_charges = previous_walk_start(previous->charges, count);
    shard->previous_records = previous_walk_start(previous->records, count);
}

void record_start(struct record_shard *shard, struct table *orgs, struct table *usage,
                  struct table *negatives, struct table *charges) {
    shard->walk = rated_walk_start(shard->recorder->terms, orgs);
    rated_walk_usage(&shard->walk, usage);
    rated_walk_beside(&shard->walk, SIDE_CHARGES, charges);
    rated_walk_beside(&shard->walk, SIDE_NEGATIVES, negatives);
}
