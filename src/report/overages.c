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

struct overages {
    struct report_file *file;
    struct totals *totals;
    struct rated_walk walk;
    bool has_records;
    bool has_items;
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

static bool overages_amounts(const struct overages *overages, struct overage *amounts,
                             struct err *err) {
    const struct rated_walk *walk = &overages->walk;
    const struct rated_side *charge = &walk->sides[SIDE_CHARGES];
    *amounts = (struct overage){.limit = DECIMAL_ZERO};
    if (!charge->is_here) {
        struct limits limits = rated_limits(&walk->sides[SIDE_LIMITS]);
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
static bool overages_waive(const struct overages *overages, struct overage *amounts,
                           struct err *err) {
    const struct table_cursor *row = &overages->walk.sides[SIDE_RECORDS].cursor;
    amounts->cost = table_get_decimal(row, RECORDS_COST);
    return decimal_subtract(amounts->uncapped_cost, amounts->cost, &amounts->cap_reduction) ||
           err_set(err, ERR_RANGE, "the reduction of a cost does not fit");
}

/* False: nothing is recorded of the price at hand. */
static bool overages_record(const struct overages *overages, const struct overage *amounts,
                            struct record *record) {
    const struct rated_walk *walk = &overages->walk;
    if (!overages->has_records) {
        *record = (struct record){
            .revision = 1,
            .billed = amounts->cost,
            .status = text_from(report_record_status(&walk->org, amounts->cost)),
        };
        return !decimal_is_zero(amounts->overage);
    }
    if (!walk->sides[SIDE_RECORDS].is_here) {
        return false;
    }
    const struct table_cursor *row = &walk->sides[SIDE_RECORDS].cursor;
    *record = (struct record){
        .revision = table_get_int64(row, RECORDS_REVISION),
        .previous_cost = table_get_decimal(row, RECORDS_PREVIOUS_COST),
        .billed = table_get_decimal(row, RECORDS_BILLED),
        .status = table_get_text(row, RECORDS_STATUS),
    };
    const struct table_cursor *item = &walk->sides[SIDE_ITEMS].cursor;
    if (walk->sides[SIDE_ITEMS].is_here &&
        !text_equals(table_get_text(item, ITEMS_STATUS), text_from("not_emitted"))) {
        record->status = table_get_text(item, ITEMS_STATUS);
    }
    if (walk->sides[SIDE_ITEMS].is_here && !table_is_null(item, ITEMS_STRIPE_ITEM_ID)) {
        record->stripe_item_id = table_get_text(item, ITEMS_STRIPE_ITEM_ID);
    }
    return true;
}

static bool overages_put(struct overages *overages, const struct overage *amounts,
                         const struct record *record, struct err *err) {
    struct report_file *file = overages->file;
    const struct rated_walk *walk = &overages->walk;
    const struct currency *currency = walk->plan->currency;
    report_text(file, walk->org_id);
    if (table_is_null(&walk->org, ORGS_NAME)) {
        report_empty(file);
    } else {
        report_text(file, table_get_text(&walk->org, ORGS_NAME));
    }
    report_text(file, walk->plan->plan_id);
    report_text(file, walk->price->metric);
    report_words(file, currency->code);
    report_instant(file, table_get_instant(&walk->org, ORGS_PERIOD_START));
    report_instant(file, table_get_instant(&walk->org, ORGS_PERIOD_END));
    report_decimal(file, table_get_decimal(&walk->usage, USAGE_QUANTITY));
    report_decimal(file, amounts->limit);
    report_decimal(file, amounts->overage);
    report_words(file, model_table[walk->price->price.model].name);
    report_decimal(file, amounts->exact_cost);
    report_decimal(file, amounts->rounding);
    report_money(file, amounts->uncapped_cost, currency);
    report_money(file, amounts->cap_reduction, currency);
    report_money(file, amounts->cost, currency);
    report_money(file, record->previous_cost, currency);
    report_money(file, record->billed, currency);
    report_int64(file, record->revision);
    report_text(file, record->status);
    report_text(file, record->stripe_item_id);
    struct text unit = text_from(currency->code);
    return report_end_row(file, err) &&
           totals_add_right(overages->totals,
                            overages->has_records ? records_equation : cost_equation, unit,
                            amounts->cost, err) &&
           (!overages->has_items ||
            totals_add_right(overages->totals, billed_equation, unit, record->billed, err));
}

static bool overages_price(struct overages *overages, struct err *err) {
    const struct rated_side *sides = overages->walk.sides;
    struct overage amounts;
    struct record record;
    if (!sides[SIDE_CHARGES].is_here && !sides[SIDE_RECORDS].is_here) {
        return true;
    }
    if (!overages_amounts(overages, &amounts, err)) {
        return false;
    }
    if (!overages_record(overages, &amounts, &record)) {
        return true;
    }
    return (!overages->has_records || overages_waive(overages, &amounts, err)) &&
           overages_put(overages, &amounts, &record, err);
}

static bool overages_shard(const struct report_source *source, const struct report_shard *shard,
                           struct report_file *file, struct totals *totals, struct err *err) {
    struct overages overages = {.file = file,
                                .totals = totals,
                                .walk = rated_walk_start(source->terms, shard->orgs),
                                .has_records = shard->records != NULL,
                                .has_items = shard->items != NULL};
    struct rated_walk *walk = &overages.walk;
    rated_walk_usage(walk, shard->usage);
    rated_walk_beside(walk, SIDE_CHARGES, shard->charges);
    rated_walk_beside(walk, SIDE_LIMITS, shard->limits);
    rated_walk_beside(walk, SIDE_RECORDS, shard->records);
    rated_walk_beside(walk, SIDE_ITEMS, shard->items);
    while (rated_walk_next_org(walk, err)) {
        while (rated_walk_next_price(walk, err)) {
            if (!overages_price(&overages, err)) {
                return false;
            }
        }
        if (err->code != ERR_NONE) {
            return false;
        }
    }
    return err->code == ERR_NONE;
}

/* The left sides, from the tables themselves, row by row: what no price leads to counts too. */
static bool overages_expected(const struct report_source *source, struct totals *totals,
                              struct err *err) {
    for (size_t index = 0; index < source->shards_count; index++) {
        const struct report_shard *shard = &source->shards[index];
        struct table_cursor org = table_cursor_start(shard->orgs);
        bool has_records = shard->records != NULL;
        struct table_cursor row = table_cursor_start(has_records ? shard->records : shard->charges);
        bool has_org = table_cursor_next(&org);
        while (table_cursor_next(&row)) {
            struct text org_id =
                table_get_text(&row, has_records ? RECORDS_ORG_ID : CHARGES_ORG_ID);
            while (has_org && !text_equals(table_get_text(&org, ORGS_ORG_ID), org_id)) {
                has_org = table_cursor_next(&org);
            }
            if (!has_org) {
                return err_set(err, ERR_DAMAGED, "%s: a cost of an org that is not there",
                               table_path(row.table));
            }
            if (!totals_add_left(totals, has_records ? records_equation : cost_equation,
                                 table_get_text(&org, ORGS_CURRENCY),
                                 table_get_decimal(&row, has_records ? RECORDS_COST : CHARGES_COST),
                                 err)) {
                return false;
            }
        }
        if (shard->items == NULL) {
            continue;
        }
        struct table_cursor item = table_cursor_start(shard->items);
        while (table_cursor_next(&item)) {
            if (!totals_add_left(totals, billed_equation, table_get_text(&item, ITEMS_CURRENCY),
                                 table_get_decimal(&item, ITEMS_BILLED), err)) {
                return false;
            }
        }
    }
    return true;
}

static bool overages_write(const struct report_source *source, struct report_file *file,
                           struct totals *totals, struct err *err) {
    for (size_t index = 0; index < source->shards_count; index++) {
        if (!overages_shard(source, &source->shards[index], file, totals, err)) {
            return false;
        }
    }
    return overages_expected(source, totals, err);
}

const struct report report_overages = {
    .file_name = "overages.csv",
    REPORT_COLUMNS(columns),
    .is_due = overages_is_due,
    .write = overages_write,
};
