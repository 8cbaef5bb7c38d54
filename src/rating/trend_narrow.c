/*
 * Trends of numbers that fit: 128-bit sums, 256 bits for R². The formulas stand in trend_paths.h.
 *
 * Bounds, with n <= 32 days and as many next ones, |y| <= 2^VALUE_BITS = 2^100:
 *     S < 2^105, M < 2^109, S (n² - 1) + 3 M c < 2^120, its sum over the next days < 2^125,
 *     times n (for the scaled) is checked.
 * R² does not change when all y are halved, so their common factor of two is taken out first
 * (whole units are multiples of 2^15); then |y| <= 2^SQUARE_BITS = 2^92 gives
 *     S² < 2^194, n Q < 2^194, (n² - 1) V < 2^204, 2 x 10^15 x 3 M² < 2^255 (as 3 M² is no larger).
 */
#include "trend_paths.h"

#include <assert.h>

enum { VALUE_BITS = 100, SQUARE_BITS = 92, LIMBS = 4 };

static inline uint128 magnitude_of(int128 value) {
    return value < 0 ? -(uint128)value : (uint128)value;
}

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

/* --- 256 bits, just what R² needs ---------------------------------------------------------------
 */

struct limbs {
    uint64_t limb[LIMBS]; /* least significant first */
};

static struct limbs limbs_square(uint128 value) {
    uint64_t low = (uint64_t)value;
    uint64_t high = (uint64_t)(value >> 64);
    uint128 low_square = (uint128)low * low;
    uint128 cross = (uint128)low * high;
    uint128 high_square = (uint128)high * high;
    uint128 middle = (low_square >> 64) + (uint64_t)cross + (uint64_t)cross;
    uint128 top = (middle >> 64) + (cross >> 64) + (cross >> 64) + (uint64_t)high_square;
    return (struct limbs){{
        (uint64_t)low_square,
        (uint64_t)middle,
        (uint64_t)top,
        (uint64_t)(high_square >> 64) + (uint64_t)(top >> 64),
    }};
}

/* Returns the carry out of the last limb. */
static uint64_t limbs_multiply(struct limbs *value, uint64_t factor) {
    uint64_t carry = 0;
    for (size_t index = 0; index < LIMBS; index++) {
        uint128 product = (uint128)value->limb[index] * factor + carry;
        value->limb[index] = (uint64_t)product;
        carry = (uint64_t)(product >> 64);
    }
    return carry;
}

static void limbs_add(struct limbs *sum, const struct limbs *addend) {
    uint64_t carry = 0;
    for (size_t index = 0; index < LIMBS; index++) {
        uint128 total = (uint128)sum->limb[index] + addend->limb[index] + carry;
        sum->limb[index] = (uint64_t)total;
        carry = (uint64_t)(total >> 64);
    }
    assert(carry == 0);
}

/* value - subtrahend; returns the borrow. */
static uint64_t limbs_subtract(struct limbs *value, const struct limbs *subtrahend) {
    uint64_t borrow = 0;
    for (size_t index = 0; index < LIMBS; index++) {
        uint128 difference = (uint128)value->limb[index] - subtrahend->limb[index] - borrow;
        value->limb[index] = (uint64_t)difference;
        borrow = (uint64_t)(difference >> 64) & 1;
    }
    return borrow;
}

/* bits < 64; what is shifted out on top is lost. */
static struct limbs limbs_shift_left(struct limbs value, unsigned bits) {
    if (bits != 0) {
        for (size_t index = LIMBS - 1; index > 0; index--) {
            value.limb[index] = value.limb[index] << bits | value.limb[index - 1] >> (64 - bits);
        }
        value.limb[0] <<= bits;
    }
    return value;
}

/*
 * Floor of numerator / denominator, which is below 2^63 (asserted by its use: R² <= 1).
 *
 * The two limbs on top of the numerator over the one on top of the denominator, shifted so that
 * its highest bit is set, are the quotient or up to 2 more: then it is counted down (Knuth, The Art
 * of Computer Programming 2, 4.3.1, theorem B).
 */
