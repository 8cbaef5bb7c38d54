/*
 * An org's cap, spread over its metrics by largest remainder.
 *
 * Everything is counted in billing increments. A metric's fair share is uncapped x cap / total; it
 * gets the whole increments of that, and the increments left over go one each to the largest
 * remainders. Fewer are left over than there are remainders above zero (each is less than one), so
 * a metric that cost nothing gets none, and nobody gets more than his uncapped cost.
 */
#include "rating/charge.h"

#include <assert.h>
#include <stdlib.h>

#include "core/wide.h"

struct cap_share {
    struct capped_cost *cost;
    int128 increments; /* granted */
    int128 remainder;  /* of uncapped x cap / total */
};

static int cap_share_compare(const void *left_share, const void *right_share) {
    const struct cap_share *left = left_share;
    const struct cap_share *right = right_share;
    if (left->remainder != right->remainder) {
        return left->remainder > right->remainder ? -1 : 1;
    }
    return text_compare(left->cost->metric, right->cost->metric);
}

/* increments x cap / total, floored, for 0 <= increments <= total, 0 <= cap < total. */
static void cap_share_divide(struct cap_share *share, int128 increments, int128 cap, int128 total) {
    int128 product;
    if (!__builtin_mul_overflow(increments, cap, &product)) {
        share->increments = product / total;
        share->remainder = product % total;
        return;
    }
    struct wide left = wide_from_int128(increments);
    struct wide right = wide_from_int128(cap);
    struct wide denominator = wide_from_int128(total);
    struct wide numerator;
    struct wide quotient;
    struct wide remainder;
    bool fits = wide_multiply(&left, &right, &numerator) &&
                wide_divide_half_away(&numerator, &denominator, &quotient) &&
                wide_multiply(&quotient, &denominator, &remainder) &&
                wide_subtract(&numerator, &remainder, &remainder) &&
                wide_to_int128(&quotient, &share->increments) &&
                wide_to_int128(&remainder, &share->remainder);
    assert(fits); /* a quotient below total, a remainder within half of it */
    if (share->remainder < 0) {
        share->increments -= 1;
        share->remainder += total;
    }
}

/* The uncapped costs in increments, added up. False: does not fit. */
static bool cap_total(const struct capped_cost *costs, size_t costs_count, int128 increment,
                      int128 *total) {
    *total = 0;
    for (size_t metric = 0; metric < costs_count; metric++) {
        int128 units = costs[metric].uncapped_cost.units;
        assert(units >= 0 && units % increment == 0);
        if (__builtin_add_overflow(*total, units / increment, total)) {
            return false;
        }
    }
    return true;
}

bool charge_cap(struct capped_cost *costs, size_t costs_count, struct decimal cap,
                const struct currency *currency, struct arena *arena, struct err *err) {
    int128 increment = currency->increment.units;
    assert(increment > 0 && cap.units >= 0 && cap.units % increment == 0);
    int128 cap_increments = cap.units / increment;
    int128 total;
    if (!cap_total(costs, costs_count, increment, &total)) {
        return err_set(err, ERR_RANGE, "cap: the sum of the uncapped costs does not fit");
    }
    if (total <= cap_increments) {
        for (size_t metric = 0; metric < costs_count; metric++) {
            costs[metric].cost = costs[metric].uncapped_cost;
        }
        return true;
    }
    struct arena_mark mark = arena_mark(arena);
    struct cap_share *shares = arena_alloc_array(arena, costs_count, sizeof *shares, err);
    if (shares == NULL) {
        return false;
    }
    int128 left_over = cap_increments;
    for (size_t metric = 0; metric < costs_count; metric++) {
        shares[metric].cost = &costs[metric];
        cap_share_divide(&shares[metric], costs[metric].uncapped_cost.units / increment,
                         cap_increments, total);
        left_over -= shares[metric].increments;
    }
    qsort(shares, costs_count, sizeof *shares, cap_share_compare);
    assert(left_over >= 0 && left_over < (int128)costs_count);
    for (size_t rank = 0; rank < costs_count; rank++) {
        bool gets_one_more = (int128)rank < left_over;
        assert(!gets_one_more || shares[rank].remainder > 0);
        shares[rank].cost->cost.units =
            (shares[rank].increments + (gets_one_more ? 1 : 0)) * increment;
    }
    arena_rewind(arena, mark);
    return true;
}
