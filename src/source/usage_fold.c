#include "usage_fold.h"

#include <assert.h>

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
    memset(literal->mask, 0xFF, size_bytes);
    return true;
}

static bool set_literals(struct feed_fold *fold, const struct text *fields, struct text row) {
    struct text quantity = fields[USAGE_COLUMN_QUANTITY];
    const char *time = fields[USAGE_COLUMN_OCCURRED_AT].bytes + PARSE_DATE_BYTES;
    const char *behind = quantity.bytes + quantity.size_bytes;
    if (!literal_set(&fold->before, row.bytes, quantity.bytes) ||
        !literal_set(&fold->behind, behind, row.bytes + row.size_bytes)) {
        return false;
    }
    if (time < quantity.bytes) {
        fold->time_offset = (size_t)(time - row.bytes);
        fold->time_moves = 0;
        memset(fold->before.mask + fold->time_offset, 0, PARSE_TIME_BYTES);
    } else {
        fold->time_offset = (size_t)(time - row.bytes) - quantity.size_bytes;
        fold->time_moves = SIZE_MAX;
        memset(fold->behind.mask + (time - behind), 0, PARSE_TIME_BYTES);
    }
    enum { SHORT_BYTES_MAX = FOLD_LANES_SHORT * FOLD_LANE_BYTES };
    fold->is_short =
        fold->before.size_bytes <= SHORT_BYTES_MAX && fold->behind.size_bytes <= SHORT_BYTES_MAX;
    return true;
}

/* What parse_time_order makes of a second of a date. */
static uint64_t order_of(int64_t seconds) {
    assert(seconds >= 0 && seconds < 86400);
    const char text[PARSE_TIME_BYTES] = {
        (char)('0' + seconds / 36000),   (char)('0' + seconds / 3600 % 10), ':',
        (char)('0' + seconds / 600 % 6), (char)('0' + seconds / 60 % 10),   ':',
        (char)('0' + seconds / 10 % 6),  (char)('0' + seconds % 10),
    };
    uint64_t order = 0;
    bool is_time = parse_time_order(text, &order);
    assert(is_time);
    return order;
}

/* The first whole second that is not before so many microseconds, within a date and its end. */
static int64_t seconds_from(int64_t us) {
    int64_t seconds = us > 0 ? (us + 999999) / 1000000 : 0;
    return seconds < 86400 ? seconds : 86400;
}

/* Which times of its date are of the row's day: mostly the same as for the row before. */
static void find_day(struct feed_fold *fold, const struct calendar *calendar) {
    int64_t at_us = fold->occurred_at_us;
    int64_t date_us = fold->date->start_us;
    if (calendar == fold->calendar && date_us == fold->date_us && at_us >= fold->day_from_us &&
        at_us < fold->day_until_us) {
        return;
    }
    size_t day = condense_day(calendar, at_us);
    fold->calendar = calendar;
    fold->date_us = date_us;
    fold->day_from_us = calendar->starts_us[day];
    fold->day_until_us = calendar->starts_us[day + 1];
    fold->day_first = order_of(seconds_from(fold->day_from_us - date_us));
    fold->day_last = order_of(seconds_from(fold->day_until_us - date_us) - 1);
}

void fold_open(struct usage_feed *feed, const struct text *fields, struct text row) {
    struct feed_fold *fold = &feed->fold;
    fold->is_open = fold->is_ready && set_literals(fold, fields, row);
    if (!fold->is_open) {
        return;
    }
    find_day(fold, &feed->usage->catalog->orgs[fold->rank].calendar->calendar);
    fold->shape = parse_shape_of(packed_places(fold->packed));
    fold->taken = (struct fold_sum){.first = UINT64_MAX, .places = fold->shape.places};
}

/* --- rows --------------------------------------------------------------------------------------
 */

typedef uint64_t fold_lane __attribute__((vector_size(FOLD_LANE_BYTES)));

static inline fold_lane load_lane(const char *bytes) {
    fold_lane lane;
    memcpy(&lane, bytes, sizeof lane);
    return lane;
}

/* Zero: it is at bytes. Lanes are read whole, also where the literal has ended. */
static inline fold_lane literal_difference(const struct fold_literal *literal, const char *bytes,
                                           size_t lanes_count) {
    fold_lane difference = {0, 0};
    for (size_t lane = 0; lane < lanes_count; lane++) {
        size_t at = lane * sizeof difference;
        fold_lane different = load_lane(bytes + at) ^ load_lane(literal->bytes + at);
        difference |= different & load_lane(literal->mask + at);
    }
    return difference;
}

/* Mantissas of one number of places are added up in 64 bits. */
static inline struct decimal sum_units(const struct fold_sum *sum) {
    int64_t power = packed_powers[DECIMAL_PLACES - sum->places];
    return (struct decimal){sum->units + (int128)sum->mantissas * power};
}

/* A quantity with other places than most. */
static inline bool sum_add_other(struct fold_sum *sum, struct text quantity) {
    int64_t packed;
    if (!parse_quantity_short(quantity, &packed)) {
        return false;
    }
    unsigned places = packed_places(packed);
    sum->units += (int128)packed_mantissa(packed) * packed_powers[DECIMAL_PLACES - places];
    return true;
}

/*
 * The row at bytes. *size_bytes: its length, or 0: it is for others.
 *
 * Where it ends is told by its line feed alone, which says how long its quantity is, too. So the
 * processor finds the next row, and begins with it, before it is done with this one.
 */
