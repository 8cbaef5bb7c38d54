/*
 * Trends of any decimals. The formulas stand in trend_paths.h.
 *
 * The largest number here is 10^15 x 3 M² or current x fitted x n: under 450 bits, so that 1,024
 * always hold it, and an operation that does not fit is our own bug.
 */
#include "trend_paths.h"

#include <assert.h>

#include "core/wide.h"

static struct wide wide_sum(struct wide left, struct wide right) {
    bool fits = wide_add(&left, &right, &left);
    assert(fits);
    return left;
}

static struct wide wide_product(struct wide left, struct wide right) {
    bool fits = wide_multiply(&left, &right, &left);
    assert(fits);
    return left;
}

static struct wide wide_times(struct wide left, int128 right) {
    return wide_product(left, wide_from_int128(right));
}

static struct wide wide_difference(struct wide left, struct wide right) {
    bool fits = wide_subtract(&left, &right, &left);
    assert(fits);
    return left;
}

/* numerator / denominator, rounded once. False: not a decimal. */
static bool wide_ratio(struct wide numerator, struct wide denominator, struct decimal *result) {
    struct wide quotient;
    int128 units;
    bool fits = wide_divide_half_away(&numerator, &denominator, &quotient);
    assert(fits);
    if (!wide_to_int128(&quotient, &units) || !decimal_in_range(units)) {
        return false;
    }
    result->units = units;
    return true;
}

struct trend_wide_sums trend_wide_sums_of(const struct trend_days *days) {
    struct wide zero = wide_from_int128(0);
    struct trend_wide_sums sums = {.n = days->days_count, .s = zero, .m = zero};
    for (size_t index = 0; index < days->runs_count; index++) {
        const struct trend_run *run = &days->runs[index];
        struct wide y = wide_from_int128(run->quantity.units);
        sums.s = wide_sum(sums.s, wide_times(y, run->days));
        sums.m = wide_sum(sums.m, wide_times(y, trend_run_centre(run, sums.n)));
    }
    return sums;
}

/* --- the measure --------------------------------------------------------------------------------
 */

/* False: not a decimal. */
static bool wide_decimal(const struct wide *value, struct decimal *result) {
    int128 units;
    if (!wide_to_int128(value, &units) || !decimal_in_range(units)) {
        return false;
    }
    result->units = units;
    return true;
}

void trend_measure_wide(const struct trend_days *days, struct trend_moments *moments) {
    struct trend_wide_sums sums = trend_wide_sums_of(days);
    struct wide q = wide_from_int128(0);
    for (size_t index = 0; index < days->runs_count; index++) {
        const struct trend_run *run = &days->runs[index];
        struct wide y = wide_from_int128(run->quantity.units);
        q = wide_sum(q, wide_times(wide_product(y, y), run->days));
    }
    struct wide v = wide_difference(wide_times(q, sums.n), wide_product(sums.s, sums.s));
    if (!wide_is_zero(&v)) {
        struct wide numerator = wide_times(wide_product(sums.m, sums.m), 3);
        moments->has_r_squared =
            wide_ratio(wide_times(numerator, DECIMAL_ONE.units), wide_times(v, sums.n * sums.n - 1),
                       &moments->r_squared);
        assert(moments->has_r_squared);
    }
    struct trend_moments decimals = *moments;
    decimals.has_sums =
        wide_decimal(&sums.s, &decimals.sum) && wide_decimal(&sums.m, &decimals.moment);
    if (decimals.has_sums) {
        *moments = decimals;
    }
}

/* --- the fit ------------------------------------------------------------------------------------
 */

static int64_t wide_e(const struct trend_wide_sums *sums) {
    return sums->n * (sums->n * sums->n - 1);
}

/* E x fitted(x), zero where that is negative. */
static struct wide wide_fitted(const struct trend_wide_sums *sums, int64_t x) {
    struct wide fitted = wide_sum(wide_times(sums->s, sums->n * sums->n - 1),
                                  wide_times(sums->m, 3 * (2 * x - sums->n + 1)));
    return fitted.is_negative ? wide_from_int128(0) : fitted;
}

static bool wide_project(const struct trend_input *input, const struct trend_wide_sums *sums,
                         struct decimal *projected) {
    int64_t next = (int64_t)input->next_days_count;
    struct wide last = wide_fitted(sums, sums->n + next - 1);
    struct wide highest = wide_from_int128(0);
    struct wide total = wide_from_int128(0);
    for (int64_t x = sums->n; x < sums->n + next; x++) {
        struct wide fitted = wide_fitted(sums, x);
        total = wide_sum(total, fitted);
        highest = wide_compare(&fitted, &highest) > 0 ? fitted : highest;
    }
    struct wide e = wide_from_int128(wide_e(sums));
    switch (trend_targets[input->aggregation]) {
    case TREND_TARGET_SUM:
        return wide_ratio(total, e, projected);
    case TREND_TARGET_SCALED:
        if (sums->s.is_negative || wide_is_zero(&sums->s)) {
            *projected = decimal_max(input->current, DECIMAL_ZERO);
            return true;
        }
        if (input->current.units <= 0) {
            *projected = DECIMAL_ZERO;
            return true;
        }
        total = wide_times(wide_times(total, sums->n), input->current.units);
        return wide_ratio(total, wide_product(wide_times(e, next), sums->s), projected);
    case TREND_TARGET_FINAL:
        return wide_ratio(last, e, projected);
    case TREND_TARGET_HIGHEST:
        return wide_ratio(highest, e, projected);
    case TREND_TARGET_MEAN:
        return wide_ratio(total, wide_times(e, next), projected);
    }
    assert(false); /* every target returns above */
    return false;
}

void trend_fit_wide(const struct trend_input *input, const struct trend_wide_sums *sums,
                    struct trend *trend) {
    struct wide e = wide_from_int128(wide_e(sums));
    trend->has_slope = wide_ratio(wide_times(sums->m, 6), e, &trend->slope_per_day) &&
                       wide_ratio(wide_times(sums->m, 180), e, &trend->growth_30_days);
    if (!trend->has_slope) {
        trend->slope_per_day = DECIMAL_ZERO;
    }
    trend->has_projected = wide_project(input, sums, &trend->projected);
}
