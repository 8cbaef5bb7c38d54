/*
 * The two ways to fit a trend, with identical results: narrow (128 and 256 bits, for all numbers
 * that usually occur) and wide (core/wide.h, for all numbers).
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
 * A result is one fraction of integers, rounded once.
 */
#ifndef PERIODCLOSE_RATING_TREND_PATHS_H
#define PERIODCLOSE_RATING_TREND_PATHS_H

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

/* days_count and days_with_data at least 2, trend zeroed. False: too large for it, trend as it was.
 */
bool trend_fit_narrow(const struct trend_input *input, struct trend *trend);
void trend_fit_wide(const struct trend_input *input, struct trend *trend);

#endif
