#include "core/wide.h"

#include <assert.h>

/* Drops leading zero limbs; zero is never negative. */
static void wide_trim(struct wide *value) {
    while (value->limbs_count > 0 && value->limbs[value->limbs_count - 1] == 0) {
        value->limbs_count--;
    }
    if (value->limbs_count == 0) {
        value->is_negative = false;
    }
}

/* Copies the limbs in use only: typical values have 2 to 5 of the 16. */
static void wide_store(struct wide *result, bool is_negative, const uint64_t *limbs,
                       unsigned limbs_count) {
    assert(limbs_count <= WIDE_LIMBS_MAX);
    memcpy(result->limbs, limbs, limbs_count * sizeof *limbs);
    result->limbs_count = limbs_count;
    result->is_negative = is_negative;
    wide_trim(result);
}

struct wide wide_from_int128(int128 value) {
    uint128 magnitude = value < 0 ? -(uint128)value : (uint128)value;
    struct wide result;
    result.is_negative = value < 0;
    result.limbs_count = 2;
    result.limbs[0] = (uint64_t)magnitude;
    result.limbs[1] = (uint64_t)(magnitude >> 64);
    wide_trim(&result);
    return result;
}

bool wide_to_int128(const struct wide *value, int128 *result) {
    if (value->limbs_count > 2) {
        return false;
    }
    uint128 magnitude = value->limbs_count > 0 ? value->limbs[0] : 0;
    if (value->limbs_count > 1) {
        magnitude |= (uint128)value->limbs[1] << 64;
    }
    uint128 limit = ((uint128)1 << 127) - (value->is_negative ? 0 : 1);
    if (magnitude > limit) {
        return false;
    }
    *result = (int128)(value->is_negative ? -magnitude : magnitude);
    return true;
}

static int magnitude_compare(const struct wide *left, const struct wide *right) {
    if (left->limbs_count != right->limbs_count) {
        return left->limbs_count < right->limbs_count ? -1 : 1;
    }
    for (unsigned index = left->limbs_count; index > 0; index--) {
        if (left->limbs[index - 1] != right->limbs[index - 1]) {
            return left->limbs[index - 1] < right->limbs[index - 1] ? -1 : 1;
        }
    }
    return 0;
}

int wide_compare(const struct wide *left, const struct wide *right) {
    if (left->is_negative != right->is_negative) {
        return left->is_negative ? -1 : 1;
    }
    int order = magnitude_compare(left, right);
    return left->is_negative ? -order : order;
}

/* |left| + |right| with the sign given; left has at least as many limbs as right. */
static bool magnitude_add(const struct wide *left, const struct wide *right, bool is_negative,
                          struct wide *result) {
    uint64_t limbs[WIDE_LIMBS_MAX + 1];
    uint128 carry = 0;
    unsigned index = 0;
    for (; index < right->limbs_count; index++) {
        carry += (uint128)left->limbs[index] + right->limbs[index];
        limbs[index] = (uint64_t)carry;
        carry >>= 64;
    }
    for (; index < left->limbs_count; index++) {
        carry += left->limbs[index];
        limbs[index] = (uint64_t)carry;
        carry >>= 64;
    }
    limbs[index] = (uint64_t)carry;
    index += carry != 0;
    if (index > WIDE_LIMBS_MAX) {
        return false;
    }
    wide_store(result, is_negative, limbs, index);
    return true;
}

/* |left| - |right| with the sign given; |left| is not the smaller. */
static void magnitude_subtract(const struct wide *left, const struct wide *right, bool is_negative,
                               struct wide *result) {
    uint64_t limbs[WIDE_LIMBS_MAX];
    uint64_t borrow = 0;
    for (unsigned index = 0; index < left->limbs_count; index++) {
        uint64_t subtrahend = index < right->limbs_count ? right->limbs[index] : 0;
        uint128 difference = (uint128)left->limbs[index] - subtrahend - borrow;
        limbs[index] = (uint64_t)difference;
        borrow = (uint64_t)(difference >> 64) & 1;
    }
    assert(borrow == 0);
    wide_store(result, is_negative, limbs, left->limbs_count);
}

/* left + right, right's sign taken from outside so that a difference is a sum too. */
static bool wide_add_signed(const struct wide *left, const struct wide *right,
                            bool right_is_negative, struct wide *result) {
    if (left->is_negative == right_is_negative) {
        return left->limbs_count >= right->limbs_count
                   ? magnitude_add(left, right, right_is_negative, result)
                   : magnitude_add(right, left, right_is_negative, result);
    }
    if (magnitude_compare(left, right) >= 0) {
        magnitude_subtract(left, right, left->is_negative, result);
    } else {
        magnitude_subtract(right, left, right_is_negative, result);
    }
    return true;
}

