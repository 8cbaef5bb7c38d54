/* Usage out of PostgreSQL: one row of a binary COPY, judged by its content. */
#include "usage_database.h"

const char database_ledger[] = "billing.usage_ledger";

struct row {
    struct usage_feed *feed;
    const struct db_field *fields;
    struct metric_entry *entry;
    uint32_t rank;
    bool is_bad;
    struct feed_event event;
};

/* A row has no number here: it is called by what it says. */
static bool refuse(struct row *row, const char *column, struct text value, const char *reason,
                   struct err *err) {
    struct text org_id = database_text(&row->fields[COLUMN_ORG_ID]);
    struct text metric = database_text(&row->fields[COLUMN_METRIC]);
    row->is_bad = true;
    return problems_add(row->feed->problems, database_ledger, 0, column, value, err,
                        "%s (org_id %.*s, metric %.*s)", reason, (int)org_id.size_bytes,
                        org_id.bytes, (int)metric.size_bytes, metric.bytes);
}

static bool take_org(struct row *row, struct err *err) {
    struct usage_feed *feed = row->feed;
    struct text org_id = database_text(&row->fields[COLUMN_ORG_ID]);
    const struct catalog *catalog = feed->usage->catalog;
    if (feed->org.rank != CATALOG_NONE &&
        parse_is_same(org_id, catalog->orgs[feed->org.rank].org_id)) {
        row->rank = feed->org.rank;
        return true;
    }
    struct feed_line line = {.fields = {org_id}};
    feed_find_orgs(feed, &line, 1);
    row->rank = line.rank;
    if (row->rank == CATALOG_NONE) {
        row->is_bad = true;
        /* With bad rows among the orgs, an unknown one may be one of those. */
        return catalog->is_incomplete ||
               refuse(row, "org_id", org_id, "is not in billing.orgs", err);
    }
    if (row->rank != CATALOG_NOT_SELECTED) {
        feed_look_at_org(feed, row->rank);
    }
    return true;
}

static bool take_metric(struct row *row, struct err *err) {
    struct text metric = database_text(&row->fields[COLUMN_METRIC]);
    uint32_t entry;
    const char *refusal = metric.size_bytes == 0 ? "is not given" : NULL;
    if (metric.size_bytes > CATALOG_METRIC_BYTES_MAX) {
        refusal = catalog_check_metric(metric);
    }
    if (refusal != NULL) {
        return refuse(row, "metric", metric, refusal, err);
    }
    if (!metric_table_find(&row->feed->metrics, metric, &entry, err)) {
        return false;
    }
    row->entry = &row->feed->metrics.entries[entry];
    return row->entry->refusal == NULL || refuse(row, "metric", metric, row->entry->refusal, err);
}

static bool take_quantity(struct row *row, struct err *err) {
    const struct db_field *field = &row->fields[COLUMN_QUANTITY];
    struct feed_event *event = &row->event;
    if (field->bytes != NULL &&
        database_pack_numeric(field->bytes, field->size_bytes, &event->packed)) {
        event->is_packed = true;
        event->quantity = packed_to_decimal(event->packed);
        return true;
    }
    enum decimal_fault fault = field->bytes != NULL
                                   ? wire_decimal(field->bytes, field->size_bytes, &event->quantity)
                                   : DECIMAL_NOT_A_NUMBER;
    if (fault != DECIMAL_OK) {
        return refuse(row, "quantity", (struct text){0}, decimal_fault_text(fault), err);
    }
    event->is_packed = packed_from_decimal(event->quantity, &event->packed);
    return true;
}

static bool take_times(struct row *row, struct err *err) {
    const struct db_field *occurred_at = &row->fields[COLUMN_OCCURRED_AT];
    const struct db_field *recorded_at = &row->fields[COLUMN_RECORDED_AT];
    struct instant recorded;
    const char *reason = occurred_at->size_bytes != 8
                             ? "is no timestamptz"
                             : wire_instant(occurred_at->bytes, &row->event.occurred_at);
    if (reason != NULL) {
        return refuse(row, "occurred_at", (struct text){0}, reason, err);
    }
    if (recorded_at->bytes == NULL) {
        return true;
    }
    reason = recorded_at->size_bytes != 8 ? "is no timestamptz"
                                          : wire_instant(recorded_at->bytes, &recorded);
    if (reason != NULL) {
        return refuse(row, "recorded_at", (struct text){0}, reason, err);
    }
    const struct catalog *catalog = row->feed->usage->catalog;
    row->event.is_late = catalog->has_cutoff && instant_compare(recorded, catalog->cutoff) > 0;
    row->event.is_after_start =
        row->rank != CATALOG_NOT_SELECTED && recorded.us >= row->feed->org.start_us;
    return true;
}

/* The ledger keeps a row that the plan cannot meter: its org is not closed, the others are. */
static bool set_aside(struct row *row, struct err *err) {
    uint32_t slot;
    const struct catalog_misfit misfit = {
        .price = catalog_find_price(row->feed->org.org, row->entry->name, &slot),
        .at = row->event.occurred_at,
        .is_set = row->event.is_set,
    };
    row->is_bad = true;
    return usage_note_misfit(row->feed->usage, row->rank, &misfit, err);
}

