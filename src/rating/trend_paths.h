/*
 * The two ways to measure a daily series and to fit its trend, with identical results: narrow (128
 * and 256 bits, for all numbers that usually occur) and wide (core/wide.h, for all numbers).
 *
 * Both work on centred days c = 2x - n + 1 (odd or even, sum zero), where n = days_count:
 *
 *     S = sum of y        M = sum of c y        Q = sum of y²
 *     E = n (n² - 1)      V = n Q - S²          (V = 0: a constant)
 *
 *     slope         = 6 M / E                   30 times that is the growth, rounded by itself
 *     fitted(x)     = (S (n² - 1) + 3 M c) / E  for any x, also behind the last day
 *     R²            = 3 M² / ((n² - 1) V)       between 0 and 1, after Cauchy and Schwarz
 *
 * A run of k days of one y from day f on adds k y to S, k (2f + k - n) y to M and k y² to Q.
 *
 * Only R² needs Q, which would often be no decimal (levels in bytes): so R² is measured, S and M
 * are kept, and the rest is fitted from them. A result is one fraction of integers, rounded once.
 */
#ifndef PERIODCLOSE_RATING_TREND_PATHS_H
#define PERIODCLOSE_RATING_TREND_PATHS_H

#include "core/wide.h"
#include "rating/trend.h"

/* How the next period's quantity comes from its fitted days g (negative ones counted as zero). */
enum trend_target {
    TREND_TARGET_SUM,     /* sum of g */
    TREND_TARGET_SCALED,  /* current x mean of g / mean of y */
    TREND_TARGET_FINAL,   /* the last g */
    TREND_TARGET_HIGHEST, /* the highest g */
    TREND_TARGET_MEAN,    /* mean of g */
};

extern const enum trend_target trend_targets[AGGREGATIONS_COUNT];

/* By how much the centred day of a run counts: the sum of c over its days. */
static inline int64_t trend_run_centre(const struct trend_run *run, int64_t days_count) {
    return (int64_t)run->days * (2 * (int64_t)run->first + run->days - days_count);
}

static inline uint128 magnitude_of(int128 value) {
    return value < 0 ? -(uint128)value : (uint128)value;
}

struct trend_wide_sums {
    int64_t n;
    struct wide s;
    struct wide m;
};

/* days_count at least 2, moments and trend zeroed. False: too large for it, and both as they were.
 */
bool trend_measure_narrow(const struct trend_days *days, struct trend_moments *moments);
void trend_measure_wide(const struct trend_days *days, struct trend_moments *moments);

/* R² is the measure's. */
bool trend_fit_narrow(const struct trend_input *input, const struct trend_moments *moments,
                      struct trend *trend);
void trend_fit_wide(const struct trend_input *input, const struct trend_wide_sums *sums,
                    struct trend *trend);
struct trend_wide_sums trend_wide_sums_of(const struct trend_days *days);

#endif
