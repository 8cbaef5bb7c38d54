/*
 * The rows that a result becomes in the tables, field by field in the order of the COPY statements
 * (sql/record). What was sent is counted and added up on the way, to be compared with what the
 * tables have.
 */
#include <jansson.h>
#include <stdlib.h>

#include "record_write.h"
#include "source/recorded.h"

/* --- fields ---------------------------------------------------------------------------------- */

static bool put_optional(struct db_copy_in *copy, const struct table_cursor *row, size_t column,
                         struct err *err) {
    return table_is_null(row, column)
               ? db_copy_in_null(copy, err)
               : db_copy_in_decimal(copy, table_get_decimal(row, column), err);
}

static bool put_charge(struct db_copy_in *copy, const struct rated_side *charge, size_t column,
                       struct err *err) {
    return db_copy_in_decimal(
        copy, charge->is_here ? table_get_decimal(&charge->cursor, column) : DECIMAL_ZERO, err);
}

static struct text currency_code(const struct writing *writing) {
    return text_from(writing->walk.plan->currency->code);
}

static bool add(struct decimal *sum, struct decimal amount, struct err *err) {
    return decimal_add(*sum, amount, sum) ||
           err_set(err, ERR_RANGE, "a sum of what is recorded does not fit");
}

/* --- terms ----------------------------------------------------------------------------------- */

/* The first row of the org's limits goes into the document, and all that follow. */
static bool append_limits(struct writing *writing, struct err *err) {
    struct terms_walk *limits = &writing->limits;
    struct text org_id = writing->walk.org_id;
    json_t *rows = json_array();
    bool is_fine = rows != NULL;
    (void)terms_walk_to(limits, org_id, (struct text){"", 0});
    for (; is_fine && limits->has_row &&
           text_equals(table_get_text(&limits->cursor, LIMITS_ORG_ID), org_id);
         limits->has_row = table_cursor_next(&limits->cursor)) {
        const struct limits own = terms_row_limits(&limits->cursor);
        struct text metric = table_get_text(&limits->cursor, LIMITS_METRIC);
        char soft[DECIMAL_TEXT_MAX];
        char hard[DECIMAL_TEXT_MAX];
        (void)decimal_format(own.soft_limit, soft);
        (void)decimal_format(own.hard_limit, hard);
        json_t *row =
            json_pack("{s:o, s:s?, s:s?}", "metric", json_stringn(metric.bytes, metric.size_bytes),
                      "soft_limit", own.has_soft_limit ? soft : NULL, "hard_limit",
                      own.has_hard_limit ? hard : NULL);
        is_fine = row != NULL && json_array_append_new(rows, row) == 0;
    }
    buffer_clear(&writing->scratch);
    if (is_fine && json_array_size(rows) > 0) {
        char *text = json_dumps(rows, JSON_COMPACT);
        is_fine = text != NULL;
        if (is_fine && (!buffer_append(&writing->scratch, (struct text){"\1", 1}, err) ||
                        !buffer_append(&writing->scratch, text_from(text), err))) {
            free(text);
            json_decref(rows);
            return false;
        }
        free(text);
    }
    json_decref(rows);
    return is_fine || err_memory(err, 4096);
}

bool writing_put_terms(struct writing *writing, struct err *err) {
    enum { FIELDS = 12 };
    const struct ledger *ledger = writing->ledger;
    const struct table_cursor *org = &writing->walk.org;
    struct db_copy_in *copy = &writing->copy;
    size_t plan = (size_t)(writing->walk.plan - ledger->terms->plans);
    if (writing->org->state != LEDGER_NEW && !ledger->session->is_repriced) {
        return true;
    }
    writing->terms_count++;
    const struct digest *digest = &writing->sealed.digests[plan];
    return append_limits(writing, err) && db_copy_in_row(copy, FIELDS, err) &&
           db_copy_in_text(copy, writing->walk.org_id, err) &&
           db_copy_in_date(copy, writing->period_days, err) &&
           db_copy_in_int32(copy, (int32_t)writing->org->revision, err) &&
           db_copy_in_int64(copy, writing_run_number(writing), err) &&
           db_copy_in_text(copy, (struct text){(const char *)digest->bytes, DIGEST_BYTES}, err) &&
           db_copy_in_text(copy, currency_code(writing), err) &&
           db_copy_in_text(copy, table_get_text(org, ORGS_TIMEZONE), err) &&
           db_copy_in_int32(copy, (int32_t)table_get_int64(org, ORGS_ANCHOR_DAY), err) &&
           db_copy_in_instant(copy, table_get_instant(org, ORGS_PERIOD_START), err) &&
           db_copy_in_instant(copy, table_get_instant(org, ORGS_PERIOD_END), err) &&
           put_optional(copy, org, ORGS_OVERAGE_CAP, err) &&
           (writing->scratch.size_bytes == 0
                ? db_copy_in_null(copy, err)
                : db_copy_in_text(copy, buffer_text(&writing->scratch), err));
}

/* --- usage ----------------------------------------------------------------------------------- */

