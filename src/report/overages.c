/* overages.csv: a row per record: what an org used beyond its plan, and what that costs. */
#include <assert.h>

#include "report/reports.h"

static const char *const columns[] = {
    "org_id",     "org_name",      "plan_id",
    "metric",     "currency",      "period_start",
    "period_end", "usage",         "limit",
    "overage",    "model",         "exact_cost",
    "rounding",   "uncapped_cost", "cap_reduction",
    "cost",       "previous_cost", "billed",
    "revision",   "status",        "stripe_invoice_item_id",
};

static bool overages_is_due(const struct report_source *source) {
    return source->shards_count > 0 && source->shards[0].charges != NULL;
}

/* A record's own columns; derived where nothing was recorded yet. */
struct record {
    int64_t revision;
    struct decimal previous_cost;
    struct decimal billed;
    struct text status;
    struct text stripe_item_id;
};

/* What was written, held against the stages that computed it. */
static const char cost_equation[] = "cost of charges = cost in overages.csv";
static const char records_equation[] = "cost of records = cost in overages.csv";
static const char billed_equation[] = "billed of items = billed in overages.csv";

enum overages_side { SIDE_CHARGES, SIDE_LIMITS, SIDE_RECORDS, SIDE_ITEMS };

/* The period of the org in the row before, which the next one's mostly is, too. */
struct overages {
    struct instant period_start;
    struct instant period_end;
    struct report_field period; /* both, as they stand in the file; empty: none yet */
};

/* A row's amounts; a record of an earlier revision's overage may be without a charge now. */
struct overage {
    struct decimal limit;
    struct decimal overage;
    struct decimal exact_cost;
    struct decimal rounding;
    struct decimal uncapped_cost;
    struct decimal cap_reduction;
    struct decimal cost;
};

static bool overages_amounts(const struct rated_walk *walk, struct overage *amounts,
                             struct err *err) {
    const struct rated_side *charge = &walk->sides[REPORT_CHARGES];
    *amounts = (struct overage){.limit = DECIMAL_ZERO};
    if (!charge->is_here) {
        struct limits limits = rated_limits(&walk->sides[REPORT_LIMITS]);
        amounts->limit = charge_limit(&walk->price->price, &limits);
        return true;
    }
    amounts->limit = table_get_decimal(&charge->cursor, CHARGES_LIMIT);
    amounts->overage = table_get_decimal(&charge->cursor, CHARGES_OVERAGE);
    amounts->exact_cost = table_get_decimal(&charge->cursor, CHARGES_EXACT_COST);
    amounts->uncapped_cost = table_get_decimal(&charge->cursor, CHARGES_UNCAPPED_COST);
    amounts->cap_reduction = table_get_decimal(&charge->cursor, CHARGES_CAP_REDUCTION);
    amounts->cost = table_get_decimal(&charge->cursor, CHARGES_COST);
    return decimal_subtract(amounts->uncapped_cost, amounts->exact_cost, &amounts->rounding) ||
           err_set(err, ERR_RANGE, "rounding does not fit");
}

/* What was waived is no cost any more: it counts as reduction. */
static bool overages_waive(const struct rated_walk *walk, struct overage *amounts,
                           struct err *err) {
    const struct table_cursor *row = &walk->sides[REPORT_RECORDS].cursor;
    amounts->cost = table_get_decimal(row, RECORDS_COST);
    return decimal_subtract(amounts->uncapped_cost, amounts->cost, &amounts->cap_reduction) ||
           err_set(err, ERR_RANGE, "the reduction of a cost does not fit");
}

