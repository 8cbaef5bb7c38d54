/*
 * Usage and seats out of PostgreSQL.
 *
 * Usage comes by physical ranges of the ledger's partitions: every connection takes one after the
 * other, all in one snapshot. The rows of a binary COPY go straight into a feed, without a detour
 * over text: what is judged of a row's content is judged by feed_judge, as for a row of a file.
 */
#include <assert.h>
#include <stdlib.h>

#include "core/memory.h"
#include "db/copy.h"
#include "db/wire.h"
#include "sys/process.h"
#include "usage_state.h"

static const char ledger[] = "billing.usage_ledger";
static const char seat_book[] = "billing.seat_intervals";

enum {
    RANGE_BLOCKS =
        8192, /* 64 MB of 8 KB blocks: seconds at most, so that no connection idles long */
    BLOCK_LAST = INT32_MAX,
    BLOCK_BYTES = 8192,
    PROGRESS_ROWS = 4096,
};

enum {
    COLUMN_ORG_ID,
    COLUMN_METRIC,
    COLUMN_QUANTITY,
    COLUMN_OCCURRED_AT,
    COLUMN_IS_SET,
    COLUMN_UNIQUE_KEY,
    COLUMN_EVENT_ID,
    COLUMN_RECORDED_AT,
    COLUMN_REASON,
    COLUMNS_COUNT,
};

struct range {
    struct text from; /* bounds of its partition */
    struct text until;
    int64_t block_from;
    int64_t block_until;
};

struct reading {
    struct usage *usage;
    struct source_database *database;
    const struct db_params *scope;
    const char *statement; /* that reads a range */
    struct range *ranges;
    size_t ranges_count;
    _Atomic size_t next_range;
    _Atomic bool has_stopped;
};

/* --- what is read ---------------------------------------------------------------------------- */

static bool append_metric(struct buffer *list, struct text metric, struct err *err) {
    if (!buffer_append(list, text_from(list->size_bytes > 1 ? ",\"" : "\""), err)) {
        return false;
    }
    for (size_t index = 0; index < metric.size_bytes; index++) {
        char byte = metric.bytes[index];
        if (((byte == '"' || byte == '\\') && !buffer_append(list, text_from("\\"), err)) ||
            !buffer_append(list, (struct text){&byte, 1}, err)) {
            return false;
        }
    }
    return buffer_append(list, text_from("\""), err);
}

static bool is_level(const struct catalog_price *price) {
    return aggregation_table[price->price.aggregation].is_level;
}

/* The metrics that any plan meters as a level, as an array's text; a name may stand twice. */
static bool list_levels(const struct catalog *catalog, struct buffer *list, struct err *err) {
    if (!buffer_append(list, text_from("{"), err)) {
        return false;
    }
    for (uint32_t plan = 0; plan < catalog->plans_count; plan++) {
        for (uint32_t index = 0; index < catalog->plans[plan].prices_count; index++) {
            const struct catalog_price *price = &catalog->plans[plan].prices[index];
            if (is_level(price) && !append_metric(list, price->metric, err)) {
                return false;
            }
        }
    }
    return buffer_append(list, text_from("}"), err);
}

/* Every level that is metered begins with a recorded one. */
static bool is_opened(const struct catalog *catalog) {
    for (uint32_t rank = 0; rank < catalog->orgs_count; rank++) {
        const struct catalog_org *org = &catalog->orgs[rank];
        for (uint32_t index = 0; org->plan != NULL && index < org->plan->prices_count; index++) {
            const struct catalog_price *price = &org->plan->prices[index];
            if (is_level(price) && catalog_find_opening(catalog, rank, price->metric) == NULL) {
                return false;
            }
        }
    }
    return true;
}

struct scope {
    struct instant start;
    struct instant start_last;
    struct instant end;
    bool is_opened;
    struct buffer levels;
};

