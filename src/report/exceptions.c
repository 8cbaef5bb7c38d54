/*
 * exceptions.csv: everything that finance should know did not go the plain way: orgs set aside or
 * listed, records held, usage that was late, unpriced, blocked or negative.
 *
 * Rows are sorted by org, metric, kind and reason; what one org has is gathered from its tables and
 * sorted before it is written, so only one org is in memory at a time.
 */
#include <stdio.h>
#include <stdlib.h>

#include "report/reports.h"

static const char *const columns[] = {
    "org_id", "metric", "kind", "reason", "detail", "value", "currency",
};

enum { DETAIL_MAX = 160 };

struct exception {
    struct text metric;
    const char *kind;
    const char *reason;
    char detail[DETAIL_MAX];
    struct decimal value;
    const struct currency *currency; /* NULL: value is a quantity */
};

struct exceptions {
    struct exception *rows; /* of the org at hand */
    size_t rows_count;
    size_t rows_capacity;
    struct arena *arena;
    struct arena_mark mark; /* where it is without rows */
    struct table_cursor asides;
    bool has_aside;
};

static bool exceptions_is_due(const struct report_source *source) {
    return source->shards_count > 0 && source->shards[0].orgs != NULL;
}

static int exception_compare(const void *left, const void *right) {
    const struct exception *a = left;
    const struct exception *b = right;
    int order = text_compare(a->metric, b->metric);
    if (order == 0) {
        order = strcmp(a->kind, b->kind);
    }
    return order != 0 ? order : strcmp(a->reason, b->reason);
}

static struct exception *exceptions_add(struct exceptions *exceptions, struct text metric,
                                        const char *kind, const char *reason, struct err *err) {
    if (exceptions->rows_count == exceptions->rows_capacity) {
        size_t capacity = exceptions->rows_capacity * 2 + 16;
        struct exception *rows = arena_alloc_array(exceptions->arena, capacity, sizeof *rows, err);
        if (rows == NULL) {
            return NULL;
        }
        if (exceptions->rows_count > 0) {
            memcpy(rows, exceptions->rows, exceptions->rows_count * sizeof *rows);
        }
        exceptions->rows = rows;
        exceptions->rows_capacity = capacity;
    }
    struct exception *row = &exceptions->rows[exceptions->rows_count++];
    *row = (struct exception){.metric = metric, .kind = kind, .reason = reason};
    return row;
}

struct aside_kind {
    const char *name;
    const char *kind;
    const char *reason;
    const char *words;
};

static const struct aside_kind aside_kinds[] = {
    {"late", "late", "recorded_after_cutoff", "recorded after the cutoff"},
    {"late_earlier", "late", "recorded_period", "of an earlier period, came after it was recorded"},
    {"late_opening", "late", "late_opening", "before the period, not in its recorded opening"},
    {"unpriced", "unpriced", "no_price", "of a metric without a price in the plan"},
};

static bool exceptions_aside(struct exceptions *exceptions, struct err *err) {
    const struct table_cursor *row = &exceptions->asides;
    struct text name = table_get_text(row, ASIDES_KIND);
    for (size_t index = 0; index < sizeof aside_kinds / sizeof aside_kinds[0]; index++) {
        const struct aside_kind *kind = &aside_kinds[index];
        if (!text_equals(name, text_from(kind->name))) {
            continue;
        }
        struct exception *exception = exceptions_add(exceptions, table_get_text(row, ASIDES_METRIC),
                                                     kind->kind, kind->reason, err);
        if (exception == NULL) {
            return false;
        }
        char first_at[INSTANT_TEXT_MAX];
        char last_at[INSTANT_TEXT_MAX];
        int64_t events = table_get_int64(row, ASIDES_EVENTS);
        (void)instant_format(table_get_instant(row, ASIDES_FIRST_AT), first_at);
        (void)instant_format(table_get_instant(row, ASIDES_LAST_AT), last_at);
        exception->value = table_get_decimal(row, ASIDES_QUANTITY);
        if (events == 0) { /* seats come from assignments, not from events */
            (void)snprintf(exception->detail, sizeof exception->detail,
                           "seats active at the end, %s", kind->words);
            return true;
        }
        (void)snprintf(exception->detail, sizeof exception->detail, "%lld event%s %s, %s to %s",
                       (long long)events, events == 1 ? "" : "s", kind->words, first_at, last_at);
        return true;
    }
    return err_set(err, ERR_DAMAGED, "%s: unknown kind '%.*s'", table_path(row->table),
                   (int)name.size_bytes, name.bytes);
}

static bool exceptions_asides(struct exceptions *exceptions, struct text org_id, struct err *err) {
    while (exceptions->has_aside &&
           text_equals(table_get_text(&exceptions->asides, ASIDES_ORG_ID), org_id)) {
        if (!exceptions_aside(exceptions, err)) {
            return false;
        }
        exceptions->has_aside = table_cursor_next(&exceptions->asides);
    }
    return true;
}

