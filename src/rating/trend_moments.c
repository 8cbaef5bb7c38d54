/*
 * Moments of numbers that fit: 128-bit sums, 256 bits for R². The formulas stand in trend_paths.h.
 *
 * Bounds, with n <= 32 days, |y| <= 2^VALUE_BITS = 2^100: S <= 2^105, M < 2^109.
 *
 * R² does not change when all y are halved, so their common factor of two is taken out first
 * (whole units are multiples of 2^15); then |y| <= 2^SQUARE_BITS = 2^92 gives
 *     S² < 2^194, n Q < 2^194, (n² - 1) V < 2^204, 2 x 10^15 x 3 M² < 2^255 (as 3 M² is no larger).
 */
#include "trend_paths.h"

#include <assert.h>

enum { VALUE_BITS = 100, SQUARE_BITS = 92, LIMBS = 4 };

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

/* --- the measure --------------------------------------------------------------------------------
 */

struct narrow_sums {
    int64_t n;
    int128 s;
    int128 m;
    uint128 ones; /* all values or-ed: their common trailing zeros */
    uint128 size; /* their magnitudes or-ed (of negative ones, less one): their highest bit */
};

/* Unsigned, because too large values may wrap before that is seen. */
static struct narrow_sums narrow_sums_of(const struct trend_days *days) {
    struct narrow_sums sums = {.n = days->days_count};
    uint128 s = 0;
    uint128 m = 0;
    for (size_t index = 0; index < days->runs_count; index++) {
        const struct trend_run *run = &days->runs[index];
        int128 y = run->quantity.units;
        s += (uint128)y * run->days;
        m += (uint128)y * (uint128)(int128)trend_run_centre(run, sums.n);
        sums.ones |= (uint128)y;
        sums.size |= (uint128)(y < 0 ? ~y : y);
    }
    sums.s = (int128)s;
    sums.m = (int128)m;
    return sums;
}

static unsigned trailing_zeros(uint128 bits) {
    uint64_t low = (uint64_t)bits;
    return low != 0 ? (unsigned)__builtin_ctzll(low)
                    : 64 + (unsigned)__builtin_ctzll((uint64_t)(bits >> 64));
}

/*
 * Sum of (y / 2^shift)² = low² + 2 low high 2^64 + high² 2^128, where high < 2^28 and all days make
 * 32: the halves of low² are summed apart, so that none of the sums can carry.
 */
static struct limbs narrow_squares(const struct trend_days *days, unsigned shift) {
    uint128 lowest = 0;
    uint128 middle = 0;
    uint128 highest = 0;
    for (size_t index = 0; index < days->runs_count; index++) {
        const struct trend_run *run = &days->runs[index];
        uint128 y = magnitude_of(run->quantity.units) >> shift;
        uint64_t low = (uint64_t)y;
        uint64_t high = (uint64_t)(y >> 64);
        uint128 low_square = (uint128)low * low;
        uint128 cross = (uint128)low * high << 1;
        lowest += (uint128)(uint64_t)low_square * run->days;
        middle += ((low_square >> 64) + cross) * run->days;
        highest += (uint128)high * high * run->days;
    }
    struct limbs sum = {{(uint64_t)lowest, (uint64_t)(lowest >> 64), 0, 0}};
    struct limbs addend = {{0, (uint64_t)middle, (uint64_t)(middle >> 64), 0}};
    limbs_add(&sum, &addend);
    addend = (struct limbs){{0, 0, (uint64_t)highest, (uint64_t)(highest >> 64)}};
    limbs_add(&sum, &addend);
    return sum;
}

static bool limbs_are_zero(const struct limbs *value) {
    return (value->limb[0] | value->limb[1] | value->limb[2] | value->limb[3]) == 0;
}

/* False: too large. A constant has no R², and that is fine. */
static bool narrow_r_squared(const struct trend_days *days, const struct narrow_sums *sums,
                             struct trend_moments *moments) {
    if (sums->ones == 0) {
        return true;
    }
    unsigned shift = trailing_zeros(sums->ones);
    if (sums->size >> shift >> SQUARE_BITS != 0) {
        return false;
    }
    struct limbs denominator = narrow_squares(days, shift);
    struct limbs mean_part = limbs_square(magnitude_of(sums->s) >> shift);
    uint64_t lost = limbs_multiply(&denominator, (uint64_t)sums->n);
    lost |= limbs_subtract(&denominator, &mean_part);
    assert(lost == 0);
    if (limbs_are_zero(&denominator)) {
        return true;
    }
    lost = limbs_multiply(&denominator, (uint64_t)(sums->n * sums->n - 1));
    struct limbs numerator = limbs_square(magnitude_of(sums->m) >> shift);
    lost |= limbs_multiply(&numerator, 3 * 2 * (uint64_t)DECIMAL_ONE.units);
    assert(lost == 0);
    /* (2 a + b) / 2 b floored is a / b rounded half up, and nothing here is negative. */
    limbs_add(&numerator, &denominator);
    denominator = limbs_shift_left(denominator, 1);
    moments->has_r_squared = true;
    moments->r_squared.units = (int128)limbs_divide(&numerator, &denominator);
    return true;
}

bool trend_measure_narrow(const struct trend_days *days, struct trend_moments *moments) {
    struct narrow_sums sums = narrow_sums_of(days);
    if (sums.size >> VALUE_BITS != 0 || !narrow_r_squared(days, &sums, moments)) {
        return false;
    }
    moments->has_sums = true;
    moments->sum.units = sums.s;
    moments->moment.units = sums.m;
    return true;
}