/* False in *has_orgs: there is nobody whose usage could matter. */
static bool find_scope(const struct catalog *catalog, struct scope *scope, struct err *err) {
    scope->start = (struct instant){INT64_MAX};
    scope->start_last = (struct instant){INT64_MIN};
    scope->end = (struct instant){INT64_MIN};
    for (uint32_t rank = 0; rank < catalog->orgs_count; rank++) {
        const struct calendar *calendar = &catalog->orgs[rank].calendar->calendar;
        struct instant start = calendar_start(calendar);
        struct instant end = calendar_end(calendar);
        scope->start = start.us < scope->start.us ? start : scope->start;
        scope->start_last = start.us > scope->start_last.us ? start : scope->start_last;
        scope->end = end.us > scope->end.us ? end : scope->end;
    }
    scope->is_opened = is_opened(catalog);
    return list_levels(catalog, &scope->levels, err);
}

static bool add_ranges(struct reading *reading, const struct db_result *parts, size_t *capacity,
                       struct err *err) {
    for (size_t row = 0; row < parts->rows_count; row++) {
        struct text from;
        struct text until;
        int64_t blocks;
        if (!db_result_text(parts, row, 0, &from, err) ||
            !db_result_text(parts, row, 1, &until, err) ||
            !db_result_int64(parts, row, 2, &blocks, err)) {
            return false;
        }
        for (int64_t block = 0; block == 0 || block < blocks; block += RANGE_BLOCKS) {
            if (reading->ranges_count == *capacity) {
                *capacity = *capacity * 2 + 64;
                struct range *grown =
                    mem_realloc(reading->ranges, *capacity * sizeof *reading->ranges);
                if (grown == NULL) {
                    return err_memory(err, *capacity * sizeof *reading->ranges);
                }
                reading->ranges = grown;
            }
            /* The last one is open: the partition may have grown since the snapshot. */
            reading->ranges[reading->ranges_count++] =
                (struct range){from, until, block,
                               block + RANGE_BLOCKS < blocks ? block + RANGE_BLOCKS : BLOCK_LAST};
        }
        reading->usage->total_bytes += (uint64_t)blocks * BLOCK_BYTES;
    }
    return true;
}

/* --- one row --------------------------------------------------------------------------------- */

static struct text text_of(const struct db_field *field) {
    return (struct text){(const char *)field->bytes, field->size_bytes};
}

/* Up to sixteen digits and twelve decimals, as nearly every quantity: exact, or false. */
static bool pack_numeric(const struct db_field *field, int64_t *packed) {
    size_t groups = field->size_bytes >= 8 ? wire_uint16(field->bytes) : 0;
    if (groups == 0 || groups > 4 || field->size_bytes != 8 + 2 * groups) {
        return false;
    }
    int weight = (int16_t)wire_uint16(field->bytes + 2);
    unsigned sign = wire_uint16(field->bytes + 4);
    int behind = (int)groups - 1 - weight; /* groups behind the point */
    if ((sign != 0 && sign != 0x4000) || behind > 3 || weight > 3 || weight < -3) {
        return false;
    }
    int64_t mantissa = 0;
    for (size_t index = 0; index < groups; index++) {
        unsigned group = wire_uint16(field->bytes + 8 + 2 * index);
        if (group > 9999) {
            return false;
        }
        mantissa = mantissa * 10000 + group;
    }
    for (; behind < 0; behind++) {
        mantissa *= 10000;
    }
    *packed = packed_from(sign == 0 ? mantissa : -mantissa, 4 * (unsigned)behind);
    return true;
}

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
    struct text org_id = text_of(&row->fields[COLUMN_ORG_ID]);
    struct text metric = text_of(&row->fields[COLUMN_METRIC]);
    row->is_bad = true;
    return problems_add(row->feed->problems, ledger, 0, column, value, err,
                        "%s (org_id %.*s, metric %.*s)", reason, (int)org_id.size_bytes,
                        org_id.bytes, (int)metric.size_bytes, metric.bytes);
}

