/*
 * Which way a series is measured and a trend fitted, and the two small ratios of the reports.
 */
#include "rating/trend.h"

#include <assert.h>

#include "core/wide.h"
#include "trend_paths.h"

const enum trend_target trend_targets[AGGREGATIONS_COUNT] = {
    [AGGREGATION_SUM] = TREND_TARGET_SUM,       [AGGREGATION_COUNT] = TREND_TARGET_SUM,
    [AGGREGATION_MAX] = TREND_TARGET_HIGHEST,   [AGGREGATION_LAST] = TREND_TARGET_FINAL,
    [AGGREGATION_UNIQUE] = TREND_TARGET_SCALED, [AGGREGATION_TIME_WEIGHTED] = TREND_TARGET_MEAN,
};

_Static_assert(AGGREGATIONS_COUNT == 6, "a new aggregation needs its row in trend_targets");

void trend_measure(const struct trend_days *days, struct trend_moments *moments) {
    assert(days->days_count >= 2 && days->days_count <= TREND_DAYS_MAX);
    *moments = (struct trend_moments){.has_sums = false};
    if (!trend_measure_narrow(days, moments)) {
        trend_measure_wide(days, moments);
    }
}

/* Without a line it goes on as it is. */
static bool trend_start(const struct trend_input *input, struct trend *trend) {
    assert(input->days_count <= TREND_DAYS_MAX);
    assert(input->next_days_count > 0 && input->next_days_count <= TREND_DAYS_MAX);
    *trend = (struct trend){.has_slope = false};
    if (trend_has_line(input->days_count, input->days_with_data)) {
        return true;
    }
    trend->has_slope = true; /* and flat */
    trend->has_projected = true;
    trend->projected = decimal_max(input->current, DECIMAL_ZERO);
    return false;
}

static void trend_take_r_squared(const struct trend_moments *moments, struct trend *trend) {
    trend->has_r_squared = moments->has_r_squared;
    trend->r_squared = moments->r_squared;
}

void trend_fit_moments(const struct trend_input *input, const struct trend_moments *moments,
                       struct trend *trend) {
    if (!trend_start(input, trend)) {
        return;
    }
    assert(moments->has_sums);
    if (!trend_fit_narrow(input, moments, trend)) {
        const struct trend_wide_sums sums = {.n = (int64_t)input->days_count,
                                             .s = wide_from_int128(moments->sum.units),
                                             .m = wide_from_int128(moments->moment.units)};
        trend_fit_wide(input, &sums, trend);
    }
    trend_take_r_squared(moments, trend);
}

void trend_fit(const struct trend_input *input, const struct trend_days *days,
               struct trend *trend) {
    struct trend_moments moments;
    if (!trend_start(input, trend)) {
        return;
    }
    assert(days->days_count == input->days_count);
    trend_measure(days, &moments);
    if (moments.has_sums) {
        trend_fit_moments(input, &moments, trend);
        return;
    }
    struct trend_wide_sums sums = trend_wide_sums_of(days);
    trend_fit_wide(input, &sums, trend);
    trend_take_r_squared(&moments, trend);
}

static int64_t power_of_ten(int exponent) {
    static const int64_t powers[DECIMAL_PLACES + 1] = {
        1,
        10,
        100,
        1000,
        10000,
        100000,
        1000000,
        10000000,
        100000000,
        1000000000,
        INT64_C(10000000000),
        INT64_C(100000000000),
        INT64_C(1000000000000),
        INT64_C(10000000000000),
        INT64_C(100000000000000),
        INT64_C(1000000000000000),
    };
    assert(exponent >= 0 && exponent <= DECIMAL_PLACES);
    return powers[exponent];
}

/* numerator / denominator half away to places decimals; denominator > 0. */
static bool ratio_round_wide(const struct wide *numerator, int128 denominator, int places,
                             struct decimal *ratio) {
    struct wide scale = wide_from_int128(power_of_ten(places));
    struct wide divisor = wide_from_int128(denominator);
    struct wide quotient;
    int128 rounded;
    int128 units;
    if (!wide_multiply(numerator, &scale, &quotient) ||
        !wide_divide_half_away(&quotient, &divisor, &quotient) ||
        !wide_to_int128(&quotient, &rounded) ||
        __builtin_mul_overflow(rounded, power_of_ten(DECIMAL_PLACES - places), &units) ||
        !decimal_in_range(units)) {
        return false;
    }
    ratio->units = units;
    return true;
}

bool ratio_round(struct decimal part, struct decimal whole, int places, struct decimal *ratio) {
    assert(whole.units > 0);
    assert(places >= 0 && places <= DECIMAL_PLACES);
    int128 scaled;
    if (!__builtin_mul_overflow(part.units, power_of_ten(places), &scaled)) {
        int128 units;
        if (__builtin_mul_overflow(int128_divide_half_away(scaled, whole.units),
                                   power_of_ten(DECIMAL_PLACES - places), &units) ||
            !decimal_in_range(units)) {
            return false;
        }
        ratio->units = units;
        return true;
    }
    struct wide numerator = wide_from_int128(part.units);
    return ratio_round_wide(&numerator, whole.units, places, ratio);
}

bool trend_change(struct decimal current, struct decimal previous, struct decimal *change) {
    enum { CHANGE_PLACES = 6 };
    if (decimal_is_zero(previous)) {
        return false;
    }
    struct decimal size = {previous.units < 0 ? -previous.units : previous.units};
    struct decimal difference;
    if (decimal_subtract(current, previous, &difference)) {
        return ratio_round(difference, size, CHANGE_PLACES, change);
    }
    /* The difference alone does not fit, and yet the ratio may: -9e22 to 9e22 is a change of 2. */
    struct wide left = wide_from_int128(current.units);
    struct wide right = wide_from_int128(previous.units);
    bool fits = wide_subtract(&left, &right, &left);
    assert(fits);
    return ratio_round_wide(&left, size.units, CHANGE_PLACES, change);
}
