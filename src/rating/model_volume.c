/*
 * volume: the tier that the quantity falls in rates all of it, plus that tier's flat price.
 */
#include "models.h"

#include <assert.h>

bool model_volume_cost(const struct price *price, struct decimal quantity, struct exact *cost,
                       struct charge_lines *lines) {
    for (size_t tier = 0; tier < price->tiers_count; tier++) {
        const struct tier *terms = &price->tiers[tier];
        if (terms->is_open || quantity.units <= terms->up_to.units) {
            return tier_add_cost(price, tier, quantity, cost, lines);
        }
    }
    assert(false); /* the last tier is open */
    return false;
}