bool wide_add(const struct wide *left, const struct wide *right, struct wide *result) {
    return wide_add_signed(left, right, right->is_negative, result);
}

bool wide_subtract(const struct wide *left, const struct wide *right, struct wide *result) {
    /* A zero on the right is flipped to a negative one, which adds nothing to either sign. */
    return wide_add_signed(left, right, !right->is_negative, result);
}

bool wide_multiply(const struct wide *left, const struct wide *right, struct wide *result) {
    unsigned limbs_count = left->limbs_count + right->limbs_count;
    if (wide_is_zero(left) || wide_is_zero(right)) {
        result->limbs_count = 0;
        result->is_negative = false;
        return true;
    }
    /* A product of n and m limbs has n + m - 1 or n + m of them. */
    if (limbs_count > WIDE_LIMBS_MAX + 1) {
        return false;
    }
    uint64_t limbs[WIDE_LIMBS_MAX + 1];
    memset(limbs, 0, left->limbs_count * sizeof *limbs);
    for (unsigned right_index = 0; right_index < right->limbs_count; right_index++) {
        uint64_t factor = right->limbs[right_index];
        uint64_t carry = 0;
        for (unsigned left_index = 0; left_index < left->limbs_count; left_index++) {
            uint128 product =
                (uint128)left->limbs[left_index] * factor + limbs[right_index + left_index] + carry;
            limbs[right_index + left_index] = (uint64_t)product;
            carry = (uint64_t)(product >> 64);
        }
        limbs[right_index + left->limbs_count] = carry;
    }
    if (limbs_count > WIDE_LIMBS_MAX) {
        if (limbs[WIDE_LIMBS_MAX] != 0) {
            return false;
        }
        limbs_count = WIDE_LIMBS_MAX;
    }
    wide_store(result, left->is_negative != right->is_negative, limbs, limbs_count);
    return true;
}

/* What a division of magnitudes leaves: the quotient, and which way the rest rounds it. */
struct division {
    uint64_t quotient[WIDE_LIMBS_MAX];
    unsigned quotient_count; /* may count leading zeros */
    bool is_half_or_more;    /* remainder * 2 >= denominator */
};

static void divide_by_limb(const struct wide *numerator, uint64_t denominator,
                           struct division *division) {
    uint64_t remainder = 0;
    for (unsigned index = numerator->limbs_count; index > 0; index--) {
        uint128 dividend = (uint128)remainder << 64 | numerator->limbs[index - 1];
        uint128 quotient = dividend / denominator;
        division->quotient[index - 1] = (uint64_t)quotient;
        remainder = (uint64_t)(dividend - quotient * denominator);
    }
    division->quotient_count = numerator->limbs_count;
    division->is_half_or_more = remainder >= denominator - remainder;
}

static void divide_two_limbs(const struct wide *numerator, const struct wide *denominator,
                             struct division *division) {
    uint128 dividend = (uint128)numerator->limbs[1] << 64 | numerator->limbs[0];
    uint128 divisor = (uint128)denominator->limbs[1] << 64 | denominator->limbs[0];
    uint128 quotient = dividend / divisor;
    uint128 remainder = dividend - quotient * divisor;
    division->quotient[0] = (uint64_t)quotient;
    division->quotient_count = 1;
    division->is_half_or_more = remainder >= divisor - remainder;
}

/* limbs <<= bits (0..63), one limb longer. */
static void shift_left(const struct wide *value, unsigned bits, uint64_t *limbs) {
    uint64_t carry = 0;
    for (unsigned index = 0; index < value->limbs_count; index++) {
        limbs[index] = value->limbs[index] << bits | carry;
        carry = bits == 0 ? 0 : value->limbs[index] >> (64 - bits);
    }
    limbs[value->limbs_count] = carry;
}

/*
 * One digit of the quotient, Knuth's step D3: from the three leading limbs of the rest and the two
 * leading ones of the divisor, whose top bit is set. Right, or one too many. Where the two leading
 * tops are equal the estimate would be 2^64, so the search begins one below it.
 */
static uint64_t estimate_digit(const uint64_t *rest, const uint64_t *divisor) {
    uint128 digit = UINT64_MAX;
    uint128 digit_rest = (uint128)rest[1] + divisor[1];
    if (rest[2] < divisor[1]) {
        uint128 dividend = (uint128)rest[2] << 64 | rest[1];
        digit = dividend / divisor[1];
        digit_rest = dividend - digit * divisor[1];
    }
    while (digit_rest >> 64 == 0 && digit * divisor[0] > (digit_rest << 64 | rest[0])) {
        digit--;
        digit_rest += divisor[1];
    }
    return (uint64_t)digit;
}

