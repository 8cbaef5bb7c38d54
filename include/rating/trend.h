/*
 * Trends: a least-squares line over the days of a period, and the next period's quantity.
 *
 * x = 0 … days_count - 1, y = the day's quantity (flows) or the level at the day's end (levels). In
 * exact integers; results rounded half away from zero to 15 decimals. What does not fit into a
 * decimal has no trend (has_* false), never an error.
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

struct trend_input {
    enum aggregation aggregation;
    const struct decimal *days; /* dense, days_count entries, at most TREND_DAYS_MAX */
    size_t days_count;
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

void trend_fit(const struct trend_input *input, struct trend *trend);

/* (current - previous) / |previous| half away to 6 decimals; false when previous is zero or the
 * result does not fit. */
bool trend_change(struct decimal current, struct decimal previous, struct decimal *change);

/* part / whole half away to places decimals (whole > 0): utilisation. False: does not fit. */
bool ratio_round(struct decimal part, struct decimal whole, int places, struct decimal *ratio);

#endif