static bool take_kind(struct row *row, struct err *err) {
    const struct price *price =
        row->rank == CATALOG_NOT_SELECTED ? NULL : feed_find_price(row->feed, row->entry);
    const struct db_field *is_set = &row->fields[COLUMN_IS_SET];
    struct text key = database_text(&row->fields[COLUMN_UNIQUE_KEY]);
    struct text reason = database_text(&row->fields[COLUMN_REASON]);
    row->event.is_set = is_set->size_bytes == 1 && is_set->bytes[0] != 0;
    row->event.is_reset = text_equals(reason, text_from("monthly_reset"));
    row->event.is_migration = text_equals(reason, text_from("migration"));
    bool is_flow = price != NULL && !aggregation_table[price->aggregation].is_level;
    bool is_usage = !row->event.is_reset && !(row->event.is_migration && is_flow);
    row->event.has_key = key.size_bytes > 0;
    if (row->event.has_key) {
        feed_hash(row->feed->usage, key, row->event.key_hash);
    }
    bool lacks_key =
        price != NULL && price->aggregation == AGGREGATION_UNIQUE && !row->event.has_key;
    if (is_usage && ((row->event.is_set && is_flow) || lacks_key) &&
        feed_is_metered(row->feed, &row->event)) {
        return set_aside(row, err);
    }
    if (row->event.is_set) {
        row->event.event_id = database_text(&row->fields[COLUMN_EVENT_ID]);
    }
    return true;
}

bool feed_database_row(struct usage_feed *feed, const struct db_field *fields, struct err *err) {
    struct row row = {.feed = feed, .fields = fields};
    if (!take_org(&row, err) || !take_metric(&row, err)) {
        return false;
    }
    if (row.is_bad) {
        return true;
    }
    if (!take_quantity(&row, err) || !take_times(&row, err) || !take_kind(&row, err)) {
        return false;
    }
    if (row.is_bad) {
        return true;
    }
    row.entry->totals.events_read++;
    if (!row.event.is_set) {
        tally_add(&row.entry->totals.units_read, row.event.quantity);
    }
    if (row.rank == CATALOG_NOT_SELECTED) {
        feed_count_unselected(row.entry, &row.event);
        return true;
    }
    return feed_event(feed, row.entry, &row.event, err);
}

bool feed_database_late(struct usage_feed *feed, const struct db_field *fields, struct err *err) {
    struct row row = {.feed = feed, .fields = fields};
    struct text reason = database_text(&fields[COLUMN_REASON]);
    if (!take_org(&row, err) || !take_metric(&row, err)) {
        return false;
    }
    if (row.is_bad || row.rank == CATALOG_NOT_SELECTED) {
        return true;
    }
    if (!take_quantity(&row, err) || !take_times(&row, err)) {
        return false;
    }
    const struct price *price = feed->org.is_rated ? feed_find_price(feed, row.entry) : NULL;
    bool is_level = price != NULL && aggregation_table[price->aggregation].is_level;
    /* What the opening had not seen is told with it. */
    if (row.is_bad || (is_level && text_equals(reason, text_from("late_unseen")))) {
        return true;
    }
    row.event.is_set = fields[COLUMN_IS_SET].size_bytes == 1 && fields[COLUMN_IS_SET].bytes[0] != 0;
    row.event.event_id = database_text(&fields[COLUMN_EVENT_ID]);
    bool is_counted = text_equals(reason, text_from("late_earlier"));
    return feed_list_earlier(feed, row.entry, &row.event, is_counted, err);
}

bool feed_database_sum(struct usage_feed *feed, const struct db_field *fields, struct err *err) {
    struct row row = {.feed = feed, .fields = fields};
    const struct db_field *events = &fields[COLUMN_EVENTS];
    const struct db_field *last_at = &fields[COLUMN_LAST_AT];
    uint64_t events_count = events->size_bytes == 8 ? wire_uint64(events->bytes) : 0;
    struct feed_sum sum = {.events_count = events_count};
    if (events_count == 1) {
        return feed_database_row(feed, fields, err);
    }
    if (events_count == 0 || last_at->size_bytes != 8 ||
        wire_instant(last_at->bytes, &sum.last_at) != NULL) {
        return err_set(err, ERR_DATABASE, "the server added usage up in a form not known here");
    }
    if (!take_org(&row, err) || !take_metric(&row, err)) {
        return false;
    }
    if (row.is_bad) {
        return true;
    }
    if (!take_quantity(&row, err) || !take_times(&row, err)) {
        return false;
    }
    if (row.is_bad) {
        return true;
    }
    sum.quantity = row.event.quantity;
    sum.first_at = row.event.occurred_at;
    sum.rank = row.rank;
    return feed_add_sum(feed, row.entry, &sum, err);
}
