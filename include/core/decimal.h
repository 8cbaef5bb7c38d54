/*
 * Decimal: a quantity, a price or an amount; 10^-15 units in a signed 128-bit integer.
 * Exact: a sum of products of two decimals; 10^-30 units in a signed 256-bit integer.
 *
 * Range of a decimal: +-(10^38 - 1) units, the range of DECIMAL(38,15) (DESIGN.md 3.1). Every
 * operation is checked: false (or a fault other than DECIMAL_OK) means the result does not fit and
 * nothing was written. There is no rounding here but the three functions that say so in their
 * name. No float or double anywhere.
 */
#ifndef PERIODCLOSE_CORE_DECIMAL_H
#define PERIODCLOSE_CORE_DECIMAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/text.h"

__extension__ typedef __int128 int128;
__extension__ typedef unsigned __int128 uint128;

enum {
    DECIMAL_PLACES = 15,
    DECIMAL_TEXT_MAX = 42, /* sign, 23 digits, point, 15 digits, NUL, and room */
    EXACT_PLACES = 30,
    EXACT_TEXT_MAX = 96,
};

struct decimal {
    int128 units; /* 10^-15 */
};

/* limbs[] is two's complement, least significant first, in units of 10^-30. */
struct exact {
    uint64_t limbs[4];
};

enum decimal_fault {
    DECIMAL_OK = 0,
    DECIMAL_NOT_A_NUMBER,      /* not [+-]digits[.digits], .digits or digits. */
    DECIMAL_TOO_MANY_DECIMALS, /* more than 15 significant decimals; trailing zeros do not count */
    DECIMAL_OUT_OF_RANGE,
};

/* "is not a decimal number", "has more than 15 decimals", … for messages. */
const char *decimal_fault_text(enum decimal_fault fault);

/*
 * Parses the whole text: an optional sign, digits, an optional point. At least one digit. No
 * exponent, no separators, no spaces ("1e5" is what a spreadsheet leaves of a number it broke).
 */
enum decimal_fault decimal_parse(struct text text, struct decimal *result);

#define DECIMAL_ONE ((struct decimal){.units = (int128)1000000000000000})
#define DECIMAL_ZERO ((struct decimal){.units = 0})

/* In full, no exponent, no trailing zeros, "-" only for negatives. Returns the length. */
size_t decimal_format(struct decimal value, char text[DECIMAL_TEXT_MAX]);

/* With exactly places decimals (0..15); the value must have no more (asserted). */
size_t decimal_format_fixed(struct decimal value, int places, char text[DECIMAL_TEXT_MAX]);

/*
 * The same where a text is being written: no NUL, but up to DECIMAL_TEXT_MAX bytes are written
 * over. Return the end.
 */
char *decimal_write(char *at, struct decimal value);
char *decimal_write_fixed(char *at, struct decimal value, int places);
char *decimal_write_int64(char *at, int64_t value); /* a whole number */

bool decimal_from_int64(int64_t value, struct decimal *result); /* never fails, kept for symmetry */
bool decimal_from_int128(int128 whole, struct decimal *result); /* whole units to decimal */
bool decimal_in_range(int128 units);
bool decimal_add(struct decimal left, struct decimal right, struct decimal *result);
bool decimal_subtract(struct decimal left, struct decimal right, struct decimal *result);

static inline int decimal_compare(struct decimal left, struct decimal right) {
    return (left.units > right.units) - (left.units < right.units);
}

static inline bool decimal_is_zero(struct decimal value) {
    return value.units == 0;
}

static inline bool decimal_is_negative(struct decimal value) {
    return value.units < 0;
}

static inline struct decimal decimal_min(struct decimal left, struct decimal right) {
    return left.units < right.units ? left : right;
}

static inline struct decimal decimal_max(struct decimal left, struct decimal right) {
    return left.units > right.units ? left : right;
}

/* ceil(quantity / size) as whole units (a count of packages); size > 0, quantity >= 0 asserted. */
int128 decimal_divide_ceiling(struct decimal quantity, struct decimal size);

/* round half away from zero of numerator / denominator (both plain integers, denominator > 0). */
int128 int128_divide_half_away(int128 numerator, int128 denominator);

#define EXACT_ZERO ((struct exact){{0, 0, 0, 0}})

bool exact_add_product(struct exact *sum, struct decimal left, struct decimal right);
bool exact_add_decimal(struct exact *sum, struct decimal addend);
/* sum += count * price, count in whole units (packages). */
bool exact_add_count_product(struct exact *sum, int128 count, struct decimal price);
bool exact_add(struct exact *sum, struct exact addend);
int exact_compare(struct exact left, struct exact right);
bool exact_is_zero(struct exact value);

/* Half away from zero to 15 decimals: how an exact cost is shown and totalled. */
bool exact_round_to_decimal(struct exact value, struct decimal *result);

/*
 * Half away from zero to a multiple of increment (> 0): the one rounding of money. The result is
 * a decimal; false when it does not fit.
 */
bool exact_round_half_away(struct exact value, struct decimal increment, struct decimal *result);

/* In full, without trailing zeros. Returns the length. */
size_t exact_format(struct exact value, char text[EXACT_TEXT_MAX]);

#endif
