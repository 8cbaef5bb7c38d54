/*
 * graduated: each tier rates its own part of the quantity, and adds its flat price when any of the
 * quantity falls in it.
 *
 * A tier reaches from the bound of the one before (exclusive) to its own (inclusive), in decimals:
 * there is no gap between 100 and 101 for a quantity of 100.5 to fall into.
 */
#include "models.h"

#include <assert.h>

bool model_graduated_cost(const struct price *price, struct decimal quantity, struct exact *cost,
                          struct charge_lines *lines) {
    struct decimal rated = DECIMAL_ZERO; /* the quantity that the tiers before have taken */
    for (size_t tier = 0; tier < price->tiers_count && rated.units < quantity.units; tier++) {
        const struct tier *terms = &price->tiers[tier];
        struct decimal upper = terms->is_open ? quantity : decimal_min(quantity, terms->up_to);
        if (upper.units <= rated.units) {
            continue; /* an empty tier, as a bound of zero makes it */
        }
        struct decimal part = {upper.units - rated.units};
        if (!tier_add_cost(price, tier, part, cost, lines)) {
            return false;
        }
        rated = upper;
    }
    assert(rated.units == quantity.units); /* the last tier is open */
    return true;
}
