/*
 * Writing a result: COPY straight into the tables. All rows are new, being keyed by revision, so
 * there is nothing to update and no conflict but one of our own making, which rolls all back.
 * The rows of one table after the other, each in a pass over the shards: one connection, nothing
 * kept in memory.
 */
#include <assert.h>
#include <jansson.h>
#include <stdlib.h>

#include "core/memory.h"
#include "db/copy.h"
#include "rating/rated.h"
#include "record_database.h"
#include "source/recorded.h"
#include "sys/process.h"

enum write_side {
    SIDE_CHARGES,
    SIDE_NEGATIVES,
    SIDE_LIMITS,
    SIDE_SERIES,
    SIDE_PROJECTIONS,
    SIDE_ESTIMATES,
    SIDE_RECORDS,
    SIDES_COUNT,
};

static const struct table_schema *const side_schemas[SIDES_COUNT] = {
    [SIDE_CHARGES] = &checkpoint_charges,         [SIDE_NEGATIVES] = &checkpoint_negatives,
    [SIDE_LIMITS] = &checkpoint_limits,           [SIDE_SERIES] = &checkpoint_series,
    [SIDE_PROJECTIONS] = &checkpoint_projections, [SIDE_ESTIMATES] = &checkpoint_estimates,
    [SIDE_RECORDS] = &checkpoint_records,
};

/* Per currency, what was sent. */
struct written_sums {
    const struct currency *currency;
    uint64_t rows_count;
    struct decimal cost;
    struct decimal billed;
};

enum { CURRENCIES_MAX = 64 };

struct writing {
    struct ledger *ledger;
    struct sealed_digests sealed;
    int32_t period_days;
    struct db_copy_in copy;
    struct rated_walk walk;
    const struct ledger_org *org;
    struct terms_walk limits;      /* of copy_terms, org by org */
    struct previous_walk recorded; /* records that stand */
    struct buffer scratch;
    uint64_t progress;
    /* what was sent */
    uint64_t orgs_count;
    uint64_t terms_count;
    uint64_t usage_count;
    int64_t events;
    struct decimal usage;
    struct written_sums sums[CURRENCIES_MAX];
    size_t sums_count;
};

/* One table: its statement, and what of an org goes there. Either may be NULL. */
struct written_table {
    const char *statement;
    bool (*put_org)(struct writing *writing, struct err *err);
    bool (*put_price)(struct writing *writing, struct err *err);
};

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