/* A level without movements closes at zero, so that the next period need not look behind it. */
static bool put_closing_level(struct writing *writing, struct err *err) {
    const struct rated_side *series = &writing->walk.sides[SIDE_SERIES];
    const struct terms_price *price = writing->walk.price;
    if (series->is_here) {
        return put_optional(&writing->copy, &series->cursor, SERIES_CLOSING_LEVEL, err);
    }
    bool is_level = aggregation_table[price->price.aggregation].is_level &&
                    !text_equals(price->metric, text_from("seats"));
    return is_level ? db_copy_in_decimal(&writing->copy, DECIMAL_ZERO, err)
                    : db_copy_in_null(&writing->copy, err);
}

/* Without a row a metric goes on as it is, and costs nothing. */
static bool put_projection(struct writing *writing, struct decimal quantity, struct err *err) {
    const struct rated_side *projection = &writing->walk.sides[SIDE_PROJECTIONS];
    const struct rated_side *estimate = &writing->walk.sides[SIDE_ESTIMATES];
    struct db_copy_in *copy = &writing->copy;
    bool is_done = projection->is_here
                       ? put_optional(copy, &projection->cursor, PROJECTIONS_PROJECTED, err)
                       : db_copy_in_decimal(copy, quantity, err);
    return is_done &&
           (estimate->is_here ? put_optional(copy, &estimate->cursor, ESTIMATES_PROJECTED_COST, err)
                              : db_copy_in_decimal(copy, DECIMAL_ZERO, err));
}

bool writing_sum_usage(struct writing *writing, struct err *err) {
    const struct table_cursor *usage = &writing->walk.usage;
    writing->usage_count++;
    writing->events += table_get_int64(usage, USAGE_EVENTS);
    return add(&writing->usage, table_get_decimal(usage, USAGE_QUANTITY), err);
}

static bool put_usage(struct writing *writing, struct err *err) {
    enum { FIELDS = 15 };
    const struct rated_walk *walk = &writing->walk;
    const struct rated_side *charge = &walk->sides[SIDE_CHARGES];
    const struct rated_side *negative = &walk->sides[SIDE_NEGATIVES];
    const struct limits limits = rated_limits(&walk->sides[SIDE_LIMITS]);
    struct db_copy_in *copy = &writing->copy;
    struct decimal quantity = table_get_decimal(&walk->usage, USAGE_QUANTITY);
    return db_copy_in_row(copy, FIELDS, err) && db_copy_in_text(copy, walk->org_id, err) &&
           db_copy_in_text(copy, walk->price->metric, err) &&
           db_copy_in_date(copy, writing->period_days, err) &&
           db_copy_in_int32(copy, (int32_t)writing->org->revision, err) &&
           db_copy_in_decimal(copy, quantity, err) &&
           db_copy_in_decimal(
               copy,
               negative->is_here ? table_get_decimal(&negative->cursor, NEGATIVES_NET) : quantity,
               err) &&
           db_copy_in_int64(copy, table_get_int64(&walk->usage, USAGE_EVENTS), err) &&
           db_copy_in_decimal(copy, charge_limit(&walk->price->price, &limits), err) &&
           put_charge(copy, charge, CHARGES_OVERAGE, err) && put_closing_level(writing, err) &&
           put_charge(copy, charge, CHARGES_COST, err) &&
           db_copy_in_text(copy, currency_code(writing), err) &&
           put_projection(writing, quantity, err) &&
           db_copy_in_int64(copy, writing_run_number(writing), err);
}

bool writing_put_usage(struct writing *writing, struct err *err) {
    return writing_sum_usage(writing, err) && put_usage(writing, err);
}

/* --- records --------------------------------------------------------------------------------- */

/* The record to be written, or NULL: one that stands already is shown by the stage, too, with its
 * revision. */
static const struct table_cursor *new_record(struct writing *writing) {
    const struct rated_side *record = &writing->walk.sides[SIDE_RECORDS];
    if (!record->is_here) {
        return NULL;
    }
    bool is_new =
        writing->org->state == LEDGER_NEW ||
        !previous_walk_to(&writing->recorded, writing->walk.org_id, writing->walk.price->metric) ||
        table_get_int64(&writing->recorded.walk.cursor, RECORDS_REVISION) !=
            table_get_int64(&record->cursor, RECORDS_REVISION);
    return is_new ? &record->cursor : NULL;
}

static bool sum_record(struct writing *writing, const struct table_cursor *record,
                       struct err *err) {
    const struct currency *currency = writing->walk.plan->currency;
    size_t index = 0;
    while (index < writing->sums_count && writing->sums[index].currency != currency) {
        index++;
    }
    if (index == CURRENCIES_MAX) {
        return err_set(err, ERR_RANGE, "more than %d currencies", (int)CURRENCIES_MAX);
    }
    struct written_sums *sums = &writing->sums[index];
    sums->currency = currency;
    sums->rows_count++;
    writing->sums_count += index == writing->sums_count ? 1 : 0;
    return add(&sums->cost, table_get_decimal(record, RECORDS_COST), err) &&
           add(&sums->billed, table_get_decimal(record, RECORDS_BILLED), err);
}

