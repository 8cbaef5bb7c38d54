#include "core/decimal.h"

#include <assert.h>

#include "digits.h"

enum {
    WHOLE_DIGITS_MAX = 23, /* 23 + 15 = 38, the digits of the range */
    UINT64_DIGITS = 19,    /* every number of that many digits fits 64 bits */
};

#define UNITS_PER_ONE UINT64_C(1000000000000000)
#define FIVE_TO_15 UINT64_C(30517578125)
#define TEN_TO_18 UINT64_C(1000000000000000000)
#define UNITS_MAX ((int128)((uint128)TEN_TO_18 * 100 * TEN_TO_18 - 1)) /* 10^38 - 1 */

_Static_assert(DECIMAL_PLACES == 15, "UNITS_PER_ONE is 10^15");
_Static_assert(DECIMAL_TEXT_MAX >= 1 + 24 + 1 + 16,
               "a format must have room for any 128-bit value, in range or not, and for a 16th "
               "decimal that is written with the others");

const char *decimal_fault_text(enum decimal_fault fault) {
    switch (fault) {
    case DECIMAL_OK:
        return "is a decimal number";
    case DECIMAL_NOT_A_NUMBER:
        return "is not a decimal number";
    case DECIMAL_TOO_MANY_DECIMALS:
        return "has more than 15 decimals";
    case DECIMAL_OUT_OF_RANGE:
        return "is out of range (at most 23 digits before the point)";
    }
    assert(false);
    return "";
}

/* Value of a digit; anything above 9 is no digit. */
static inline unsigned digit_value(char byte) {
    return (unsigned)(unsigned char)byte - '0';
}

/* The number that count digits stand for; count is at most WHOLE_DIGITS_MAX. */
static uint128 digits_read_wide(const char *digits, size_t count) {
    uint128 value = 0;
    for (size_t index = 0; index < count; index++) {
        value = value * 10 + digit_value(digits[index]);
    }
    return value;
}

enum decimal_fault decimal_parse(struct text text, struct decimal *result) {
    if (text.size_bytes == 0) {
        return DECIMAL_NOT_A_NUMBER;
    }
    const char *at = text.bytes;
    const char *end = at + text.size_bytes;
    bool is_negative = *at == '-';
    at += *at == '-' || *at == '+';

    size_t digits = 0;
    for (; at < end && *at == '0'; at++) {
        digits++;
    }
    const char *whole_text = at;
    uint64_t whole = 0; /* wraps behind 19 digits, which are then read again */
    for (; at < end && digit_value(*at) <= 9; at++) {
        whole = whole * 10 + digit_value(*at);
    }
    size_t whole_digits = (size_t)(at - whole_text);
    digits += whole_digits;

    uint64_t fraction = 0;
    size_t fraction_digits = 0;
    unsigned beyond = 0; /* any digit but 0 behind the 15th decimal */
    if (at < end && *at == '.') {
        at++;
        for (; at < end && digit_value(*at) <= 9 && fraction_digits < DECIMAL_PLACES; at++) {
            fraction = fraction * 10 + digit_value(*at);
            fraction_digits++;
        }
        for (; at < end && digit_value(*at) <= 9; at++) {
            beyond |= digit_value(*at);
        }
        digits += fraction_digits;
    }
    if (at != end || digits == 0) {
        return DECIMAL_NOT_A_NUMBER;
    }
    if (beyond != 0) {
        return DECIMAL_TOO_MANY_DECIMALS;
    }
    if (whole_digits > WHOLE_DIGITS_MAX) {
        return DECIMAL_OUT_OF_RANGE;
    }
    uint128 units = whole_digits <= UINT64_DIGITS
                        ? (uint128)whole * UNITS_PER_ONE
                        : digits_read_wide(whole_text, whole_digits) * UNITS_PER_ONE;
    units += fraction * digits_power[DECIMAL_PLACES - fraction_digits];
    result->units = is_negative ? -(int128)units : (int128)units;
    return DECIMAL_OK;
}

/* Writes sign and whole part, returns the end and leaves the fraction in 10^-15. */
static inline char *write_whole(char *at, struct decimal value, uint64_t *fraction) {
    uint128 sign =
        (uint128)(value.units >> 127); /* 0, or all bits: no branch, signs go to and fro */
    uint128 magnitude = ((uint128)value.units ^ sign) - sign;
    *at = '-';
    at += sign & 1;
    /* 10^15 is 2^15 x 5^15: without the first, most numbers are divided in 64 bits. */
    uint128 shifted = magnitude >> DECIMAL_PLACES;
    uint128 whole = shifted <= UINT64_MAX ? (uint64_t)shifted / FIVE_TO_15 : shifted / FIVE_TO_15;
    *fraction = (uint64_t)magnitude - (uint64_t)whole * UNITS_PER_ONE;
    if (whole <= UINT64_MAX) {
        return digits_write(at, (uint64_t)whole);
    }
    at = digits_write(at, (uint64_t)(whole / TEN_TO_18));
    return digits_write_fixed(at, (uint64_t)(whole % TEN_TO_18), 18);
}