/* False: nothing is recorded of the price at hand. */
static bool overages_record(const struct report_walk *report_walk, const struct overage *amounts,
                            struct record *record) {
    const struct rated_walk *walk = &report_walk->rated;
    if (report_walk->shard->records == NULL) {
        *record = (struct record){
            .revision = 1,
            .billed = amounts->cost,
            .status = text_from(report_record_status(&walk->org, amounts->cost)),
        };
        return !decimal_is_zero(amounts->overage);
    }
    if (!walk->sides[REPORT_RECORDS].is_here) {
        return false;
    }
    const struct table_cursor *row = &walk->sides[REPORT_RECORDS].cursor;
    *record = (struct record){
        .revision = table_get_int64(row, RECORDS_REVISION),
        .previous_cost = table_get_decimal(row, RECORDS_PREVIOUS_COST),
        .billed = table_get_decimal(row, RECORDS_BILLED),
        .status = table_get_text(row, RECORDS_STATUS),
    };
    const struct table_cursor *item = &walk->sides[REPORT_ITEMS].cursor;
    if (walk->sides[REPORT_ITEMS].is_here &&
        !text_equals(table_get_text(item, ITEMS_STATUS), text_from("not_emitted"))) {
        record->status = table_get_text(item, ITEMS_STATUS);
    }
    if (walk->sides[REPORT_ITEMS].is_here && !table_is_null(item, ITEMS_STRIPE_ITEM_ID)) {
        record->stripe_item_id = table_get_text(item, ITEMS_STRIPE_ITEM_ID);
    }
    return true;
}

static bool overages_keep_period(struct overages *overages, const struct table_cursor *org,
                                 struct err *err) {
    struct instant start = table_get_instant(org, ORGS_PERIOD_START);
    struct instant end = table_get_instant(org, ORGS_PERIOD_END);
    if (overages->period.text.size_bytes > 0 && overages->period_start.us == start.us &&
        overages->period_end.us == end.us) {
        return true;
    }
    char text[2 * (1 + INSTANT_TEXT_MAX)] = ",";
    size_t size_bytes = 1 + instant_format(start, text + 1);
    text[size_bytes++] = ',';
    size_bytes += instant_format(end, text + size_bytes);
    overages->period_start = start;
    overages->period_end = end;
    return report_field_start(&overages->period, err) &&
           buffer_append(&overages->period.text,
                         (struct text){.bytes = text, .size_bytes = size_bytes}, err);
}

/* What the amounts are of. */
static char *overages_put_names(char *at, const struct report_walk *report_walk,
                                const struct overages *overages) {
    const struct rated_walk *walk = &report_walk->rated;
    at = report_put_field(at, &report_walk->org_id);
    at = table_is_null(&walk->org, ORGS_NAME)
             ? report_put_empty(at)
             : report_put_text(at, table_get_text(&walk->org, ORGS_NAME));
    at = report_put_text(at, walk->plan->plan_id);
    at = report_put_text(at, walk->price->metric);
    at = report_put_words(at, walk->plan->currency->code);
    return report_put_field(at, &overages->period);
}

static char *overages_put_amounts(char *at, const struct report_walk *report_walk,
                                  const struct overage *amounts, const struct record *record) {
    const struct rated_walk *walk = &report_walk->rated;
    const struct currency *currency = walk->plan->currency;
    at = report_put_field(at, &report_walk->usage);
    at = report_put_decimal(at, amounts->limit);
    at = report_put_decimal(at, amounts->overage);
    at = report_put_words(at, model_table[walk->price->price.model].name);
    at = report_put_decimal(at, amounts->exact_cost);
    at = report_put_decimal(at, amounts->rounding);
    at = report_put_money(at, amounts->uncapped_cost, currency);
    at = report_put_money(at, amounts->cap_reduction, currency);
    at = report_put_money(at, amounts->cost, currency);
    at = report_put_money(at, record->previous_cost, currency);
    at = report_put_money(at, record->billed, currency);
    return report_put_int64(at, record->revision);
}

