/*
 * Wide: signed integers of up to 1,024 bits, for sums and fits that outgrow 256.
 *
 * Sign and magnitude; limbs_count is trimmed, zero has none and is not negative. A result that does
 * not fit is false and leaves *result alone. By value, no heap, results may alias operands.
 */
#ifndef PERIODCLOSE_CORE_WIDE_H
#define PERIODCLOSE_CORE_WIDE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/decimal.h"

enum { WIDE_LIMBS_MAX = 16 };

struct wide {
    bool is_negative;
    unsigned limbs_count;
    uint64_t limbs[WIDE_LIMBS_MAX]; /* least significant first; beyond limbs_count undefined */
};

struct wide wide_from_int128(int128 value);
bool wide_add(const struct wide *left, const struct wide *right, struct wide *result);
bool wide_subtract(const struct wide *left, const struct wide *right, struct wide *result);
bool wide_multiply(const struct wide *left, const struct wide *right, struct wide *result);
int wide_compare(const struct wide *left, const struct wide *right);
static inline bool wide_is_zero(const struct wide *value) {
    return value->limbs_count == 0;
}
bool wide_to_int128(const struct wide *value, int128 *result); /* false when it does not fit */

/* numerator / denominator rounded half away from zero; denominator not zero (asserted). */
bool wide_divide_half_away(const struct wide *numerator, const struct wide *denominator,
                           struct wide *quotient);

#endif
