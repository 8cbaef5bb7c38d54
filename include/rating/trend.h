/*
 * Trends: a least-squares line over the days of a period, and the next period's quantity.
 *
 * x = 0 … days_count - 1, y = the day's quantity (flows) or the level at the day's end (levels). In
 * exact integers; results rounded half away from zero to 15 decimals. What does not fit into a
 * decimal has no trend (has_* false), never an error.
 *
 * A line needs little of a daily series, and that is all that is kept of it (moments in
 * table/checkpoint.h):
 *
 *     trend_days_put(&days, …)                  day by day, or a level's run of days
 *     trend_measure(&days, &moments);
 *     trend_fit_moments(&input, &moments, &trend);
 *
 * Sums too large for decimals (has_sums false) are not kept: there the days are, and trend_fit.
 *
 * Next period, over its own days x = days_count … days_count + next_days_count - 1, negative fitted
 * days counted as zero: sum and count add the fitted days; unique scales the current quantity by
 * fitted over current daily mean; last is the final fitted day, max the highest, time_weighted the
 * mean. Fewer than two days with data: projected = current, slope and growth 0, no R². Source: the
 * project's issue 2, "Projection".
 */
#ifndef PERIODCLOSE_RATING_TREND_H
#define PERIODCLOSE_RATING_TREND_H

#include "rating/price.h"

enum { TREND_DAYS_MAX = 32 };

/* --- a daily series -----------------------------------------------------------------------------
 */

/* Days in a row of one quantity: a flow's day, or the days that a level holds. */
struct trend_run {
    struct decimal quantity; /* not zero */
    uint32_t first;          /* index of its first day */
    uint32_t days;
};

struct trend_days {
    uint32_t days_count; /* of the period, at most TREND_DAYS_MAX */
    uint32_t days_put;   /* the next run begins at this day or later */
    uint32_t runs_count;
    struct trend_run runs[TREND_DAYS_MAX]; /* in the order of days; between them all are zero */
};

static inline void trend_days_start(struct trend_days *days, size_t days_count) {
    days->days_count = days_count < TREND_DAYS_MAX ? (uint32_t)days_count : TREND_DAYS_MAX;
    days->days_put = 0;
    days->runs_count = 0;
}

/* False: not after the days put before, or not in the period. */
static inline bool trend_days_put(struct trend_days *days, int64_t first, int64_t count,
                                  struct decimal quantity) {
    if (first < days->days_put || first > days->days_count || count < 0 ||
        count > days->days_count - first) {
        return false;
    }
    days->days_put = (uint32_t)(first + count);
    if (count > 0 && quantity.units != 0) {
        days->runs[days->runs_count++] = (struct trend_run){
            .quantity = quantity, .first = (uint32_t)first, .days = (uint32_t)count};
    }
    return true;
}

/* What a line needs of the days. */
struct trend_moments {
    bool has_sums;         /* both are decimals */
    struct decimal sum;    /* of y */
    struct decimal moment; /* of (2x - days_count + 1) y */
    bool has_r_squared;    /* false for a constant */
    struct decimal r_squared;
};

void trend_measure(const struct trend_days *days, struct trend_moments *moments);

/* --- the line -----------------------------------------------------------------------------------
 */

struct trend_input {
    enum aggregation aggregation;
    size_t days_count; /* at most TREND_DAYS_MAX */
    size_t next_days_count;
    size_t days_with_data;
    struct decimal current; /* the period's metered quantity */
};

struct trend {
    bool has_slope; /* slope and growth */
    struct decimal slope_per_day;
    struct decimal growth_30_days; /* 30 x the exact slope, rounded once */
    bool has_r_squared;            /* false for a constant */
    struct decimal r_squared;
    bool has_projected;
    struct decimal projected; /* never negative */
};

/* Is there a line to fit? If not, the quantity goes on as it is. */
static inline bool trend_has_line(size_t days_count, size_t days_with_data) {
    return days_count >= 2 && days_with_data >= 2;
}

/* Both give the same; moments have sums, or there is no line. */
void trend_fit(const struct trend_input *input, const struct trend_days *days, struct trend *trend);
void trend_fit_moments(const struct trend_input *input, const struct trend_moments *moments,
                       struct trend *trend);

/* (current - previous) / |previous| half away to 6 decimals; false when previous is zero or the
 * result does not fit. */
bool trend_change(struct decimal current, struct decimal previous, struct decimal *change);

/* part / whole half away to places decimals (whole > 0): utilisation. False: does not fit. */
bool ratio_round(struct decimal part, struct decimal whole, int places, struct decimal *ratio);

#endif
