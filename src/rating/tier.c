/*
 * What the models with tiers share: the amount of one tier, and the line that tells of it.
 */
#include "models.h"

#include <assert.h>

bool tier_add_cost(const struct price *price, size_t tier, struct decimal part, struct exact *cost,
                   struct charge_lines *lines) {
    assert(tier < price->tiers_count);
    const struct tier *terms = &price->tiers[tier];
    struct exact amount = EXACT_ZERO;
    if (!exact_add_product(&amount, part, terms->unit_price) ||
        !exact_add_decimal(&amount, terms->flat_price) || !exact_add(cost, amount)) {
        return false;
    }
    if (lines != NULL) {
        assert(lines->lines_count < price->tiers_count);
        lines->lines[lines->lines_count++] =
            (struct charge_line){.tier = tier, .quantity = part, .amount = amount};
    }
    return true;
}