__attribute__((always_inline)) static inline size_t take_row(const struct feed_fold *fold,
                                                             const char *bytes, size_t lanes_count,
                                                             struct fold_sum *sum) {
    size_t feed_offset;
    size_t rest_bytes = fold->before.size_bytes + fold->behind.size_bytes;
    if (!parse_find_feed(bytes + rest_bytes, &feed_offset)) {
        return 0;
    }
    size_t quantity_bytes = feed_offset + 1;
    const char *behind = bytes + fold->before.size_bytes + quantity_bytes;
    fold_lane difference = literal_difference(&fold->before, bytes, lanes_count) |
                           literal_difference(&fold->behind, behind, lanes_count);
    uint64_t time;
    const char *time_at = bytes + fold->time_offset + (quantity_bytes & fold->time_moves);
    if ((difference[0] | difference[1]) != 0 || !parse_time_order(time_at, &time) ||
        time - fold->day_first > fold->day_last - fold->day_first) {
        return 0;
    }
    int64_t mantissa;
    if (parse_mantissa(&fold->shape, behind, quantity_bytes, &mantissa)) {
        sum->mantissas += mantissa;
    } else if (!sum_add_other(sum, (struct text){behind - quantity_bytes, quantity_bytes})) {
        return 0;
    }
    sum->count++;
    sum->first = time < sum->first ? time : sum->first;
    sum->last = time > sum->last ? time : sum->last;
    return rest_bytes + quantity_bytes;
}

__attribute__((always_inline)) static inline void
take_rows(struct feed_fold *fold, struct split *split, size_t lanes_count) {
    size_t row_bytes_max = fold->before.size_bytes + fold->behind.size_bytes + PARSE_QUANTITY_BYTES;
    struct fold_sum sum = fold->taken;
    uint64_t count_before = sum.count;
    size_t offset = split->offset;
    while (split->until - offset >= row_bytes_max) {
        size_t size_bytes = take_row(fold, split->window + offset, lanes_count, &sum);
        if (size_bytes == 0) {
            break;
        }
        offset += size_bytes;
    }
    fold->taken = sum;
    split->offset = offset;
    split->line += sum.count - count_before;
}

void fold_rows(struct feed_fold *fold, struct split *split) {
    if (fold->is_open && fold->is_short) {
        take_rows(fold, split, FOLD_LANES_SHORT);
    } else if (fold->is_open) {
        take_rows(fold, split, FOLD_LANES_MAX);
    }
}

/* --- closing -----------------------------------------------------------------------------------
 */

static int64_t instant_us_of(const struct feed_fold *fold, uint64_t order) {
    char text[PARSE_TIME_BYTES];
    int64_t seconds = 0;
    order = __builtin_bswap64(order);
    memcpy(text, &order, sizeof text);
    bool is_time = parse_time_of_day(text, &seconds);
    assert(is_time);
    return fold->date->start_us + seconds * 1000000;
}

/* Adds the row before those folded, which was spilled as the last word of its stream, if it can be
 * taken back from there: so that one record holds them all. */
static bool take_row_before(struct usage_feed *feed, uint32_t bucket) {
    struct feed_fold *fold = &feed->fold;
    if (!fold->is_word || packed_places(fold->packed) != fold->taken.places ||
        !spill_take_back_word(&feed->streams[STREAM_FLOWS_SHORT][bucket])) {
        return false;
    }
    fold->taken.count++;
    fold->taken.mantissas += packed_mantissa(fold->packed);
    return true;
}

static bool append_sum(struct usage_feed *feed, uint32_t bucket, const struct fold_sum *sum,
                       const struct flow_record *record, struct err *err) {
    int64_t start_us = feed->usage->orgs[feed->fold.rank].start_us;
    const struct flow_sum packed = {
        .packed = packed_from(sum->mantissas, sum->places),
        .first_us = (uint64_t)(record->first_us - start_us),
        .last_us = (uint64_t)(record->last_us - start_us),
        .count = record->count,
        .slot = record->slot,
    };
    uint64_t pair[2];
    if (sum->units != 0 || sum->mantissas > PACKED_MANTISSA_MAX || !flow_sum_pack(&packed, pair)) {
        return feed_append(feed, STREAM_FLOWS_WIDE, bucket, record, sizeof *record, err);
    }
    return spill_append_pair(feed->usage->spill, &feed->streams[STREAM_FLOWS_SUMS][bucket],
                             feed->usage->chunk_bytes, pair, err);
}

bool fold_close(struct usage_feed *feed, struct err *err) {
    struct feed_fold *fold = &feed->fold;
    bool is_empty = !fold->is_open || fold->taken.count == 0;
    fold->is_open = false;
    fold->is_ready = false;
    if (is_empty) {
        return true;
    }
    struct metric_totals *totals = &feed->metrics.entries[fold->entry].totals;
    totals->events_read += fold->taken.count;
    tally_add(&totals->units_read, sum_units(&fold->taken));
    uint32_t bucket = feed->usage->orgs[fold->rank].bucket;
    int64_t first_us = instant_us_of(fold, fold->taken.first);
    int64_t last_us = instant_us_of(fold, fold->taken.last);
    if (take_row_before(feed, bucket)) {
        first_us = fold->occurred_at_us < first_us ? fold->occurred_at_us : first_us;
        last_us = fold->occurred_at_us > last_us ? fold->occurred_at_us : last_us;
    }
    const struct flow_record record = {
        .sum = sum_units(&fold->taken),
        .first_us = first_us,
        .last_us = last_us,
        .count = fold->taken.count,
        .slot = fold->slot,
    };
    return append_sum(feed, bucket, &fold->taken, &record, err);
}
