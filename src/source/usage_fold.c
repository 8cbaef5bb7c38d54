#include "usage_fold.h"

#include "condense.h"

/* --- opening -----------------------------------------------------------------------------------
 */

static bool literal_set(struct fold_literal *literal, const char *from, const char *until) {
    size_t size_bytes = (size_t)(until - from);
    if (size_bytes > FOLD_LITERAL_BYTES_MAX) {
        return false;
    }
    *literal = (struct fold_literal){.size_bytes = size_bytes};
    memcpy(literal->bytes, from, size_bytes);
    memset(&literal->last_mask, 0xFF, size_bytes % sizeof literal->last_mask);
    return true;
}

static bool set_literals(struct feed_fold *fold, const struct text *fields, struct text row) {
    struct text quantity = fields[USAGE_COLUMN_QUANTITY];
    struct text stamp = fields[USAGE_COLUMN_OCCURRED_AT];
    fold->is_stamp_first = stamp.bytes < quantity.bytes;
    struct text first = fold->is_stamp_first ? stamp : quantity;
    struct text second = fold->is_stamp_first ? quantity : stamp;
    fold->row_bytes_max = row.size_bytes - quantity.size_bytes + PARSE_QUANTITY_BYTES;
    return literal_set(&fold->head, row.bytes, first.bytes) &&
           literal_set(&fold->middle, first.bytes + first.size_bytes, second.bytes) &&
           literal_set(&fold->tail, second.bytes + second.size_bytes, row.bytes + row.size_bytes);
}

void fold_open(struct usage_feed *feed, const struct text *fields, struct text row) {
    struct feed_fold *fold = &feed->fold;
    fold->is_open = fold->is_ready && set_literals(fold, fields, row);
    if (!fold->is_open) {
        return;
    }
    const struct catalog_org *org = &feed->usage->catalog->orgs[fold->rank];
    const struct calendar *calendar = &org->calendar->calendar;
    size_t day = condense_day(calendar, fold->occurred_at_us);
    fold->day_from_us = calendar->starts_us[day];
    fold->day_length_us = (uint64_t)(calendar->starts_us[day + 1] - calendar->starts_us[day]);
    fold->taken = (struct fold_sum){.first_seconds = INT64_MAX, .last_seconds = INT64_MIN};
}

/* --- rows --------------------------------------------------------------------------------------
 */

static inline uint64_t load_word(const char *bytes) {
    uint64_t word;
    memcpy(&word, bytes, sizeof word);
    return word;
}

/* Reads up to seven bytes beyond it. */
static inline bool literal_is_at(const struct fold_literal *literal, const char *bytes) {
    uint64_t difference = 0;
    size_t at = 0;
    for (; at + sizeof difference <= literal->size_bytes; at += sizeof difference) {
        difference |= load_word(bytes + at) ^ load_word(literal->bytes + at);
    }
    difference |= (load_word(bytes + at) ^ load_word(literal->bytes + at)) & literal->last_mask;
    return difference == 0;
}

static inline bool stamp_is_at(const struct feed_fold *fold, const char *bytes, int64_t *seconds) {
    struct text stamp = {bytes, PARSE_STAMP_BYTES};
    return parse_is_stamp(stamp) && parse_is_date(stamp, fold->date) &&
           parse_time_of_day(bytes + PARSE_DATE_BYTES, seconds);
}

/* The row at bytes; *size_bytes: its length. False: it is for others. */
static inline bool read_row(const struct feed_fold *fold, const char *bytes, size_t *size_bytes,
                            int64_t *packed, int64_t *seconds) {
    const char *at = bytes;
    size_t quantity_bytes;
    if (!literal_is_at(&fold->head, at)) {
        return false;
    }
    at += fold->head.size_bytes;
    if (fold->is_stamp_first) {
        if (!stamp_is_at(fold, at, seconds) ||
            !literal_is_at(&fold->middle, at + PARSE_STAMP_BYTES)) {
            return false;
        }
        at += PARSE_STAMP_BYTES + fold->middle.size_bytes;
    }
    if (!parse_quantity_at(at, &quantity_bytes, packed)) {
        return false;
    }
    at += quantity_bytes;
    if (!fold->is_stamp_first) {
        if (!literal_is_at(&fold->middle, at) ||
            !stamp_is_at(fold, at + fold->middle.size_bytes, seconds)) {
            return false;
        }
        at += fold->middle.size_bytes + PARSE_STAMP_BYTES;
    }
    *size_bytes = (size_t)(at - bytes) + fold->tail.size_bytes;
    return literal_is_at(&fold->tail, at);
}

/* Mantissas of one number of places are added up in 64 bits, as long as they are the same. */
static inline void sum_widen(struct fold_sum *sum) {
    sum->units += (int128)sum->mantissas * packed_powers[DECIMAL_PLACES - sum->places];
    sum->mantissas = 0;
}

static inline void sum_add(struct fold_sum *sum, int64_t packed, int64_t seconds) {
    unsigned places = packed_places(packed);
    if (places != sum->places) {
        sum_widen(sum);
        sum->places = places;
    }
    sum->count++;
    sum->mantissas += packed_mantissa(packed);
    sum->first_seconds = seconds < sum->first_seconds ? seconds : sum->first_seconds;
    sum->last_seconds = seconds > sum->last_seconds ? seconds : sum->last_seconds;
    sum->packed = packed;
}

void fold_rows(struct feed_fold *fold, struct split *split) {
    if (!fold->is_open) {
        return;
    }
    struct fold_sum sum = fold->taken;
    uint64_t count_before = sum.count;
    size_t offset = split->offset;
    while (split->until - offset >= fold->row_bytes_max) {
        size_t size_bytes;
        int64_t packed;
        int64_t seconds = 0;
        if (!read_row(fold, split->window + offset, &size_bytes, &packed, &seconds)) {
            break;
        }
        int64_t at_us = fold->date->start_us + seconds * 1000000;
        if ((uint64_t)at_us - (uint64_t)fold->day_from_us >= fold->day_length_us) {
            break;
        }
        sum_add(&sum, packed, seconds);
        offset += size_bytes;
    }
    fold->taken = sum;
    split->offset = offset;
    split->line += sum.count - count_before;
}

/* --- closing -----------------------------------------------------------------------------------
 */

bool fold_close(struct usage_feed *feed, struct err *err) {
    struct feed_fold *fold = &feed->fold;
    bool is_empty = !fold->is_open || fold->taken.count == 0;
    fold->is_open = false;
    fold->is_ready = false;
    if (is_empty) {
        return true;
    }
    struct fold_sum *sum = &fold->taken;
    sum_widen(sum);
    struct flow_record record = {
        .sum.units = sum->units,
        .first_us = fold->date->start_us + sum->first_seconds * 1000000,
        .last_us = fold->date->start_us + sum->last_seconds * 1000000,
        .count = sum->count,
        .slot = fold->slot,
    };
    struct metric_totals *totals = &feed->metrics.entries[fold->entry].totals;
    totals->events_read += record.count;
    tally_add(&totals->units_read, record.sum);
    uint32_t bucket = feed->usage->orgs[fold->rank].bucket;
    if (record.count > 1) {
        return feed_append(feed, STREAM_FLOWS_WIDE, bucket, &record, sizeof record, err);
    }
    uint64_t offset_us = (uint64_t)(record.first_us - feed->usage->orgs[fold->rank].start_us);
    uint64_t pair[2] = {(uint64_t)fold->slot << PAIR_TIME_BITS | offset_us, (uint64_t)sum->packed};
    return feed_append(feed, STREAM_FLOWS, bucket, pair, sizeof pair, err);
}
