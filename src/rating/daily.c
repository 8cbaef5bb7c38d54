#include "rating/daily.h"

#include <assert.h>

enum { SERIES_COLUMN = 0 };

_Static_assert(DAYS_SERIES == 0 && KEYS_SERIES == 0 && LEVELS_SERIES == 0 && DAILY_SERIES == 0 &&
                   DAYS_DAY == 1 && KEYS_DAY == 1 && LEVELS_DAY == 1 && DAILY_DAY == 1,
               "tables by day begin with the series and the day");

/* --- one table ----------------------------------------------------------------------------------
 */

struct day_walk day_walk_start(const struct table *table) {
    return (struct day_walk){.table = table};
}

/* The batch with the row at hand; NULL at the end. */
static const struct table_batch *day_walk_batch(struct day_walk *walk) {
    while (walk->batch_index < table_batches_count(walk->table)) {
        const struct table_batch *batch = table_batch(walk->table, walk->batch_index);
        if (walk->row < batch->rows_count) {
            return batch;
        }
        walk->batch_index++;
        walk->row = 0;
    }
    return NULL;
}

bool day_walk_take(struct day_walk *walk, int64_t series, struct day_span *span) {
    const struct table_batch *batch = day_walk_batch(walk);
    if (batch == NULL) {
        return false;
    }
    const int64_t *all = batch->columns[SERIES_COLUMN].values;
    size_t row = walk->row;
    while (row < batch->rows_count && all[row] == series) {
        row++;
    }
    *span = (struct day_span){.batch = batch, .from = walk->row, .until = row};
    walk->row = row;
    return span->until > span->from;
}

bool day_walk_is_over(struct day_walk *walk, int64_t *series) {
    const struct table_batch *batch = day_walk_batch(walk);
    if (batch == NULL) {
        return true;
    }
    *series = ((const int64_t *)batch->columns[SERIES_COLUMN].values)[walk->row];
    return false;
}

bool day_walk_end(struct day_walk *walk, struct err *err) {
    int64_t series;
    return day_walk_is_over(walk, &series) ||
           err_set(err, ERR_DAMAGED, "%s: days of series %lld, which no price meters",
                   table_path(walk->table), (long long)series);
}

bool day_walk_read(struct day_walk *daily, int64_t series, int32_t first_date,
                   struct trend_days *days) {
    struct day_span span;
    while (day_walk_take(daily, series, &span)) {
        const struct decimal *quantities = day_values(&span, DAILY_QUANTITY);
        for (size_t row = span.from; row < span.until; row++) {
            if (!trend_days_put(days, day_offset(&span, row, first_date), 1, quantities[row])) {
                return false;
            }
        }
    }
    return true;
}

/* --- all three ----------------------------------------------------------------------------------
 */

struct daily_walk daily_walk_start(const struct table *days, const struct table *keys,
                                   const struct table *levels) {
    return (struct daily_walk){.days = day_walk_start(days),
                               .keys = day_walk_start(keys),
                               .levels = day_walk_start(levels)};
}

static void day_walk_skip(struct day_walk *walk, int64_t series) {
    struct day_span span;
    while (day_walk_take(walk, series, &span)) {
    }
}

static void day_walk_to(struct day_walk *walk, int64_t series) {
    int64_t next;
    while (!day_walk_is_over(walk, &next) && next < series) {
        day_walk_skip(walk, next);
    }
}

void daily_walk_to(struct daily_walk *walk, int64_t series) {
    day_walk_to(&walk->days, series);
    day_walk_to(&walk->keys, series);
    day_walk_to(&walk->levels, series);
}

/* Where quantities go, and what the table says of a day. */
struct daily_target {
    int32_t first_date;
    size_t days_count;
    struct decimal *quantities;
};

static bool daily_index(const struct daily_target *target, const struct day_span *span, size_t row,
                        size_t *day_index) {
    int64_t offset = day_offset(span, row, target->first_date);
    *day_index = (size_t)offset;
    return offset >= 0 && (uint64_t)offset < target->days_count;
}

static bool fill_sums(const struct daily_target *target, const struct day_span *span) {
    const struct decimal *sums = day_values(span, DAYS_SUM);
    for (size_t row = span->from; row < span->until; row++) {
        size_t day_index;
        if (!daily_index(target, span, row, &day_index)) {
            return false;
        }
        target->quantities[day_index] = sums[row];
    }
    return true;
}

static bool fill_counts(const struct daily_target *target, const struct day_span *span,
                        size_t column) {
    const int64_t *counts = day_values(span, column);
    for (size_t row = span->from; row < span->until; row++) {
        size_t day_index;
        if (!daily_index(target, span, row, &day_index)) {
            return false;
        }
        (void)decimal_from_int64(counts[row], &target->quantities[day_index]);
    }
    return true;
}

static bool fill_levels(const struct daily_target *target, const struct day_span *span,
                        size_t *filled, struct decimal *held) {
    const struct decimal *closings = day_values(span, LEVELS_CLOSING);
    for (size_t row = span->from; row < span->until; row++) {
        size_t day_index;
        if (!daily_index(target, span, row, &day_index)) {
            return false;
        }
        while (*filled < day_index) {
            target->quantities[(*filled)++] = *held;
        }
        *held = day_is_null(span, LEVELS_CLOSING, row) ? DECIMAL_ZERO : closings[row];
    }
    return true;
}

static bool fill_level(struct daily_walk *walk, int64_t series, const struct daily_target *target) {
    struct day_span span;
    struct decimal held = DECIMAL_ZERO;
    size_t filled = 0;
    while (day_walk_take(&walk->levels, series, &span)) {
        if (!fill_levels(target, &span, &filled, &held)) {
            return false;
        }
    }
    while (filled < target->days_count) {
        target->quantities[filled++] = held;
    }
    return true;
}

static bool fill_flow(struct daily_walk *walk, int64_t series, enum aggregation aggregation,
                      const struct daily_target *target) {
    struct day_span span;
    bool fits = true;
    memset(target->quantities, 0, target->days_count * sizeof *target->quantities);
    while (fits && day_walk_take(&walk->days, series, &span)) {
        if (aggregation == AGGREGATION_SUM) {
            fits = fill_sums(target, &span);
        } else if (aggregation == AGGREGATION_COUNT) {
            fits = fill_counts(target, &span, DAYS_COUNT);
        }
    }
    while (fits && day_walk_take(&walk->keys, series, &span)) {
        fits = fill_counts(target, &span, KEYS_KEYS);
    }
    return fits;
}

bool daily_walk_fill(struct daily_walk *walk, int64_t series, enum aggregation aggregation,
                     int32_t first_date, size_t days_count, struct decimal *quantities) {
    const struct daily_target target = {
        .first_date = first_date, .days_count = days_count, .quantities = quantities};
    return aggregation_table[aggregation].is_level ? fill_level(walk, series, &target)
                                                   : fill_flow(walk, series, aggregation, &target);
}

bool daily_walk_end(struct daily_walk *walk, struct err *err) {
    return day_walk_end(&walk->days, err) && day_walk_end(&walk->keys, err) &&
           day_walk_end(&walk->levels, err);
}
