/*
 * Usage out of PostgreSQL: many rows in one, see sql/extract/usage.sql.
 *
 * Its columns are walked side by side. Rows that only add up to the row before (the same org,
 * metric and day, nothing to be judged but the quantity) are known by comparing bytes, added up,
 * and spilled as one record, as usage_fold.c does with a file's. A ledger in which such rows follow
 * one another, as one that was written by org does, is read at the speed of this loop. All others
 * are judged one by one (usage_database_row.c).
 */
#include <assert.h>

#include "condense.h"
#include "usage_database.h"

/* What is left of the columns. A list without bytes is at its end. */
struct columns {
    struct text orgs;
    struct text metrics;
    struct text first_quantity; /* until the first row is taken */
    struct text rows;           /* quantity and time by turns; at first a time */
};

/* Rows that add up. */
struct sum {
    struct text org_id; /* of the first row, in the columns */
    struct text metric;
    struct metric_entry *entry; /* NULL: none is begun */
    const struct usage_org *org;
    uint32_t slot;
    int64_t day_from_us;
    uint64_t day_length_us;
    uint64_t count;
    int128 units;
    int64_t first_us;
    int64_t last_us;
    int64_t packed; /* of the last one */
};

struct unpacking {
    struct usage_feed *feed;
    struct columns left;
    struct sum sum;
};

enum { TIME_BYTES = 8, NUMERIC_HEADER_BYTES = 8 };

#define TIME_OF_MORE UINT64_C(0x7FFFFFFFFFFFFFFF) /* infinity: a record follows */

static bool fail_form(struct err *err) {
    return err_set(err, ERR_DATABASE, "the server packed usage in a form not known here");
}

/* --- columns --------------------------------------------------------------------------------- */

static inline bool line_is_at(struct text lines, struct text line) {
    return lines.size_bytes >= line.size_bytes &&
           (lines.size_bytes == line.size_bytes || lines.bytes[line.size_bytes] == '\n') &&
           parse_is_same((struct text){lines.bytes, line.size_bytes}, line);
}

/* 0: there is none. */
static inline size_t numeric_bytes(struct text column) {
    size_t size_bytes =
        column.size_bytes < NUMERIC_HEADER_BYTES
            ? 0
            : NUMERIC_HEADER_BYTES + 2 * (size_t)wire_uint16((const unsigned char *)column.bytes);
    return size_bytes <= column.size_bytes ? size_bytes : 0;
}

/* As record_send makes it: a number of fields; for each its type, its size, its bytes. */
static bool take_record(struct text *column, struct db_field *fields, size_t fields_count) {
    struct db_field count;
    if (!pack_take_bytes(column, 4, &count) || wire_uint32(count.bytes) != fields_count) {
        return false;
    }
    for (size_t index = 0; index < fields_count; index++) {
        struct db_field head;
        if (!pack_take_bytes(column, 8, &head)) {
            return false;
        }
        uint32_t size_bytes = wire_uint32(head.bytes + 4);
        fields[index] = (struct db_field){NULL, 0};
        if (size_bytes != UINT32_MAX && !pack_take_bytes(column, size_bytes, &fields[index])) {
            return false;
        }
    }
    return true;
}

/* The next row. *has_more: there is more to it than its first four columns. */
static bool take_fields(struct columns *left, struct db_field fields[COLUMNS_COUNT],
                        bool *has_more) {
    bool is_first = left->first_quantity.size_bytes > 0;
    struct text *quantities = is_first ? &left->first_quantity : &left->rows;
    size_t quantity_bytes = numeric_bytes(*quantities);
    if (!pack_take_line(&left->orgs, &fields[COLUMN_ORG_ID]) ||
        !pack_take_line(&left->metrics, &fields[COLUMN_METRIC]) || quantity_bytes == 0 ||
        !pack_take_bytes(quantities, quantity_bytes, &fields[COLUMN_QUANTITY]) ||
        (is_first && quantities->size_bytes > 0) ||
        !pack_take_bytes(&left->rows, TIME_BYTES, &fields[COLUMN_OCCURRED_AT])) {
        return false;
    }
    *has_more = wire_uint64(fields[COLUMN_OCCURRED_AT].bytes) == TIME_OF_MORE;
    return !*has_more ||
           (pack_take_bytes(&left->rows, TIME_BYTES, &fields[COLUMN_OCCURRED_AT]) &&
            take_record(&left->rows, &fields[COLUMN_IS_SET], COLUMNS_COUNT - COLUMN_IS_SET));
}

/* --- rows that add up ------------------------------------------------------------------------ */

static inline void add_to_sum(struct sum *sum, int64_t packed, int64_t at_us) {
    sum->count++;
    sum->units +=
        (int128)packed_mantissa(packed) * packed_powers[DECIMAL_PLACES - packed_places(packed)];
    sum->first_us = at_us < sum->first_us ? at_us : sum->first_us;
    sum->last_us = at_us > sum->last_us ? at_us : sum->last_us;
    sum->packed = packed;
}

/* Takes rows as long as they only add up to those before. */
static void take_like(struct unpacking *unpacking) {
    struct columns left = unpacking->left;
    struct sum sum = unpacking->sum;
    while (line_is_at(left.orgs, sum.org_id) && line_is_at(left.metrics, sum.metric)) {
        const unsigned char *quantity = (const unsigned char *)left.rows.bytes;
        size_t quantity_bytes = numeric_bytes(left.rows);
        int64_t packed;
        if (left.rows.size_bytes < quantity_bytes + TIME_BYTES ||
            !database_pack_numeric(quantity, quantity_bytes, &packed)) {
            break;
        }
        uint64_t at_us = wire_uint64(quantity + quantity_bytes) +
                         (uint64_t)WIRE_EPOCH_US; /* of infinity: in no day */
        if (at_us - (uint64_t)sum.day_from_us >= sum.day_length_us) {
            break;
        }
        add_to_sum(&sum, packed, (int64_t)at_us);
        pack_skip_line(&left.orgs, sum.org_id.size_bytes);
        pack_skip_line(&left.metrics, sum.metric.size_bytes);
        pack_skip_bytes(&left.rows, quantity_bytes + TIME_BYTES);
    }
    unpacking->left = left;
    unpacking->sum = sum;
}

