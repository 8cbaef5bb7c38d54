/*
 * Daily series: what extract's tables by day (days, keys, levels) say of one row of usage, and what
 * meter wrote of them again (daily: those too large for its moments), which day_walk_read reads.
 *
 * Flows: the day's quantity; days without a row are zero. Levels: the level at the day's end, which
 * holds until the next row's day; zero on days that are not subscribed.
 *
 * The tables are sorted by (series, day) and are read once, from front to back, as spans: a span is
 * what one batch holds of the rows of one series, so its columns are plain arrays.
 */
#ifndef PERIODCLOSE_RATING_DAILY_H
#define PERIODCLOSE_RATING_DAILY_H

#include "rating/trend.h"
#include "table/checkpoint.h"

struct day_walk {
    const struct table *table;
    size_t batch_index;
    size_t row; /* in that batch */
};

struct day_span {
    const struct table_batch *batch;
    size_t from; /* rows from … until - 1 */
    size_t until;
};

struct day_walk day_walk_start(const struct table *table);
/* The next rows of the series, taken. False: no more; the walk stands at another series' row. */
bool day_walk_take(struct day_walk *walk, int64_t series, struct day_span *span);
/* Has every row been taken? If not, of which series is the next one. */
bool day_walk_is_over(struct day_walk *walk, int64_t *series);

static inline const void *day_values(const struct day_span *span, size_t column) {
    return span->batch->columns[column].values;
}
static inline bool day_is_null(const struct day_span *span, size_t column, size_t row) {
    const uint8_t *validity = span->batch->columns[column].validity;
    return validity != NULL && (validity[row / 8] >> (row % 8) & 1) == 0;
}

/* A row of a table by day, as the day of a period: below zero and beyond its end when it is not. */
static inline int64_t day_offset(const struct day_span *span, size_t row, int32_t first_date) {
    const int32_t *dates = day_values(span, 1);
    return (int64_t)dates[row] - first_date;
}
/* ERR_DAMAGED when rows are left. */
bool day_walk_end(struct day_walk *walk, struct err *err);

/* Takes the rows of the series from meter's table daily. False: one is of no such day. */
bool day_walk_read(struct day_walk *daily, int64_t series, int32_t first_date,
                   struct trend_days *days);

/* The three tables side by side: each row of usage takes what is its own. */
struct daily_walk {
    struct day_walk days;
    struct day_walk keys;
    struct day_walk levels;
};

struct daily_walk daily_walk_start(const struct table *days, const struct table *keys,
                                   const struct table *levels);

/* Takes the rows of the series and fills quantities[0 … days_count - 1], the first of first_date.
 * False: a row is of no such day. */
bool daily_walk_fill(struct daily_walk *walk, int64_t series, enum aggregation aggregation,
                     int32_t first_date, size_t days_count, struct decimal *quantities);
/* Skips the rows of series before this one, for who asks for one only. */
void daily_walk_to(struct daily_walk *walk, int64_t series);
/* ERR_DAMAGED when rows are left that no row of usage took. */
bool daily_walk_end(struct daily_walk *walk, struct err *err);

#endif