/*
 * Writes the point and 15 digits, as two words of eight. Returns how many of the digits are left
 * without the zeros at the end; fraction is not 0.
 */
static inline size_t write_fraction(char *at, uint64_t fraction) {
    uint64_t first = digits_of_eight((uint32_t)(fraction / (DIGITS_EIGHT / 10)));
    uint64_t second = digits_of_eight((uint32_t)(fraction % (DIGITS_EIGHT / 10)) * 10);
    uint64_t words[2] = {first + DIGITS_ZEROS, second + DIGITS_ZEROS};
    *at = '.';
    memcpy(at + 1, words, sizeof words);
    return second != 0 ? 16 - (size_t)__builtin_clzll(second) / 8
                       : 8 - (size_t)__builtin_clzll(first) / 8;
}

char *decimal_write(char *at, struct decimal value) {
    if (value.units == 0) { /* the most frequent one by far */
        *at = '0';
        return at + 1;
    }
    uint64_t fraction;
    at = write_whole(at, value, &fraction);
    return fraction == 0 ? at : at + 1 + write_fraction(at, fraction);
}

char *decimal_write_fixed(char *at, struct decimal value, int places) {
    assert(places >= 0 && places <= DECIMAL_PLACES);
    static const char zeros[] = {"0.000000000000000"};
    size_t behind = (size_t)places + (places > 0);
    if (value.units == 0) {
        memcpy(at, zeros, sizeof zeros - 1);
        return at + 1 + behind;
    }
    uint64_t fraction;
    at = write_whole(at, value, &fraction);
    if (fraction == 0) {
        memcpy(at, zeros + 1, sizeof zeros - 2);
        return at + behind;
    }
    size_t written = write_fraction(at, fraction);
    assert(written <= (size_t)places);
    return at + behind;
}

char *decimal_write_int64(char *at, int64_t value) {
    uint64_t magnitude = value < 0 ? -(uint64_t)value : (uint64_t)value;
    *at = '-';
    return digits_write(at + (value < 0), magnitude);
}

size_t decimal_format(struct decimal value, char text[DECIMAL_TEXT_MAX]) {
    char *end = decimal_write(text, value);
    *end = '\0';
    return (size_t)(end - text);
}

size_t decimal_format_fixed(struct decimal value, int places, char text[DECIMAL_TEXT_MAX]) {
    char *end = decimal_write_fixed(text, value, places);
    *end = '\0';
    return (size_t)(end - text);
}

bool decimal_in_range(int128 units) {
    return units >= -UNITS_MAX && units <= UNITS_MAX;
}

static bool decimal_from_units(int128 units, struct decimal *result) {
    if (!decimal_in_range(units)) {
        return false;
    }
    result->units = units;
    return true;
}

bool decimal_from_int64(int64_t value, struct decimal *result) {
    result->units = (int128)value * (int128)UNITS_PER_ONE;
    return true;
}

bool decimal_from_int128(int128 whole, struct decimal *result) {
    int128 units;
    return !__builtin_mul_overflow(whole, (int128)UNITS_PER_ONE, &units) &&
           decimal_from_units(units, result);
}

bool decimal_add(struct decimal left, struct decimal right, struct decimal *result) {
    int128 units;
    return !__builtin_add_overflow(left.units, right.units, &units) &&
           decimal_from_units(units, result);
}

bool decimal_subtract(struct decimal left, struct decimal right, struct decimal *result) {
    int128 units;
    return !__builtin_sub_overflow(left.units, right.units, &units) &&
           decimal_from_units(units, result);
}

int128 decimal_divide_ceiling(struct decimal quantity, struct decimal size) {
    assert(quantity.units >= 0);
    assert(size.units > 0);
    int128 count = quantity.units / size.units;
    return count + (quantity.units != count * size.units);
}

int128 int128_divide_half_away(int128 numerator, int128 denominator) {
    assert(denominator > 0);
    uint128 divisor = (uint128)denominator;
    uint128 magnitude = numerator < 0 ? -(uint128)numerator : (uint128)numerator;
    /* Whole numbers of units are multiples of 2^15: without its zeros a divisor mostly has 64 bits,
     * and the zeros' part of the magnitude only goes into the remainder. */
    unsigned zeros = (unsigned)__builtin_ctzll((uint64_t)divisor | UINT64_C(1) << 63);
    uint128 quotient = (magnitude >> zeros) / (divisor >> zeros);
    uint128 remainder = magnitude - quotient * divisor;
    quotient += remainder >= divisor - remainder;
    return (int128)(numerator < 0 ? -quotient : quotient);
}