static bool spill_sum(struct usage_feed *feed, const struct sum *sum, struct err *err) {
    uint32_t bucket = sum->org->bucket;
    if (sum->count > 1) {
        const struct flow_record record = {
            .sum.units = sum->units,
            .first_us = sum->first_us,
            .last_us = sum->last_us,
            .count = sum->count,
            .slot = sum->slot,
        };
        return feed_append(feed, STREAM_FLOWS_WIDE, bucket, &record, sizeof record, err);
    }
    uint64_t offset_us = (uint64_t)(sum->first_us - sum->org->start_us);
    uint64_t word;
    if (flow_word_pack(sum->slot, offset_us, sum->packed, &word)) {
        return feed_append(feed, STREAM_FLOWS_SHORT, bucket, &word, sizeof word, err);
    }
    uint64_t pair[2] = {(uint64_t)sum->slot << PAIR_TIME_BITS | offset_us, (uint64_t)sum->packed};
    return feed_append(feed, STREAM_FLOWS, bucket, pair, sizeof pair, err);
}

/* None is fine. */
static bool end_sum(struct unpacking *unpacking, struct err *err) {
    struct sum *sum = &unpacking->sum;
    if (sum->entry == NULL) {
        return true;
    }
    struct metric_totals *totals = &sum->entry->totals;
    totals->events_read += sum->count;
    tally_add(&totals->units_read, (struct decimal){sum->units});
    bool is_done = spill_sum(unpacking->feed, sum, err);
    *sum = (struct sum){.entry = NULL};
    return is_done;
}

/* Begins one with a row, if it can be added up. False is a failure. */
static bool begin_sum(struct unpacking *unpacking, const struct db_field *fields, bool *is_begun,
                      struct err *err) {
    struct usage_feed *feed = unpacking->feed;
    const struct db_field *quantity = &fields[COLUMN_QUANTITY];
    struct text metric = database_text(&fields[COLUMN_METRIC]);
    struct feed_line line = {.fields = {database_text(&fields[COLUMN_ORG_ID])}};
    struct sum sum = {.org_id = line.fields[0], .metric = metric, .first_us = INT64_MAX};
    struct instant occurred_at;
    uint32_t entry;
    int64_t packed;
    *is_begun = false;
    if (!database_pack_numeric(quantity->bytes, quantity->size_bytes, &packed) ||
        wire_instant(fields[COLUMN_OCCURRED_AT].bytes, &occurred_at) != NULL ||
        metric.size_bytes == 0 || metric.size_bytes > CATALOG_METRIC_BYTES_MAX) {
        return true;
    }
    feed_find_orgs(feed, &line, 1);
    if (line.rank >= CATALOG_NOT_SELECTED) {
        return true;
    }
    if (!metric_table_find(&feed->metrics, metric, &entry, err)) {
        return false;
    }
    sum.org = &feed->usage->orgs[line.rank];
    uint64_t offset_us = (uint64_t)occurred_at.us - (uint64_t)sum.org->start_us;
    if (sum.org->plan == NULL || offset_us >= sum.org->length_us ||
        feed->metrics.entries[entry].refusal != NULL ||
        !feed_find_plain_slot(feed, sum.org, &feed->metrics.entries[entry], &sum.slot)) {
        return true;
    }
    const struct calendar *calendar = &feed->usage->catalog->orgs[line.rank].calendar->calendar;
    size_t day = condense_day(calendar, occurred_at.us);
    sum.entry = &feed->metrics.entries[entry];
    sum.day_from_us = calendar->starts_us[day];
    sum.day_length_us = (uint64_t)(calendar->starts_us[day + 1] - calendar->starts_us[day]);
    sum.last_us = INT64_MIN;
    add_to_sum(&sum, packed, occurred_at.us);
    unpacking->sum = sum;
    *is_begun = true;
    return true;
}

/* --- all rows -------------------------------------------------------------------------------- */

static bool take_row(struct unpacking *unpacking, struct err *err) {
    struct db_field fields[COLUMNS_COUNT] = {0};
    bool has_more;
    bool is_begun = false;
    if (!take_fields(&unpacking->left, fields, &has_more)) {
        return fail_form(err);
    }
    return (has_more || begin_sum(unpacking, fields, &is_begun, err)) &&
           (is_begun || feed_database_row(unpacking->feed, fields, err));
}

bool feed_database_pack(struct usage_feed *feed, const struct db_field *fields, struct err *err) {
    struct unpacking unpacking = {
        .feed = feed,
        .left = {.orgs = database_text(&fields[PACK_ORGS]),
                 .metrics = database_text(&fields[PACK_METRICS]),
                 .first_quantity = database_text(&fields[PACK_QUANTITY]),
                 .rows = database_text(&fields[PACK_ROWS])},
    };
    const struct columns *left = &unpacking.left;
    while (left->rows.size_bytes > 0) {
        if (!take_row(&unpacking, err)) {
            return false;
        }
        if (unpacking.sum.entry != NULL) {
            take_like(&unpacking);
            if (!end_sum(&unpacking, err)) {
                return false;
            }
        }
    }
    return (left->orgs.bytes == NULL && left->metrics.bytes == NULL &&
            left->first_quantity.size_bytes == 0) ||
           fail_form(err);
}
