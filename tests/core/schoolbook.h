/*
 * Slow arithmetic on decimal digits, as one learns it at school: the independent way by which the
 * tests of core check numbers of any size. Also their random numbers, from a seed that is printed;
 * TEST_SEED=N runs the same ones again.
 */
#ifndef PERIODCLOSE_TESTS_CORE_SCHOOLBOOK_H
#define PERIODCLOSE_TESTS_CORE_SCHOOLBOOK_H

#include <assert.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "core/decimal.h"

enum { NUMBER_DIGITS_MAX = 1400 };

struct number {
    bool is_negative;
    size_t count;                      /* no zeros on top; zero has none */
    uint8_t digits[NUMBER_DIGITS_MAX]; /* least significant first */
};

static inline struct number number_trim(struct number value) {
    while (value.count > 0 && value.digits[value.count - 1] == 0) {
        value.count--;
    }
    value.is_negative = value.is_negative && value.count > 0;
    return value;
}

/* value * factor + addend, by the digit; the sign stays. */
static inline struct number number_scale(struct number value, uint64_t factor, uint64_t addend) {
    assert(factor <= UINT64_C(1) << 32 && addend <= UINT64_C(1) << 32);
    uint64_t carry = addend;
    size_t index = 0;
    for (; index < value.count || carry != 0; index++) {
        assert(index < NUMBER_DIGITS_MAX);
        carry += index < value.count ? value.digits[index] * factor : 0;
        value.digits[index] = (uint8_t)(carry % 10);
        carry /= 10;
    }
    value.count = index;
    return number_trim(value);
}

static inline struct number number_from_limbs(const uint64_t *limbs, size_t count,
                                              bool is_negative) {
    struct number value = {.count = 0};
    for (size_t index = count; index > 0; index--) {
        value = number_scale(value, UINT64_C(1) << 32, limbs[index - 1] >> 32);
        value = number_scale(value, UINT64_C(1) << 32, limbs[index - 1] & UINT32_MAX);
    }
    value.is_negative = is_negative;
    return number_trim(value);
}

static inline struct number number_from_int128(int128 value) {
    uint128 magnitude = value < 0 ? -(uint128)value : (uint128)value;
    uint64_t limbs[2] = {(uint64_t)magnitude, (uint64_t)(magnitude >> 64)};
    return number_from_limbs(limbs, 2, value < 0);
}

static inline struct number number_from_exact(struct exact value) {
    bool is_negative = value.limbs[3] >> 63 != 0;
    uint64_t carry = 1;
    for (int limb = 0; is_negative && limb < 4; limb++) {
        value.limbs[limb] = ~value.limbs[limb] + carry;
        carry = carry == 1 && value.limbs[limb] == 0;
    }
    return number_from_limbs(value.limbs, 4, is_negative);
}

static inline struct number number_power_of_ten(size_t exponent) {
    struct number value = {.count = exponent + 1};
    value.digits[exponent] = 1;
    return value;
}

static inline struct number number_power_of_two(size_t exponent) {
    struct number value = number_from_int128(1);
    for (size_t index = 0; index < exponent; index++) {
        value = number_scale(value, 2, 0);
    }
    return value;
}

static inline int number_compare_magnitudes(const struct number *left, const struct number *right) {
    if (left->count != right->count) {
        return left->count < right->count ? -1 : 1;
    }
    for (size_t index = left->count; index > 0; index--) {
        if (left->digits[index - 1] != right->digits[index - 1]) {
            return left->digits[index - 1] < right->digits[index - 1] ? -1 : 1;
        }
    }
    return 0;
}

static inline int number_compare(struct number left, struct number right) {
    if (left.is_negative != right.is_negative) {
        return left.is_negative ? -1 : 1;
    }
    int order = number_compare_magnitudes(&left, &right);
    return left.is_negative ? -order : order;
}

static inline struct number number_negate(struct number value) {
    value.is_negative = !value.is_negative;
    return number_trim(value);
}

static inline struct number number_absolute(struct number value) {
    value.is_negative = false;
    return value;
}

