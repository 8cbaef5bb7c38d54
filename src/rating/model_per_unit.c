/*
 * per_unit: quantity x unit_price.
 */
#include "models.h"

bool model_per_unit_cost(const struct price *price, struct decimal quantity, struct exact *cost,
                         struct charge_lines *lines) {
    (void)lines;
    return exact_add_product(cost, quantity, price->unit_price);
}
