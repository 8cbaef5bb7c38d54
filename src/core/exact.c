/*
 * 256-bit sums of products, two's complement, least significant limb first.
 *
 * Almost every sum in a real close fits 128 bits (340 million major units); what does not goes the
 * general way, by core/wide.h. Both ways give the same digits, and the tests hold them together.
 */
#include <assert.h>

#include "core/decimal.h"
#include "core/wide.h"
#include "digits.h"

#define UNITS_PER_ONE UINT64_C(1000000000000000)
#define TEN_TO_19 UINT64_C(10000000000000000000)

_Static_assert(EXACT_PLACES == 2 * DECIMAL_PLACES, "a product has the decimals of both factors");

static inline bool exact_is_negative(struct exact value) {
    return value.limbs[3] >> 63 != 0;
}

/* -2^255 negates to itself, which read as unsigned is its magnitude. */
static struct exact exact_negate(struct exact value) {
    struct exact negated;
    uint128 carry = 1;
    for (int limb = 0; limb < 4; limb++) {
        carry += (uint128)~value.limbs[limb];
        negated.limbs[limb] = (uint64_t)carry;
        carry >>= 64;
    }
    return negated;
}

/* sum += high:low. Signed overflow shows in the signs: both alike, and the result's different. */
static inline bool add_checked(struct exact *sum, uint128 low, uint128 high) {
    uint128 sum_low = (uint128)sum->limbs[1] << 64 | sum->limbs[0];
    uint128 sum_high = (uint128)sum->limbs[3] << 64 | sum->limbs[2];
    uint128 total_low = sum_low + low;
    uint128 total_high = sum_high + high + (total_low < low);
    if (((total_high ^ sum_high) & (total_high ^ high)) >> 127 != 0) {
        return false;
    }
    sum->limbs[0] = (uint64_t)total_low;
    sum->limbs[1] = (uint64_t)(total_low >> 64);
    sum->limbs[2] = (uint64_t)total_high;
    sum->limbs[3] = (uint64_t)(total_high >> 64);
    return true;
}

struct product {
    uint128 low;
    uint128 high; /* the product of any two int128 fits: at most 2^254 */
};

static inline struct product multiply(int128 left, int128 right) {
    uint64_t left_low = (uint64_t)left;
    uint64_t left_high = (uint64_t)((uint128)left >> 64);
    uint64_t right_low = (uint64_t)right;
    uint64_t right_high = (uint64_t)((uint128)right >> 64);
    uint128 low = (uint128)left_low * right_low;
    uint128 cross = (uint128)left_high * right_low + (low >> 64);
    uint128 middle = (uint128)left_low * right_high + (uint64_t)cross;
    struct product product = {
        .low = middle << 64 | (uint64_t)low,
        .high = (uint128)left_high * right_high + (cross >> 64) + (middle >> 64),
    };
    /* As unsigned, a negative factor stood for 2^128 more: take that much back. */
    product.high -= left < 0 ? (uint128)right : 0;
    product.high -= right < 0 ? (uint128)left : 0;
    return product;
}

bool exact_add_product(struct exact *sum, struct decimal left, struct decimal right) {
    struct product product = multiply(left.units, right.units);
    return add_checked(sum, product.low, product.high);
}

bool exact_add_decimal(struct exact *sum, struct decimal addend) {
    return exact_add_product(sum, addend, DECIMAL_ONE);
}

bool exact_add_count_product(struct exact *sum, int128 count, struct decimal price) {
    struct product product = multiply(count, price.units);
    bool is_negative = product.high >> 127 != 0;
    struct exact scaled = {{(uint64_t)product.low, (uint64_t)(product.low >> 64),
                            (uint64_t)product.high, (uint64_t)(product.high >> 64)}};
    if (is_negative) {
        scaled = exact_negate(scaled);
    }
    uint128 carry = 0;
    for (int limb = 0; limb < 4; limb++) {
        carry += (uint128)scaled.limbs[limb] * UNITS_PER_ONE;
        scaled.limbs[limb] = (uint64_t)carry;
        carry >>= 64;
    }
    if (carry != 0 || exact_is_negative(scaled)) {
        return false;
    }
    return exact_add(sum, is_negative ? exact_negate(scaled) : scaled);
}

bool exact_add(struct exact *sum, struct exact addend) {
    return add_checked(sum, (uint128)addend.limbs[1] << 64 | addend.limbs[0],
                       (uint128)addend.limbs[3] << 64 | addend.limbs[2]);
}

int exact_compare(struct exact left, struct exact right) {
    int64_t left_top = (int64_t)left.limbs[3];
    int64_t right_top = (int64_t)right.limbs[3];
    if (left_top != right_top) {
        return left_top < right_top ? -1 : 1;
    }
    for (int limb = 2; limb >= 0; limb--) {
        if (left.limbs[limb] != right.limbs[limb]) {
            return left.limbs[limb] < right.limbs[limb] ? -1 : 1;
        }
    }
    return 0;
}