static uint64_t limbs_divide(const struct limbs *numerator, const struct limbs *denominator) {
    size_t top = LIMBS;
    while (denominator->limb[top - 1] == 0) {
        top--;
        assert(top > 0);
    }
    unsigned shift = (unsigned)__builtin_clzll(denominator->limb[top - 1]);
    uint64_t leading = limbs_shift_left(*denominator, shift).limb[top - 1];
    /* Of the shifted numerator, limb top (which may lie above the last one) and the one below. */
    uint64_t over = top < LIMBS ? numerator->limb[top] << shift : 0;
    uint64_t below = numerator->limb[top - 1] << shift;
    if (shift != 0) {
        over |= numerator->limb[top - 1] >> (64 - shift);
        below |= top > 1 ? numerator->limb[top - 2] >> (64 - shift) : 0;
    }
    assert(over < leading);
    uint64_t quotient = (uint64_t)(((uint128)over << 64 | below) / leading);
    for (int excess = 0; excess <= 2; excess++) {
        struct limbs product = *denominator;
        struct limbs rest = *numerator;
        if (limbs_multiply(&product, quotient) == 0 && limbs_subtract(&rest, &product) == 0) {
            return quotient;
        }
        quotient--;
    }
    assert(false); /* the first guess is at most 2 too high */
    return 0;
}

/* --- the fit ------------------------------------------------------------------------------------
 */

struct narrow_sums {
    int64_t n;
    uint64_t e;
    int128 s;
    int128 m;
    uint32_t days; /* bit by day: its value is not zero */
    uint128 ones;  /* all values or-ed: their common trailing zeros */
    uint128 size;  /* their magnitudes or-ed (of negative ones, less one): their highest bit */
};

_Static_assert(TREND_DAYS_MAX <= 32, "a bit for each day");

static uint32_t days_not_zero(const struct trend_input *input) {
    uint32_t days = 0;
    for (size_t x = 0; x < input->days_count; x++) {
        days |= (uint32_t)(input->days[x].units != 0) << x;
    }
    return days;
}

static void narrow_sums_see(struct narrow_sums *sums, int128 y) {
    sums->ones |= (uint128)y;
    sums->size |= (uint128)(y < 0 ? ~y : y);
}

/*
 * The sum of x y without a product: each y is in as many of the partial sums from the end as its x
 * says, and once more. Unsigned, because too large values may wrap before that is seen.
 */
static void narrow_sums_of_all(struct narrow_sums *sums, const struct trend_input *input) {
    uint128 s = 0;
    uint128 partial_sums = 0;
    for (size_t x = input->days_count; x-- > 0;) {
        int128 y = input->days[x].units;
        s += (uint128)y;
        partial_sums += s;
        narrow_sums_see(sums, y);
    }
    sums->s = (int128)s;
    sums->m = (int128)(2 * partial_sums - (uint128)(sums->n + 1) * s);
}

/* The same for few days: with a product each, and the others are not looked at. */
static void narrow_sums_of_few(struct narrow_sums *sums, const struct trend_input *input) {
    uint128 s = 0;
    uint128 m = 0;
    for (uint32_t left = sums->days; left != 0; left &= left - 1) {
        int64_t x = __builtin_ctz(left);
        int128 y = input->days[x].units;
        s += (uint128)y;
        m += (uint128)y * (uint128)(int128)(2 * x - sums->n + 1);
        narrow_sums_see(sums, y);
    }
    sums->s = (int128)s;
    sums->m = (int128)m;
}

static struct narrow_sums narrow_sums_of(const struct trend_input *input) {
    int64_t n = (int64_t)input->days_count;
    struct narrow_sums sums = {.n = n, .e = (uint64_t)(n * (n * n - 1))};
    sums.days = days_not_zero(input);
    if (__builtin_popcount(sums.days) > n / 2) {
        narrow_sums_of_all(&sums, input);
    } else {
        narrow_sums_of_few(&sums, input);
    }
    return sums;
}

static unsigned trailing_zeros(uint128 bits) {
    uint64_t low = (uint64_t)bits;
    return low != 0 ? (unsigned)__builtin_ctzll(low)
                    : 64 + (unsigned)__builtin_ctzll((uint64_t)(bits >> 64));
}

