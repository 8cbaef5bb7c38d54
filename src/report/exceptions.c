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

enum exceptions_side { SIDE_CHARGES, SIDE_NEGATIVES, SIDE_RECORDS, SIDE_ITEMS };

struct exceptions {
    struct report_file *file;
    struct exception *rows; /* of the org at hand */
    size_t rows_count;
    size_t rows_capacity;
    struct arena *arena;
    struct table_cursor asides;
    bool has_aside;
    struct rated_walk walk;
    bool has_records;
    bool has_rows; /* metered and rated */
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

static bool exceptions_blocked(struct exceptions *exceptions, struct err *err) {
    const struct rated_walk *walk = &exceptions->walk;
    const struct rated_side *charge = &walk->sides[SIDE_CHARGES];
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

static bool exceptions_negative(struct exceptions *exceptions, struct err *err) {
    const struct rated_walk *walk = &exceptions->walk;
    const struct rated_side *negative = &walk->sides[SIDE_NEGATIVES];
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
    {"negative_amount", "a credit, which a meter does not take: rated, not sent"},
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
static bool exceptions_is_held(const struct exceptions *exceptions, struct decimal *billed) {
    const struct rated_walk *walk = &exceptions->walk;
    const struct rated_side *charge = &walk->sides[SIDE_CHARGES];
    const struct rated_side *record = &walk->sides[SIDE_RECORDS];
    const struct rated_side *item = &walk->sides[SIDE_ITEMS];
    if (item->is_here) {
        *billed = table_get_decimal(&item->cursor, ITEMS_BILLED);
        return text_equals(table_get_text(&item->cursor, ITEMS_STATUS), text_from("held"));
    }
    if (exceptions->has_records) {
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

static bool exceptions_held(struct exceptions *exceptions, struct err *err) {
    const struct rated_walk *walk = &exceptions->walk;
    struct decimal billed;
    if (!exceptions_is_held(exceptions, &billed)) {
        return true;
    }
    const struct held_row *held = held_row_of(&walk->sides[SIDE_ITEMS]);
    struct exception *exception =
        exceptions_add(exceptions, walk->price->metric, "held", held->reason, err);
    if (exception == NULL) {
        return false;
    }
    const struct rated_side *item = &walk->sides[SIDE_ITEMS];
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

static bool exceptions_put(struct exceptions *exceptions, struct text org_id, struct err *err) {
    struct report_file *file = exceptions->file;
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

static void exceptions_begin_org(struct exceptions *exceptions) {
    exceptions->rows_count = 0;
    exceptions->rows_capacity = 0;
    exceptions->rows = NULL;
}

static bool exceptions_unrated_org(struct exceptions *exceptions, struct err *err) {
    const struct rated_walk *walk = &exceptions->walk;
    exceptions_begin_org(exceptions);
    return exceptions_put_org(exceptions->file, &walk->org, err) &&
           exceptions_asides(exceptions, walk->org_id, err) &&
           (exceptions->rows_count == 0 || exceptions_put(exceptions, walk->org_id, err));
}

static bool exceptions_org(struct exceptions *exceptions, struct err *err) {
    exceptions_begin_org(exceptions);
    while (exceptions->has_rows && rated_walk_next_price(&exceptions->walk, err)) {
        if (!exceptions_blocked(exceptions, err) || !exceptions_negative(exceptions, err) ||
            !exceptions_held(exceptions, err)) {
            return false;
        }
    }
    return err->code == ERR_NONE && exceptions_asides(exceptions, exceptions->walk.org_id, err) &&
           (exceptions->rows_count == 0 ||
            exceptions_put(exceptions, exceptions->walk.org_id, err));
}

static bool exceptions_shard(const struct report_source *source, const struct report_shard *shard,
                             struct exceptions *exceptions, struct err *err) {
    struct rated_walk *walk = &exceptions->walk;
    *walk = rated_walk_start(source->terms, shard->orgs);
    exceptions->has_rows = shard->charges != NULL && shard->usage != NULL;
    exceptions->has_records = shard->records != NULL;
    if (exceptions->has_rows) {
        rated_walk_usage(walk, shard->usage);
    }
    rated_walk_beside(walk, SIDE_CHARGES, shard->charges);
    rated_walk_beside(walk, SIDE_NEGATIVES, shard->negatives);
    rated_walk_beside(walk, SIDE_RECORDS, shard->records);
    rated_walk_beside(walk, SIDE_ITEMS, shard->items);
    exceptions->asides = table_cursor_start(shard->asides);
    exceptions->has_aside = table_cursor_next(&exceptions->asides);
    struct arena_mark mark = arena_mark(exceptions->arena);
    while (rated_walk_next_any(walk, err)) {
        if (walk->plan == NULL) {
            if (!exceptions_unrated_org(exceptions, err)) {
                return false;
            }
            arena_rewind(exceptions->arena, mark);
            continue;
        }
        if (!exceptions_org(exceptions, err)) {
            return false;
        }
        arena_rewind(exceptions->arena, mark);
    }
    return err->code == ERR_NONE;
}

static bool exceptions_write(const struct report_source *source, struct report_file *file,
                             struct totals *totals, struct err *err) {
    (void)totals;
    struct exceptions exceptions = {.file = file, .arena = arena_create(err)};
    bool is_fine = exceptions.arena != NULL;
    for (size_t index = 0; is_fine && index < source->shards_count; index++) {
        is_fine = exceptions_shard(source, &source->shards[index], &exceptions, err);
    }
    arena_destroy(exceptions.arena);
    return is_fine;
}

const struct report report_exceptions = {
    .file_name = "exceptions.csv",
    REPORT_COLUMNS(columns),
    .is_due = exceptions_is_due,
    .write = exceptions_write,
};