bool writing_sum_record(struct writing *writing, struct err *err) {
    const struct table_cursor *record = new_record(writing);
    return record == NULL || sum_record(writing, record, err);
}

static bool put_amounts(struct writing *writing, const struct table_cursor *record,
                        struct err *err) {
    const struct rated_walk *walk = &writing->walk;
    const struct rated_side *charge = &walk->sides[SIDE_CHARGES];
    const struct price *price = &walk->price->price;
    const struct limits limits = rated_limits(&walk->sides[SIDE_LIMITS]);
    struct db_copy_in *copy = &writing->copy;
    return db_copy_in_decimal(copy, table_get_decimal(&walk->usage, USAGE_QUANTITY), err) &&
           db_copy_in_decimal(copy, charge_limit(price, &limits), err) &&
           put_charge(copy, charge, CHARGES_OVERAGE, err) &&
           db_copy_in_text(copy, text_from(model_table[price->model].name), err) &&
           (model_table[price->model].needs_unit_price
                ? db_copy_in_decimal(copy, price->unit_price, err)
                : db_copy_in_null(copy, err)) &&
           put_charge(copy, charge, CHARGES_EXACT_COST, err) &&
           put_charge(copy, charge, CHARGES_UNCAPPED_COST, err) &&
           db_copy_in_decimal(copy, table_get_decimal(record, RECORDS_COST), err) &&
           db_copy_in_decimal(copy, table_get_decimal(record, RECORDS_PREVIOUS_COST), err) &&
           db_copy_in_decimal(copy, table_get_decimal(record, RECORDS_BILLED), err);
}

bool writing_put_record(struct writing *writing, struct err *err) {
    enum { FIELDS = 21 };
    const struct rated_walk *walk = &writing->walk;
    const struct rated_side *charge = &walk->sides[SIDE_CHARGES];
    struct db_copy_in *copy = &writing->copy;
    const struct table_cursor *record = new_record(writing);
    if (record == NULL) {
        return true;
    }
    bool is_waived = charge->is_here && decimal_is_zero(table_get_decimal(record, RECORDS_COST)) &&
                     !decimal_is_zero(table_get_decimal(&charge->cursor, CHARGES_COST));
    return sum_record(writing, record, err) && db_copy_in_row(copy, FIELDS, err) &&
           db_copy_in_text(copy, walk->org_id, err) &&
           db_copy_in_text(copy, walk->price->metric, err) &&
           db_copy_in_date(copy, writing->period_days, err) &&
           db_copy_in_int32(copy, (int32_t)table_get_int64(record, RECORDS_REVISION), err) &&
           db_copy_in_instant(copy, table_get_instant(&walk->org, ORGS_PERIOD_START), err) &&
           db_copy_in_instant(copy, table_get_instant(&walk->org, ORGS_PERIOD_END), err) &&
           db_copy_in_text(copy, walk->plan->plan_id, err) &&
           db_copy_in_text(copy, currency_code(writing), err) &&
           put_amounts(writing, record, err) &&
           db_copy_in_int64(copy, writing_run_number(writing), err) &&
           db_copy_in_text(copy, table_get_text(record, RECORDS_STATUS), err) &&
           db_copy_in_bool(copy, is_waived, err);
}

/* --- marks ----------------------------------------------------------------------------------- */

bool writing_sum_mark(struct writing *writing, struct err *err) {
    (void)err;
    writing->orgs_count++;
    return true;
}

bool writing_put_mark(struct writing *writing, struct err *err) {
    enum { FIELDS = 8 };
    const struct table_cursor *org = &writing->walk.org;
    struct db_copy_in *copy = &writing->copy;
    const struct digest *digest = &writing->org->digest;
    return writing_sum_mark(writing, err) && db_copy_in_row(copy, FIELDS, err) &&
           db_copy_in_text(copy, writing->walk.org_id, err) &&
           db_copy_in_date(copy, writing->period_days, err) &&
           db_copy_in_int32(copy, (int32_t)writing->org->revision, err) &&
           db_copy_in_instant(copy, table_get_instant(org, ORGS_PERIOD_START), err) &&
           db_copy_in_instant(copy, table_get_instant(org, ORGS_PERIOD_END), err) &&
           db_copy_in_text(copy, (struct text){(const char *)digest->bytes, DIGEST_BYTES}, err) &&
           db_copy_in_int64(copy, writing_run_number(writing), err) &&
           db_copy_in_int64(copy, writing->org->seen_by, err);
}

/* The plans that terms will name must be there before. No COPY: only looks. */
bool writing_use_plan(struct writing *writing, struct err *err) {
    const struct ledger *ledger = writing->ledger;
    (void)err;
    if (writing->org->state == LEDGER_NEW || ledger->session->is_repriced) {
        writing->sealed.is_used[writing->walk.plan - ledger->terms->plans] = true;
    }
    return true;
}