static bool exceptions_blocked(struct exceptions *exceptions, const struct rated_walk *walk,
                               struct err *err) {
    const struct rated_side *charge = &walk->sides[REPORT_CHARGES];
    if (!charge->is_here || decimal_is_zero(table_get_decimal(&charge->cursor, CHARGES_BLOCKED))) {
        return true;
    }
    struct decimal blocked = table_get_decimal(&charge->cursor, CHARGES_BLOCKED);
    struct exception *exception =
        exceptions_add(exceptions, walk->price->metric, "blocked", "hard_limit", err);
    if (exception == NULL) {
        return false;
    }
    char used[DECIMAL_TEXT_MAX];
    char allowed[DECIMAL_TEXT_MAX];
    struct decimal quantity = table_get_decimal(&walk->usage, USAGE_QUANTITY);
    (void)decimal_format(quantity, used);
    (void)decimal_format((struct decimal){quantity.units - blocked.units}, allowed);
    (void)snprintf(exception->detail, sizeof exception->detail,
                   "used %s, hard limit %s: the rest is not billed", used, allowed);
    exception->value = blocked;
    return true;
}

static bool exceptions_negative(struct exceptions *exceptions, const struct rated_walk *walk,
                                struct err *err) {
    const struct rated_side *negative = &walk->sides[REPORT_NEGATIVES];
    if (!negative->is_here) {
        return true;
    }
    struct exception *exception =
        exceptions_add(exceptions, walk->price->metric, "negative", "negative_net", err);
    if (exception == NULL) {
        return false;
    }
    (void)snprintf(exception->detail, sizeof exception->detail, "billed as zero usage");
    exception->value = table_get_decimal(&negative->cursor, NEGATIVES_NET);
    return true;
}

/* Why an item is held: the reason, and what it says to a person. */
static const struct held_row {
    const char *reason;
    const char *detail;
} held_rows[] = {
    {"suspended", "the org is suspended: rated, not sent"},
    {"no_stripe_customer", "the org has no customer at Stripe: rated, not sent"},
    {"no_upcoming_invoice", "no invoice is to come that could take the item: rated, not sent"},
    {"earlier_revision", "a difference to an item that is not settled yet: rated, not sent"},
    {"negative_amount",
     "a credit, which a meter does not take: rated, not sent, to be given by hand"},
    {"no_dodo_customer", "the org has no customer at Dodo: rated, not sent"},
    {"no_dodo_subscription", "the customer has no active subscription at Dodo: rated, not sent"},
    {"no_dodo_meter", "no meter of the subscription takes the overage: rated, not sent"},
    {"two_dodo_meters", "two meters would bill the overage: rated, not sent"},
    {"dodo_meter", "the meter does not sum the key 'amount': rated, not sent"},
    {"dodo_free_threshold", "the meter's free threshold is not zero: rated, not sent"},
    {"dodo_currency", "the meter bills in another currency: rated, not sent"},
    {"dodo_price", "the meter's price is not 1 a unit: rated, not sent"},
};

static const struct held_row *held_row_of(const struct rated_side *item) {
    for (size_t row = 1; item->is_here && !table_is_null(&item->cursor, ITEMS_REASON) &&
                         row < sizeof held_rows / sizeof held_rows[0];
         row++) {
        if (text_equals(table_get_text(&item->cursor, ITEMS_REASON),
                        text_from(held_rows[row].reason))) {
            return &held_rows[row];
        }
    }
    return &held_rows[0];
}

/* Is the price at hand held back, and with how much? */
static bool exceptions_is_held(const struct rated_walk *walk, bool has_records,
                               struct decimal *billed) {
    const struct rated_side *charge = &walk->sides[REPORT_CHARGES];
    const struct rated_side *record = &walk->sides[REPORT_RECORDS];
    const struct rated_side *item = &walk->sides[REPORT_ITEMS];
    if (item->is_here) {
        *billed = table_get_decimal(&item->cursor, ITEMS_BILLED);
        return text_equals(table_get_text(&item->cursor, ITEMS_STATUS), text_from("held"));
    }
    if (has_records) {
        *billed =
            record->is_here ? table_get_decimal(&record->cursor, RECORDS_BILLED) : DECIMAL_ZERO;
        return record->is_here &&
               text_equals(table_get_text(&record->cursor, RECORDS_STATUS), text_from("held"));
    }
    if (!charge->is_here || decimal_is_zero(table_get_decimal(&charge->cursor, CHARGES_OVERAGE))) {
        return false;
    }
    *billed = table_get_decimal(&charge->cursor, CHARGES_COST);
    return strcmp(report_record_status(&walk->org, *billed), "held") == 0;
}