static inline struct number number_add(struct number left, struct number right) {
    if (number_compare_magnitudes(&left, &right) < 0) {
        struct number swapped = left;
        left = right;
        right = swapped;
    }
    int sign = left.is_negative == right.is_negative ? 1 : -1;
    int carry = 0;
    for (size_t index = 0; index < left.count || carry != 0; index++) {
        assert(index < NUMBER_DIGITS_MAX);
        int digit = carry + (index < left.count ? left.digits[index] : 0) +
                    sign * (index < right.count ? right.digits[index] : 0);
        carry = digit > 9 ? 1 : digit < 0 ? -1 : 0;
        left.digits[index] = (uint8_t)(digit - carry * 10);
        left.count = index >= left.count ? index + 1 : left.count;
    }
    return number_trim(left);
}

static inline struct number number_subtract(struct number left, struct number right) {
    return number_add(left, number_negate(right));
}

static inline struct number number_multiply(struct number left, struct number right) {
    struct number product = {.is_negative = left.is_negative != right.is_negative};
    assert(left.count + right.count <= NUMBER_DIGITS_MAX);
    product.count = left.count + right.count;
    for (size_t row = 0; row < right.count; row++) {
        unsigned carry = 0;
        for (size_t column = 0; column < left.count; column++) {
            carry +=
                product.digits[row + column] + (unsigned)left.digits[column] * right.digits[row];
            product.digits[row + column] = (uint8_t)(carry % 10);
            carry /= 10;
        }
        product.digits[row + left.count] = (uint8_t)carry;
    }
    return number_trim(product);
}

/* value * 10^-places in full, without trailing zeros: what the formats of core should write. */
static inline const char *number_text(struct number value, size_t places, char *text) {
    char *at = text;
    if (value.is_negative) {
        *at++ = '-';
    }
    size_t first = value.count > places ? value.count : places + 1;
    size_t last = 0;
    while (last < places && (last >= value.count || value.digits[last] == 0)) {
        last++;
    }
    for (size_t index = first; index > last; index--) {
        if (index == places) {
            *at++ = '.';
        }
        *at++ = (char)('0' + (index - 1 < value.count ? value.digits[index - 1] : 0));
    }
    *at = '\0';
    return text;
}

/* Whether quotient is numerator / denominator rounded half away from zero; by products only. */
static inline bool number_is_half_away(struct number quotient, struct number numerator,
                                       struct number denominator) {
    struct number product = number_multiply(quotient, denominator);
    struct number rest = number_scale(number_subtract(numerator, product), 2, 0);
    int order = number_compare_magnitudes(&rest, &denominator);
    return order < 0 || (order == 0 && number_compare_magnitudes(&product, &numerator) > 0);
}

static uint64_t random_state;

static inline uint64_t random_next(void) {
    random_state += UINT64_C(0x9E3779B97F4A7C15);
    uint64_t mixed = random_state;
    mixed = (mixed ^ mixed >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    mixed = (mixed ^ mixed >> 27) * UINT64_C(0x94D049BB133111EB);
    return mixed ^ mixed >> 31;
}

static inline uint64_t random_below(uint64_t limit) {
    return random_next() % limit;
}

/* A limb like those that carry and borrow far: all ones, zero, one, one bit, or anything. */
static inline uint64_t random_limb(void) {
    switch (random_below(8)) {
    case 0:
        return 0;
    case 1:
        return UINT64_MAX;
    case 2:
        return 1;
    case 3:
        return UINT64_MAX - 1;
    case 4:
        return UINT64_C(1) << random_below(64);
    default:
        return random_next();
    }
}

/* Any length from 0 to 128 bits, either sign. */
static inline int128 random_int128(void) {
    uint128 value = (uint128)random_limb() << 64 | random_limb();
    value >>= random_below(128);
    return (int128)(random_below(2) == 0 ? value : -value);
}

static inline struct decimal random_decimal(void) {
    struct decimal value;
    do {
        value.units = random_int128();
    } while (!decimal_in_range(value.units));
    return value;
}

static inline int random_setup(void **state) {
    (void)state;
    const char *given = getenv("TEST_SEED");
    if (given != NULL) {
        random_state = strtoull(given, NULL, 10);
    } else if (getrandom(&random_state, sizeof random_state, 0) != (ssize_t)sizeof random_state) {
        return -1;
    }
    printf("TEST_SEED=%" PRIu64 "\n", random_state);
    return 0;
}

#endif
