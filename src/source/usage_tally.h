/*
 * Tally: a sum of decimals in 192 bits, which no number of them outgrows. So a total fits or does
 * not, whatever the order of its parts. Internal to src/source.
 */
#ifndef PERIODCLOSE_SOURCE_USAGE_TALLY_H
#define PERIODCLOSE_SOURCE_USAGE_TALLY_H

#include "core/decimal.h"

struct tally {
    uint64_t low;
    uint64_t middle;
    int64_t high;
};

static inline void tally_add(struct tally *tally, struct decimal value) {
    uint128 sum = ((uint128)tally->middle << 64 | tally->low);
    bool has_carry = __builtin_add_overflow(sum, (uint128)value.units, &sum);
    tally->low = (uint64_t)sum;
    tally->middle = (uint64_t)(sum >> 64);
    tally->high += (value.units < 0 ? -1 : 0) + (has_carry ? 1 : 0);
}

static inline void tally_merge(struct tally *tally, const struct tally *other) {
    uint128 sum = ((uint128)tally->middle << 64 | tally->low);
    uint128 more = ((uint128)other->middle << 64 | other->low);
    bool has_carry = __builtin_add_overflow(sum, more, &sum);
    tally->low = (uint64_t)sum;
    tally->middle = (uint64_t)(sum >> 64);
    tally->high += other->high + (has_carry ? 1 : 0);
}

/* False: it does not fit. */
static inline bool tally_to_decimal(const struct tally *tally, struct decimal *result) {
    int128 units = (int128)((uint128)tally->middle << 64 | tally->low);
    if (tally->high != (units < 0 ? -1 : 0) || !decimal_in_range(units)) {
        return false;
    }
    result->units = units;
    return true;
}

/* times x value, as if added one by one. */
static inline void tally_add_times(struct tally *tally, struct decimal value, uint64_t times) {
    bool is_negative = value.units < 0;
    uint128 magnitude = is_negative ? -(uint128)value.units : (uint128)value.units;
    uint128 low = (uint128)(uint64_t)magnitude * times;
    uint128 high = (uint128)(uint64_t)(magnitude >> 64) * times + (uint64_t)(low >> 64);
    uint64_t words[3] = {(uint64_t)low, (uint64_t)high, (uint64_t)(high >> 64)};
    if (is_negative) {
        uint64_t carry = 1;
        for (size_t word = 0; word < 3; word++) {
            words[word] = ~words[word] + carry;
            carry = carry != 0 && words[word] == 0;
        }
    }
    struct tally product = {words[0], words[1], (int64_t)words[2]};
    tally_merge(tally, &product);
}

#endif