/* rest -= digit * divisor, limbs_count limbs and one more; true when that went below zero. */
static bool subtract_multiple(uint64_t *rest, const uint64_t *divisor, unsigned limbs_count,
                              uint64_t digit) {
    uint64_t carry = 0;
    uint64_t borrow = 0;
    for (unsigned index = 0; index < limbs_count; index++) {
        uint128 product = (uint128)digit * divisor[index] + carry;
        carry = (uint64_t)(product >> 64);
        uint128 difference = (uint128)rest[index] - (uint64_t)product - borrow;
        rest[index] = (uint64_t)difference;
        borrow = (uint64_t)(difference >> 64) & 1;
    }
    uint128 difference = (uint128)rest[limbs_count] - carry - borrow;
    rest[limbs_count] = (uint64_t)difference;
    return difference >> 64 != 0;
}

static void add_back(uint64_t *rest, const uint64_t *divisor, unsigned limbs_count) {
    uint128 carry = 0;
    for (unsigned index = 0; index < limbs_count; index++) {
        carry += (uint128)rest[index] + divisor[index];
        rest[index] = (uint64_t)carry;
        carry >>= 64;
    }
    rest[limbs_count] += (uint64_t)carry;
}

/* remainder * 2 >= divisor. */
static bool is_half_or_more(const uint64_t *remainder, const uint64_t *divisor,
                            unsigned limbs_count) {
    if (remainder[limbs_count - 1] >> 63 != 0) {
        return true;
    }
    for (unsigned index = limbs_count; index > 0; index--) {
        uint64_t below = index > 1 ? remainder[index - 2] >> 63 : 0;
        uint64_t doubled = remainder[index - 1] << 1 | below;
        if (doubled != divisor[index - 1]) {
            return doubled > divisor[index - 1];
        }
    }
    return true;
}

/* Knuth, The Art of Computer Programming 2, 4.3.1, algorithm D; two limbs of divisor or more. */
static void divide_long(const struct wide *numerator, const struct wide *denominator,
                        struct division *division) {
    unsigned limbs_count = denominator->limbs_count;
    unsigned bits = (unsigned)__builtin_clzll(denominator->limbs[limbs_count - 1]);
    uint64_t rest[WIDE_LIMBS_MAX + 1];
    uint64_t divisor[WIDE_LIMBS_MAX + 1];
    shift_left(numerator, bits, rest);
    shift_left(denominator, bits, divisor);
    assert(divisor[limbs_count] == 0);
    unsigned digits_count = numerator->limbs_count - limbs_count + 1;
    for (unsigned index = digits_count; index > 0; index--) {
        uint64_t *window = rest + index - 1;
        uint64_t digit = estimate_digit(window + limbs_count - 2, divisor + limbs_count - 2);
        if (subtract_multiple(window, divisor, limbs_count, digit)) {
            digit--;
            add_back(window, divisor, limbs_count);
        }
        division->quotient[index - 1] = digit;
    }
    division->quotient_count = digits_count;
    division->is_half_or_more = is_half_or_more(rest, divisor, limbs_count);
}

bool wide_divide_half_away(const struct wide *numerator, const struct wide *denominator,
                           struct wide *quotient) {
    assert(!wide_is_zero(denominator));
    struct division division;
    if (denominator->limbs_count == 1) {
        divide_by_limb(numerator, denominator->limbs[0], &division);
    } else if (numerator->limbs_count < denominator->limbs_count) {
        /* A fraction below one: only its comparison with a half is left. */
        division.quotient_count = 0;
        struct wide doubled;
        bool fits = magnitude_add(numerator, numerator, false, &doubled);
        assert(fits);
        division.is_half_or_more = magnitude_compare(&doubled, denominator) >= 0;
    } else if (numerator->limbs_count == 2) {
        divide_two_limbs(numerator, denominator, &division);
    } else {
        divide_long(numerator, denominator, &division);
    }
    /* Rounding up cannot outgrow the numerator: there is a rest only when the divisor is above 1.
     * A quotient of all ones with a rest still has a limb to grow into. */
    bool carry = division.is_half_or_more;
    for (unsigned index = 0; carry && index < division.quotient_count; index++) {
        carry = ++division.quotient[index] == 0;
    }
    if (carry) {
        assert(division.quotient_count < WIDE_LIMBS_MAX);
        division.quotient[division.quotient_count++] = 1;
    }
    wide_store(quotient, numerator->is_negative != denominator->is_negative, division.quotient,
               division.quotient_count);
    return true;
}