static bool take_org(struct row *row, struct err *err) {
    struct usage_feed *feed = row->feed;
    struct text org_id = text_of(&row->fields[COLUMN_ORG_ID]);
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
    struct text metric = text_of(&row->fields[COLUMN_METRIC]);
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
    if (field->bytes != NULL && pack_numeric(field, &event->packed)) {
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

static bool take_kind(struct row *row, struct err *err) {
    const struct price *price =
        row->rank == CATALOG_NOT_SELECTED ? NULL : feed_find_price(row->feed, row->entry);
    const struct db_field *is_set = &row->fields[COLUMN_IS_SET];
    struct text key = text_of(&row->fields[COLUMN_UNIQUE_KEY]);
    struct text reason = text_of(&row->fields[COLUMN_REASON]);
    row->event.is_set = is_set->size_bytes == 1 && is_set->bytes[0] != 0;
    row->event.is_reset = text_equals(reason, text_from("monthly_reset"));
    row->event.is_migration = text_equals(reason, text_from("migration"));
    bool is_flow = price != NULL && !aggregation_table[price->aggregation].is_level;
    bool is_usage = !row->event.is_reset && !(row->event.is_migration && is_flow);
    if (row->event.is_set && is_flow && is_usage) {
        return refuse(row, "kind", text_from("set"),
                      "the org's plan adds this metric up: it cannot be set", err);
    }
    row->event.has_key = key.size_bytes > 0;
    if (row->event.has_key) {
        feed_hash(row->feed->usage, key, row->event.key_hash);
    } else if (price != NULL && price->aggregation == AGGREGATION_UNIQUE && is_usage) {
        return refuse(row, "unique_key", key, "is not given, but the org's plan counts unique ones",
                      err);
    }
    if (price != NULL && !is_flow) {
        row->event.event_id = text_of(&row->fields[COLUMN_EVENT_ID]);
    }
    return true;
}

static bool take_row(struct usage_feed *feed, const struct db_field *fields, struct err *err) {
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

/* --- one range ------------------------------------------------------------------------------- */

static bool read_rows(struct usage_feed *feed, struct db_copy_out *copy, struct err *err) {
    struct db_copy_row row;
    for (uint64_t count = 1;; count++) {
        if (!db_copy_out_next(copy, &row, err)) {
            return false;
        }
        if (row.fields == NULL) {
            return db_copy_out_end(copy, err);
        }
        if (!take_row(feed, row.fields, err) ||
            (count % PROGRESS_ROWS == 0 && !interrupt_check(err))) {
            return false;
        }
    }
}

static bool read_range(struct usage_feed *feed, struct db *db, const char *statement,
                       const struct range *range, struct err *err) {
    struct db_params params = {0};
    struct db_copy_out copy;
    db_params_text(&params, range->from);
    db_params_text(&params, range->until);
    db_params_int64(&params, range->block_from);
    db_params_int64(&params, range->block_until);
    if (!db_run(db, "extract/range.sql", &params, NULL, err) ||
        !db_copy_out_begin(db, statement, COLUMNS_COUNT, &copy, err)) {
        return false;
    }
    if (!read_rows(feed, &copy, err)) {
        db_copy_out_abort(&copy);
        return false;
    }
    int64_t blocks = range->block_until == BLOCK_LAST ? 0 : range->block_until - range->block_from;
    usage_progress(feed->usage, (uint64_t)blocks * BLOCK_BYTES);
    return true;
}

static bool work_on_ranges(struct reading *reading, struct usage_feed *feed, struct db *db,
                           struct err *err) {
    if (!db_run(db, "extract/prepare.sql", NULL, NULL, err) ||
        !db_run(db, "extract/scope.sql", reading->scope, NULL, err)) {
        return false;
    }
    while (!atomic_load(&reading->has_stopped)) {
        size_t index = atomic_fetch_add(&reading->next_range, 1);
        if (index >= reading->ranges_count) {
            break;
        }
        if (!read_range(feed, db, reading->statement, &reading->ranges[index], err)) {
            return false;
        }
    }
    return true;
}

static bool range_worker(void *context, size_t worker, struct err *err) {
    struct reading *reading = context;
    struct usage_feed *feed = &reading->usage->feeds[worker];
    feed->file_name = ledger;
    bool is_done =
        work_on_ranges(reading, feed, source_database_connection(reading->database, worker), err);
    if (!is_done) {
        atomic_store(&reading->has_stopped, true);
    }
    return is_done;
}

/* --- the whole ------------------------------------------------------------------------------- */

static bool read_parts(struct reading *reading, const struct scope *scope, struct db_result *parts,
                       struct err *err) {
    struct db_params params = {0};
    size_t capacity = 0;
    /* What lies before the first period matters to levels alone. */
    bool reads_earlier = scope->levels.size_bytes > strlen("{}");
    db_params_instant(&params,
                      reads_earlier ? (struct instant){INT64_C(-62135596800000000)} : scope->start);
    db_params_instant(&params, scope->end);
    return db_run(source_database_connection(reading->database, 0), "extract/partitions.sql",
                  &params, parts, err) &&
           add_ranges(reading, parts, &capacity, err);
}

bool usage_read_database(struct usage *usage, struct source_database *database,
                         struct problems *problems, struct err *err) {
    struct scope scope = {0};
    struct db_result parts = {0};
    struct db_params params = {0};
    struct reading reading = {.usage = usage, .database = database, .scope = &params};
    if (usage->catalog->orgs_count == 0) {
        return true;
    }
    bool is_done =
        find_scope(usage->catalog, &scope, err) && read_parts(&reading, &scope, &parts, err);
    if (is_done && reading.ranges_count > 0) {
        size_t workers = source_database_connections_count(database);
        workers = workers < usage->jobs ? workers : usage->jobs;
        workers = workers < reading.ranges_count ? workers : reading.ranges_count;
        db_params_instant(&params, scope.start);
        db_params_instant(&params, scope.start_last);
        db_params_instant(&params, scope.end);
        db_params_instant(&params, usage->catalog->cutoff);
        db_params_text(&params, buffer_text(&scope.levels));
        db_params_bool(&params, scope.is_opened);
        db_params_text(&params, text_from(source_database_period(database)));
        db_params_bool(&params, source_database_keeps_cutoff(database));
        reading.statement = source_database_has_recorded(database) ? "extract/usage_recorded.sql"
                                                                   : "extract/usage.sql";
        is_done = process_parallel(workers, workers, range_worker, &reading, err) &&
                  usage_merge_problems(usage, problems, err);
    }
    mem_free(reading.ranges);
    db_result_release(&parts);
    buffer_release(&scope.levels);
    return is_done;
}

/* --- seats ----------------------------------------------------------------------------------- */

static bool read_seats(struct usage_feed *feed, struct db_copy_out *copy, struct err *err) {
    struct db_copy_row row;
    for (uint64_t number = 1;; number++) {
        if (!db_copy_out_next(copy, &row, err)) {
            return false;
        }
        if (row.fields == NULL) {
            return db_copy_out_end(copy, err);
        }
        struct feed_line line = {.line = number};
        for (size_t index = 0; index < copy->columns_count; index++) {
            bool is_null = row.fields[index].bytes == NULL;
            line.fields[index] = is_null ? (struct text){"", 0} : text_of(&row.fields[index]);
        }
        feed_find_orgs(feed, &line, 1);
        if (!feed_seat(feed, &line, false, err)) {
            return false;
        }
    }
}

/* The connection may have read no range, and so have no settings of one. */
static bool set_seats_scope(struct db *db, const struct source_database *database,
                            struct err *err) {
    struct db_params params = {0};
    db_params_text(&params, text_from(source_database_period(database)));
    db_params_bool(&params, source_database_keeps_cutoff(database));
    return db_run(db, "extract/seats_scope.sql", &params, NULL, err);
}

bool usage_read_seats_database(struct usage *usage, struct source_database *database,
                               struct problems *problems, struct err *err) {
    enum { SEAT_COLUMNS_COUNT = 5 };
    struct db_copy_out copy;
    struct usage_feed *feed = &usage->feeds[0];
    feed->file_name = seat_book;
    struct db *db = source_database_connection(database, 0);
    const char *statement =
        source_database_has_recorded(database) ? "extract/seats_recorded.sql" : "extract/seats.sql";
    if (!set_seats_scope(db, database, err) ||
        !db_copy_out_begin(db, statement, SEAT_COLUMNS_COUNT, &copy, err)) {
        return false;
    }
    if (!read_seats(feed, &copy, err)) {
        db_copy_out_abort(&copy);
        return false;
    }
    return usage_merge_problems(usage, problems, err);
}