bool exact_is_zero(struct exact value) {
    return (value.limbs[0] | value.limbs[1] | value.limbs[2] | value.limbs[3]) == 0;
}

/* A magnitude as a wide number; trimmed, as wide numbers are. */
static struct wide wide_from_magnitude(struct exact magnitude) {
    struct wide wide = {.is_negative = false, .limbs_count = 4};
    for (int limb = 0; limb < 4; limb++) {
        wide.limbs[limb] = magnitude.limbs[limb];
    }
    while (wide.limbs_count > 0 && wide.limbs[wide.limbs_count - 1] == 0) {
        wide.limbs_count--;
    }
    return wide;
}

/* magnitude / (increment * 10^15), half up (away from zero), when either outgrows 128 bits. */
static bool divide_wide(struct exact magnitude, int128 increment, uint128 *quotient) {
    struct wide dividend = wide_from_magnitude(magnitude);
    struct wide divisor = wide_from_int128(increment);
    struct wide one = wide_from_int128((int128)UNITS_PER_ONE);
    struct wide result;
    int128 narrow;
    if (!wide_multiply(&divisor, &one, &divisor) ||
        !wide_divide_half_away(&dividend, &divisor, &result) || !wide_to_int128(&result, &narrow)) {
        return false;
    }
    *quotient = (uint128)narrow;
    return true;
}

static bool round_to_multiple(struct exact value, int128 increment, struct decimal *result) {
    bool is_negative = exact_is_negative(value);
    struct exact magnitude = is_negative ? exact_negate(value) : value;
    uint128 quotient;
    int128 divisor;
    if ((magnitude.limbs[2] | magnitude.limbs[3]) == 0 &&
        !__builtin_mul_overflow(increment, (int128)UNITS_PER_ONE, &divisor)) {
        uint128 dividend = (uint128)magnitude.limbs[1] << 64 | magnitude.limbs[0];
        quotient = dividend / (uint128)divisor;
        uint128 remainder = dividend - quotient * (uint128)divisor;
        quotient += remainder >= (uint128)divisor - remainder;
    } else if (!divide_wide(magnitude, increment, &quotient)) {
        return false;
    }
    uint128 units;
    if (__builtin_mul_overflow(quotient, (uint128)increment, &units) || units >> 127 != 0 ||
        !decimal_in_range((int128)units)) {
        return false;
    }
    result->units = is_negative ? -(int128)units : (int128)units;
    return true;
}

bool exact_round_to_decimal(struct exact value, struct decimal *result) {
    return round_to_multiple(value, 1, result);
}

bool exact_round_half_away(struct exact value, struct decimal increment, struct decimal *result) {
    assert(increment.units > 0);
    return round_to_multiple(value, increment.units, result);
}

/* Divides the limbs by 10^19 in place and returns the remainder. */
static uint64_t divide_by_ten_to_19(uint64_t *limbs, int limbs_count) {
    uint128 remainder = 0;
    for (int limb = limbs_count - 1; limb >= 0; limb--) {
        uint128 dividend = remainder << 64 | limbs[limb];
        uint128 quotient = dividend / TEN_TO_19;
        limbs[limb] = (uint64_t)quotient;
        remainder = dividend - quotient * TEN_TO_19;
    }
    return (uint64_t)remainder;
}

size_t exact_format(struct exact value, char text[EXACT_TEXT_MAX]) {
    enum { CHUNKS = 5, CHUNK_DIGITS = 19, DIGITS = CHUNKS * CHUNK_DIGITS };
    _Static_assert(EXACT_TEXT_MAX >= 1 + 77 + 1 + 1, "2^255 has 77 digits");
    bool is_negative = exact_is_negative(value);
    struct exact magnitude = is_negative ? exact_negate(value) : value;
    char digits[DIGITS];
    int limbs_count = 4;
    for (int chunk = CHUNKS - 1; chunk >= 0; chunk--) {
        while (limbs_count > 0 && magnitude.limbs[limbs_count - 1] == 0) {
            limbs_count--;
        }
        (void)digits_write_fixed(digits + chunk * CHUNK_DIGITS,
                                 divide_by_ten_to_19(magnitude.limbs, limbs_count), CHUNK_DIGITS);
    }
    assert(exact_is_zero(magnitude));
    const char *point = digits + DIGITS - EXACT_PLACES;
    const char *first = digits;
    while (first < point - 1 && *first == '0') {
        first++;
    }
    const char *end = digits + DIGITS;
    while (end > point && end[-1] == '0') {
        end--;
    }
    char *at = text;
    if (is_negative) {
        *at++ = '-';
    }
    memcpy(at, first, (size_t)(point - first));
    at += point - first;
    if (end > point) {
        *at++ = '.';
        memcpy(at, point, (size_t)(end - point));
        at += end - point;
    }
    *at = '\0';
    return (size_t)(at - text);
}