static bool overages_put(struct overages *overages, struct report_walk *report_walk,
                         const struct overage *amounts, const struct record *record,
                         struct report_file *part, struct err *err) {
    const struct rated_walk *walk = &report_walk->rated;
    if (!overages_keep_period(overages, &walk->org, err)) {
        return false;
    }
    enum { NUMBERS_COUNT = 12, WORDS_BYTES_MAX = 64 };
    size_t texts_bytes = walk->plan->plan_id.size_bytes + walk->price->metric.size_bytes +
                         record->status.size_bytes + record->stripe_item_id.size_bytes +
                         table_get_text(&walk->org, ORGS_NAME).size_bytes;
    char *at =
        report_row_start(part, report_walk->org_id.text.size_bytes + 5 * REPORT_TEXT_BYTES_MORE +
                                   2 * texts_bytes + overages->period.text.size_bytes +
                                   WORDS_BYTES_MAX + NUMBERS_COUNT * (1 + DECIMAL_TEXT_MAX));
    if (at != NULL) {
        at = overages_put_names(at, report_walk, overages);
        at = overages_put_amounts(at, report_walk, amounts, record);
        at = report_put_text(at, record->status);
        at = report_put_text(at, record->stripe_item_id);
    }
    const struct report_shard *shard = report_walk->shard;
    struct text unit = text_from(walk->plan->currency->code);
    return report_row_end(part, at, err) &&
           totals_add_right(report_walk->totals,
                            shard->records != NULL ? records_equation : cost_equation, unit,
                            amounts->cost, err) &&
           (shard->items == NULL ||
            totals_add_right(report_walk->totals, billed_equation, unit, record->billed, err));
}

static bool overages_price(void *state, struct report_walk *report_walk, struct report_file *part,
                           struct err *err) {
    const struct rated_walk *walk = &report_walk->rated;
    struct overage amounts;
    struct record record;
    if (!walk->sides[REPORT_CHARGES].is_here && !walk->sides[REPORT_RECORDS].is_here) {
        return true;
    }
    if (!overages_amounts(walk, &amounts, err)) {
        return false;
    }
    if (!overages_record(report_walk, &amounts, &record)) {
        return true;
    }
    return (report_walk->shard->records == NULL || overages_waive(walk, &amounts, err)) &&
           overages_put(state, report_walk, &amounts, &record, part, err);
}

/* The left sides, from the tables themselves, row by row: what no price leads to counts too. */
static bool overages_expect(struct report_walk *report_walk, struct err *err) {
    const struct report_shard *shard = report_walk->shard;
    bool has_records = shard->records != NULL;
    const struct table *costs = has_records ? shard->records : shard->charges;
    if (costs == NULL) {
        return true; /* not rated yet */
    }
    struct table_cursor org = table_cursor_start(shard->orgs);
    struct table_cursor row = table_cursor_start(costs);
    bool has_org = table_cursor_next(&org);
    while (table_cursor_next(&row)) {
        struct text org_id = table_get_text(&row, has_records ? RECORDS_ORG_ID : CHARGES_ORG_ID);
        while (has_org && !text_equals(table_get_text(&org, ORGS_ORG_ID), org_id)) {
            has_org = table_cursor_next(&org);
        }
        if (!has_org) {
            return err_set(err, ERR_DAMAGED, "%s: a cost of an org that is not there",
                           table_path(costs));
        }
        if (!totals_add_left(report_walk->totals, has_records ? records_equation : cost_equation,
                             table_get_text(&org, ORGS_CURRENCY),
                             table_get_decimal(&row, has_records ? RECORDS_COST : CHARGES_COST),
                             err)) {
            return false;
        }
    }
    if (shard->items == NULL) {
        return true;
    }
    struct table_cursor item = table_cursor_start(shard->items);
    while (table_cursor_next(&item)) {
        if (!totals_add_left(report_walk->totals, billed_equation,
                             table_get_text(&item, ITEMS_CURRENCY),
                             table_get_decimal(&item, ITEMS_BILLED), err)) {
            return false;
        }
    }
    return true;
}

static void overages_release(void *state) {
    struct overages *overages = state;
    report_field_release(&overages->period);
}

static const struct report_rows overages_rows = {
    .state_bytes = sizeof(struct overages),
    .expect = overages_expect,
    .price = overages_price,
    .release = overages_release,
};

const struct report report_overages = {
    .file_name = "overages.csv",
    REPORT_COLUMNS(columns),
    .is_due = overages_is_due,
    .rows = &overages_rows,
};