static bool exceptions_held(struct exceptions *exceptions, const struct rated_walk *walk,
                            bool has_records, struct err *err) {
    struct decimal billed;
    if (!exceptions_is_held(walk, has_records, &billed)) {
        return true;
    }
    const struct held_row *held = held_row_of(&walk->sides[REPORT_ITEMS]);
    struct exception *exception =
        exceptions_add(exceptions, walk->price->metric, "held", held->reason, err);
    if (exception == NULL) {
        return false;
    }
    const struct rated_side *item = &walk->sides[REPORT_ITEMS];
    if (item->is_here && !table_is_null(&item->cursor, ITEMS_DETAIL)) {
        struct text detail = table_get_text(&item->cursor, ITEMS_DETAIL);
        (void)snprintf(exception->detail, sizeof exception->detail, "%.*s", (int)detail.size_bytes,
                       detail.bytes);
    } else {
        (void)snprintf(exception->detail, sizeof exception->detail, "%s", held->detail);
    }
    exception->value = billed;
    exception->currency = walk->plan->currency;
    return true;
}

static bool exceptions_put(struct exceptions *exceptions, struct text org_id,
                           struct report_file *file, struct err *err) {
    qsort(exceptions->rows, exceptions->rows_count, sizeof *exceptions->rows, exception_compare);
    for (size_t index = 0; index < exceptions->rows_count; index++) {
        const struct exception *row = &exceptions->rows[index];
        report_text(file, org_id);
        report_text(file, row->metric);
        report_words(file, row->kind);
        report_words(file, row->reason);
        report_text(file, text_from(row->detail));
        if (row->currency != NULL) {
            report_money(file, row->value, row->currency);
            report_words(file, row->currency->code);
        } else {
            report_decimal(file, row->value);
            report_empty(file);
        }
        if (!report_end_row(file, err)) {
            return false;
        }
    }
    return true;
}

/* An org that is not rated: a row that says why, and what came late for its earlier periods. */
static bool exceptions_put_org(struct report_file *file, const struct table_cursor *org,
                               struct err *err) {
    report_text(file, table_get_text(org, ORGS_ORG_ID));
    report_empty(file);
    report_text(file, table_get_text(org, ORGS_DISPOSITION));
    report_text(file, table_get_text(org, ORGS_REASON));
    if (table_is_null(org, ORGS_DETAIL)) {
        report_empty(file);
    } else {
        report_text(file, table_get_text(org, ORGS_DETAIL));
    }
    report_empty(file);
    report_empty(file);
    return report_end_row(file, err);
}

static bool exceptions_begin(void *state, const struct report_walk *walk, struct text org_id,
                             struct err *err) {
    struct exceptions *exceptions = state;
    const struct table *asides = walk->shard->asides;
    if (exceptions->arena == NULL) {
        exceptions->arena = arena_create(err);
        if (exceptions->arena == NULL) {
            return false;
        }
        exceptions->mark = arena_mark(exceptions->arena);
    }
    exceptions->asides = table_cursor_before(asides, table_find_row(asides, ASIDES_ORG_ID, org_id));
    exceptions->has_aside = table_cursor_next(&exceptions->asides);
    return true;
}

static bool exceptions_price(void *state, struct report_walk *walk, struct report_file *part,
                             struct err *err) {
    (void)part;
    bool has_records = walk->shard->records != NULL;
    return exceptions_blocked(state, &walk->rated, err) &&
           exceptions_negative(state, &walk->rated, err) &&
           exceptions_held(state, &walk->rated, has_records, err);
}

static bool exceptions_org(void *state, struct report_walk *walk, struct report_file *part,
                           struct err *err) {
    struct exceptions *exceptions = state;
    struct text org_id = walk->rated.org_id;
    bool is_unrated = walk->rated.plan == NULL;
    if ((is_unrated && !exceptions_put_org(part, &walk->rated.org, err)) ||
        !exceptions_asides(exceptions, org_id, err)) {
        return false;
    }
    if (exceptions->rows_count == 0) {
        return true;
    }
    bool is_put = exceptions_put(exceptions, org_id, part, err);
    exceptions->rows = NULL;
    exceptions->rows_count = 0;
    exceptions->rows_capacity = 0;
    arena_rewind(exceptions->arena, exceptions->mark);
    return is_put;
}

static void exceptions_release(void *state) {
    struct exceptions *exceptions = state;
    arena_destroy(exceptions->arena);
}

static const struct report_rows exceptions_rows = {
    .state_bytes = sizeof(struct exceptions),
    .begin = exceptions_begin,
    .price = exceptions_price,
    .org = exceptions_org,
    .release = exceptions_release,
};

const struct report report_exceptions = {
    .file_name = "exceptions.csv",
    REPORT_COLUMNS(columns),
    .is_due = exceptions_is_due,
    .rows = &exceptions_rows,
};