/* Sum of (y / 2^shift)² where no y / 2^shift needs more than 64 bits. */
static struct limbs narrow_squares_of_64_bits(const struct trend_input *input, uint32_t days,
                                              unsigned shift) {
    uint128 squares = 0;
    uint64_t carries = 0;
    for (uint32_t left = days; left != 0; left &= left - 1) {
        size_t x = (size_t)__builtin_ctz(left);
        uint64_t y = (uint64_t)(magnitude_of(input->days[x].units) >> shift);
        uint128 square = (uint128)y * y;
        squares += square;
        carries += squares < square;
    }
    return (struct limbs){{(uint64_t)squares, (uint64_t)(squares >> 64), carries, 0}};
}

/* Sum of (y / 2^shift)²: low² + 2 low high 2^64 + high² 2^128, each part summed by itself. */
static struct limbs narrow_squares(const struct trend_input *input, uint32_t days, unsigned shift) {
    uint128 low_squares = 0;
    uint64_t low_carries = 0;
    uint128 crosses = 0;
    uint128 high_squares = 0;
    for (uint32_t left = days; left != 0; left &= left - 1) {
        size_t x = (size_t)__builtin_ctz(left);
        uint128 y = magnitude_of(input->days[x].units) >> shift;
        uint64_t low = (uint64_t)y;
        uint64_t high = (uint64_t)(y >> 64);
        uint128 low_square = (uint128)low * low;
        low_squares += low_square;
        low_carries += low_squares < low_square;
        crosses += (uint128)low * high;
        high_squares += (uint128)high * high;
    }
    crosses <<= 1; /* under 2^(64 + 28 + 5 + 1) */
    struct limbs sum = {{(uint64_t)low_squares, (uint64_t)(low_squares >> 64), low_carries, 0}};
    struct limbs addend = {{0, (uint64_t)crosses, (uint64_t)(crosses >> 64), 0}};
    limbs_add(&sum, &addend);
    addend = (struct limbs){{0, 0, (uint64_t)high_squares, (uint64_t)(high_squares >> 64)}};
    limbs_add(&sum, &addend);
    return sum;
}

/* False: too large. A constant has no R², and that is fine. */
static bool narrow_r_squared(const struct trend_input *input, const struct narrow_sums *sums,
                             struct trend *trend) {
    if (sums->ones == 0) {
        return true;
    }
    unsigned shift = trailing_zeros(sums->ones);
    if (sums->size >> shift >> SQUARE_BITS != 0) {
        return false;
    }
    /* One bit less than 64: a negative value is one larger than its size says. */
    struct limbs denominator = sums->size >> shift >> 63 == 0
                                   ? narrow_squares_of_64_bits(input, sums->days, shift)
                                   : narrow_squares(input, sums->days, shift);
    struct limbs mean_part = limbs_square(magnitude_of(sums->s) >> shift);
    uint64_t lost = limbs_multiply(&denominator, (uint64_t)sums->n);
    lost |= limbs_subtract(&denominator, &mean_part);
    assert(lost == 0);
    if ((denominator.limb[0] | denominator.limb[1] | denominator.limb[2] | denominator.limb[3]) ==
        0) {
        return true;
    }
    lost = limbs_multiply(&denominator, (uint64_t)(sums->n * sums->n - 1));
    struct limbs numerator = limbs_square(magnitude_of(sums->m) >> shift);
    lost |= limbs_multiply(&numerator, 3 * 2 * (uint64_t)DECIMAL_ONE.units);
    assert(lost == 0);
    /* (2 a + b) / 2 b floored is a / b rounded half up, and nothing here is negative. */
    limbs_add(&numerator, &denominator);
    denominator = limbs_shift_left(denominator, 1);
    trend->has_r_squared = true;
    trend->r_squared.units = (int128)limbs_divide(&numerator, &denominator);
    return true;
}

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
        /* The current quantity is what its days add up to, so that it cancels out: n total / next.
         */
        if (sums->s <= 0 || input->current.units != sums->s ||
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

bool trend_fit_narrow(const struct trend_input *input, struct trend *trend) {
    struct narrow_sums sums = narrow_sums_of(input);
    struct trend fit = *trend;
    if (sums.size >> VALUE_BITS != 0 || !narrow_project(input, &sums, &fit.projected) ||
        !narrow_r_squared(input, &sums, &fit)) {
        return false;
    }
    fit.has_projected = true;
    narrow_slope(&sums, &fit);
    *trend = fit;
    return true;
}
