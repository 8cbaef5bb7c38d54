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
static const char billed_equation[] = "billed of items = billed in overages.csv";

struct overages {
    struct report_file *file;
    struct totals *totals;
    struct terms_walk records;
    struct terms_walk items;
    bool has_records;
    bool has_items;
};

static bool overages_record(struct overages *overages, const struct table_cursor *org,
                            const struct table_cursor *charge, struct record *record) {
    struct text org_id = table_get_text(charge, CHARGES_ORG_ID);
    struct text metric = table_get_text(charge, CHARGES_METRIC);
    if (!overages->has_records) {
        struct decimal cost = table_get_decimal(charge, CHARGES_COST);
        *record = (struct record){
            .revision = 1, .billed = cost, .status = text_from(report_record_status(org, cost))};
        return !decimal_is_zero(table_get_decimal(charge, CHARGES_OVERAGE));
    }
    if (!terms_walk_to(&overages->records, org_id, metric)) {
        return false;
    }
    const struct table_cursor *row = &overages->records.cursor;
    *record = (struct record){
        .revision = table_get_int64(row, RECORDS_REVISION),
        .previous_cost = table_get_decimal(row, RECORDS_PREVIOUS_COST),
        .billed = table_get_decimal(row, RECORDS_BILLED),
        .status = table_get_text(row, RECORDS_STATUS),
    };
    if (overages->has_items && terms_walk_to(&overages->items, org_id, metric)) {
        const struct table_cursor *item = &overages->items.cursor;
        struct text status = table_get_text(item, ITEMS_STATUS);
        if (!text_equals(status, text_from("not_emitted"))) {
            record->status = status;
        }
        if (!table_is_null(item, ITEMS_STRIPE_ITEM_ID)) {
            record->stripe_item_id = table_get_text(item, ITEMS_STRIPE_ITEM_ID);
        }
    }
    return true;
}

static bool overages_put(struct overages *overages, const struct table_cursor *org,
                         const struct terms_plan *plan, const struct terms_price *price,
                         const struct table_cursor *usage, const struct table_cursor *charge,
                         const struct record *record, struct err *err) {
    struct report_file *file = overages->file;
    struct decimal exact_cost = table_get_decimal(charge, CHARGES_EXACT_COST);
    struct decimal uncapped_cost = table_get_decimal(charge, CHARGES_UNCAPPED_COST);
    struct decimal rounding;
    if (!decimal_subtract(uncapped_cost, exact_cost, &rounding)) {
        return err_set(err, ERR_RANGE, "rounding does not fit");
    }
    report_text(file, table_get_text(org, ORGS_ORG_ID));
    if (table_is_null(org, ORGS_NAME)) {
        report_empty(file);
    } else {
        report_text(file, table_get_text(org, ORGS_NAME));
    }
    report_text(file, plan->plan_id);
    report_text(file, price->metric);
    report_words(file, plan->currency->code);
    report_instant(file, table_get_instant(org, ORGS_PERIOD_START));
    report_instant(file, table_get_instant(org, ORGS_PERIOD_END));
    report_decimal(file, table_get_decimal(usage, USAGE_QUANTITY));
    report_decimal(file, table_get_decimal(charge, CHARGES_LIMIT));
    report_decimal(file, table_get_decimal(charge, CHARGES_OVERAGE));
    report_words(file, model_table[price->price.model].name);
    report_decimal(file, exact_cost);
    report_decimal(file, rounding);
    report_money(file, uncapped_cost, plan->currency);
    report_money(file, table_get_decimal(charge, CHARGES_CAP_REDUCTION), plan->currency);
    report_money(file, table_get_decimal(charge, CHARGES_COST), plan->currency);
    report_money(file, record->previous_cost, plan->currency);
    report_money(file, record->billed, plan->currency);
    report_int64(file, record->revision);
    report_text(file, record->status);
    report_text(file, record->stripe_item_id);
    struct text unit = text_from(plan->currency->code);
    return report_end_row(file, err) &&
           totals_add_right(overages->totals, cost_equation, unit,
                            table_get_decimal(charge, CHARGES_COST), err) &&
           (!overages->has_items ||
            totals_add_right(overages->totals, billed_equation, unit, record->billed, err));
}

static bool overages_shard(const struct report_source *source, const struct report_shard *shard,
                           struct report_file *file, struct totals *totals, struct err *err) {
    struct overages overages = {.file = file,
                                .totals = totals,
                                .has_records = shard->records != NULL,
                                .has_items = shard->items != NULL};
    if (overages.has_records) {
        overages.records = terms_walk_start(shard->records);
    }
    if (overages.has_items) {
        overages.items = terms_walk_start(shard->items);
    }
    struct table_cursor usage = table_cursor_start(shard->usage);
    struct table_cursor charge = table_cursor_start(shard->charges);
    struct report_orgs orgs = report_orgs_start(source, shard);
    while (report_orgs_next(&orgs, err)) {
        for (size_t index = 0; index < orgs.plan->prices_count; index++) {
            struct record record;
            if (!table_cursor_next(&usage) || !table_cursor_next(&charge)) {
                return err_set(err, ERR_DAMAGED, "%s: fewer rows than prices",
                               table_path(shard->charges));
            }
            if (overages_record(&overages, &orgs.cursor, &charge, &record) &&
                !overages_put(&overages, &orgs.cursor, orgs.plan, &orgs.plan->prices[index], &usage,
                              &charge, &record, err)) {
                return false;
            }
        }
    }
    return err->code == ERR_NONE;
}

/* The left sides, from the tables themselves: a second walk, in another order of looking. */
static bool overages_expected(const struct report_source *source, struct totals *totals,
                              struct err *err) {
    for (size_t index = 0; index < source->shards_count; index++) {
        const struct report_shard *shard = &source->shards[index];
        struct report_orgs orgs = report_orgs_start(source, shard);
        struct table_cursor charge = table_cursor_start(shard->charges);
        while (report_orgs_next(&orgs, err)) {
            for (size_t price = 0; price < orgs.plan->prices_count; price++) {
                if (!table_cursor_next(&charge) ||
                    !totals_add_left(totals, cost_equation, text_from(orgs.plan->currency->code),
                                     table_get_decimal(&charge, CHARGES_COST), err)) {
                    return false;
                }
            }
        }
        if (err->code != ERR_NONE || shard->items == NULL) {
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
    return err->code == ERR_NONE;
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
