/*
 * Sums as they are done at school, for recompute*.c: digit by digit, on rows of decimal digits.
 * Nothing overflows in silence: what has no room is asserted.
 */
#ifndef PERIODCLOSE_RATING_RECOMPUTE_DIGITS_H
#define PERIODCLOSE_RATING_RECOMPUTE_DIGITS_H

#include "rating/recompute.h"

enum { UNIT_PLACES = 15 }; /* a unit is 10^-15 */

_Static_assert((int)UNIT_PLACES == (int)DECIMAL_PLACES, "numbers count the units of decimals");

/* Without zeros on top. */
struct recompute_number number_trim(struct recompute_number value);
struct recompute_number number_from(uint128 value);
int number_compare(const struct recompute_number *left, const struct recompute_number *right);
/* left - right, for left >= right. */
struct recompute_number number_subtract(const struct recompute_number *left,
                                        const struct recompute_number *right);
struct recompute_number number_multiply(const struct recompute_number *left,
                                        const struct recompute_number *right);
/* value followed by zeros: x 10^places. */
struct recompute_number number_shift(const struct recompute_number *value, unsigned places);
/* floor(numerator / denominator), and what is left. */
struct recompute_number number_divide(const struct recompute_number *numerator,
                                      const struct recompute_number *denominator,
                                      struct recompute_number *rest);
struct recompute_number number_divide_half_away(const struct recompute_number *numerator,
                                                const struct recompute_number *denominator);

#endif
