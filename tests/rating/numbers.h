/*
 * What the tests of rating share: decimals from text, a repeatable stream of numbers, and slow
 * integers written down the way it is taught at school, so that no line of core/wide.h or of the
 * code under test is used to check it.
 */
#ifndef PERIODCLOSE_TESTS_RATING_NUMBERS_H
#define PERIODCLOSE_TESTS_RATING_NUMBERS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "core/decimal.h"

static inline struct decimal dec(const char *text) {
    struct decimal value = DECIMAL_ZERO;
    enum decimal_fault fault = decimal_parse(text_from(text), &value);
    if (fault != DECIMAL_OK) {
        fail_msg("'%s' %s", text, decimal_fault_text(fault));
    }
    return value;
}

#define assert_decimal(actual, expected)                                                           \
    do {                                                                                           \
        char actual_text[DECIMAL_TEXT_MAX];                                                        \
        decimal_format((actual), actual_text);                                                     \
        assert_string_equal(actual_text, (expected));                                              \
    } while (0)

/* --- a stream of numbers, the same in every run with the same seed (PERIODCLOSE_TEST_SEED) ------
 */

struct stream {
    uint64_t state;
};

static inline struct stream stream_start(const char *property) {
    const char *text = getenv("PERIODCLOSE_TEST_SEED");
    uint64_t seed = text != NULL ? strtoull(text, NULL, 10) : UINT64_C(20261001);
    printf("%s: seed %llu\n", property, (unsigned long long)seed);
    return (struct stream){.state = seed * 2 + 1};
}

/* splitmix64 */
static inline uint64_t stream_next(struct stream *stream) {
    uint64_t value = stream->state += UINT64_C(0x9e3779b97f4a7c15);
    value = (value ^ value >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    value = (value ^ value >> 27) * UINT64_C(0x94d049bb133111eb);
    return value ^ value >> 31;
}

static inline uint64_t stream_below(struct stream *stream, uint64_t bound) {
    return stream_next(stream) % bound;
}

/* 0 <= value < 2^bits, never out of a decimal's range; bits at most 127. */
static inline int128 stream_bits(struct stream *stream, unsigned bits) {
    uint128 value = (uint128)stream_next(stream) << 64 | stream_next(stream);
    value >>= 128 - bits - (bits == 0);
    return (int128)(value %
                    ((uint128)UINT64_C(10000000000000000000) * UINT64_C(10000000000000000000)));
}

/* --- slow integers ------------------------------------------------------------------------------
 */

enum { SCHOOL_DIGITS = 24 };

struct school {
    int is_negative; /* zero may be either */
    uint32_t digits[SCHOOL_DIGITS];
};

static inline struct school school_from(int128 value) {
    struct school result = {.is_negative = value < 0};
    uint128 rest = value < 0 ? -(uint128)value : (uint128)value;
    for (int digit = 0; digit < 4; digit++) {
        result.digits[digit] = (uint32_t)(rest >> (32 * digit));
    }
    return result;
}

static inline int school_compare_size(const struct school *left, const struct school *right) {
    for (int digit = SCHOOL_DIGITS; digit-- > 0;) {
        if (left->digits[digit] != right->digits[digit]) {
            return left->digits[digit] < right->digits[digit] ? -1 : 1;
        }
    }
    return 0;
}

static inline int school_is_zero(const struct school *value) {
    struct school zero = {0};
    return school_compare_size(value, &zero) == 0;
}

static inline struct school school_add(struct school left, struct school right) {
    if (left.is_negative != right.is_negative && school_compare_size(&left, &right) < 0) {
        struct school swap = left;
        left = right;
        right = swap;
    }
    int64_t carry = 0;
    for (int digit = 0; digit < SCHOOL_DIGITS; digit++) {
        int64_t sign = left.is_negative == right.is_negative ? 1 : -1;
        int64_t total = (int64_t)left.digits[digit] + sign * (int64_t)right.digits[digit] + carry;
        left.digits[digit] = (uint32_t)total;
        carry = total >> 32;
    }
    assert_int_equal(carry, 0);
    return left;
}

static inline struct school school_negate(struct school value) {
    value.is_negative = !value.is_negative;
    return value;
}

static inline struct school school_multiply(struct school left, struct school right) {
    struct school result = {.is_negative = left.is_negative != right.is_negative};
    for (int one = 0; one < SCHOOL_DIGITS; one++) {
        uint64_t carry = 0;
        for (int other = 0; left.digits[one] != 0 && one + other < SCHOOL_DIGITS; other++) {
            uint64_t total = (uint64_t)left.digits[one] * right.digits[other] +
                             result.digits[one + other] + carry;
            result.digits[one + other] = (uint32_t)total;
            carry = total >> 32;
        }
        assert_true(carry == 0);
    }
    return result;
}

static inline struct school school_times(struct school left, int128 right) {
    return school_multiply(left, school_from(right));
}

static inline void school_double(struct school *value, uint32_t bit) {
    for (int digit = 0; digit < SCHOOL_DIGITS; digit++) {
        uint32_t out = value->digits[digit] >> 31;
        value->digits[digit] = value->digits[digit] << 1 | bit;
        bit = out;
    }
}

/* Bit by bit: quotient of the sizes, floored; the remainder goes to *rest. */
static inline struct school school_divide_sizes(const struct school *numerator,
                                                struct school denominator, struct school *rest) {
    struct school quotient = {0};
    *rest = (struct school){0};
    denominator.is_negative = 1;
    int bits = SCHOOL_DIGITS * 32;
    while (bits > 0 && numerator->digits[(bits - 1) / 32] == 0) {
        bits -= 32;
    }
    for (int bit = bits; bit-- > 0;) {
        school_double(rest, numerator->digits[bit / 32] >> (bit % 32) & 1);
        school_double(&quotient, 0);
        if (school_compare_size(rest, &denominator) >= 0) {
            *rest = school_add(*rest, denominator);
            quotient.digits[0] |= 1;
        }
    }
    return quotient;
}

/* Half away from zero. False: not within 127 bits. */
static inline int school_round(struct school numerator, struct school denominator, int128 *result) {
    struct school rest;
    struct school quotient = school_divide_sizes(&numerator, denominator, &rest);
    school_double(&rest, 0);
    if (school_compare_size(&rest, &denominator) >= 0) {
        quotient = school_add(quotient, school_from(1));
    }
    for (int digit = 4; digit < SCHOOL_DIGITS; digit++) {
        if (quotient.digits[digit] != 0) {
            return 0;
        }
    }
    if (quotient.digits[3] >> 31 != 0) {
        return 0;
    }
    uint128 size = 0;
    for (int digit = 4; digit-- > 0;) {
        size = size << 32 | quotient.digits[digit];
    }
    int is_negative = numerator.is_negative != denominator.is_negative;
    *result = is_negative ? -(int128)size : (int128)size;
    return 1;
}

#endif
