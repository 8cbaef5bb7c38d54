/*
 * Trends of numbers that fit: 128-bit sums. The formulas stand in trend_paths.h.
 *
 * Bounds, with n <= 32 days and as many next ones, S < 2^SUM_BITS = 2^105, M < 2^MOMENT_BITS =
 * 2^109 (days below 2^100 cannot give more):
 *     S (n² - 1) + 3 M c < 2^120, its sum over the next days < 2^125, times n (for the scaled) is
 *     checked.
 */
#include "trend_paths.h"

#include <assert.h>

enum { SUM_BITS = 105, MOMENT_BITS = 109 };

/* numerator / denominator half away from zero, for a small denominator: at most two divisions by 64
 * bits.
 */
static uint128 divide_small(uint128 numerator, uint64_t denominator, uint64_t *remainder) {
    uint64_t high = (uint64_t)(numerator >> 64);
    uint64_t high_quotient = 0;
    uint128 rest = numerator;
    if (high >= denominator) {
        high_quotient = high / denominator;
        rest = (uint128)(high % denominator) << 64 | (uint64_t)numerator;
    }
    uint64_t low_quotient = (uint64_t)(rest / denominator);
    *remainder = (uint64_t)(rest - (uint128)low_quotient * denominator);
    return (uint128)high_quotient << 64 | low_quotient;
}

static uint128 divide_small_half_away(uint128 numerator, uint64_t denominator) {
    uint64_t remainder;
    uint128 quotient = divide_small(numerator, denominator, &remainder);
    return quotient + (remainder >= denominator - remainder);
}

struct narrow_sums {
    int64_t n;
    uint64_t e;
    int128 s;
    int128 m;
};

/* slope = 6 M / E and growth = 180 M / E, whose quotient comes from the slope's and its rest. */
static void narrow_slope(const struct narrow_sums *sums, struct trend *trend) {
    uint64_t remainder;
    uint128 quotient = divide_small(magnitude_of(sums->m) * 6, sums->e, &remainder);
    uint64_t growth_rest = remainder * 30;
    uint128 growth = quotient * 30 + growth_rest / sums->e;
    growth_rest %= sums->e;
    growth += growth_rest >= sums->e - growth_rest;
    quotient += remainder >= sums->e - remainder;
    trend->has_slope = true;
    trend->slope_per_day.units = sums->m < 0 ? -(int128)quotient : (int128)quotient;
    trend->growth_30_days.units = sums->m < 0 ? -(int128)growth : (int128)growth;
}

static bool narrow_project(const struct trend_input *input, const struct narrow_sums *sums,
                           struct decimal *projected) {
    int64_t next = (int64_t)input->next_days_count;
    int128 step = 6 * sums->m;
    int128 first = sums->s * (sums->n * sums->n - 1) + 3 * sums->m * (sums->n + 1);
    int128 last = first + step * (next - 1);
    uint128 total = 0;
    if (first >= 0 && last >= 0) {
        total = (uint128)((first + last) * next / 2); /* an arithmetic series */
    } else if (first >= 0 || last >= 0) {
        int128 fitted = first;
        for (int64_t day = 0; day < next; day++, fitted += step) {
            total += fitted > 0 ? (uint128)fitted : 0;
        }
    }
    uint128 numerator = total;
    uint64_t denominator = sums->e;
    switch (trend_targets[input->aggregation]) {
    case TREND_TARGET_SUM:
        break;
    case TREND_TARGET_SCALED:
        if (sums->s <= 0) {
            *projected = decimal_max(input->current, DECIMAL_ZERO); /* no mean to scale by */
            return true;
        }
        /* The current quantity is what its days add up to, so that it cancels out: n total / next.
         */
        if (input->current.units != sums->s ||
            __builtin_mul_overflow(total, (uint128)sums->n, &numerator)) {
            return false;
        }
        denominator *= (uint64_t)next;
        break;
    case TREND_TARGET_FINAL:
        numerator = last > 0 ? (uint128)last : 0;
        break;
    case TREND_TARGET_HIGHEST: {
        int128 highest = first > last ? first : last; /* a line is highest at one of its ends */
        numerator = highest > 0 ? (uint128)highest : 0;
        break;
    }
    case TREND_TARGET_MEAN:
        denominator *= (uint64_t)next;
        break;
    }
    projected->units = (int128)divide_small_half_away(numerator, denominator);
    assert(decimal_in_range(projected->units));
    return true;
}

bool trend_fit_narrow(const struct trend_input *input, const struct trend_moments *moments,
                      struct trend *trend) {
    int64_t n = (int64_t)input->days_count;
    const struct narrow_sums sums = {.n = n,
                                     .e = (uint64_t)(n * (n * n - 1)),
                                     .s = moments->sum.units,
                                     .m = moments->moment.units};
    struct decimal projected;
    if (magnitude_of(sums.s) >> SUM_BITS != 0 || magnitude_of(sums.m) >> MOMENT_BITS != 0 ||
        !narrow_project(input, &sums, &projected)) {
        return false;
    }
    trend->has_projected = true;
    trend->projected = projected;
    narrow_slope(&sums, trend);
    return true;
}
