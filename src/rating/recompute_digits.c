/* Numbers are values: rows of digits, copied freely. Slow, and easy to believe. */
#include "recompute_digits.h"

#include <assert.h>

struct recompute_number number_trim(struct recompute_number value) {
    while (value.count > 0 && value.digits[value.count - 1] == 0) {
        value.count--;
    }
    return value;
}

struct recompute_number number_from(uint128 value) {
    struct recompute_number result = {.count = 0};
    const uint64_t chunk = UINT64_C(1000000000000000000);
    enum { CHUNK_DIGITS = 18 };
    while (value != 0) {
        uint64_t low = (uint64_t)(value % chunk);
        value /= chunk;
        for (int digit = 0; digit < CHUNK_DIGITS; digit++) {
            result.digits[result.count++] = (uint8_t)(low % 10);
            low /= 10;
        }
    }
    return number_trim(result);
}

int number_compare(const struct recompute_number *left, const struct recompute_number *right) {
    if (left->count != right->count) {
        return left->count < right->count ? -1 : 1;
    }
    for (unsigned place = left->count; place-- > 0;) {
        if (left->digits[place] != right->digits[place]) {
            return left->digits[place] < right->digits[place] ? -1 : 1;
        }
    }
    return 0;
}

void recompute_add(struct recompute_number *sum, const struct recompute_number *addend) {
    unsigned carry = 0;
    for (unsigned place = 0; place < addend->count || carry != 0; place++) {
        assert(place < RECOMPUTE_DIGITS_MAX);
        unsigned digit = carry + (place < sum->count ? sum->digits[place] : 0U) +
                         (place < addend->count ? addend->digits[place] : 0U);
        carry = digit > 9 ? 1 : 0;
        sum->digits[place] = (uint8_t)(digit - carry * 10);
        sum->count = place >= sum->count ? place + 1 : sum->count;
    }
}

/* left - right, for left >= right. */
struct recompute_number number_subtract(const struct recompute_number *left,
                                        const struct recompute_number *right) {
    assert(number_compare(left, right) >= 0);
    struct recompute_number result = *left;
    int borrow = 0;
    for (unsigned place = 0; place < right->count || borrow != 0; place++) {
        int digit =
            result.digits[place] - borrow - (place < right->count ? right->digits[place] : 0);
        borrow = digit < 0 ? 1 : 0;
        result.digits[place] = (uint8_t)(digit + borrow * 10);
    }
    return number_trim(result);
}

struct recompute_number number_multiply(const struct recompute_number *left,
                                        const struct recompute_number *right) {
    struct recompute_number result = {.count = left->count + right->count};
    assert(result.count <= RECOMPUTE_DIGITS_MAX);
    for (unsigned row = 0; row < right->count; row++) {
        unsigned carry = 0;
        for (unsigned column = 0; column < left->count; column++) {
            carry += result.digits[row + column] +
                     (unsigned)left->digits[column] * (unsigned)right->digits[row];
            result.digits[row + column] = (uint8_t)(carry % 10);
            carry /= 10;
        }
        result.digits[row + left->count] = (uint8_t)carry;
    }
    return number_trim(result);
}

/* value followed by zeros: x 10^places. */
struct recompute_number number_shift(const struct recompute_number *value, unsigned places) {
    if (value->count == 0) {
        return *value;
    }
    struct recompute_number result = {.count = value->count + places};
    assert(result.count <= RECOMPUTE_DIGITS_MAX);
    memcpy(result.digits + places, value->digits, value->count);
    return result;
}

/* Long division, digit by digit: floor(numerator / denominator), and what is left. */
static struct recompute_number divide_long(const struct recompute_number *numerator,
                                           const struct recompute_number *denominator,
                                           struct recompute_number *rest) {
    struct recompute_number quotient = {.count = numerator->count};
    struct recompute_number left = {.count = 0};
    for (unsigned place = numerator->count; place-- > 0;) {
        left = number_shift(&left, 1);
        if (numerator->digits[place] != 0 || left.count > 0) {
            left.digits[0] = numerator->digits[place];
            left.count = left.count == 0 ? 1 : left.count;
        }
        while (number_compare(&left, denominator) >= 0) {
            left = number_subtract(&left, denominator);
            quotient.digits[place]++;
        }
    }
    *rest = left;
    return number_trim(quotient);
}

/* The lowest places digits are cut off. */
static struct recompute_number number_cut(const struct recompute_number *value, unsigned places) {
    struct recompute_number result = {.count = 0};
    if (value->count > places) {
        result.count = value->count - places;
        memcpy(result.digits, value->digits + places, result.count);
    }
    return result;
}

/* Zeros at the end of the denominator (it is often 1 and many zeros) are set aside first. */
struct recompute_number number_divide(const struct recompute_number *numerator,
                                      const struct recompute_number *denominator,
                                      struct recompute_number *rest) {
    unsigned zeros = 0;
    assert(denominator->count > 0);
    while (denominator->digits[zeros] == 0) {
        zeros++;
    }
    struct recompute_number short_numerator = number_cut(numerator, zeros);
    struct recompute_number short_denominator = number_cut(denominator, zeros);
    struct recompute_number short_rest;
    struct recompute_number low = *numerator;
    low.count = low.count < zeros ? low.count : zeros;
    low = number_trim(low);
    struct recompute_number quotient;
    if (short_denominator.count == 1 && short_denominator.digits[0] == 1) {
        quotient = short_numerator;
        short_rest = (struct recompute_number){.count = 0};
    } else {
        quotient = divide_long(&short_numerator, &short_denominator, &short_rest);
    }
    *rest = number_shift(&short_rest, zeros);
    recompute_add(rest, &low);
    return quotient;
}

/* numerator / denominator, half away from zero. */
struct recompute_number number_divide_half_away(const struct recompute_number *numerator,
                                                const struct recompute_number *denominator) {
    static const struct recompute_number one = {.count = 1, .digits = {1}};
    struct recompute_number rest;
    struct recompute_number quotient = number_divide(numerator, denominator, &rest);
    struct recompute_number twice = rest;
    recompute_add(&twice, &rest);
    if (number_compare(&twice, denominator) >= 0) {
        recompute_add(&quotient, &one);
    }
    return quotient;
}

struct recompute_number recompute_read(struct decimal value, bool *is_negative) {
    *is_negative = value.units < 0;
    return number_from(value.units < 0 ? -(uint128)value.units : (uint128)value.units);
}

bool recompute_is(const struct recompute_number *value, struct decimal expected) {
    bool is_negative;
    struct recompute_number other = recompute_read(expected, &is_negative);
    return !is_negative && number_compare(value, &other) == 0;
}

size_t recompute_format(const struct recompute_number *value, char text[RECOMPUTE_TEXT_MAX]) {
    size_t size = 0;
    unsigned last = 0;
    while (last < UNIT_PLACES && (last >= value->count || value->digits[last] == 0)) {
        last++; /* zeros at the end of the decimals */
    }
    unsigned places = value->count > UNIT_PLACES ? value->count : UNIT_PLACES + 1;
    for (unsigned place = places; place-- > last;) {
        if (place + 1 == UNIT_PLACES) {
            text[size++] = '.';
        }
        text[size++] = (char)('0' + (place < value->count ? value->digits[place] : 0));
    }
    text[size] = '\0';
    return size;
}

/* A decimal has 38 digits: 10^38 - 1 units at most. */
bool recompute_fits(const struct recompute_number *number) {
    enum { DECIMAL_DIGITS = 38 };
    return number->count <= DECIMAL_DIGITS;
}