static int64_t run_number(const struct writing *writing) {
    return writing->ledger->session->claim.run_id;
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

static bool put_terms(struct writing *writing, struct err *err) {
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
           db_copy_in_int64(copy, run_number(writing), err) &&
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

static bool put_usage(struct writing *writing, struct err *err) {
    enum { FIELDS = 15 };
    const struct rated_walk *walk = &writing->walk;
    const struct rated_side *charge = &walk->sides[SIDE_CHARGES];
    const struct rated_side *negative = &walk->sides[SIDE_NEGATIVES];
    const struct limits limits = rated_limits(&walk->sides[SIDE_LIMITS]);
    struct db_copy_in *copy = &writing->copy;
    struct decimal quantity = table_get_decimal(&walk->usage, USAGE_QUANTITY);
    int64_t events = table_get_int64(&walk->usage, USAGE_EVENTS);
    writing->usage_count++;
    writing->events += events;
    return add(&writing->usage, quantity, err) && db_copy_in_row(copy, FIELDS, err) &&
           db_copy_in_text(copy, walk->org_id, err) &&
           db_copy_in_text(copy, walk->price->metric, err) &&
           db_copy_in_date(copy, writing->period_days, err) &&
           db_copy_in_int32(copy, (int32_t)writing->org->revision, err) &&
           db_copy_in_decimal(copy, quantity, err) &&
           db_copy_in_decimal(
               copy,
               negative->is_here ? table_get_decimal(&negative->cursor, NEGATIVES_NET) : quantity,
               err) &&
           db_copy_in_int64(copy, events, err) &&
           db_copy_in_decimal(copy, charge_limit(&walk->price->price, &limits), err) &&
           put_charge(copy, charge, CHARGES_OVERAGE, err) && put_closing_level(writing, err) &&
           put_charge(copy, charge, CHARGES_COST, err) &&
           db_copy_in_text(copy, currency_code(writing), err) &&
           put_projection(writing, quantity, err) &&
           db_copy_in_int64(copy, run_number(writing), err);
}

/* --- records --------------------------------------------------------------------------------- */

/* A record that stands already is shown by the stage, too, with its revision. */
static bool is_new_record(struct writing *writing, const struct table_cursor *record) {
    return writing->org->state == LEDGER_NEW ||
           !previous_walk_to(&writing->recorded, writing->walk.org_id,
                             writing->walk.price->metric) ||
           table_get_int64(&writing->recorded.walk.cursor, RECORDS_REVISION) !=
               table_get_int64(record, RECORDS_REVISION);
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

static bool put_record(struct writing *writing, struct err *err) {
    enum { FIELDS = 21 };
    const struct rated_walk *walk = &writing->walk;
    const struct rated_side *charge = &walk->sides[SIDE_CHARGES];
    struct db_copy_in *copy = &writing->copy;
    if (!walk->sides[SIDE_RECORDS].is_here) {
        return true;
    }
    const struct table_cursor *record = &walk->sides[SIDE_RECORDS].cursor;
    if (!is_new_record(writing, record)) {
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
           put_amounts(writing, record, err) && db_copy_in_int64(copy, run_number(writing), err) &&
           db_copy_in_text(copy, table_get_text(record, RECORDS_STATUS), err) &&
           db_copy_in_bool(copy, is_waived, err);
}

/* --- marks ----------------------------------------------------------------------------------- */

static bool put_mark(struct writing *writing, struct err *err) {
    enum { FIELDS = 8 };
    const struct table_cursor *org = &writing->walk.org;
    struct db_copy_in *copy = &writing->copy;
    const struct digest *digest = &writing->org->digest;
    writing->orgs_count++;
    return db_copy_in_row(copy, FIELDS, err) && db_copy_in_text(copy, writing->walk.org_id, err) &&
           db_copy_in_date(copy, writing->period_days, err) &&
           db_copy_in_int32(copy, (int32_t)writing->org->revision, err) &&
           db_copy_in_instant(copy, table_get_instant(org, ORGS_PERIOD_START), err) &&
           db_copy_in_instant(copy, table_get_instant(org, ORGS_PERIOD_END), err) &&
           db_copy_in_text(copy, (struct text){(const char *)digest->bytes, DIGEST_BYTES}, err) &&
           db_copy_in_int64(copy, run_number(writing), err) &&
           db_copy_in_int64(copy, writing->org->seen_by, err);
}

/* The plans that terms will name must be there before. No COPY: only looks. */
static bool use_plan(struct writing *writing, struct err *err) {
    const struct ledger *ledger = writing->ledger;
    (void)err;
    if (writing->org->state == LEDGER_NEW || ledger->session->is_repriced) {
        writing->sealed.is_used[writing->walk.plan - ledger->terms->plans] = true;
    }
    return true;
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

/* --- the sums, as the tables have them ---------------------------------------------------------
 */

static bool differ(const char *what, const char *unit, struct decimal sent, struct decimal there,
                   struct err *err) {
    char left[DECIMAL_TEXT_MAX];
    char right[DECIMAL_TEXT_MAX];
    (void)decimal_format(sent, left);
    (void)decimal_format(there, right);
    return err_set(err, ERR_CONTROL,
                   "%s %s: %s were sent, the tables have %s: nothing was recorded", what, unit,
                   left, right);
}

static struct decimal count_of(int64_t count) {
    struct decimal decimal;
    bool fits = decimal_from_int64(count, &decimal);
    assert(fits);
    (void)fits;
    return decimal;
}

struct written_row {
    struct text currency;
    int64_t rows_count;
    struct decimal cost;
    struct decimal billed;
    int64_t orgs_count;
};

static bool read_written(const struct db_result *result, size_t row, struct written_row *written,
                         struct err *err) {
    return db_result_text(result, row, 0, &written->currency, err) &&
           db_result_int64(result, row, 1, &written->rows_count, err) &&
           db_result_decimal(result, row, 2, &written->cost, err) &&
           db_result_decimal(result, row, 3, &written->billed, err) &&
           db_result_int64(result, row, 4, &written->orgs_count, err);
}

static bool check_pair(struct totals *totals, const char *what, struct text unit,
                       struct decimal sent, struct decimal there, struct err *err) {
    if (decimal_compare(sent, there) != 0) {
        char shown[128];
        (void)snprintf(shown, sizeof shown, "(%.*s)", (int)unit.size_bytes, unit.bytes);
        return differ(what, shown, sent, there, err);
    }
    return totals_add_left(totals, what, unit, sent, err) &&
           totals_add_right(totals, what, unit, there, err);
}

/* Row 0 is usage, the others are records by currency. */
static bool check_row(const struct writing *writing, const struct db_result *result, size_t row,
                      struct err *err) {
    static const char rows[] = "rows recorded = rows in the database";
    struct totals *totals = run_totals(writing->ledger->run);
    struct written_row there;
    if (!read_written(result, row, &there, err)) {
        return false;
    }
    if (row == 0) {
        return check_pair(totals, rows, text_from("periods"),
                          count_of((int64_t)writing->orgs_count), count_of(there.orgs_count),
                          err) &&
               check_pair(totals, rows, text_from("usage"), count_of((int64_t)writing->usage_count),
                          count_of(there.rows_count), err) &&
               check_pair(totals, "usage recorded = usage in the database", text_from("units"),
                          writing->usage, there.cost, err) &&
               check_pair(totals, "usage recorded = usage in the database", text_from("events"),
                          count_of(writing->events), there.billed, err);
    }
    const struct written_sums none = {.rows_count = 0};
    const struct written_sums *sums = &none;
    for (size_t index = 0; index < writing->sums_count; index++) {
        if (text_equals(text_from(writing->sums[index].currency->code), there.currency)) {
            sums = &writing->sums[index];
        }
    }
    return check_pair(totals, "records written = records in the database", there.currency,
                      count_of((int64_t)sums->rows_count), count_of(there.rows_count), err) &&
           check_pair(totals, "cost recorded = cost in the database", there.currency, sums->cost,
                      there.cost, err) &&
           check_pair(totals, "billed recorded = billed in the database", there.currency,
                      sums->billed, there.billed, err);
}

static bool check_written(const struct writing *writing, struct err *err) {
    struct db_params params = {0};
    struct db_result result = {0};
    db_params_text(&params, text_from(writing->ledger->day));
    db_params_int64(&params, run_number(writing));
    bool is_done = db_run(writing->ledger->db, "record/written.sql", &params, &result, err);
    if (is_done && result.rows_count != writing->sums_count + 1) {
        is_done = differ("currencies of", "records", count_of((int64_t)writing->sums_count),
                         count_of((int64_t)result.rows_count - 1), err);
    }
    for (size_t row = 0; is_done && row < result.rows_count; row++) {
        is_done = check_row(writing, &result, row, err);
    }
    db_result_release(&result);
    return is_done;
}

/* --- the mark that it is written ---------------------------------------------------------------
 */

static json_t *sums_document(const struct writing *writing) {
    json_t *sums = json_object();
    for (size_t index = 0; sums != NULL && index < writing->sums_count; index++) {
        const struct written_sums *row = &writing->sums[index];
        char cost[DECIMAL_TEXT_MAX];
        char billed[DECIMAL_TEXT_MAX];
        (void)money_format(row->cost, row->currency, cost);
        (void)money_format(row->billed, row->currency, billed);
        json_t *object = json_pack("{s:I, s:s, s:s}", "records", (json_int_t)row->rows_count,
                                   "cost", cost, "billed", billed);
        if (json_object_set_new(sums, row->currency->code, object) != 0) {
            json_decref(sums);
            return NULL;
        }
    }
    return sums;
}

static char *totals_document(const struct writing *writing) {
    const struct ledger *ledger = writing->ledger;
    json_t *sums = sums_document(writing);
    json_t *document =
        sums == NULL
            ? NULL
            : json_pack("{s:I, s:I, s:I, s:o}", "new_orgs", (json_int_t)ledger->counts[LEDGER_NEW],
                        "changed_orgs", (json_int_t)ledger->counts[LEDGER_CHANGED], "usage_rows",
                        (json_int_t)writing->usage_count, "currencies", sums);
    char *text = document != NULL ? json_dumps(document, JSON_COMPACT) : NULL;
    json_decref(document);
    return text;
}

static char *digests_document(const struct ledger *ledger, struct err *err) {
    char key[DIGEST_TEXT_MAX];
    (void)err;
    digest_format(&ledger->result_key, key);
    json_t *document = json_pack("{s:s}", "result", key);
    char *text = document != NULL ? json_dumps(document, JSON_COMPACT) : NULL;
    json_decref(document);
    return text;
}

static bool pinned_instant(const struct ledger *ledger, const char *name, struct db_params *params,
                           struct err *err) {
    const char *pinned = run_pinned(ledger->run, PIN_OPTION, name);
    struct instant instant;
    if (pinned == NULL || instant_parse(text_from(pinned), &instant) != NULL) {
        return err_set(err, ERR_DAMAGED, "%s: '%s' is not pinned, or is no time stamp",
                       run_path(ledger->run), name);
    }
    db_params_instant(params, instant);
    return true;
}

static void put_word(struct db_params *params, const char *word) {
    if (word != NULL) {
        db_params_text(params, text_from(word));
    } else {
        db_params_null(params);
    }
}

static bool mark_written(const struct writing *writing, struct err *err) {
    const struct ledger *ledger = writing->ledger;
    const struct stage_session *session = ledger->session;
    struct db_params params = {0};
    char *totals = totals_document(writing);
    char *digests = digests_document(ledger, err);
    db_params_int64(&params, session->claim.run_id);
    put_word(&params, session->reason);
    db_params_bool(&params, session->is_forced);
    bool is_done = pinned_instant(ledger, "cutoff", &params, err) &&
                   pinned_instant(ledger, "now", &params, err);
    put_word(&params, run_pinned(ledger->run, PIN_VERSION, pin_snapshot));
    put_word(&params, run_id(ledger->run));
    db_params_bytes(&params, (struct text){(const char *)ledger->result_key.bytes, DIGEST_BYTES});
    put_word(&params, digests);
    put_word(&params, totals);
    is_done = is_done && ((totals != NULL && digests != NULL) || err_memory(err, 4096)) &&
              db_run(ledger->db, "record/finish.sql", &params, NULL, err);
    free(totals);
    free(digests);
    return is_done;
}

/* --- all of it ---------------------------------------------------------------------------------
 */

static bool write_all(struct writing *writing, struct err *err) {
    static const struct written_table looked_at = {NULL, use_plan, NULL};
    static const struct written_table tables[] = {
        {"record/copy_terms.sql", put_terms, NULL},
        {"record/copy_usage.sql", NULL, put_usage},
        {"record/copy_overages.sql", NULL, put_record},
        {"record/copy_periods.sql", put_mark, NULL},
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
    return check_written(writing, err) && mark_written(writing, err);
}

/* Nothing is new: the claim goes, as if the run had never been. */
static bool forget_run(struct ledger *ledger, struct err *err) {
    struct db_params params = {0};
    db_params_int64(&params, ledger->session->claim.run_id);
    return db_run(ledger->db, "record/forget_run.sql", &params, NULL, err);
}

bool ledger_write(struct ledger *ledger, struct err *err) {
    struct writing writing = {.ledger = ledger};
    const struct civil_date first = {ledger->session->month.year, ledger->session->month.month, 1};
    writing.period_days = civil_to_days(first);
    bool is_nothing = ledger->counts[LEDGER_NEW] + ledger->counts[LEDGER_CHANGED] == 0;
    bool is_done = is_nothing ? forget_run(ledger, err) : write_all(&writing, err);
    sealed_digests_release(&writing.sealed);
    buffer_release(&writing.scratch);
    return is_done && db_commit(ledger->db, err);
}
